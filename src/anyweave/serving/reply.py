"""A reply on the wire, whole or piece by piece."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from jaxtyping import UInt8

from anyweave.generation import Done, Edited, MediaStarted, Progress, Retrieved, TextDelta, Usage
from anyweave.media import encode
from anyweave.messages import PAPER_MODALITIES, Modality, kind_of


@dataclass(frozen=True, kw_only=True)
class Made:
    """A medium that is ready and kept: the event that replaces `MediaDone` on its way out."""

    index: int
    content: bytes
    media_type: str
    format: str
    expires_at: int
    edited: Edited | None = None
    retrieved: Retrieved | None = None


@dataclass
class _Medium:
    """One medium of the reply."""

    started: MediaStarted
    file_id: str
    number: int
    """Its index among the reply's media of its kind."""
    offset: int
    """Characters of text before it."""
    made: Made | None = None


@dataclass
class WireReply:
    """Collects the events of one reply; `add` gives the deltas of a stream, `message` the whole."""

    reply_id: str
    as_url: bool
    link: Callable[[str], str]
    """The URL of a file."""
    token: Callable[[int], str]
    """The name of a signal token."""
    new_id: Callable[[], str]
    parts: list[str | _Medium] = field(default_factory=list)
    done: Done | None = None

    @property
    def text(self) -> str:
        """The plain text, media removed."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def media(self) -> list[_Medium]:
        """The media in the order of speech."""
        return [part for part in self.parts if isinstance(part, _Medium)]

    def file_id(self, index: int) -> str:
        """The id of medium `index`."""
        return self.media[index].file_id

    def add(self, event: object) -> list[dict[str, Any]]:
        """Take an event; returns the deltas that stream it."""
        if isinstance(event, TextDelta):
            if self.parts and isinstance(self.parts[-1], str):
                self.parts[-1] += event.text
            else:
                self.parts.append(event.text)
            return [{"content": event.text}]
        if isinstance(event, MediaStarted):
            number = sum(m.started.modality == event.modality for m in self.media)
            medium = _Medium(event, self.new_id(), number, len(self.text))
            self.parts.append(medium)
            return [self._progress(medium, 0, None)]
        if isinstance(event, Progress):
            return [
                self._progress(self.media[index], event.step, event.total, preview)
                for index, preview in zip(
                    event.indices, event.previews or repeat(None), strict=False
                )
            ]
        if isinstance(event, Made):
            medium = self.media[event.index]
            medium.made = event
            return [self._shown([medium])]
        assert isinstance(event, Done)
        self.done = event
        return []

    def message(self) -> dict[str, Any]:
        """The assistant's message."""
        return {
            "role": "assistant",
            "content": self.text,
            "refusal": None,
            **self._shown(self.media),
            "content_parts": self.content_parts(),
        }

    def content_parts(self) -> list[dict[str, Any]]:
        """The parts in order. Media are named by URL and id; their data appear once, elsewhere."""
        found: list[dict[str, Any]] = []
        for index, part in enumerate(self.parts):
            if isinstance(part, str):
                entry: dict[str, Any] = {
                    "type": "text",
                    "id": f"{self.reply_id}-{index}",
                    "text": part,
                }
            else:
                kind = f"{part.started.modality}_url"
                entry = {
                    "type": kind,
                    "id": part.file_id,
                    kind: {"url": self.link(part.file_id)},
                    "caption": part.started.caption,
                    "expires_at": part.made.expires_at if part.made else None,
                }
                if part.made:
                    entry |= _about(part.started.modality, part.made)
            found.append({**entry, "index": index})
        return found

    def signals(self) -> list[dict[str, Any]]:
        """Signal tokens, with their place in the text."""
        return [
            {
                "part_id": medium.file_id,
                "modality": medium.started.modality,
                "tokens": [self.token(i) for i in medium.started.token_ids],
                "text_offset": medium.offset,
                "forced": medium.started.forced,
            }
            for medium in self.media
        ]

    def edited(self) -> list[dict[str, Any]]:
        """Media that were not drawn anew: what was changed, and how much of it."""
        return [
            {"part_id": medium.file_id, **vars(medium.made.edited)}
            for medium in self.media
            if medium.made is not None and medium.made.edited is not None
        ]

    def retrieved(self) -> list[dict[str, Any]]:
        """Media that were found, not made: where they come from, and how well they fit."""
        return [
            {
                "part_id": medium.file_id,
                "score": round(found.score, 4),
                "source": found.source,
                "licence": found.licence,
            }
            for medium in self.media
            if medium.made is not None and (found := medium.made.retrieved) is not None
        ]

    def _progress(
        self,
        medium: _Medium,
        step: int,
        total: int | None,
        preview: UInt8[np.ndarray, "h w 3"] | None = None,
    ) -> dict[str, Any]:
        started = medium.started
        progress = {"part_id": medium.file_id, "step": step, "total": total}
        if total is None:  # its first event
            progress |= {"modality": started.modality, "caption": started.caption}
            progress |= {"part_index": self.parts.index(medium)}
        if preview is not None:
            content = encode("image", preview, format="png", generated=True)
            progress["preview"] = f"data:image/png;base64,{_base64(content)}"
        return {"progress": progress}

    def _shown(self, media: Iterable[_Medium]) -> dict[str, Any]:
        """Media by kind: ``images`` and ``videos`` as other servers have them, ``audio`` as OpenAI
        has it; all other kinds in ``media``, with their media type.
        """
        shown: dict[str, Any] = {}
        for medium in media:
            if medium.made is None:
                continue
            modality, made = medium.started.modality, medium.made
            kind = f"{modality}_url"
            url = self.link(medium.file_id) if self.as_url else _data_url(made)
            entry = {
                "type": kind,
                kind: {"url": url},
                "index": medium.number,
                "id": medium.file_id,
                "caption": medium.started.caption,
                "expires_at": made.expires_at,
                **_about(modality, made),
            }
            if modality == "audio" and medium.number == 0:
                shown["audio"] = {
                    "id": medium.file_id,
                    "data": "" if self.as_url else _base64(made.content),
                    "expires_at": made.expires_at,
                    "transcript": medium.started.caption,
                    **({"url": url} if self.as_url else {}),
                }
            else:
                shown.setdefault(kind_of(modality).wire_list, []).append(entry)
        return shown


def wire_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's counts, plus seconds, denoising steps, and what the context lost."""
    dropped = usage.dropped
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "seconds": {m: round(s, 4) for m, s in usage.seconds.items()},
        "steps": dict(usage.steps),
        "context_length": usage.context_length,
        "dropped": vars(dropped) if dropped else None,
        **({"shortened": list(usage.shortened)} if usage.shortened else {}),
        "described": [vars(medium) for medium in usage.described],
    }


def _about(modality: Modality, made: Made) -> dict[str, Any]:
    """What a client must be told about a kind it may not know."""
    known = modality in PAPER_MODALITIES
    return {} if known else {"media_type": made.media_type, "format": made.format}


def _data_url(made: Made) -> str:
    return f"data:{made.media_type};base64,{_base64(made.content)}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
