"""The client of an OpenAI-compatible endpoint, against one on this machine that misbehaves."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from anyweave_making.journal import GivenUpError, Journal
from anyweave_making.llm import LLM, Price, Prompt

Reply = tuple[int, Any, dict[str, str]]
"""Status, body, headers."""

PROMPT = Prompt(system="Be brief.", user="Say a word.", seed=7)


class Endpoint:
    """Answers requests with the next of `replies`: (status, body, headers), or with ``word N``."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.bodies: list[tuple[str, Any]] = []
        self.keys: list[str | None] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.bodies.append((self.path, body))
                endpoint.keys.append(self.headers.get("Authorization"))
                status, reply, headers = (
                    endpoint.replies.pop(0)
                    if endpoint.replies
                    else said(f"word {len(endpoint.bodies)}")
                )
                content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


def said(text: str) -> Reply:
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return 200, {"choices": [{"message": {"content": text}}], "usage": usage}, {}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    endpoint = Endpoint()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "answers.jsonl") as journal:
        yield journal


def llm(endpoint: Endpoint, answers: Journal, **options: Any) -> LLM:
    return LLM(base_url=endpoint.url, model="m", answers=answers, **options)


def test_an_answer_is_asked_for_once(endpoint: Endpoint, answers: Journal) -> None:
    model = llm(endpoint, answers, price=Price(input=2.0, output=8.0))
    assert model.ask(PROMPT, str.upper) == "WORD 1"
    assert model.ask(PROMPT, str.upper) == "WORD 1"
    path, body = endpoint.bodies[0]
    assert path == "/v1/chat/completions" and len(endpoint.bodies) == 1
    assert body["model"] == "m" and body["seed"] == 7
    assert [m["content"] for m in body["messages"]] == ["Be brief.", "Say a word."]
    assert endpoint.keys == ["Bearer secret"]
    assert "secret" not in answers.path.read_text()
    assert (model.usage.requests, model.usage.cached) == (1, 1)
    assert model.usage.cost == pytest.approx((100 * 2 + 10 * 8) / 1e6)
    model.close()


SOON = {"Retry-After-Ms": "1"}


def test_what_passes_is_tried_again(endpoint: Endpoint, answers: Journal) -> None:
    endpoint.replies = [(500, b"", SOON), (429, b"", SOON), (503, b"", SOON)]
    model = llm(endpoint, answers)
    assert model.ask(PROMPT, str) == "word 4"
    assert model.usage.retries == 3 and len(endpoint.bodies) == 4


def test_what_does_not_pass_is_said(endpoint: Endpoint, answers: Journal) -> None:
    endpoint.replies = [(500, b"", SOON)] * 3
    with pytest.raises(ValueError, match=r"does not answer after 3 attempts \(500: no reason"):
        llm(endpoint, answers, retries=2).ask(PROMPT, str)
    endpoint.replies = [(401, {"error": {"message": "bad key"}}, {})]
    with pytest.raises(ValueError, match=r"refuses the request \(401: bad key\).*OPENAI_API_KEY"):
        llm(endpoint, answers).ask(PROMPT, str)
    endpoint.replies = [(200, b"<html>", {})]
    with pytest.raises(ValueError, match="answers no JSON"):
        llm(endpoint, answers).ask(PROMPT, str)
    nobody = LLM(base_url="http://127.0.0.1:9/v1", model="m", answers=answers, retries=0)
    with pytest.raises(
        ValueError, match=r"does not answer after 1 attempts \(APIConnectionError: .*refused"
    ):
        nobody.ask(PROMPT, str)


def test_without_the_extra(answers: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ValueError, match=r"needs openai, .*'anyweave\[llm\]'"):
        LLM(base_url="http://x/v1", model="m", answers=answers)


def test_an_answer_that_cannot_be_used_is_asked_for_again(
    endpoint: Endpoint, answers: Journal
) -> None:
    endpoint.replies = [said("one"), said(""), (200, {"choices": []}, {}), said("42")]
    assert llm(endpoint, answers).ask(PROMPT, int) == 42
    seeds = [body["seed"] for _, body in endpoint.bodies]
    assert len(set(seeds)) == 4
    # A second run meets the kept answers first: the unusable one is not paid for again.
    endpoint.replies = [said("7")] * 3
    assert llm(endpoint, answers).ask(PROMPT, int) == 7
    endpoint.replies = [said("no")] * 9
    with pytest.raises(GivenUpError, match="no usable answer in 2 attempts; the last: invalid"):
        llm(endpoint, answers, retries=1).ask(Prompt(system="", user="x", seed=0), int)


def test_the_budget_holds(endpoint: Endpoint, answers: Journal) -> None:
    model = llm(endpoint, answers, price=Price(input=1e4), budget=1.5)  # 1 a request
    for number in range(2):
        model.ask(Prompt(system="", user=str(number), seed=0), str)
    with pytest.raises(ValueError, match=r"the budget of 1.5 is spent \(2.0000\)"):
        model.ask(Prompt(system="", user="2", seed=0), str)
    assert len(endpoint.bodies) == 2
    assert model.ask(Prompt(system="", user="0", seed=0), str) == "word 1"  # kept ones are free


def test_empty_answers_are_paid_for(endpoint: Endpoint, answers: Journal) -> None:
    endpoint.replies = [said("")] * 10
    model = llm(endpoint, answers, retries=5, price=Price(input=1e4), budget=1.5)
    with pytest.raises(ValueError, match=r"the budget of 1.5 is spent \(2.0000\)"):
        model.ask(Prompt(system="", user="x", seed=0), str)
    assert len(endpoint.bodies) == 2


def test_the_estimate_counts_only_what_is_not_kept(endpoint: Endpoint, answers: Journal) -> None:
    model = llm(endpoint, answers, price=Price(input=1.0, output=10.0))
    prompts = [Prompt(system="s" * 400, user=str(n) * 400, seed=n) for n in range(5)]
    model.ask(prompts[0], str)
    estimate = model.estimate(prompts, output_tokens=50)
    assert (estimate.requests, estimate.cached) == (5, 1)
    assert (estimate.input_tokens, estimate.output_tokens) == (800, 200)
    assert estimate.cost == pytest.approx((800 + 2000) / 1e6)
    assert len(endpoint.bodies) == 1
