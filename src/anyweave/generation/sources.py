"""Which medium of a conversation a new one is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from anyweave.generation.options import GenerationOptions
from anyweave.messages import Media, Message, Modality

ALIKE = 0.5
"""Share of the shorter caption's words that the other one also has: from this value on, "auto"
treats the new medium as an edit of the old one. (Comparing the conditioning does not work: in
emoji-mini the place outweighs everything in it.)
"""
_WORD = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True)
class Source:
    """A medium that may be edited; `old` is the conditioning it was made with, if known."""

    part: Media
    old: Float[Tensor, "1 Q C"] | None
    demanded: bool

    def serves(self, caption: str, options: GenerationOptions, decoder: Any) -> bool:
        """Whether the medium of `caption` is made from it. "auto" does not edit if that would mean
        SDEdit, a scheduler other than the requested one, or unknown source conditioning.
        """
        if self.demanded or options.edit == "always":
            return True
        if not getattr(decoder, "edits", False) or options.scheduler is not None:
            return False
        return self.old is not None and likeness(self.part.caption or "", caption) >= ALIKE


def likeness(one: str, other: str) -> float:
    """Share of the shorter caption's words, of three or more letters, that both have."""
    words, others = (set(_WORD.findall(text.lower())) for text in (one, other))
    return len(words & others) / max(1, min(len(words), len(others)))


class Sources:
    """The media a session made, with the conditioning of each."""

    def __init__(self) -> None:
        self._drawn: list[tuple[Media, Tensor]] = []

    def add(self, part: Media, conditioning: Float[Tensor, "1 Q C"]) -> None:
        self._drawn.append((part, conditioning))

    def keep(self, messages: Sequence[Message]) -> None:
        """Forget what is no longer in the conversation."""
        known = {id(part) for message in messages for part in message.media()}
        self._drawn = [pair for pair in self._drawn if id(pair[0]) in known]

    def find(
        self,
        modality: Modality,
        conversation: Sequence[Message],
        given: Media | None,
        options: GenerationOptions,
        count: int,
    ) -> Source | None:
        """The `given` medium, else with `options.edit` the latest of its kind in the conversation.
        Several new media at once are made anew. Raises `ValueError` for "always" if only the
        caption of that latest one is known.
        """
        if given is not None:
            return Source(given, self.old(given), True) if given.modality == modality else None
        if options.edit == "never" or count > 1:
            return None
        found = [part for message in conversation for part in message.media(modality)]
        if not found or (found[-1].source is None and options.edit == "auto"):
            return None
        if found[-1].source is None:
            raise ValueError(
                f"edit='always' has nothing to start from: of the latest {modality} only the "
                f"caption is known ({found[-1].caption!r}); send it along (a server takes the id "
                "of its part too), or use edit='auto'"
            )
        return Source(found[-1], self.old(found[-1]), False)

    def old(self, part: Media) -> Tensor | None:
        return next((old for drawn, old in reversed(self._drawn) if drawn is part), None)
