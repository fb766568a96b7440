"""Captions -> scenes: the inverse of `Scene.caption`. Places and sounds may be worded in any way
that `words.toml` and `sounds.toml` know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

from emoji_mini.emoji_world.scenes import (
    ACTS,
    BACKGROUNDS,
    MOTIONS,
    RELATIONS,
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
)
from emoji_mini.emoji_world.sounds import SOUNDS, TAKES, TEST_TAKES
from emoji_mini.emoji_world.things import MAX_COUNT, THINGS

_PLACES = {wording: name for name, wordings in BACKGROUNDS.items() for wording in wordings}
_HEARD = {words: s.name for s in SOUNDS.values() for words in (*s.words, s.phrase)}


@lru_cache(maxsize=1)
def _counted() -> dict[str, tuple[str, int]]:
    return {
        thing.many(count): (thing.name, count)
        for thing in THINGS.values()
        for count in range(1, MAX_COUNT + 1)
    }


def scene_of(kind: type[Scene], caption: str, seed: int = 0) -> Scene | None:
    """The scene of a kind that a caption describes, None if the world has no such scene.

    `seed` decides what captions do not say. Single sounds are takes unheard in training.
    """
    with suppress(ValueError):  # well formed, but not of this world: "seven", a bus that howls
        return next(_readings(kind, caption, seed), None)
    return None


def _readings(kind: type[Scene], caption: str, seed: int) -> Iterator[Scene]:
    if kind is SoundScene:
        names = [_HEARD.get(heard) for heard in caption.split(" then ")]
        if None not in names:
            take = TAKES - TEST_TAKES + seed % TEST_TAKES
            yield SoundScene(sounds=tuple(n for n in names if n), take=take, seed=seed)
        return
    for wording in sorted(_PLACES, key=len, reverse=True):
        if caption.endswith(f" {wording}"):
            said, place = caption.removesuffix(f" {wording}"), _PLACES[wording]
            read = _picture if kind is PictureScene else _clip
            yield from read(said, place, seed)


def _picture(said: str, place: str, seed: int) -> Iterator[PictureScene]:
    if said in _counted():
        name, count = _counted()[said]
        yield PictureScene(object=name, count=count, background=place, seed=seed)
    for relation, words in ((None, "and"), *((name, name) for name in RELATIONS)):
        for link in re.finditer(f" {words} ", said):
            one = _counted().get(said[: link.start()])
            other = _counted().get(said[link.end() :])
            if one and other:
                yield PictureScene(
                    object=one[0],
                    count=one[1],
                    relation=relation,
                    other=other[0],
                    other_count=other[1],
                    background=place,
                    seed=seed,
                )


def _clip(said: str, place: str, seed: int) -> Iterator[ClipScene]:
    for motion in (*MOTIONS, *ACTS):
        name, count = _counted().get(said.removesuffix(f" {motion}"), ("", 0))
        if said.endswith(f" {motion}") and count == 1:
            yield ClipScene(object=name, motion=motion, background=place, seed=seed)
