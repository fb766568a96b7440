"""Text-only talk: what is answered in words alone, so that the model learns when *not* to draw.

Every fifth question is kept for tests (see `phrases.usable`).
"""

from __future__ import annotations

import numpy as np

from emoji_mini.world.catalogue import NUMBER_WORDS, OBJECTS, SOUND_OF_OBJECT, SOUNDS
from emoji_mini.world.phrases import TALK, usable
from emoji_mini.world.scenes import Split

_VOICES = {
    "dog": "barks",
    "cat": "meows",
    "cow": "moos",
    "frog": "croaks",
    "duck": "quacks",
    "bee": "buzzes",
    "sheep": "bleats",
    "bird": "sings",
    "bell": "rings",
    "telephone": "rings",
}
_JUST_TELL = (
    "Don't draw, just tell me: {q}",
    "No picture, please. {q}",
    "In words only: {q}",
    "Without a picture or sound: {q}",
    "Just a short answer in text. {q}",
)
_GROUPS = {
    "animal": "an animal",
    "food": "a food",
    "vehicle": "a vehicle",
    "instrument": "an instrument",
}
_KINDS = (
    "What kind of thing is {x}?",
    "Is {x} an animal, a food, a vehicle or an instrument?",
    "Which group does {x} belong to?",
    "In one word, what is {x}?",
    "Tell me in text what {x} is.",
)
_SPELL = (
    "What is the plural of {n}?",
    "Two of {n}, what is the word?",
    "More than one {n} is called?",
    "Give me the plural form of {n}.",
    "How do you write several of {n}?",
)
_SUMS = (
    "What is {a} plus {b}?",
    "{a} + {b}?",
    "Add {a} and {b}.",
    "How much is {a} and {b}?",
    "Sum of {a} and {b}?",
)
_DIFFERENCES = (
    "What is {a} minus {b}?",
    "{a} - {b}?",
    "Take {b} from {a}.",
    "{a} less {b} is?",
    "What remains of {a} without {b}?",
)
_PRICES = (
    "One {n} costs {a} coins. How much are {b}?",
    "If a {n} costs {a}, what do {b} cost?",
    "I buy {b} {p} for {a} coins each. What do I pay?",
)


def talk(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    """One text-only question and its answer: half from the table, half made from the catalogue."""
    rows = usable(TALK, split)
    makers = (_kind, _plural, _sum, _difference, _price, _voice, _just_tell)
    if rng.random() < 0.5:
        return rows[int(rng.integers(len(rows)))]
    return makers[int(rng.integers(len(makers)))](rng, split)


def _pick(rng: np.random.Generator, phrases: tuple[str, ...], split: Split) -> str:
    options = usable(phrases, split)
    return options[int(rng.integers(len(options)))]


def _kind(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    kinds = [kind for kind in OBJECTS.values() if kind.group in _GROUPS]
    kind = kinds[int(rng.integers(len(kinds)))]
    x = kind.with_article
    return _pick(rng, _KINDS, split).format(x=x), f"{x[0].upper()}{x[1:]} is {_GROUPS[kind.group]}."


def _plural(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    kind = list(OBJECTS.values())[int(rng.integers(len(OBJECTS)))]
    return _pick(rng, _SPELL, split).format(
        n=kind.name
    ), f"The plural of {kind.name} is {kind.plural}."


def _sum(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    a, b = (int(n) for n in rng.integers(1, 10, 2))
    return _pick(rng, _SUMS, split).format(a=a, b=b), f"{a} plus {b} is {a + b}."


def _difference(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    b, rest = (int(n) for n in rng.integers(1, 6, 2))
    return _pick(rng, _DIFFERENCES, split).format(
        a=b + rest, b=b
    ), f"{b + rest} minus {b} is {rest}."


def _price(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    foods = [kind for kind in OBJECTS.values() if kind.group == "food" and kind.name != kind.plural]
    kind = foods[int(rng.integers(len(foods)))]
    a, b = (int(n) for n in rng.integers(2, 5, 2))
    question = _pick(rng, _PRICES, split).format(
        n=kind.name, p=kind.plural, a=NUMBER_WORDS[a], b=NUMBER_WORDS[b]
    )
    return question, f"{b} times {a} is {a * b} coins."


def _voice(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    """What a thing's sound is *called*, asked for in words."""
    name = list(SOUND_OF_OBJECT)[int(rng.integers(len(SOUND_OF_OBJECT)))]
    x = OBJECTS[name].with_article
    verb = _VOICES.get(name)
    answer = (
        f"{x} {verb}." if verb else f"It is the sound of {SOUNDS[SOUND_OF_OBJECT[name]].phrase}."
    )
    question = _pick(rng, _JUST_TELL, split).format(q=f"what is the sound of {x} called?")
    return question, answer[0].upper() + answer[1:]


def _just_tell(rng: np.random.Generator, split: Split) -> tuple[str, str]:
    rows = usable(TALK[70:120], split)
    question, answer = rows[int(rng.integers(len(rows)))]
    return _pick(rng, _JUST_TELL, split).format(q=question), answer
