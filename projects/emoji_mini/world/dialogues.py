"""Scenes -> conversations in the manner of the paper's demonstrations (App. D.4): one builder per
kind of talk.

A builder adds turns to a `Draft`. The assistant states the canonical caption right before each
medium: the signal tokens read there what to show.
"""

from __future__ import annotations

from dataclasses import replace

from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import BACKGROUNDS, MOTIONS, OBJECTS, SOUND_OF_OBJECT
from emoji_mini.world.describing import article, describe
from emoji_mini.world.draft import Draft, modality_of
from emoji_mini.world.follow_ups import REQUESTS, SOUNDING, cross, follow_up
from emoji_mini.world.occasions import homework, joke, mood, plan
from emoji_mini.world.questions import (
    Builder,
    ask_audio,
    ask_image,
    ask_video,
    caption,
    compare,
    sample,
)
from emoji_mini.world.scenes import ImageScene
from emoji_mini.world.small_talk import talk

SILENT = tuple(name for name in OBJECTS if name not in SOUND_OF_OBJECT)


def request(modality: str) -> Builder:
    """A request in words; the caption and the medium as answer."""

    def build(d: Draft) -> None:
        scene = sample(d, modality)
        d.user(d.phrase(REQUESTS[modality]).format(x=describe(d.rng, scene)))
        d.assistant(*d.showing(scene))

    return build


def several_media(d: Draft) -> None:
    """One reply that holds two media."""
    form = d.pick(("sound", "sound", "pictures", "clip"))
    if form == "sound":
        thing = d.pick(SOUNDING)
        scene = replace(d.image(relation_share=0.0), object=thing, count=1)
        words = describe(d.rng, scene)
        d.user(d.phrase(say.BOTH_REQUESTS).format(x=words))
        d.assistant(*d.showing(scene), *d.showing(d.sound_of(thing), plain=True))
    elif form == "pictures":
        a, b = d.image(relation_share=0.0), d.image(relation_share=0.0)
        d.user(d.phrase(say.TWO_PICTURES).format(x=describe(d.rng, a), y=describe(d.rng, b)))
        d.assistant(*d.showing(a), *d.showing(b, plain=True))
    else:
        clip = d.video()
        scene = ImageScene(object=clip.object, background=clip.background, seed=d.seed())
        motion = d.pick(say.MOTION_WORDS[clip.motion])
        d.user(d.phrase(say.PICTURE_AND_CLIP).format(x=describe(d.rng, scene), m=motion))
        d.assistant(*d.showing(scene), *d.showing(clip, plain=True))


def refuse(d: Draft) -> None:
    """What is not in the world: a polite no, in words alone."""
    modality = d.pick(("image", "image", "video", "audio"))
    if modality == "audio" and d.chance(0.5):
        thing = OBJECTS[d.pick(SILENT)].with_article
        d.user(d.phrase(say.AUDIO_REQUESTS).format(x=thing))
        d.assistant(d.pick(say.SILENT).format(x=thing))
        return
    thing = article(d.phrase(say.OUTSIDE))
    instead = OBJECTS[d.pick(SOUNDING if modality == "audio" else tuple(OBJECTS))].with_article
    place = "" if modality == "audio" else d.pick(say.PLACES[d.pick(tuple(BACKGROUNDS))])
    motion = d.pick(say.MOTION_WORDS[d.pick(MOTIONS)]) if modality == "video" else ""
    words = " ".join(word for word in (thing, motion, place) if word)
    d.user(d.phrase(REQUESTS[modality]).format(x=words))
    d.assistant(d.pick(say.REFUSE[modality]).format(x=thing, y=instead))


def small_talk(d: Draft) -> None:
    """Words only, one to three turns."""
    for _ in range(d.pick((1, 1, 2, 3))):
        question, answer = talk(d.rng, d.split)
        d.user(question)
        d.assistant(answer)


def talk_then_show(d: Draft) -> None:
    """Words first, then a request, then words again: the switch in both directions."""
    question, answer = talk(d.rng, d.split)
    d.user(question)
    d.assistant(answer)
    scene = sample(d, d.pick(("image", "video", "audio")))
    d.user(d.phrase(REQUESTS[modality_of(scene)]).format(x=describe(d.rng, scene)))
    d.assistant(*d.showing(scene))
    if d.chance(0.6):
        question, answer = (
            talk(d.rng, d.split) if d.chance(0.6) else (d.pick(say.THANKS), d.pick(say.WELCOME))
        )
        d.user(question)
        d.assistant(answer)


KINDS: dict[str, Builder] = {
    "caption_image": caption("image"),
    "caption_video": caption("video"),
    "caption_audio": caption("audio"),
    "ask_image": ask_image,
    "ask_video": ask_video,
    "ask_audio": ask_audio,
    "compare": compare,
    "request_image": request("image"),
    "request_video": request("video"),
    "request_audio": request("audio"),
    "several_media": several_media,
    "cross": cross,
    "follow_up": follow_up,
    "mood": mood,
    "plan": plan,
    "joke": joke,
    "homework": homework,
    "refuse": refuse,
    "talk": small_talk,
    "talk_then_show": talk_then_show,
}
