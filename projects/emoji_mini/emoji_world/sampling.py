"""Random scenes of a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from emoji_mini.emoji_world.scenes import (
    BACKGROUNDS,
    MOTIONS,
    RELATIONS,
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
    Split,
)
from emoji_mini.emoji_world.sounds import SOUNDS, TAKES
from emoji_mini.emoji_world.things import MAX_COUNT, THINGS

T = TypeVar("T")
S = TypeVar("S", bound=Scene)
_COUNT_SHARES = (0.3, 0.18, 0.16, 0.13, 0.12, 0.11)  # of one to six of a kind
_OWN_SHARE = 0.5  # of clips of things with a motion of their own


def sample_picture(rng: np.random.Generator, split: Split) -> PictureScene:
    """A random picture: half of one kind, a fifth of two kinds, the rest in a relation."""

    def draw() -> PictureScene:
        common: dict[str, Any] = {
            "object": pick(rng, tuple(THINGS)),
            "background": pick(rng, tuple(BACKGROUNDS)),
            "seed": int(rng.integers(2**31)),
        }
        share = rng.random()
        if share < 0.5:
            count = int(rng.choice(MAX_COUNT, p=_COUNT_SHARES)) + 1
            return PictureScene(**common, count=count)
        other = pick(rng, tuple(name for name in THINGS if name != common["object"]))
        if share < 0.7:
            count = int(rng.integers(1, 4))
            return PictureScene(
                **common, count=count, other=other, other_count=int(rng.integers(1, 4))
            )
        relation = pick(rng, tuple(RELATIONS))
        others = 2 if relation == "between" else 1
        return PictureScene(**common, relation=relation, other=other, other_count=others)

    return _until(split, draw)


def sample_clip(rng: np.random.Generator, split: Split) -> ClipScene:
    """A random clip."""

    def draw() -> ClipScene:
        name = pick(rng, tuple(THINGS))
        own = THINGS[name].does
        return ClipScene(
            object=name,
            motion=own if own and rng.random() < _OWN_SHARE else pick(rng, tuple(MOTIONS)),
            background=pick(rng, tuple(BACKGROUNDS)),
            seed=int(rng.integers(2**31)),
        )

    return _until(split, draw)


def sample_sound(rng: np.random.Generator, split: Split, *, pair_share: float = 0.25) -> SoundScene:
    """A random sound; with probability `pair_share`, two in order."""

    def draw() -> SoundScene:
        number = 2 if rng.random() < pair_share else 1
        return SoundScene(
            sounds=tuple(map(str, rng.choice(list(SOUNDS), number, replace=False))),
            take=int(rng.integers(TAKES)),
            seed=int(rng.integers(2**31)),
        )

    return _until(split, draw)


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def _until(split: Split, draw: Callable[[], S]) -> S:
    while True:
        scene = draw()
        if scene.split == split:
            return scene
