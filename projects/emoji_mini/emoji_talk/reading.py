"""What a reply says of a scene, read by exact words: no model, no similarity, no benefit of the
doubt.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from emoji_mini.emoji_world.scenes import (
    ACTS,
    BACKGROUNDS,
    MIRRORS,
    MOTIONS,
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
)
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import NUMBER_WORDS, THINGS

_DECLINES = re.compile(
    r"\b(never learned|do not know|don't know|cannot|can't|not able to|too hard for me|beyond me|"
    r"afraid|sorry|no recording|have never met)\b"
)


@lru_cache(maxsize=1)
def _names() -> tuple[tuple[re.Pattern[str], str, int], ...]:
    """Every way to name a number of things, longest first: pattern, thing, number."""
    said = {
        thing.many(number).lower(): (thing.name, number)
        for thing in THINGS.values()
        for number in range(1, len(NUMBER_WORDS))
    }
    said |= {
        f"one {thing.unit or thing.name}".lower(): (thing.name, 1) for thing in THINGS.values()
    }
    ordered = sorted(said, key=len, reverse=True)
    return tuple((re.compile(rf"\b{re.escape(words)}\b"), *said[words]) for words in ordered)


def things_named(text: str) -> Counter[str]:
    """Things with their numbers, read from canonical words such as "a dog and two cats"."""
    left, found = text.lower(), Counter[str]()
    for pattern, name, number in _names():
        if pattern.search(left):
            found[name] = number
            left = pattern.sub(" ", left)
    return found


def declines(text: str) -> bool:
    """Whether a reply says that something cannot be done."""
    return _DECLINES.search(text.lower()) is not None


def read(text: str, scene: Scene) -> dict[str, bool]:
    """Which facts of the scene the text states correctly. Facts the scene lacks are absent."""
    words = text.lower()
    if isinstance(scene, SoundScene):
        places = {name: words.find(sound.phrase.lower()) for name, sound in SOUNDS.items()}
        heard = sorted((n for n, at in places.items() if at >= 0), key=places.__getitem__)
        return {"sound": tuple(heard) == scene.sounds}
    named = things_named(words)
    facts = {"background": _only(words, scene.background)}
    if isinstance(scene, ClipScene):
        motions = [name for name in (*MOTIONS, *ACTS) if re.search(rf"\b{name}\b", words)]
        longest = max(motions, key=len, default="")
        return {"object": set(named) == {scene.object}, "motion": longest == scene.motion, **facts}
    wanted = Counter({scene.object: scene.count})
    if scene.other is not None:
        wanted[scene.other] = scene.other_count
    facts |= {"object": set(named) == set(wanted), "count": named == wanted}
    if scene.relation is not None:
        facts["relation"] = facts["object"] and _relation_named(words, scene)
    return facts


def _relation_named(words: str, scene: PictureScene) -> bool:
    assert scene.relation is not None and scene.other is not None
    one, other = scene.object.lower(), THINGS[scene.other].many(scene.other_count).lower()
    said = [(one, scene.relation, other)]
    if scene.relation in MIRRORS:
        said.append((scene.other.lower(), MIRRORS[scene.relation], THINGS[scene.object].one))
    return any(
        re.search(rf"\b{re.escape(a)}\b[^.]* {relation} {re.escape(b.lower())}\b", words)
        for a, relation, b in said
    )


def _only(words: str, background: str) -> bool:
    said = [name for name, (phrase, *_) in BACKGROUNDS.items() if phrase in words]
    return said == [background]
