"""Captions -> scenes: the inverse of `Scene.caption`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anyweave.messages import Modality
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
)
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

__all__ = ["scene_of"]

_MAX_SOUNDS = 2  # one after the other
_SINGLE = {kind.with_article: name for name, kind in OBJECTS.items()}
_MANY = {
    f"{NUMBER_WORDS[count]} {kind.plural}": (name, count)
    for name, kind in OBJECTS.items()
    for count in range(2, MAX_COUNT + 1)
}
_HEARD = {kind.phrase: name for name, kind in SOUNDS.items()}


def scene_of(modality: Modality, caption: str, seed: int = 0) -> Scene | None:
    """The scene whose canonical caption this is, None if it is no such caption.

    `seed` decides what captions do not say. Sounds are taken from the training takes.
    """
    if modality == "audio":
        return _sound(caption, seed)
    for background, place in BACKGROUNDS.items():
        if caption.endswith(f" {place}"):
            things = caption.removesuffix(f" {place}")
            scene = _picture(things) if modality == "image" else _clip(things)
            return scene and replace(scene, background=background, seed=seed)
    return None


def _picture(things: str) -> ImageScene | None:
    if things in _SINGLE:
        return ImageScene(object=_SINGLE[things])
    if things in _MANY:
        name, count = _MANY[things]
        return ImageScene(object=name, count=count)
    for relation in RELATIONS:
        one, found, other = things.partition(f" {relation} ")
        if found and one in _SINGLE and other in _SINGLE:
            return ImageScene(object=_SINGLE[one], relation=relation, other=_SINGLE[other])
    return None


def _clip(things: str) -> VideoScene | None:
    for motion in MOTIONS:
        thing = things.removesuffix(f" {motion}")
        if thing != things and thing in _SINGLE:
            return VideoScene(object=_SINGLE[thing], motion=motion)
    return None


def _sound(caption: str, seed: int) -> AudioScene | None:
    heard = caption.split(" then ")
    if len(heard) > _MAX_SOUNDS or not all(phrase in _HEARD for phrase in heard):
        return None
    take = int(np.random.default_rng(seed).integers(NUM_TAKES - TEST_TAKES))
    return AudioScene(sounds=tuple(_HEARD[phrase] for phrase in heard), take=take, seed=seed)
