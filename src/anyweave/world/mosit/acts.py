"""What happens in dialogues of the emoji world: acts of one or two exchanges, as in
`anyweave.data.mosit.grammar`.

People show, ask, hint, correct themselves, change their mind, compare, wonder, calculate and ask
for what does not exist. The assistant states the canonical caption right before each medium.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anyweave.data.mosit.grammar import Act
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.world import phrases as say
from anyweave.world import small_talk
from anyweave.world.catalogue import (
    BACKGROUNDS,
    MAX_COUNT,
    MOTIONS,
    NUMBER_WORDS,
    OBJECTS,
    SOUND_OF_OBJECT,
    SOUNDS,
)
from anyweave.world.describing import DEFAULT_MOTION, call, describe
from anyweave.world.draft import Said, modality_of
from anyweave.world.mosit.talk import EmojiTalk
from anyweave.world.scenes import AudioScene, ImageScene, Scene, VideoScene

__all__ = ["ACTS", "SHORT_ACTS"]

_CHEERING = ("butterfly", "unicorn", "balloon", "dog", "panda", "rabbit", "sunflower", "cake")
_PLEASANT = ("piano", "guitar", "bird", "harp", "waves", "violin")
_GROUPS = {"animal": "animal", "food": "food", "instrument": "instrument", "vehicle": "vehicle"}
# The assistant on what was said before: {c} a caption.
_RECALL = ("It was {c}.", "That was {c}.")
_SOLVED = ("That is {x}.", "It must be {x}.")


# --- asking


def _ask(t: EmojiTalk) -> None:
    modality = t.next_modality()
    scene = t.sample(modality)
    words = _request(t, modality).format(x=describe(t.rng, scene))
    t.say([words], t.showing(scene), "explicit")


def _request(t: EmojiTalk, modality: Modality) -> str:
    """A request with the slot ``{x}``, from the bank or the first version's table."""
    own = {"image": say.IMAGE_REQUESTS, "video": say.VIDEO_REQUESTS, "audio": say.AUDIO_REQUESTS}
    if t.chance(0.35):
        return t.draft.phrase(own[modality])
    return t.entry(f"ask_{modality}")


def _hint(t: EmojiTalk) -> None:
    modality = t.next_modality()
    line = t.draft.pick(t.situation.hints[modality])
    scene: Scene
    if modality == "audio":
        scene = t.audio()
        slots = {"sound": scene.caption}
    else:
        kind = OBJECTS[t.draft.pick(t.situation.things)]
        slots = {"a": kind.with_article, "s": kind.plural}
        scene = (
            ImageScene(object=kind.name, count=2 if "{s}" in line else 1, seed=t.draft.seed())
            if modality == "image"
            else VideoScene(object=kind.name, motion=DEFAULT_MOTION, seed=t.draft.seed())
        )
    t.say([line.format(**slots)], t.showing(scene), "implicit")


def _wonder(t: EmojiTalk) -> None:
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


def _vague(t: EmojiTalk) -> None:
    group = t.draft.pick((*_GROUPS, "any"))
    names = [name for name, kind in OBJECTS.items() if group in ("any", kind.group)]
    liked = [name for name in t.situation.things if name in names]
    scene = ImageScene(object=t.draft.pick(liked or names), seed=t.draft.seed())
    t.say([t.phrase(f"vague_{group}")], t.showing(scene), "implicit", "suggestion")


def _several(t: EmojiTalk) -> None:
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
            scenes.insert(1, _clip(t, picture, DEFAULT_MOTION))
            words = t.phrase("ask_three", a=OBJECTS[name].with_article)
        elif t.chance(0.5):
            picture = replace(picture, background=t.place())
            scenes[0] = picture
            words = t.draft.phrase(say.BOTH_REQUESTS).format(x=describe(t.rng, picture))
        else:
            words = t.phrase("ask_two", a=OBJECTS[name].with_article)
    t.say([words], t.showing(*scenes), "explicit", "several")


