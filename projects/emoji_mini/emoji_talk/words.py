"""Turns answered in words alone, which teach the model when not to draw."""

from __future__ import annotations

from emoji_mini.emoji_talk.talk import Talk
from emoji_mini.emoji_world.things import THINGS, Thing

_GROUPS = {
    "animal": "an animal",
    "food": "something to eat or drink",
    "plant": "a plant",
    "vehicle": "a vehicle",
    "instrument": "an instrument",
    "building": "a building",
    "clothes": "something to wear",
    "tool": "a tool",
    "toy": "a toy",
}
_KINDS = (
    "What kind of thing is {x}?",
    "Is {x} an animal, a food, a vehicle or an instrument?",
    "Which group does {x} belong to?",
    "In one word, what is {x}?",
    "Tell me in text what {x} is.",
)
_PLURALS = (
    "What is the plural of {n}?",
    "Two of {n}, what is the word?",
    "More than one {n} is called?",
    "plural of {n}?",
    "How do you write several of {n}?",
)
_SUMS = ("What is {a} plus {b}?", "{a} + {b}?", "Add {a} and {b}.", "{a} and {b} makes?")
_DIFFERENCES = ("What is {a} minus {b}?", "{a} - {b}?", "Take {b} from {a}.", "{a} less {b} is?")
_JUST_TELL = (
    "Don't draw, just tell me: {q}",
    "No picture, please. {q}",
    "In words only: {q}",
    "Without a picture or sound: {q}",
    "Just a short answer in text. {q}",
)


def talk(t: Talk) -> None:
    """A question or a remark and its answer, in words."""
    question, answer = t.row("talk") if t.chance(0.5) else t.pick(_MAKERS)(t)
    t.user(question)
    t.assistant(answer)
    t.about = None


def spoken_of(t: Talk) -> None:
    """A known thing is mentioned, but no medium is wanted."""
    thing = THINGS[t.pick(tuple(THINGS))]
    slots = _slots(thing)
    key = t.pick(("statements", "questions"))
    t.user(t.line(key, **slots))
    reply = "statement_replies" if key == "statements" else "question_replies"
    t.assistant(t.line(reply, **slots))
    t.about = None


def only_words(t: Talk) -> None:
    """The user wants no media from here on."""
    t.user(t.line("only_words"))
    t.assistant(t.line("only_words_reply"))
    talk(t)


def joke(t: Talk) -> None:
    """A joke in words; a picture only when asked for."""
    name, text = t.row("jokes")
    thing = THINGS.get(name)
    if thing is None:
        return talk(t)
    ask = t.pick(
        ("Tell me a joke about {x}.", "Do you know a joke with {x}?", "a joke about {x} please")
    ).format(x=thing.one)
    if t.chance(0.6):
        t.user(ask)
        t.assistant(text)
        t.about = None
        return None
    t.user(
        t.pick(("{r} And draw it.", "{r} Show me a picture too.")).format(r=ask.rstrip(".?") + ".")
    )
    t.show(t.one(thing.name), before=text)
    return None


def _slots(thing: Thing) -> dict[str, str]:
    return {"a": thing.one, "p": thing.many(2).removeprefix("two "), "n": thing.name}


def _kind(t: Talk) -> tuple[str, str]:
    thing = t.pick([thing for thing in THINGS.values() if thing.group in _GROUPS])
    one = thing.one
    return t.pick(_KINDS).format(x=one), f"{one[:1].upper()}{one[1:]} is {_GROUPS[thing.group]}."


def _plural(t: Talk) -> tuple[str, str]:
    thing = t.pick([thing for thing in THINGS.values() if not thing.unit])
    return t.pick(_PLURALS).format(n=thing.name), f"The plural of {thing.name} is {thing.plural}."


def _sum(t: Talk) -> tuple[str, str]:
    a, b = (int(n) for n in t.rng.integers(1, 30, 2))
    return t.pick(_SUMS).format(a=a, b=b), f"{a} plus {b} is {a + b}."


def _difference(t: Talk) -> tuple[str, str]:
    b, rest = (int(n) for n in t.rng.integers(1, 20, 2))
    return t.pick(_DIFFERENCES).format(a=b + rest, b=b), f"{b + rest} minus {b} is {rest}."


def _just_tell(t: Talk) -> tuple[str, str]:
    question, answer = t.row("talk")
    return t.pick(_JUST_TELL).format(q=question), answer


_MAKERS = (_kind, _plural, _sum, _difference, _just_tell)
