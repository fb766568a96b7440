"""A person asks for media: outright, by a hint, for several at once, for what does not exist."""

from __future__ import annotations

from dataclasses import replace

from anyweave.messages import PAPER_MODALITIES, Modality
from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import MOTIONS, OBJECTS
from emoji_mini.world.describing import DEFAULT_MOTION, describe
from emoji_mini.world.draft import modality_of
from emoji_mini.world.follow_ups import REQUESTS
from emoji_mini.world.mosit.talk import EmojiTalk
from emoji_mini.world.scenes import ImageScene, Scene

__all__ = ["ask", "hint", "offer", "refuse", "several", "vague", "wonder"]

_GROUPS = ("animal", "food", "instrument", "vehicle")
_OFFERS = {"audio": "offer_sound", "image": "offer_picture", "video": "offer_clip"}


def ask(t: EmojiTalk) -> None:
    """Asked for outright."""
    modality = t.next_modality()
    scene = t.sample(modality)
    words = _request(t, modality).format(x=describe(t.rng, scene))
    t.say([words], t.showing(scene), "explicit")


def _request(t: EmojiTalk, modality: Modality) -> str:
    """A request with the slot ``{x}``, from the bank or the first version's table."""
    if t.chance(0.35):
        return t.draft.phrase(REQUESTS[modality])
    return t.entry(f"ask_{modality}")


def hint(t: EmojiTalk) -> None:
    """A wish of this situation that asks for nothing: the reply shows it all the same."""
    modality = t.next_modality()
    line = t.draft.pick(t.situation.hints[modality])
    scene: Scene
    if modality == "audio":
        scene = t.audio()
        slots = {"sound": scene.caption}
    else:
        kind = OBJECTS[t.draft.pick(t.situation.things)]
        slots = {"a": kind.with_article, "s": kind.plural}
        scene = t.plain(modality, kind.name, count=2 if "{s}" in line else 1)
    t.say([line.format(**slots)], t.showing(scene), "implicit")


def wonder(t: EmojiTalk) -> None:
    """A hint that fits any situation."""
    modality = t.next_modality()
    scene: Scene
    if modality == "image":
        scene = ImageScene(object=t.thing(), seed=t.draft.seed())
        words = t.phrase("wonder", a=OBJECTS[scene.object].with_article)
    elif modality == "video":
        scene = t.video()
        words = t.phrase("wonder_clip", x=describe(t.rng, scene))
    else:
        scene = t.audio()
        words = t.phrase("wonder_sound", x=describe(t.rng, scene))
    t.say([words], t.showing(scene), "implicit")


def vague(t: EmojiTalk) -> None:
    """Some animal, something to eat: which one is left to the assistant."""
    group = t.draft.pick((*_GROUPS, "any"))
    names = [name for name, kind in OBJECTS.items() if group in ("any", kind.group)]
    liked = [name for name in t.situation.things if name in names]
    scene = ImageScene(object=t.draft.pick(liked or names), seed=t.draft.seed())
    t.say([t.phrase(f"vague_{group}")], t.showing(scene), "implicit", "suggestion")


def several(t: EmojiTalk) -> None:
    """Two or three media in one reply."""
    form = t.draft.pick(("two", "two", "three", "pictures", "clip"))
    scenes: list[Scene]
    if form == "pictures":
        a, b = t.image(), t.image()
        slots = {"x": describe(t.rng, a), "y": describe(t.rng, b)}
        words, scenes = t.draft.phrase(say.TWO_PICTURES).format(**slots), [a, b]
    elif form == "clip":
        clip = t.video()
        picture = ImageScene(object=clip.object, background=clip.background, seed=t.draft.seed())
        slots = {"x": describe(t.rng, picture), "m": t.draft.pick(say.MOTION_WORDS[clip.motion])}
        words, scenes = t.draft.phrase(say.PICTURE_AND_CLIP).format(**slots), [picture, clip]
    else:
        name = t.thing(sounding=True)
        picture = ImageScene(object=name, seed=t.draft.seed())
        scenes = [picture, t.draft.sound_of(name)]
        if form == "three":
            scenes.insert(1, t.clip(picture, DEFAULT_MOTION))
            words = t.phrase("ask_three", a=OBJECTS[name].with_article)
        elif t.chance(0.5):
            picture = replace(picture, background=t.place())
            scenes[0] = picture
            words = t.draft.phrase(say.BOTH_REQUESTS).format(x=describe(t.rng, picture))
        else:
            words = t.phrase("ask_two", a=OBJECTS[name].with_article)
    t.say([words], t.showing(*scenes), "explicit", "several")


def offer(t: EmojiTalk) -> None:
    """The assistant offers more of what it has just given; the person wants it, or not."""
    asked = t.draft.pick(("image", "audio", "video"))
    name = t.thing(sounding=True)
    first: Scene
    following: Scene
    if asked == "audio":
        first = replace(t.image(many=False), object=name, relation=None, other=None)
        following = t.draft.sound_of(name)
    elif asked == "image":
        first, following = t.draft.sound_of(name), ImageScene(object=name, seed=t.draft.seed())
    else:
        first = replace(t.image(many=False), object=name, relation=None, other=None)
        following = t.clip(first, DEFAULT_MOTION)
    words = _request(t, modality_of(first)).format(x=describe(t.rng, first))
    more = t.phrase(_OFFERS[asked])
    t.say([words], [*t.showing(first), more], "explicit", "suggestion")
    if t.chance(0.7):
        t.quietly([t.phrase("accept")], t.showing(following), "suggestion")
    else:
        t.quietly([t.phrase("decline")], [t.phrase("decline_reply")])


def refuse(t: EmojiTalk) -> None:
    """Asked for what is not in the world; something else is offered, and taken or not."""
    modality: Modality = t.draft.pick(PAPER_MODALITIES)
    offered: Scene
    if modality == "audio":
        heard, thing = t.entry("outside_sounds")
        words = _request(t, "audio").format(x=t.draft.pick((heard, thing)))
        name = t.thing(sounding=True)
        offered = t.draft.sound_of(name)
    else:
        thing = t.own(t.situation.outside) if t.chance(0.6) else t.outside_thing()
        place = t.draft.pick(say.PLACES[t.place()])
        motion = t.draft.pick(say.MOTION_WORDS[t.draft.pick(MOTIONS)])
        described = (thing, motion if modality == "video" else "", place)
        words = _request(t, modality).format(x=" ".join(word for word in described if word))
        name = t.thing()
        offered = t.plain(modality, name)
    reply = t.phrase(f"refuse_{modality}", x=thing, y=OBJECTS[name].with_article)
    t.say([words], [reply], "refusal", "suggestion")
    if t.turns == t.num_turns:
        return
    if t.chance(0.65):
        t.quietly([t.phrase("instead_yes")], t.showing(offered), "suggestion")
    else:
        t.quietly([t.phrase("instead_no")], [t.phrase("decline_reply")])
