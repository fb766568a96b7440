"""A dialogue as a grammar writes it: what was said, and what people say around it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from anyweave.messages import (
    MEDIA_TYPES,
    PAPER_MODALITIES,
    Conversation,
    Media,
    Message,
    Modality,
    Part,
    Role,
)
from anyweave_making.captions import capitalized
from anyweave_making.mosit.dialogue import media_of
from anyweave_making.mosit.topics import Topic

__all__ = ["Talk"]

T = TypeVar("T", bound=Hashable)
_THOUGHT = frozenset(("reasoning", "suggestion", "planning"))


class Talk:
    """A dialogue that is being written: what was said, and what is left to say.

    Acts ask it for phrases and scenes and add turns to it.
    """

    def __init__(
        self,
        topic: Topic,
        phrases: Mapping[str, Sequence[str]],
        rng: np.random.Generator,
        num_turns: int,
    ) -> None:
        self.topic = topic
        self.rng = rng
        self.num_turns = num_turns
        self.messages: Conversation = []
        self.tags: list[str] = []
        self.acts: list[str] = []
        self._phrases = phrases
        self._scenes = {m: list(captions) for m, captions in topic.scenes.items()}
        self._said: set[Hashable] = set()

    @property
    def turns(self) -> int:
        """Finished exchanges."""
        return len(self.messages) // 2

    def media(self, role: Role | None = None) -> list[Media]:
        """The media of one side, or of both, in order."""
        return media_of([m for m in self.messages if role in (None, m.role)])

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def fresh(self, options: Sequence[T]) -> T:
        """One of the options, if possible one not used in this dialogue yet."""
        left = [option for option in options if option not in self._said] or list(options)
        chosen = left[int(self.rng.integers(len(left)))]
        self._said.add(chosen)
        return chosen

    def phrase(self, name: str, **slots: str) -> str:
        """A phrasing by name, if possible one not used in this dialogue yet; every slot is also
        available capitalised.
        """
        chosen = self.fresh(self._phrases[name])
        capitals = {key.upper(): capitalized(value) for key, value in slots.items()}
        return chosen.format(topic=self.topic.name, **slots, **capitals)

    def modalities(self) -> list[Modality]:
        """The kinds of media that can come next: some are left, and the last one was of another
        kind.
        """
        last = self.media()[-1].modality if self.media() else None
        return [m for m in PAPER_MODALITIES if self._scenes.get(m) and m != last]

    def scene(self, modality: Modality | None = None) -> Media:
        """A medium not used yet, as its caption; by default of any kind that can come next."""
        options = self.modalities() if modality is None else [modality]
        modality = options[int(self.rng.integers(len(options)))]
        captions = self._scenes[modality]
        caption = captions.pop(int(self.rng.integers(len(captions))))
        return MEDIA_TYPES[modality](caption=caption)

    def exchange(self, user: Sequence[Part | str], reply: Sequence[Part | str], *tags: str) -> None:
        """Add a question and its answer, with what people say around it."""
        self.messages.append(Message("user", [*self._opening(user)]))
        self.messages.append(Message("assistant", list(reply)))
        self.tags += tags

    def _opening(self, parts: Sequence[Part | str]) -> list[Part | str]:
        """The user's parts with an opening in front: an introduction, a reaction, a last word."""
        said = self.before()
        if not said:
            return list(parts)
        if isinstance(parts[0], str):
            return [f"{said} {parts[0]}", *parts[1:]]
        return [said, *_spaced(parts)]

    def before(self) -> str:
        """What the user says before the next thing, often nothing."""
        if not self.messages:
            return self.phrase("intro") if self.chance(0.5) else ""
        if self.turns == self.num_turns - 1 and self.chance(0.3):
            return self.phrase("last")
        if self.chance(0.35):
            heard = self.messages[-1]
            return self.phrase("react.media" if heard.media() else "react.words")
        return ""

    def is_whole(self) -> bool:
        """Whether the finished dialogue is what MosIT asks for; if not, it is started over."""
        sides = self.media("user") and self.media("assistant")
        several = len({part.modality for part in self.media()}) > 1
        return bool(sides) and several and bool(_THOUGHT & set(self.tags))


def _spaced(parts: Sequence[Part | str]) -> list[Part | str]:
    """Parts that follow other words: text after a medium begins with a space."""
    return [f" {part.lstrip()}" if isinstance(part, str) else part for part in parts]
