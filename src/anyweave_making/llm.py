"""A language model behind any OpenAI-compatible endpoint, for the dataset builders.

Answers are kept by the hash of their request, so a question that was paid for is never asked again.
The `openai` client retries transient errors (429, 5xx, lost connections) with growing pauses; an
error in the request is the user's mistake and reported at once. Needs the extra
``anyweave[llm]``.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import openai

from anyweave_making.journal import GivenUpError, Journal

__all__ = ["LLM", "Estimate", "Price", "Prompt", "Usage"]

T = TypeVar("T")
_TRANSIENT = (408, 409, 429)  # which the client retries, like everything from 500 on
_CHARACTERS_PER_TOKEN = 4  # of English text, as a rule of thumb


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a million tokens cost, in any currency."""

    input: float = 0.0
    output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """The price of that many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One question. `seed` goes to the endpoint and tells two equal questions apart."""

    system: str
    user: str
    seed: int
    temperature: float = 1.0
    max_tokens: int = 1024


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What was spent by this process: answers from the cache cost nothing."""

    requests: int = 0
    cached: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What prompts will cost: four characters per token in, a guess of the answers' length out."""

    requests: int
    cached: int
    input_tokens: int
    output_tokens: int
    cost: float


class LLM:
    """A chat model at `base_url` (the part before ``/chat/completions``).

    Args:
        answers: keeps the answers; its rows are ``{"answer", "input_tokens", "output_tokens"}``.
        key_variable: environment variable with the API key. The key itself is stored nowhere.
        budget: stop when this process has spent this much, in the currency of `price`.
        retries: how often a request is retried, and an unusable answer asked for again.
        timeout: seconds to wait for an answer.
        http_client: goes to `openai.OpenAI`, for proxies and the like.

    Threads may share it. Raises `ValueError` for what the endpoint refuses and for an overspent
    budget.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        answers: Journal,
        key_variable: str = "OPENAI_API_KEY",
        price: Price | None = None,
        budget: float | None = None,
        retries: int = 5,
        timeout: float = 120.0,
        http_client: Any = None,
    ) -> None:
        self.model = model
        self.price = price or Price()
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._answers = answers
        self._key_variable = key_variable
        self._budget = budget
        self._retries = retries
        self._client = _openai().OpenAI(
            base_url=base_url,
            # A self-hosted server may need none, but the client insists on one.
            api_key=os.environ.get(key_variable) or "none",
            max_retries=retries,
            timeout=timeout,
            http_client=http_client,
        )
        self._counting = threading.Lock()
        self._usage = dict.fromkeys(("requests", "cached", "retries", "input", "output"), 0)

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        spent = self._usage
        return Usage(
            requests=spent["requests"],
            cached=spent["cached"],
            retries=spent["retries"],
            input_tokens=spent["input"],
            output_tokens=spent["output"],
            cost=self.price.of(spent["input"], spent["output"]),
        )

    def close(self) -> None:
        """Close the connections. The journal of answers stays open, it is the caller's."""
        self._client.close()

    def ask(self, prompt: Prompt, parse: Callable[[str], T]) -> T:
        """The answer to `prompt`, as `parse` reads it.

        `parse` raises `ValueError` for an answer that cannot be used; the question is then asked
        again with another seed. Raises `GivenUpError` when no answer could be used.
        """
        problem = ""
        for attempt in range(self._retries + 1):
            try:
                return parse(self._answer(prompt, attempt))
            except _RefusedError:
                raise
            except ValueError as error:
                problem = str(error)
        raise GivenUpError(f"no usable answer in {self._retries + 1} attempts; the last: {problem}")

    def estimate(self, prompts: Iterable[Prompt], *, output_tokens: int) -> Estimate:
        """What asking `prompts` will cost, at about `output_tokens` per answer, without retries."""
        requests = cached = characters = 0
        for prompt in prompts:
            requests += 1
            if _key(self._body(prompt, 0)) in self._answers:
                cached += 1
            else:
                characters += len(prompt.system) + len(prompt.user)
        given = characters // _CHARACTERS_PER_TOKEN
        taken = (requests - cached) * output_tokens
        return Estimate(
            requests=requests,
            cached=cached,
            input_tokens=given,
            output_tokens=taken,
            cost=self.price.of(given, taken),
        )

    def _body(self, prompt: Prompt, attempt: int) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "temperature": prompt.temperature,
            "max_tokens": prompt.max_tokens,
            "seed": (prompt.seed + 1_000_003 * attempt) % 2**31,
        }

    def _answer(self, prompt: Prompt, attempt: int) -> str:
        body = self._body(prompt, attempt)
        key = _key(body)
        if key in self._answers:
            self._count(cached=1)
            return self._answers[key]["answer"]
        if self._budget is not None and self.usage.cost >= self._budget:
            raise _RefusedError(
                f"the budget of {self._budget} is spent ({self.usage.cost:.4f}); "
                "what was made is kept: start again with a new budget to go on"
            )
        reply = self._post(body)
        tokens = _tokens(reply, prompt)
        # Counted before it is read: an empty answer costs as much as any other.
        self._count(requests=1, input=tokens["input_tokens"], output=tokens["output_tokens"])
        answer = _read_answer(reply)
        self._answers.append(key, {"answer": answer, **tokens})
        return answer

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        """The endpoint's reply. The client itself retries transient errors."""
        openai = _openai()
        try:
            raw = self._client.chat.completions.with_raw_response.create(**body)
            self._count(retries=raw.retries_taken)
            return json.loads(raw.text)
        except json.JSONDecodeError as error:
            raise _RefusedError(
                f"{self._url} answers no JSON ({raw.text[:60]!r}); is it an OpenAI-compatible "
                "endpoint?"
            ) from error
        except openai.APIError as error:
            status = getattr(error, "status_code", None)
            problem = f"{status or type(error).__name__}: {_reason(error)}"
            if status is not None and status < 500 and status not in _TRANSIENT:
                raise _RefusedError(
                    f"{self._url} refuses the request ({problem}); check the address, the model "
                    f"{self.model!r} and the key in ${self._key_variable}"
                ) from error
            raise _RefusedError(
                f"{self._url} does not answer after {self._retries + 1} attempts ({problem}); "
                "what was made is kept: start again to go on"
            ) from error

    def _count(self, **more: int) -> None:
        with self._counting:
            for name, number in more.items():
                self._usage[name] += number