def _offer(t: EmojiTalk) -> None:
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
        following = _clip(t, first, DEFAULT_MOTION)
    words = _request(t, modality_of(first)).format(x=describe(t.rng, first))
    offer = t.phrase({"audio": "offer_sound", "image": "offer_picture", "video": "offer_clip"}[asked])
    t.say([words], [*t.showing(first), f" {offer}"], "explicit", "suggestion")
    if t.chance(0.7):
        t.quietly([t.phrase("accept")], t.showing(following), "suggestion")
    else:
        t.quietly([t.phrase("decline")], [t.phrase("decline_reply")])


# --- showing something of one's own


def _show(t: EmojiTalk) -> None:
    modality = t.next_modality()
    scene = t.sample(modality)
    asked = t.own(t.situation.shown[modality]) if t.chance(0.6) else t.phrase("which")
    answer = t.draft.pick(say.DESCRIPTION[modality]).format(c=scene.caption)
    t.say(_beside(t, asked, scene), [answer], "perception")


def _is_it(t: EmojiTalk) -> None:
    modality: Modality = t.draft.pick(("image", "video"))
    scene = t.sample(modality)
    assert not isinstance(scene, AudioScene)
    asked = scene.object if t.chance(0.5) else t.thing()
    yes = asked == scene.object or (isinstance(scene, ImageScene) and asked == scene.other)
    words = t.phrase("is_it", a=OBJECTS[asked].with_article)
    answer = f"{'Yes' if yes else 'No'}, I see {scene.caption}."
    t.say(_beside(t, words, scene), [answer], "perception")


def _compare(t: EmojiTalk) -> None:
    """A second picture beside one that the person sent before."""
    before = _own_pictures(t)[-1]
    scene = t.image()
    if scene.relation is None and before.relation is None and scene.count != before.count:
        if t.chance(0.4):
            more = scene if scene.count > before.count else before
            answer = f"The {'second' if more is scene else 'first'} one: it shows {more.caption}."
            t.say(_beside(t, t.phrase("more_of_which"), scene), [answer], "perception", "reasoning")
            return
    answer = f"The first picture shows {before.caption}, the second picture shows {scene.caption}."
    t.say(_beside(t, t.phrase("compare"), scene), [answer], "perception", "reasoning")


def _beside(t: EmojiTalk, words: str, scene: Scene) -> list[Said]:
    return [words, scene] if t.chance(0.25) else [scene, words]


def _own_pictures(t: EmojiTalk) -> list[ImageScene]:
    return [scene for scene in t.given if isinstance(scene, ImageScene)]


# --- going on with "it"


def _hear_it(t: EmojiTalk) -> None:
    thing = t.heard_thing
    assert thing is not None
    words = t.phrase("sound_of")
    if thing in SOUND_OF_OBJECT:
        t.say([words], t.showing(t.draft.sound_of(thing)), "follow up")
    else:
        silent = t.phrase("silent_reply", x=OBJECTS[thing].with_article)
        t.say([words], [silent], "refusal", about=t.about)


def _see_it(t: EmojiTalk) -> None:
    t.say([t.phrase("picture_of")], t.showing(_still(t)), "follow up")


def _watch_it(t: EmojiTalk) -> None:
    motion = DEFAULT_MOTION if t.chance(0.3) else t.draft.pick(MOTIONS)
    if motion == DEFAULT_MOTION and t.chance(0.6):
        words = t.phrase("clip_of")
    else:
        words = t.phrase("clip_doing", m=t.draft.pick(say.MOTION_WORDS[motion]))
    t.say([words], t.showing(_clip(t, t.about, motion)), "follow up")


def _count_it(t: EmojiTalk) -> None:
    assert isinstance(t.about, ImageScene)
    count = t.draft.pick([n for n in range(2, MAX_COUNT + 1) if n != t.about.count])
    scene = replace(t.about, count=count, seed=t.draft.seed())
    t.say([t.phrase("change_count", n=NUMBER_WORDS[count])], t.showing(scene), "follow up")


