"""A reply in the making: text and media in the order in which the model speaks them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from anyweave.generation.events import MediaStarted, SignalSpan, TextDelta
from anyweave.messages import Media, Message, Modality, Part, Text


@dataclass
class Draft:
    """A reply in the making: what was said, in order, and the spans that wait for their decoder."""

    said: list[Text | MediaStarted] = field(default_factory=list)
    spans: list[SignalSpan] = field(default_factory=list)
    seconds: dict[Modality, float] = field(default_factory=lambda: defaultdict(float))
    steps: dict[Modality, int] = field(default_factory=lambda: defaultdict(int))
    parts: dict[int, Media] = field(default_factory=dict)

    def add_text(self, delta: TextDelta) -> None:
        last = self.said[-1] if self.said else None
        if isinstance(last, Text):
            self.said.pop()
            delta = TextDelta(
                text=last.text + delta.text, token_ids=(last.token_ids or ()) + delta.token_ids
            )
        self.said.append(Text(delta.text, delta.token_ids))

    def add_span(self, span: SignalSpan) -> MediaStarted:
        spoken = [part.text for part in self.said if isinstance(part, Text)]
        started = MediaStarted(
            index=len(self.spans), modality=span.modality, caption=spoken_caption(spoken)
        )
        self.spans.append(span)
        self.said.append(started)
        return started

    def captions(self) -> dict[int, str]:
        return {part.index: part.caption for part in self.said if isinstance(part, MediaStarted)}

    def message(self) -> Message:
        parts: list[Part] = [
            self.parts[p.index] if isinstance(p, MediaStarted) else p for p in self.said
        ]
        return Message("assistant", parts)


def spoken_caption(texts: Sequence[str]) -> str:
    """What the reply says of the medium it asks for now: the last sentence before the signal run.

    `texts` are the reply's text runs so far. Empty when nothing was said yet.
    """
    for text in reversed(texts):
        sentences = [part.strip() for part in re.split(r"(?<=[.!?:])\s+|\n+", text) if part.strip()]
        if sentences:
            return sentences[-1]
    return ""