class _RefusedError(ValueError):
    """Asking again would not help."""


def _openai() -> Any:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ValueError(
            f"a language model needs {error.name}, which is not installed: "
            "pip install 'anyweave[llm]'"
        ) from error
    return openai


def _key(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _reason(error: openai.APIError) -> str:
    """The reason in an error reply: OpenAI's envelope, or the beginning of whatever came."""
    said = error.body.get("message") if isinstance(error.body, dict) else None
    if said is None and hasattr(error, "response"):
        return error.response.text[:200] or "no reason given"
    return str(said or error.__cause__ or error)


def _read_answer(reply: dict[str, Any]) -> str:
    try:
        answer = reply["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the endpoint sent no choice: {str(reply)[:100]}") from error
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError("the answer is empty")
    return answer


def _tokens(reply: dict[str, Any], prompt: Prompt) -> dict[str, int]:
    """What a reply costs; estimated where the server does not count."""
    usage = reply.get("usage") or {}
    with suppress(KeyError, IndexError, TypeError):
        usage = {"completion_tokens": _in_tokens(reply["choices"][0]["message"]["content"])} | usage
    return {
        "input_tokens": usage.get("prompt_tokens", _in_tokens(prompt.system + prompt.user)),
        "output_tokens": usage.get("completion_tokens", 0),
    }


def _in_tokens(text: str) -> int:
    return len(text) // _CHARACTERS_PER_TOKEN
