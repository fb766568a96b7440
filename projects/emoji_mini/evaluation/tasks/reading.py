"""What a reply says of a scene, read by exact words: no model, no similarity, no benefit of the
doubt.
"""

from __future__ import annotations

import re

from emoji_mini.world.catalogue import BACKGROUNDS, MOTIONS, NUMBER_WORDS, OBJECTS, SOUNDS
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

_NUMBERS = {word: number for number, word in enumerate(NUMBER_WORDS)} | {"a": 1, "an": 1}
_NUMBERS |= {str(number): number for number in range(len(NUMBER_WORDS))}
_INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def _says(text: str, words: str) -> bool:
    return re.search(rf"\b{re.escape(words)}\b", text) is not None


def objects_named(text: str) -> set[str]:
    """Objects whose name or plural stands in the text."""
    text = text.lower()
    return {
        kind.name for kind in OBJECTS.values() if _says(text, kind.name) or _says(text, kind.plural)
    }


def count_named(text: str, name: str) -> int | None:
    """The number right before the object: "three dogs", "a dog", "4 dogs"; None where there is
    none.
    """
    kind = OBJECTS[name]
    numbers = "|".join(_NUMBERS)
    found = re.search(
        rf"\b({numbers}) ({re.escape(kind.plural)}|{re.escape(kind.name)})\b", text.lower()
    )
    return None if found is None else _NUMBERS[found.group(1)]


def relation_named(text: str, scene: ImageScene) -> bool:
    """True if the text puts the two things as the scene does, said from either side."""
    assert scene.relation is not None and scene.other is not None
    text = text.lower()
    either = (
        (scene.object, scene.relation, scene.other),
        (scene.other, _INVERSE[scene.relation], scene.object),
    )
    return any(
        re.search(rf"\b{a}\b[^.]* {relation} (?:an? |the )?{b}\b", text) is not None
        for a, relation, b in either
    )


def read(text: str, scene: Scene) -> dict[str, bool]:
    """Which facts of the scene the text states rightly. Facts that the scene does not have are
    absent.
    """
    words = text.lower()
    if isinstance(scene, AudioScene):
        return {"sound": _sounds_named(words) == scene.sounds}
    facts = {"background": _only(words, BACKGROUNDS, BACKGROUNDS[scene.background])}
    if isinstance(scene, VideoScene):
        named = objects_named(words) == {scene.object}
        motion = _says(words, scene.motion) and not any(
            _says(words, other) for other in MOTIONS if other != scene.motion
        )
        return {"object": named, "motion": motion, **facts}
    things = {scene.object} if scene.other is None else {scene.object, scene.other}
    facts["object"] = objects_named(words) == things
    if scene.relation is not None:
        facts["relation"] = relation_named(words, scene)
    else:
        facts["count"] = count_named(words, scene.object) == scene.count
    return facts


def _only(text: str, phrases: dict[str, str], wanted: str) -> bool:
    return [phrase for phrase in phrases.values() if _says(text, phrase)] == [wanted]


def _sounds_named(text: str) -> tuple[str, ...]:
    """Sounds whose canonical phrase stands in the text, in the order of their places."""
    places = {kind.name: text.find(kind.phrase) for kind in SOUNDS.values()}
    return tuple(sorted((n for n, place in places.items() if place >= 0), key=places.__getitem__))
