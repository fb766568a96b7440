"""Who answers the requests: one of our models, or any server that speaks OpenAI's protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from anyweave.evaluation.decision.requests import Request
from anyweave.evaluation.decision.scoring import Answer
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.options import GenerationOptions
from anyweave.messages import PAPER_MODALITIES, Message, Modality, Text
from anyweave.model.any_to_any import NextGPT

Answers = Callable[[Iterable[Request]], Iterator[tuple[Request, Answer]]]
# Greedy, and no decoder runs: only which media are asked for is judged.
DECIDING = GenerationOptions(temperature=0.0, max_new_tokens=128, seed=0, decode_media=False)
_LONGEST = 1024  # tokens requested from a server
# A medium in the text itself: Markdown's picture, HTML's players.
_WRITTEN = re.compile(r"!\[[^\]]*\]\([^)\s]+[^)]*\)|<(img|video|audio)\b", re.IGNORECASE)


def model_answers(model: NextGPT, options: GenerationOptions = DECIDING) -> Answers:
    """Answers of a model, which decides but makes no media. Several requests at once."""

    def answer(batcher: ReplyBatcher, request: Request) -> tuple[Request, Answer]:
        *before, last = request.messages
        reply = batcher.chat(options, messages=before).reply(last)
        return request, Answer(given=tuple(p.modality for p in reply.media()), text=reply.text)

    def answers(requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        with ReplyBatcher(model) as batcher:
            yield from batcher.map(partial(answer, batcher), requests)

    return answers


def server_answers(
    url: str,
    model: str,
    *,
    key_variable: str = "OPENAI_API_KEY",
    body: Mapping[str, Any] | None = None,
    at_once: int = 4,
    timeout: float = 600.0,
) -> Answers:
    """Answers of the server at `url` (the part before ``/chat/completions``).

    Args:
        key_variable: environment variable with the API key.
        body: extra fields for every request, such as ``{"num_inference_steps": 1}``.
        at_once: concurrent requests.

    Media of earlier turns are given in words, ``[image: a cat]``: their files do not exist. Raises
    `ValueError` where the client is not installed, or for what the server refuses.
    """
    try:
        import openai
    except ModuleNotFoundError:
        raise ValueError(
            "asking a server needs the openai client: pip install 'anyweave[llm]'"
        ) from None
    # A self-hosted server may need no key, but the client insists on one.
    key = os.environ.get(key_variable) or "none"

    def answer(client: openai.OpenAI, request: Request) -> tuple[Request, Answer]:
        sent: Any = [{"role": m.role, "content": in_words(m)} for m in request.messages]
        more = {"temperature": 0.0, "max_tokens": _LONGEST, **(body or {})}
        try:
            reply = client.chat.completions.create(model=model, messages=sent, extra_body=more)
        except openai.OpenAIError as error:
            raise ValueError(f"{url} did not answer request {request.id}: {error}") from error
        if not reply.choices:
            raise ValueError(f"{url} answered request {request.id} without a choice")
        return request, read_message(reply.choices[0].message.to_dict())

    def answers(requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        with (
            openai.OpenAI(base_url=url, api_key=key, timeout=timeout) as client,
            ThreadPoolExecutor(at_once) as pool,
        ):
            yield from pool.map(partial(answer, client), requests)

    return answers


def in_words(message: Message) -> str:
    """A turn as text alone, its media as ``[image: caption]``."""
    return " ".join(
        part.text if isinstance(part, Text) else f"[{part.modality}: {part.caption}]"
        for part in message.parts
    )


def read_message(message: Mapping[str, Any]) -> Answer:
    """The media in an assistant's message on the wire, in any of the common shapes.

    In order where the message gives it: parts (`content_parts`, or `content` as a list), or
    Markdown and HTML within the text. Otherwise from `images`, `videos`, `audios` and `audio`,
    whose relative order is unknown.
    """
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    for parts in (message.get("content_parts"), content):
        if isinstance(parts, list):
            kinds = [str(part.get("type")) for part in parts if isinstance(part, Mapping)]
            text = text or "".join(str(p.get("text", "")) for p in parts if isinstance(p, Mapping))
            if found := tuple(m for kind in kinds for m in PAPER_MODALITIES if m in kind):
                return Answer(given=found, text=text)
    written = tuple(_modality(match) for match in _WRITTEN.finditer(text))
    listed: list[Modality] = []
    for modality in PAPER_MODALITIES:
        many = message.get(f"{modality}s")
        listed += [modality] * len(many if isinstance(many, Sequence) else ())
    if message.get("audio") and "audio" not in listed:  # OpenAI's one sound
        listed.append("audio")
    given = (*written, *listed)
    return Answer(given=given, ordered=not listed or len(set(given)) == 1, text=text)


def _modality(match: re.Match[str]) -> Modality:
    tag = (match[1] or "img").lower()
    return "image" if tag == "img" else "video" if tag == "video" else "audio"
