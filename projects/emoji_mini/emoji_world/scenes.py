"""Scenes: what is seen or heard, as data. From a scene come its media, its captions and its truth.

Test scenes use combinations that no training scene has: a stable hash of the combination decides
the split, so training and test never meet, on any machine and in any order.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emoji_mini.emoji_world.sounds import SOUNDS, TAKES, TEST_TAKES
from emoji_mini.emoji_world.things import MAX_COUNT, THINGS

Split = Literal["train", "test"]
Words = dict[str, list[str]]
HELD_OUT_SHARE = 8  # one combination in eight is for tests only

_TABLE = tomllib.loads((Path(__file__).parent / "words.toml").read_text("utf-8"))
# Name -> its wordings, the canonical one first.
BACKGROUNDS: Words = _TABLE["background"]
RELATIONS: Words = _TABLE["relation"]
MOTIONS: Words = _TABLE["motion"]
ACTS: Words = _TABLE["act"]
COUNTS: Words = _TABLE["count"]
FRAMES: Words = _TABLE["frame"]
MIRRORS: dict[str, str] = _TABLE["mirror"]


def split_of(*combination: object) -> Split:
    """The split that owns a combination, by a hash that never changes."""
    digest = hashlib.sha256("|".join(map(str, combination)).encode()).digest()
    return "test" if int.from_bytes(digest[:4], "big") % HELD_OUT_SHARE == 0 else "train"


@dataclass(frozen=True, kw_only=True)
class PictureScene:
    """`count` things of one kind, alone or with `other_count` of another kind, on a background.

    With a `relation`, one thing stands in it to one other; "between" has two others. `seed` fixes
    what captions do not say: places, sizes, tints.
    """

    object: str
    count: int = 1
    relation: str | None = None
    other: str | None = None
    other_count: int = 0
    background: str = "white"
    seed: int = 0

    def __post_init__(self) -> None:
        check(THINGS, self.object, "thing")
        check(BACKGROUNDS, self.background, "background")
        total = self.count + self.other_count
        if self.count < 1 or self.other_count < 0 or total > MAX_COUNT:
            raise ValueError(f"a picture holds 1 to {MAX_COUNT} things, got {total}")
        if self.other is not None:
            check(THINGS, self.other, "thing")
        if (self.other is None) != (self.other_count == 0) or self.other == self.object:
            raise ValueError(
                f"`other` and `other_count` name a second kind of thing together, got "
                f"{self.other!r} and {self.other_count} beside {self.object!r}"
            )
        if self.relation is not None:
            check(RELATIONS, self.relation, "relation")
            others = 2 if self.relation == "between" else 1
            if (self.count, self.other_count) != (1, others):
                raise ValueError(
                    f"{self.relation!r} needs `count` 1 and `other_count` {others}, "
                    f"got {self.count} and {self.other_count}"
                )

    @property
    def split(self) -> Split:
        if self.other is None:
            return split_of("count", self.object, self.count, self.background)
        # Whatever the background: a pair seen on grass is not new on a beach. Nor is one named from
        # its other end: "a dog and two cats", "a cat right of a dog".
        one, other = (self.object, self.count), (self.other, self.other_count)
        relation = self.relation
        if relation is None:
            one, other = sorted((one, other))
        elif relation in ("right of", "below"):
            one, other, relation = other, one, MIRRORS[relation]
        return split_of("pair", *one, relation, *other)

    @property
    def caption(self) -> str:
        words = [THINGS[self.object].many(self.count)]
        if self.other is not None:
            link = "and" if self.relation is None else RELATIONS[self.relation][0]
            words += [link, THINGS[self.other].many(self.other_count)]
        return " ".join([*words, BACKGROUNDS[self.background][0]])


@dataclass(frozen=True, kw_only=True)
class ClipScene:
    """One thing in motion on a background. The motion is one of `MOTIONS` or what the thing `does`
    on its own.
    """

    object: str
    motion: str
    background: str = "white"
    seed: int = 0

    def __post_init__(self) -> None:
        check(THINGS, self.object, "thing")
        check(BACKGROUNDS, self.background, "background")
        check(motions_of(self.object), self.motion, f"motion of {self.object!r}")

    @property
    def split(self) -> Split:
        if self.motion not in MOTIONS:  # only one thing, or a few, do it
            return split_of("act", self.object, self.motion, self.background)
        return split_of("motion", self.object, self.motion)

    @property
    def caption(self) -> str:
        return f"{THINGS[self.object].one} {self.motion} {BACKGROUNDS[self.background][0]}"


@dataclass(frozen=True, kw_only=True)
class SoundScene:
    """One sound, or two in order. `take` chooses the performance; `seed` its level and its place in
    time.
    """

    sounds: tuple[str, ...]
    take: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.sounds) not in (1, 2) or len(set(self.sounds)) < len(self.sounds):
            raise ValueError(f"a sound scene has one sound or two different, got {self.sounds}")
        for name in self.sounds:
            check(SOUNDS, name, "sound")
        check(range(TAKES), self.take, "take")

    @property
    def split(self) -> Split:
        # A single sound cannot itself be held out, but its last takes are. For pairs, the order is.
        if len(self.sounds) == 1:
            return "test" if self.take >= TAKES - TEST_TAKES else "train"
        return split_of("sounds", *self.sounds)

    @property
    def caption(self) -> str:
        return " then ".join(SOUNDS[name].phrase for name in self.sounds)


Scene = PictureScene | ClipScene | SoundScene


def motions_of(thing: str) -> tuple[str, ...]:
    """How a thing can move: the motions of everything, then its own."""
    does = THINGS[thing].does
    return (*MOTIONS, does) if does else tuple(MOTIONS)


def check(known: Words | dict | range | tuple, name: object, noun: str) -> None:
    """Raise `ValueError` when a name is not in a table, saying what is."""
    if name not in known:
        some = ", ".join(str(entry) for entry in list(known)[:24])
        raise ValueError(f"unknown {noun} {name!r}; there are {len(known)}: {some}, ...")
