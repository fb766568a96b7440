"""The requests: a thousand things that people say, and the media that they would want to get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from anyweave.messages import MEDIA_TYPES, Message, Modality

REQUESTS = Path(__file__).with_name("requests.jsonl")
Split = Literal["dev", "test"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One conversation that ends with what is asked. `kind` says how it is asked: ``direct``,
    ``casual``, ``trap``, ``follow-up``, ...
    """

    id: str
    split: Split
    kind: str
    wanted: tuple[Modality, ...]
    """The media of a right reply, in order; none where words alone are right."""
    messages: tuple[Message, ...]

    @property
    def group(self) -> str:
        """The wanted medium, "none" or "several"."""
        return "several" if len(self.wanted) > 1 else "".join(self.wanted) or "none"


@lru_cache(maxsize=1)
def load_requests() -> tuple[Request, ...]:
    """All of them, in order. The card beside the file says who wrote them, and how."""
    return tuple(_request(json.loads(row)) for row in REQUESTS.read_bytes().splitlines())


def choose(split: str = "all", limit: int | None = None) -> tuple[Request, ...]:
    """The requests of a split; `limit` takes that many, evenly spread, so that all groups occur.

    Raises `ValueError` for an unknown split or a limit below 1.
    """
    if split not in (names := ("all", *get_args(Split))):
        raise ValueError(f"no split {split!r}; there are {', '.join(names)}")
    found = tuple(row for row in load_requests() if split in ("all", row.split))
    if limit is None:
        return found
    if limit < 1:
        raise ValueError(f"a limit is at least 1, got {limit}")
    limit = min(limit, len(found))
    return tuple(found[number * len(found) // limit] for number in range(limit))


def _request(row: dict[str, Any]) -> Request:
    messages = tuple(_message(**message) for message in row.pop("messages"))
    return Request(messages=messages, wanted=tuple(row.pop("wanted")), **row)


def _message(role: Any, content: str | list[dict[str, str]]) -> Message:
    if isinstance(content, str):
        return Message(role, content)
    return Message(
        role,
        [
            part["text"]
            if part["type"] == "text"
            else MEDIA_TYPES[part["type"]](caption=part["caption"])
            for part in content
        ],
    )
