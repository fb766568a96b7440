"""A reply in progress: text and media in the order in which the model generates them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from anyweave.generation.events import MediaStarted, Retrieved, SignalSpan, TextDelta
from anyweave.generation.reply import Reply
from anyweave.messages import Media, Modality, Part, Text
from anyweave.model.spec import DecoderSpec

# (modality, the user's text, caption of the medium) -> a medium found instead
Finder = Callable[[Modality, str, str], Retrieved | None]


@dataclass
class Draft:
    """A reply in progress: its parts in order, and the spans that wait for their decoder."""

    said: list[Text | MediaStarted] = field(default_factory=list)
    spans: list[SignalSpan] = field(default_factory=list)
    seconds: dict[Modality, float] = field(default_factory=lambda: defaultdict(float))
    steps: dict[Modality, int] = field(default_factory=lambda: defaultdict(int))
    parts: dict[int, Media] = field(default_factory=dict)
    found: dict[int, Retrieved] = field(default_factory=dict)
    """Media that stand in the user's index, by the index of their span."""

    def add_text(self, delta: TextDelta) -> None:
        last = self.said[-1] if self.said else None
        if isinstance(last, Text):
            self.said.pop()
            ids = _joined(last.token_ids, delta)
            self.said.append(Text(last.text + delta.text, ids))
        else:
            self.said.append(Text(delta.text, _joined((), delta)))

    def add_span(
        self,
        span: SignalSpan,
        decoder: DecoderSpec | None = None,
        finder: Finder | None = None,
        asked: str = "",
    ) -> MediaStarted:
        """`decoder` says which words of the caption are new to it; without one, none are. What
        `finder` has for the user's text, `asked`, need not be made, so no word of it is new.
        """
        spoken = [_BLOCK.sub("", part.text) for part in self.said if isinstance(part, Text)]
        caption = spoken_caption(spoken) if span.caption is None else span.caption
        found = None if finder is None else finder(span.modality, asked, caption)
        if found is not None:
            self.found[len(self.spans)] = found
            decoder = None
        started = MediaStarted(
            index=len(self.spans),
            modality=span.modality,
            caption=caption,
            token_ids=span.token_ids,
            forced=span.forced,
            unknown_words=decoder.unknown_words(caption) if decoder else (),
        )
        self.spans.append(span)
        self.said.append(started)
        return started

    def words(self, index: int) -> str:
        """The text between medium `index` and the previous one."""
        words = ""
        for part in self.said:
            if isinstance(part, MediaStarted) and part.index == index:
                break
            words = words + part.text if isinstance(part, Text) else ""
        return words

    def captions(self) -> dict[int, str]:
        return {part.index: part.caption for part in self.said if isinstance(part, MediaStarted)}

    def message(self) -> Reply:
        parts: list[Part] = []
        for said in self.said:
            if isinstance(said, Text):
                parts.append(said)
                continue
            parts.append(self.parts[said.index])
            if told := unlearned(said):
                parts.append(Text(told))
        return Reply("assistant", parts)


def unlearned(started: MediaStarted) -> str:
    """What a reply says behind a medium whose decoder does not know all words of the caption."""
    if not started.unknown_words:
        return ""
    words = " or ".join(f'"{word}"' for word in started.unknown_words)
    return f" (I have never learned {words}, so this may be something else.)"


# Tables and code between lines of backticks: not sentences about a medium.
_BLOCK = re.compile(r"^```.*?^```[ ]*$", re.DOTALL | re.MULTILINE)


def _joined(before: tuple[int, ...] | None, delta: TextDelta) -> tuple[int, ...] | None:
    """The joined ids of a growing text; None once any of them are unknown."""
    if before is None or delta.token_ids is None:
        return None
    return before + delta.token_ids


def spoken_caption(texts: Sequence[str]) -> str:
    """The caption that a reply's text gives the medium it now asks for: the last sentence before
    the signal run, without its lead-in ("Sure! Here is a picture of ...") and full stop.

    `texts` are the reply's text runs so far. Empty if there is no text yet.
    """
    for text in reversed(texts):
        sentences = [part.strip() for part in re.split(r"(?<=[.!?:])\s+|\n+", text) if part.strip()]
        if sentences:
            return _without_lead_in(sentences[-1])
    return ""


# How people and models introduce a medium. A decoder's text encoder needs the caption alone.
_LEAD_IN = re.compile(
    r"(?:sure|of course|okay|ok|yes|listen|look)\b[!,.:]*\s+"
    r"|(?:here (?:is|are|comes?)|(?:this|that|it) is|these are)\s+"
    r"|this (?:picture|image|photo|clip|video|sound) shows\s+"
    r"|(?:i|you|we) (?:hear|see)\s+"
    r"|(?:the|a|an) (?:picture|image|photo|drawing|clip|video|animation|sound|noise) of\s+",
    re.IGNORECASE,
)


def _without_lead_in(sentence: str) -> str:
    while match := _LEAD_IN.match(sentence):
        sentence = sentence[match.end() :]
    return sentence.rstrip(".!")