def _move_it(t: EmojiTalk) -> None:
    assert isinstance(t.about, (ImageScene, VideoScene))
    place = t.draft.pick([name for name in BACKGROUNDS if name != t.about.background])
    words = t.draft.pick([words for words in say.PLACES[place] if words])
    scene = replace(t.about, background=place, seed=t.draft.seed())
    t.say([t.phrase("change_place", b=words)], t.showing(scene), "follow up")


def _replace_it(t: EmojiTalk) -> None:
    scene, words = _other(t)
    t.say([t.phrase("change_thing", x=words)], t.showing(scene), "follow up")


def _again(t: EmojiTalk) -> None:
    assert t.about is not None
    scene = replace(t.about, seed=t.draft.seed())
    t.say([t.phrase("again")], t.showing(scene), "follow up")


def _correct(t: EmojiTalk) -> None:
    """It was another medium, or another thing, that was meant."""
    assert t.about is not None
    sorry = t.phrase("oops")
    options = ["thing"]
    if not isinstance(t.about, AudioScene) and t.heard_thing in SOUND_OF_OBJECT:
        options.append("sound")
    if t.heard_thing is not None and not isinstance(t.about, ImageScene):
        options.append("picture")
    if t.heard_thing is not None and t.single and not isinstance(t.about, VideoScene):
        options.append("clip")
    meant = t.draft.pick(options)
    scene: Scene
    if meant == "thing":
        scene, words = _other(t)
        t.quietly([t.phrase("no_the_thing", x=words)], t.showing(scene, before=sorry), "correction")
        return
    if meant == "sound":
        scene = t.draft.sound_of(str(t.heard_thing))
    else:
        scene = _still(t) if meant == "picture" else _clip(t, t.about, DEFAULT_MOTION)
    t.quietly([t.phrase(f"no_the_{meant}")], t.showing(scene, before=sorry), "correction")


def _still(t: EmojiTalk) -> ImageScene:
    place = t.about.background if isinstance(t.about, VideoScene) else "white"
    return ImageScene(object=str(t.heard_thing), background=place, seed=t.draft.seed())


def _clip(t: EmojiTalk, scene: Scene | None, motion: str) -> VideoScene:
    """What makes or is `scene`, in motion where it is."""
    if isinstance(scene, (ImageScene, VideoScene)):
        name, place = scene.object, scene.background
    else:
        name, place = str(t.heard_thing), "white"
    return VideoScene(object=name, motion=motion, background=place, seed=t.draft.seed())


def _other(t: EmojiTalk) -> tuple[Scene, str]:
    """Something else of the same kind as "it", and how it is called."""
    if isinstance(t.about, AudioScene):
        name = t.draft.pick([name for name in SOUNDS if name not in t.about.sounds])
        return t.draft.sound(name), t.draft.pick((SOUNDS[name].phrase, *say.SOUND_WORDS[name]))
    assert t.about is not None
    name = t.draft.pick([name for name in OBJECTS if name != t.about.object])
    scene = replace(t.about, object=name, seed=t.draft.seed())
    if isinstance(scene, ImageScene) and scene.relation is not None:
        scene = replace(scene, relation=None, other=None, count=1)
    many = isinstance(scene, ImageScene) and scene.count > 1
    words = call(t.rng, name, plural=many)
    if many:
        return scene, f"{NUMBER_WORDS[scene.count]} {words}"  # type: ignore[union-attr]
    return scene, f"{'an' if words[0] in 'aeio' else 'a'} {words}"


# --- questions about "it", answered in words


def _question(t: EmojiTalk) -> None:
    assert isinstance(t.about, (ImageScene, VideoScene))
    kind = OBJECTS[t.about.object]
    many = isinstance(t.about, ImageScene) and t.about.count > 1
    forms = ["where"]
    if isinstance(t.about, VideoScene):
        forms.append("motion")
    elif t.about.relation is None:
        forms += ["count", "count"]
    form = t.draft.pick(forms)
    if form == "where":
        place = BACKGROUNDS[t.about.background]
        words, answer = t.phrase("where_is"), f"{'They are' if many else 'It is'} {place}."
    elif form == "motion":
        assert isinstance(t.about, VideoScene)
        words, answer = t.phrase("which_motion"), f"The {kind.name} is {t.about.motion}."
    else:
        assert isinstance(t.about, ImageScene)
        number = f"{NUMBER_WORDS[t.about.count]} {kind.plural if many else kind.name}"
        words, answer = t.phrase("how_many"), f"There {'are' if many else 'is'} {number}."
    t.say([words], [answer], "perception", about=t.about)


