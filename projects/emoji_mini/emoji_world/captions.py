"""Scenes in people's words: synonyms, other numbers, places first, relations seen from the other
side. What a caption says is always true of its scene, and nothing that matters is left out.
"""

from __future__ import annotations

import re

import numpy as np

from anyweave.messages import Modality
from emoji_mini.emoji_world.sampling import pick
from emoji_mini.emoji_world.scenes import (
    ACTS,
    BACKGROUNDS,
    COUNTS,
    FRAMES,
    MIRRORS,
    MOTIONS,
    RELATIONS,
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
)
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import NUMBER_WORDS, THINGS, Thing, article_of

DEFAULT_BACKGROUND = "white"  # what is drawn when no place is named, so it may go unsaid
_CANONICAL_SHARE = 0.3
_SYNONYM_SHARE = 0.35


def describe(rng: np.random.Generator, scene: Scene) -> str:
    """The scene in someone's words; now and then in the canonical ones."""
    if rng.random() < _CANONICAL_SHARE:
        return scene.caption
    if isinstance(scene, PictureScene):
        frame = _mostly_first(rng, FRAMES["picture"])
        words = frame.format(things=_things(rng, scene), place=_place(rng, scene.background))
    elif isinstance(scene, ClipScene):
        motion = pick(rng, (MOTIONS | ACTS)[scene.motion])
        words = _mostly_first(rng, FRAMES["clip"]).format(
            thing=call(rng, THINGS[scene.object]),
            motion=motion,
            place=_place(rng, scene.background),
        )
    else:
        words = _sounds(rng, scene)
    return words.strip(" ,").replace(" ,", ",")


def call(rng: np.random.Generator, thing: Thing, count: int = 1) -> str:
    """Some of a thing, counted: "a puppy", "2 pairs of trousers", "half a dozen eggs"."""
    one, many = thing.name, thing.plural
    said_otherwise = [pair for pair in thing.synonyms if pair[1] != thing.name]
    unit = (thing.unit, thing.units) if thing.unit else None
    if said_otherwise and rng.random() < _SYNONYM_SHARE:
        one, many = pick(rng, said_otherwise)
        if one != many:  # it can be counted as it is: "a lightning bolt"
            unit = None
    if unit:
        if count == 1 and rng.random() < 0.3:
            return pick(rng, (one, f"some {one}"))
        one, many = (f"{measure} of {one}" for measure in unit)
    if count == 1:
        if rng.random() < 0.1:
            return f"{pick(rng, COUNTS['1'])} {one}"
        return f"{'the' if thing.article == 'the' else article_of(one)} {one}"
    numbers = [number for number in COUNTS[str(count)] if not (unit and "pair" in number)]
    number = NUMBER_WORDS[count] if rng.random() < 0.6 else pick(rng, numbers)
    return f"{number} {many}"


def vocabulary(modality: Modality) -> str:
    """A text of all words that captions of the modality can hold, some of them more than once."""
    if modality == "audio":
        said = [text for sound in SOUNDS.values() for text in (sound.phrase, *sound.words)]
        said += FRAMES["sounds"]
    else:
        tables = [BACKGROUNDS, COUNTS]
        tables += [MOTIONS, ACTS] if modality == "video" else [RELATIONS]
        said = [text for table in tables for texts in table.values() for text in texts]
        frames = ("clip",) if modality == "video" else ("picture", "two", "between")
        said += [text for name in frames for text in FRAMES[name]]
        said += [*NUMBER_WORDS, *(text for thing in THINGS.values() for text in _names(thing))]
    return re.sub(r"\{\w+\}", " ", " ".join(said))


def _names(thing: Thing) -> tuple[str, ...]:
    return (
        f"{thing.article} {thing.name} {thing.plural} {thing.unit} {thing.units} some of an the",
        *(word for pair in thing.synonyms for word in pair),
    )


def _things(rng: np.random.Generator, scene: PictureScene) -> str:
    one = call(rng, THINGS[scene.object], scene.count)
    if scene.other is None:
        return one
    other = call(rng, THINGS[scene.other], scene.other_count)
    if scene.relation is None or scene.relation == "between":
        frames = FRAMES["between" if scene.relation else "two"]
        return _mostly_first(rng, frames).format(a=one, b=other)
    if rng.random() < 0.2:
        return f"{other} {pick(rng, RELATIONS[MIRRORS[scene.relation]])} {one}"
    return f"{one} {pick(rng, RELATIONS[scene.relation])} {other}"


def _place(rng: np.random.Generator, background: str) -> str:
    if background == DEFAULT_BACKGROUND and rng.random() < 0.5:
        return ""
    return pick(rng, BACKGROUNDS[background])


def _sounds(rng: np.random.Generator, scene: SoundScene) -> str:
    said = [pick(rng, (SOUNDS[name].phrase, *SOUNDS[name].words)) for name in scene.sounds]
    if len(said) == 1:
        return said[0]
    return pick(rng, FRAMES["sounds"]).format(a=said[0], b=said[1])


def _mostly_first(rng: np.random.Generator, frames: list[str]) -> str:
    return frames[0] if rng.random() < 0.6 else pick(rng, frames)
