"""Scenes: what is seen or heard, as data. From one scene come its rendering, its captions and its
truth.

Test scenes use combinations that no training scene has: a stable hash of the combination decides
the split, so that training and test never meet, on any machine and in any order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emoji_mini.world.catalogue import (
    BACKGROUNDS,
    MAX_COUNT,
    MOTIONS,
    NUM_TAKES,
    NUMBER_WORDS,
    OBJECTS,
    RELATIONS,
    SOUNDS,
    TEST_TAKES,
    Relation,
)

Split = Literal["train", "test"]
HELD_OUT_SHARE = 8  # one combination in eight is for tests only


def split_of(*combination: object) -> Split:
    """The split that owns a combination, by a hash that never changes."""
    digest = hashlib.sha256("|".join(map(str, combination)).encode()).digest()
    return "test" if int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0 else "train"


@dataclass(frozen=True, kw_only=True)
class ImageScene:
    """`count` things of one kind, or one thing standing in `relation` to one `other`, on a
    background.

    `seed` fixes what captions do not say: exact places, sizes and tints.
    """

    object: str
    count: int = 1
    background: str = "white"
    relation: Relation | None = None
    other: str | None = None
    seed: int = 0

    @property
    def split(self) -> Split:
        if self.relation is not None:
            return split_of("relation", self.object, self.relation, self.other)
        return split_of("count", self.object, self.count, self.background)

    @property
    def caption(self) -> str:
        kind = OBJECTS[self.object]
        place = BACKGROUNDS[self.background]
        if self.relation is not None and self.other is not None:
            return f"{kind.with_article} {self.relation} {OBJECTS[self.other].with_article} {place}"
        if self.count == 1:
            return f"{kind.with_article} {place}"
        return f"{NUMBER_WORDS[self.count]} {kind.plural} {place}"


@dataclass(frozen=True, kw_only=True)
class VideoScene:
    """One thing in motion on a background."""

    object: str
    motion: str
    background: str = "white"
    seed: int = 0

    @property
    def split(self) -> Split:
        return split_of("motion", self.object, self.motion)

    @property
    def caption(self) -> str:
        return f"{OBJECTS[self.object].with_article} {self.motion} {BACKGROUNDS[self.background]}"


@dataclass(frozen=True, kw_only=True)
class AudioScene:
    """One sound, or two in order. `take` chooses the performance; `seed` its level, place in time
    and hiss.
    """

    sounds: tuple[str, ...]
    take: int = 0
    seed: int = 0

    @property
    def split(self) -> Split:
        # A single sound cannot be held out as such: its takes are. Of pairs, the order is.
        if len(self.sounds) == 1:
            return "test" if self.take >= NUM_TAKES - TEST_TAKES else "train"
        return split_of("sounds", *self.sounds)

    @property
    def caption(self) -> str:
        return " then ".join(SOUNDS[name].phrase for name in self.sounds)


Scene = ImageScene | VideoScene | AudioScene


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


_OBJECT_NAMES = tuple(OBJECTS)
_BACKGROUND_NAMES = tuple(BACKGROUNDS)
_SOUND_NAMES = tuple(SOUNDS)


def sample_image(
    rng: np.random.Generator, split: Split, *, relation_share: float = 0.2
) -> ImageScene:
    """A random picture of `split`; a share of `relation_share` shows two things in a relation."""
    while True:
        seed = int(rng.integers(2**31))
        background = _pick(rng, _BACKGROUND_NAMES)
        name = _pick(rng, _OBJECT_NAMES)
        if rng.random() < relation_share:
            other = _pick(rng, _OBJECT_NAMES)
            if other == name:
                continue
            relation = RELATIONS[int(rng.integers(len(RELATIONS)))]
            scene = ImageScene(
                object=name, relation=relation, other=other, background=background, seed=seed
            )
        else:
            count = int(rng.choice(MAX_COUNT, p=(0.4, 0.24, 0.2, 0.16))) + 1
            scene = ImageScene(object=name, count=count, background=background, seed=seed)
        if scene.split == split:
            return scene


def sample_video(rng: np.random.Generator, split: Split) -> VideoScene:
    """A random clip of `split`."""
    while True:
        scene = VideoScene(
            object=_pick(rng, _OBJECT_NAMES),
            motion=_pick(rng, MOTIONS),
            background=_pick(rng, _BACKGROUND_NAMES),
            seed=int(rng.integers(2**31)),
        )
        if scene.split == split:
            return scene


def sample_audio(rng: np.random.Generator, split: Split, *, pair_share: float = 0.15) -> AudioScene:
    """A random sound of `split`; a share of `pair_share` has two sounds in order."""
    while True:
        names = [_pick(rng, _SOUND_NAMES)]
        if rng.random() < pair_share:
            names.append(_pick(rng, _SOUND_NAMES))
            if names[0] == names[1]:
                continue
        takes = (
            range(NUM_TAKES - TEST_TAKES, NUM_TAKES)
            if split == "test"
            else range(NUM_TAKES - TEST_TAKES)
        )
        scene = AudioScene(
            sounds=tuple(names), take=int(rng.choice(takes)), seed=int(rng.integers(2**31))
        )
        if scene.split == split:
            return scene