def _recall(t: EmojiTalk) -> None:
    first = t.draft.chance(0.6)
    scene = t.first if first else t.made[-1]
    assert scene is not None
    words = t.phrase("recall_first" if first else "recall_last")
    answer = t.draft.pick(_RECALL).format(c=scene.caption)
    t.say([words], [answer], "recall", "reasoning")


# --- words


def _topic(t: EmojiTalk) -> None:
    pair = t.pair(t.situation.talk)
    assert pair is not None
    t.say([pair[0]], [pair[1]], "reasoning")


def _chat(t: EmojiTalk) -> None:
    pair = t.pair(t.bank_pairs("talk"))
    assert pair is not None
    t.say([pair[0]], [pair[1]], "words")


def _small_talk(t: EmojiTalk) -> None:
    question, answer = small_talk.talk(t.rng, "train")
    t.say([question], [answer], "words")


def _plan(t: EmojiTalk) -> None:
    asked, answer = t.situation.plan
    t.say([asked], [answer], "planning")


def _only_words(t: EmojiTalk) -> None:
    t.say([t.phrase("only_words")], [t.phrase("only_words_reply")], "words")
    pair = t.pair((*t.situation.talk, *t.bank_pairs("talk")))
    assert pair is not None
    t.quietly([pair[0]], [pair[1]], "words")


def _feel(t: EmojiTalk) -> None:
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


def _joke(t: EmojiTalk) -> None:
    name, joke = t.draft.pick((*t.bank_pairs("jokes"), *say.JOKES))
    words = t.draft.phrase(say.TELL_JOKE).format(x=OBJECTS[name].with_article)
    scene = ImageScene(object=name, seed=t.draft.seed())
    if t.chance(0.6):
        t.say([words], [joke], "words", about=scene)
    else:
        words = t.draft.phrase(say.AND_DRAW).format(r=words)
        t.say([words], t.showing(scene, before=joke), "explicit")


def _riddle(t: EmojiTalk) -> None:
    name, riddle = t.entry("riddles")
    answer = t.draft.pick(_SOLVED).format(x=OBJECTS[name].with_article)
    scene = ImageScene(object=name, seed=t.draft.seed())
    t.say([riddle], [answer], "reasoning", about=scene)


def _story(t: EmojiTalk) -> None:
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
        t.say([words], [worked], "reasoning", about=scene)


# --- what cannot be done


def _refuse(t: EmojiTalk) -> None:
    """Asked for what is not in the world; something else is offered, and taken or not."""
    modality: Modality = t.draft.pick(MEDIA_MODALITIES)
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
        offered = (
            ImageScene(object=name, seed=t.draft.seed())
            if modality == "image"
            else VideoScene(object=name, motion=DEFAULT_MOTION, seed=t.draft.seed())
        )
    reply = t.phrase(f"refuse_{modality}", x=thing, y=OBJECTS[name].with_article)
    t.say([words], [reply], "refusal", "suggestion")
    if t.turns == t.num_turns:
        return
    if t.chance(0.65):
        t.quietly([t.phrase("instead_yes")], t.showing(offered), "suggestion")
    else:
        t.quietly([t.phrase("instead_no")], [t.phrase("decline_reply")])


def _close(t: EmojiTalk) -> None:
    if t.chance(0.5):
        said, answer = t.draft.pick(t.situation.closing)
        t.quietly([said], [answer])
    else:
        t.quietly([t.phrase("thanks")], [t.phrase("glad")])


# --- when an act makes sense


