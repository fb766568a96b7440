"""Conversations as a map-style source: item i depends on (seed, split, i) and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np

from anyweave.messages import Conversation, Modality
from emoji_mini.emoji_talk import asking, going_on, showing, words
from emoji_mini.emoji_talk.talk import Dialogue, Talk
from emoji_mini.emoji_world.held_out import held_out_words, plain
from emoji_mini.emoji_world.scenes import Split

Act = Callable[[Talk], None]
ACTS: dict[str, Act] = {
    "ask picture": partial(asking.ask, modality="image"),
    "ask clip": partial(asking.ask, modality="video"),
    "ask sound": partial(asking.ask, modality="audio"),
    "several": asking.several,
    "unknown": asking.unknown,
    "too many": asking.too_many,
    "vague": asking.vague,
    "mood": asking.mood,
    "sum": asking.sum_drawn,
    "describe picture": partial(showing.describe_it, modality="image"),
    "describe clip": partial(showing.describe_it, modality="video"),
    "describe sound": partial(showing.describe_it, modality="audio"),
    "ask about picture": partial(showing.ask_about, modality="image"),
    "ask about clip": partial(showing.ask_about, modality="video"),
    "ask about sound": partial(showing.ask_about, modality="audio"),
    "compare": showing.compare,
    "cross": going_on.cross,
    "talk": words.talk,
    "spoken of": words.spoken_of,
    "only words": words.only_words,
    "joke": words.joke,
}
# How often a conversation begins with each, by stage (paper, section 4: encoding side, decoding
# side, instructions).
STAGES: dict[str, dict[str, float]] = {
    "stage1": {
        "describe picture": 0.35,
        "describe clip": 0.15,
        "describe sound": 0.15,
        "ask about picture": 0.2,
        "ask about clip": 0.08,
        "ask about sound": 0.07,
    },
    "stage2": {"ask picture": 0.45, "ask clip": 0.25, "ask sound": 0.2, "several": 0.1},
    "stage3": {
        "ask picture": 0.16,
        "ask clip": 0.08,
        "ask sound": 0.09,
        "several": 0.07,
        "unknown": 0.10,
        "too many": 0.01,
        "vague": 0.01,
        "mood": 0.02,
        "sum": 0.02,
        "describe picture": 0.04,
        "describe clip": 0.03,
        "describe sound": 0.03,
        "ask about picture": 0.05,
        "ask about clip": 0.02,
        "ask about sound": 0.02,
        "compare": 0.01,
        "cross": 0.06,
        "talk": 0.09,
        "spoken of": 0.06,
        "only words": 0.01,
        "joke": 0.02,
    },
}
_MOST_TURNS = 5


class Dialogues:
    """`size` conversations of a split that begin with the acts of `kinds` (names of `ACTS` with
    weights, or the name of a stage). `goes_on` is the share that continues for a while; by default
    all of stage 3, none of the others.

    `with_media` renders the assistant's media too, all or those of some modalities; user media are
    always rendered. Raises `ValueError` for an unknown kind.
    """

    streamed = True
    """Every item is drawn by itself, so there is nothing to shuffle: a run plans them in windows as
    it goes, instead of drafting all of them first (70 s for 400,000).
    """

    def __init__(
        self,
        split: Split,
        size: int,
        seed: int = 0,
        *,
        kinds: Mapping[str, float] | str = "stage3",
        with_media: bool | Collection[Modality] = False,
        goes_on: float | None = None,
    ) -> None:
        self.goes_on = float(kinds == "stage3" if goes_on is None else goes_on)
        if isinstance(kinds, str):
            if kinds not in STAGES:
                raise ValueError(f"unknown stage {kinds!r}; there are {', '.join(STAGES)}")
            kinds = STAGES[kinds]
        if unknown := [kind for kind in kinds if kind not in ACTS]:
            raise ValueError(f"unknown kinds of talk {unknown}; there are {', '.join(ACTS)}")
        self.split: Split = split
        self.size, self.seed, self.with_media = size, seed, with_media
        self.kinds = tuple(kinds)
        weights = np.array([kinds[kind] for kind in self.kinds], float)
        self._weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Conversation:
        return self.dialogue(index).messages

    def dialogue(self, index: int) -> Dialogue:
        """Conversation `index` with its truth. Raises `IndexError` past the end."""
        if not 0 <= index < self.size:
            raise IndexError(f"index {index} of a source of {self.size} conversations")
        kind, talk = self.draft(index)
        return talk.finish(kind, with_media=self.with_media)

    def length(self, index: int) -> int:
        """About how many tokens conversation `index` has, without rendering anything."""
        said = [part for _, parts in self.draft(index)[1].turns for part in parts]
        return sum(len(part) // 4 + 4 if isinstance(part, str) else 12 for part in said)

    def draft(self, index: int) -> tuple[str, Talk]:
        """Conversation `index` and what it begins with, before anything is rendered."""
        rng = np.random.default_rng([self.seed, self.split == "test", index])
        kind = str(rng.choice(self.kinds, p=self._weights))
        while True:
            talk = Talk(rng, self.split)
            ACTS[kind](talk)
            if self.goes_on == 1 or (self.goes_on and talk.chance(self.goes_on)):
                self._go_on(talk)
            if talk.allowed and not _held_out(talk):
                return kind, talk

    def _go_on(self, talk: Talk) -> None:
        """A few more turns: mostly about what was shown, else something new."""
        more = int(talk.rng.geometric(0.45)) - 1
        for _ in range(min(more, _MOST_TURNS)):
            if talk.about is not None and talk.chance(0.7):
                going_on.go_on(talk)
            elif talk.scenes and talk.chance(0.1):
                going_on.recall(talk)
            elif talk.about is not None and talk.chance(0.3):
                going_on.thank(talk)
            else:
                ACTS[str(talk.rng.choice(self.kinds, p=self._weights))](talk)


def _held_out(talk: Talk) -> bool:
    """Whether a user says exactly what a held-out request says."""
    kept = held_out_words()
    return any(
        role == "user" and any(isinstance(part, str) and plain(part) in kept for part in said)
        for role, said in talk.turns
    )
