"""Mostly words: small talk, advice, feelings, jokes, riddles, sums, goodbyes."""

from __future__ import annotations

from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import MAX_COUNT, OBJECTS
from emoji_mini.world.mosit.talk import EmojiTalk
from emoji_mini.world.scenes import ImageScene, Scene
from emoji_mini.world.small_talk import talk

__all__ = [
    "chat",
    "close",
    "feel",
    "joke",
    "only_words",
    "plan",
    "riddle",
    "small_talk",
    "story",
    "topic",
]

_CHEERING = ("butterfly", "unicorn", "balloon", "dog", "panda", "rabbit", "sunflower", "cake")
_PLEASANT = ("piano", "guitar", "bird", "harp", "waves", "violin")
_SOLVED = ("That is {x}.", "It must be {x}.")


def topic(t: EmojiTalk) -> None:
    """Something that this person wants to know."""
    asked, answer = t.fresh(t.situation.talk)
    t.say([asked], [answer], "reasoning")


def chat(t: EmojiTalk) -> None:
    """Something that anybody may ask."""
    asked, answer = t.fresh(t.bank_pairs("talk"))
    t.say([asked], [answer], "words")


def small_talk(t: EmojiTalk) -> None:
    """A question of the first version's."""
    question, answer = talk(t.rng, "train")
    t.say([question], [answer], "words")


def plan(t: EmojiTalk) -> None:
    """Advice on what to do."""
    asked, answer = t.situation.plan
    t.say([asked], [answer], "planning")


def only_words(t: EmojiTalk) -> None:
    """No media for a moment, and then a question."""
    t.say([t.phrase("only_words")], [t.phrase("only_words_reply")], "words")
    asked, answer = t.fresh((*t.situation.talk, *t.bank_pairs("talk")))
    t.quietly([asked], [answer], "words")


def feel(t: EmojiTalk) -> None:
    """A mood: a kind answer, and something to look at or hear where that is wanted."""
    feeling, answer = t.entry("feelings")
    if t.chance(0.4):
        t.quietly([feeling], [answer], "words")
        return
    scene: Scene
    if t.chance(0.3):
        scene = t.draft.sound(t.draft.pick(_PLEASANT))
        words = t.phrase("cheer_sound")
    else:
        scene = ImageScene(object=t.draft.pick(_CHEERING), seed=t.draft.seed())
        words = t.phrase("cheer")
    t.quietly([f"{feeling} {words}"], t.showing(scene, before=answer), "implicit", "suggestion")


def joke(t: EmojiTalk) -> None:
    """A joke about a thing, and perhaps its picture."""
    name, told = t.draft.pick((*t.bank_pairs("jokes"), *say.JOKES))
    words = t.draft.phrase(say.TELL_JOKE).format(x=OBJECTS[name].with_article)
    scene = ImageScene(object=name, seed=t.draft.seed())
    if t.chance(0.6):
        t.say([words], [told], "words")
    else:
        words = t.draft.phrase(say.AND_DRAW).format(r=words)
        t.say([words], t.showing(scene, before=told), "explicit")


def riddle(t: EmojiTalk) -> None:
    """A riddle whose answer is a thing of the world."""
    name, asked = t.entry("riddles")
    answer = t.draft.pick(_SOLVED).format(x=OBJECTS[name].with_article)
    t.say([asked], [answer], "reasoning")


def story(t: EmojiTalk) -> None:
    """A little sum; its result in words, and drawn where the person wants to see it."""
    row = t.entry("stories")
    sign = int(row["sign"])
    result = int(t.rng.integers(1 if sign < 0 else 3, MAX_COUNT + 1))
    change = int(t.rng.integers(1, 4 if sign < 0 else result - 1))
    start = result - sign * change  # two at least: the sums speak of several
    kind = OBJECTS[t.thing()]
    words = row["text"].format(n=start, k=change, p=kind.plural)
    worked = f"{start} {'plus' if sign > 0 else 'minus'} {change} is {result}."
    scene = ImageScene(object=kind.name, count=result, seed=t.draft.seed())
    if row["draw"]:
        t.say([words], t.showing(scene, before=worked), "reasoning")
    else:
        t.say([words], [worked], "reasoning")


def close(t: EmojiTalk) -> None:
    """The person thanks, or leaves."""
    if t.chance(0.5):
        said, answer = t.draft.pick(t.situation.closing)
        t.quietly([said], [answer])
    else:
        t.quietly([t.phrase("thanks")], [t.phrase("glad")])
