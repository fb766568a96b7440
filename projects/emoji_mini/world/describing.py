"""Scenes in other people's words: what a user calls a scene whose canonical caption the assistant
states.
"""

from __future__ import annotations

import numpy as np

from emoji_mini.world.catalogue import OBJECTS, SOUNDS
from emoji_mini.world.phrases import (
    COUNT_WORDS,
    MOTION_WORDS,
    PLACES,
    RELATION_WORDS,
    SOUND_PAIRS,
    SOUND_WORDS,
    SYNONYMS,
)
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

DEFAULT_BACKGROUND = "white"  # what a request that names no place gets
DEFAULT_MOTION = "bouncing"  # what a clip shows when no motion is named


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "uku", "eu"))
    return f"{'an' if vowel else 'a'} {noun}"


def call(rng: np.random.Generator, name: str, *, plural: bool = False) -> str:
    """A name of an object, now and then a synonym."""
    kind = OBJECTS[name]
    if name in SYNONYMS and rng.random() < 0.3:
        return SYNONYMS[name][plural]
    return kind.plural if plural else kind.name


def describe(rng: np.random.Generator, scene: Scene) -> str:
    """The scene in a user's words; a third of the time in the canonical ones."""
    if rng.random() < 0.33:
        return scene.caption
    if isinstance(scene, ImageScene):
        return _image(rng, scene)
    if isinstance(scene, VideoScene):
        words = (
            article(call(rng, scene.object)),
            _pick(rng, MOTION_WORDS[scene.motion]),
            _pick(rng, PLACES[scene.background]),
        )
        return " ".join(word for word in words if word)
    return _audio(rng, scene)


def _image(rng: np.random.Generator, scene: ImageScene) -> str:
    if scene.relation is not None and scene.other is not None:
        relation = _pick(rng, RELATION_WORDS[scene.relation])
        things = f"{article(call(rng, scene.object))} {relation} {article(call(rng, scene.other))}"
    elif scene.count == 1:
        noun = call(rng, scene.object)
        things = article(noun) if rng.random() < 0.8 else f"one {noun}"
    else:
        number = _pick(rng, COUNT_WORDS[scene.count])
        things = f"{number} {call(rng, scene.object, plural=True)}"
    place = _pick(rng, PLACES[scene.background])
    return f"{things} {place}".strip()


def _audio(rng: np.random.Generator, scene: AudioScene) -> str:
    said = [_pick(rng, (SOUNDS[name].phrase, *SOUND_WORDS[name])) for name in scene.sounds]
    if len(said) == 1:
        return said[0]
    return _pick(rng, SOUND_PAIRS).format(a=said[0], b=said[1])