def _visible(t: EmojiTalk) -> bool:
    return isinstance(t.about, (ImageScene, VideoScene))


def _counted(t: EmojiTalk) -> bool:
    return isinstance(t.about, ImageScene) and t.about.relation is None


def _last(t: EmojiTalk) -> bool:
    return t.turns == t.num_turns - 1


ACTS: Mapping[str, Act[EmojiTalk]] = {
    "ask": Act(_ask, lambda t: True, weight=1.6, most=2),
    "hint": Act(_hint, lambda t: True, weight=1.2, most=2),
    "wonder": Act(_wonder, lambda t: True, weight=0.5),
    "vague": Act(_vague, lambda t: True, weight=0.4),
    "several": Act(_several, lambda t: True, weight=0.7),
    "offer": Act(_offer, lambda t: True, weight=0.6, turns=2),
    "show": Act(_show, lambda t: True, weight=2.4, most=2),
    "is it": Act(_is_it, lambda t: True, weight=0.5),
    "compare": Act(_compare, lambda t: bool(_own_pictures(t)), weight=2.0),
    "hear it": Act(
        _hear_it,
        lambda t: _visible(t) and t.heard_thing is not None and not _pair(t),
        weight=2.2,
        most=2,
    ),
    "see it": Act(
        _see_it,
        lambda t: t.heard_thing is not None and not isinstance(t.about, ImageScene),
        weight=2.4,
        most=2,
    ),
    "watch it": Act(
        _watch_it, lambda t: t.heard_thing is not None and t.single, weight=2.0, most=2
    ),
    "count it": Act(_count_it, _counted, weight=1.6),
    "move it": Act(_move_it, lambda t: _counted(t) or isinstance(t.about, VideoScene), weight=1.8),
    "replace it": Act(_replace_it, lambda t: t.about is not None, weight=1.3),
    "again": Act(_again, lambda t: t.by == "assistant" and _visible(t), weight=0.5),
    "correct": Act(_correct, lambda t: t.by == "assistant" and not _pair(t), weight=2.0),
    "question": Act(_question, _visible, weight=1.6, most=2),
    "recall": Act(_recall, lambda t: t.turns > 2 and bool(t.made), weight=1.6),
    "topic": Act(_topic, lambda t: True, weight=1.6, most=2),
    "chat": Act(_chat, lambda t: True, weight=0.3),
    "small talk": Act(_small_talk, lambda t: True, weight=0.2),
    "plan": Act(_plan, lambda t: True, weight=0.5),
    "only words": Act(_only_words, lambda t: t.turns > 0, weight=0.3, turns=2),
    "feel": Act(_feel, lambda t: True, weight=0.35),
    "joke": Act(_joke, lambda t: True, weight=0.3),
    "riddle": Act(_riddle, lambda t: True, weight=0.35),
    "story": Act(_story, lambda t: True, weight=0.35),
    "refuse": Act(_refuse, lambda t: True, weight=1.0),
    "close": Act(_close, lambda t: _last(t) and t.turns > 1, weight=8.0),
}


def _pair(t: EmojiTalk) -> bool:
    """Whether "it" is two things, or two sounds."""
    if isinstance(t.about, AudioScene):
        return len(t.about.sounds) > 1
    return isinstance(t.about, ImageScene) and t.about.relation is not None


# Short chats: requests and replies, and words alone, so that the model also learns not to draw.
_SHORT = {
    "ask": 28.0,
    "several": 9.0,
    "hint": 5.0,
    "wonder": 3.0,
    "vague": 2.0,
    "chat": 16.0,
    "small talk": 16.0,
    "topic": 6.0,
    "plan": 2.0,
    "only words": 2.0,
    "joke": 3.0,
    "riddle": 3.0,
    "story": 4.0,
    "feel": 4.0,
    "refuse": 14.0,
}
SHORT_ACTS: Mapping[str, Act[EmojiTalk]] = {
    name: replace(ACTS[name], weight=weight, most=3, ready=lambda t: True)
    for name, weight in _SHORT.items()
}
