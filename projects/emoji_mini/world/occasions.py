"""Occasions: how somebody feels, what somebody plans, jokes and homework; words, and something to
look at.
"""

from __future__ import annotations

from dataclasses import replace

from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import BACKGROUNDS, MAX_COUNT, OBJECTS
from emoji_mini.world.draft import Draft
from emoji_mini.world.scenes import ImageScene, VideoScene


def mood(d: Draft) -> None:
    """How somebody feels; words and something fitting (Figure 19)."""
    feeling, reply, things = d.phrase(say.MOODS)
    thing = d.pick(things)
    form = d.pick(("plain", "plain", "clip", "sound"))
    if form == "sound":
        d.user(f"{feeling} Play me something nice.")
        name = d.pick(("piano", "guitar", "bird", "harp", "violin", "waves"))
        d.assistant(*d.showing(d.sound(name), reply.split(".")[0].split("!")[0] + "."))
    elif form == "clip":
        d.user(f"{feeling} Show me a clip of something nice.")
        motion = d.pick(("bouncing", "spinning", "rising"))
        clip = VideoScene(
            object=thing, motion=motion, background=d.pick(tuple(BACKGROUNDS)), seed=d.seed()
        )
        d.assistant(*d.showing(clip, reply))
    else:
        d.user(feeling)
        picture = ImageScene(object=thing, background=d.pick(tuple(BACKGROUNDS)), seed=d.seed())
        d.assistant(*d.showing(picture, reply))


def plan(d: Draft) -> None:
    """Advice in words, and a picture when it is wanted."""
    question, advice, things = d.phrase(say.PLANS)
    picture = ImageScene(
        object=d.pick(things), background=d.pick(("white", "grass", "sky", "beach")), seed=d.seed()
    )
    if d.chance(0.5):
        d.user(f"{question} Show me a picture too.")
        d.assistant(*d.showing(picture, advice))
        return
    d.user(question)
    d.assistant(f"{advice} Shall I show you a picture?")
    d.user(d.phrase(say.YES_PLEASE))
    d.assistant(*d.showing(picture))


def joke(d: Draft) -> None:
    """A joke in words; a picture only when asked for."""
    thing, text = d.pick(say.JOKES)
    question = d.phrase(say.TELL_JOKE).format(x=OBJECTS[thing].with_article)
    if d.chance(0.5):
        d.user(question)
        d.assistant(text)
        return
    d.user(d.phrase(say.AND_DRAW).format(r=question))
    d.assistant(*d.showing(ImageScene(object=thing, seed=d.seed()), text))


def homework(d: Draft) -> None:
    """A sum whose result is drawn (Figure 10)."""
    text, sign = d.phrase(say.HOMEWORK)
    result = int(d.rng.integers(1, MAX_COUNT + 1))
    change = int(d.rng.integers(1, 4))
    if result - change < 1:
        sign, text = -1, say.HOMEWORK[0 if d.split == "train" else 4][0]
    start = result - sign * change
    picture = replace(d.image(relation_share=0.0), count=result, background="white")
    kind = OBJECTS[picture.object]
    things = kind.plural if start > 1 else kind.name
    d.user(text.format(n=start, k=change, p=things))
    worked = f"{start} {'plus' if sign > 0 else 'minus'} {change} is {result}."
    d.assistant(*d.showing(picture, worked))
