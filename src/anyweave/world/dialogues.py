"""Scenes -> conversations in the manner of the paper's demonstrations (App. D.4): one builder per
kind of talk.

A builder adds turns to a `Draft`. The assistant states the canonical caption right before each
medium: the signal tokens read there what to show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anyweave.world import phrases as say
from anyweave.world.catalogue import (
    BACKGROUNDS,
    MAX_COUNT,
    MOTIONS,
    NUMBER_WORDS,
    OBJECTS,
    SOUND_OF_OBJECT,
    SOUNDS,
    Relation,
)
from anyweave.world.describing import article, call, describe
from anyweave.world.draft import Draft, modality_of
from anyweave.world.scenes import AudioScene, ImageScene, Scene, VideoScene
from anyweave.world.small_talk import talk

Builder = Callable[[Draft], None]
_SILENT = tuple(name for name in OBJECTS if name not in SOUND_OF_OBJECT)
_SOUNDING = tuple(SOUND_OF_OBJECT)
_INVERSE: dict[Relation, Relation] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}
_REQUESTS = {
    "image": say.IMAGE_REQUESTS,
    "video": say.VIDEO_REQUESTS,
    "audio": say.AUDIO_REQUESTS,
}


def _sample(d: Draft, modality: str) -> Scene:
    samplers: dict[str, Callable[[], Scene]] = {
        "image": d.image,
        "video": d.video,
        "audio": d.audio,
    }
    return samplers[modality]()


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


# --- stage 1: media to text -----------------------------------------------------------------------


def caption(modality: str) -> Builder:
    """A medium, with an instruction or bare; the caption as answer."""

    def build(d: Draft) -> None:
        scene = _sample(d, modality)
        bare = d.chance(0.3)
        d.user(scene, "" if bare else d.phrase(say.DESCRIBE[modality]))
        answer = capital(scene.caption) + "."
        if not bare:
            answer = d.pick(say.DESCRIPTION[modality]).format(c=scene.caption)
        d.assistant(answer)

    return build


def ask_image(d: Draft) -> None:
    """Questions about a picture, one or two in a row."""
    scene = d.image(relation_share=0.3)
    first = True
    for _ in range(2 if d.chance(0.3) else 1):
        question, answer = _about_pair(d, scene) if scene.relation else _about_things(d, scene)
        d.user(*((scene, question) if first else (question,)))
        d.assistant(answer)
        first = False


def _about_things(d: Draft, scene: ImageScene) -> tuple[str, str]:
    kind, many = OBJECTS[scene.object], scene.count > 1
    these = f"{NUMBER_WORDS[scene.count]} {kind.plural}" if many else kind.with_article
    topic = d.pick(("what", "count", "count", "where", "yes"))
    if topic == "what":
        return d.phrase(
            say.WHAT_OBJECT["image"]
        ), f"These are {these}." if many else f"It is {these}."
    if topic == "count":
        question = d.phrase(say.HOW_MANY).format(p=kind.plural)
        return question, f"There are {these}." if many else f"There is one {kind.name}."
    if topic == "where":
        place = BACKGROUNDS[scene.background]
        return d.phrase(say.WHERE), f"They are {place}." if many else f"It is {place}."
    asked = scene.object if d.chance(0.5) else d.pick(tuple(OBJECTS))
    yes = "Yes" if asked == scene.object else "No"
    question = d.phrase(say.IS_IT).format(x=OBJECTS[asked].with_article)
    return question, f"{yes}, these are {these}." if many else f"{yes}, it is {these}."


def _about_pair(d: Draft, scene: ImageScene) -> tuple[str, str]:
    assert scene.relation is not None and scene.other is not None
    a, b, relation = scene.object, scene.other, scene.relation
    if d.chance(0.2):
        both = f"{OBJECTS[a].with_article} and {OBJECTS[b].with_article}"
        return "Which two things are there?", f"There is {both}."
    if d.chance(0.5):
        a, b, relation = b, a, _INVERSE[relation]
    return d.phrase(say.WHERE_RELATIVE).format(a=a, b=b), f"The {a} is {relation} the {b}."


def ask_video(d: Draft) -> None:
    """A question about a clip."""
    scene = d.video()
    name = scene.object
    topic = d.pick(("what", "motion", "motion", "where", "yes"))
    if topic == "what":
        question, answer = (
            d.phrase(say.WHAT_OBJECT["video"]),
            f"It is {OBJECTS[name].with_article}.",
        )
    elif topic == "motion":
        question = d.phrase(say.WHICH_MOTION).format(n=name)
        answer = f"The {name} is {scene.motion}."
    elif topic == "where":
        question, answer = d.phrase(say.WHERE), f"It is {BACKGROUNDS[scene.background]}."
    else:
        asked = name if d.chance(0.5) else d.pick(tuple(OBJECTS))
        question = d.phrase(say.IS_IT).format(x=OBJECTS[asked].with_article)
        answer = f"{'Yes' if asked == name else 'No'}, it is {OBJECTS[name].with_article}."
    d.user(scene, question)
    d.assistant(answer)


def ask_audio(d: Draft) -> None:
    """A question about a sound; of two sounds, which comes first."""
    scene = d.audio(pair_share=0.35)
    if len(scene.sounds) == 2:
        first = d.chance(0.5)
        heard = SOUNDS[scene.sounds[0 if first else 1]].phrase
        d.user(scene, d.phrase(say.WHAT_FIRST if first else say.WHAT_SECOND))
        d.assistant(f"{'First' if first else 'Then'} I hear {heard}.")
        return
    name = scene.sounds[0]
    heard = SOUNDS[name].phrase
    if d.chance(0.5):
        d.user(scene, d.phrase(say.WHAT_OBJECT["audio"]))
        d.assistant(f"It is {heard}.")
        return
    asked = name if d.chance(0.5) else d.pick(tuple(SOUNDS))
    d.user(scene, d.phrase(say.IS_IT_HEARD).format(x=SOUNDS[asked].phrase))
    d.assistant(f"{'Yes' if asked == name else 'No'}, it is {heard}.")


def compare(d: Draft) -> None:
    """Two pictures from the user."""
    a, b = d.image(relation_share=0.0), d.image(relation_share=0.0)
    if a.count != b.count and d.chance(0.4):
        d.user(a, b, d.phrase(say.WHICH_MORE))
        d.assistant(f"The {'first' if a.count > b.count else 'second'} picture has more.")
        return
    d.user(a, b, d.phrase(say.DIFFERENCE))
    d.assistant(f"The first picture shows {a.caption}, the second picture shows {b.caption}.")


# --- stage 2: text to media -----------------------------------------------------------------------


def request(modality: str) -> Builder:
    """A request in words; the caption and the medium as answer."""

    def build(d: Draft) -> None:
        scene = _sample(d, modality)
        d.user(d.phrase(_REQUESTS[modality]).format(x=describe(d.rng, scene)))
        d.assistant(*d.showing(scene))

    return build


def several_media(d: Draft) -> None:
    """One reply that holds two media."""
    form = d.pick(("sound", "sound", "pictures", "clip"))
    if form == "sound":
        thing = d.pick(_SOUNDING)
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


# --- stage 3: any to any --------------------------------------------------------------------------


def cross(d: Draft) -> None:
    """A medium in, another modality out."""
    form = d.pick(
        ("seen to sound", "sound to picture", "sound to clip", "seen to clip", "clip to picture")
    )
    if form == "seen to sound":
        seen = d.video() if d.chance(0.4) else d.image(relation_share=0.0)
        if seen.object not in SOUND_OF_OBJECT and d.chance(0.8):
            seen = replace(seen, object=d.pick(_SOUNDING))
        d.user(seen, d.phrase(say.SOUND_OF_THIS))
        _play_or_decline(d, seen.object)
        return
    if form == "clip to picture":
        clip = d.video()
        d.user(clip, d.phrase(say.STILL))
        d.assistant(*d.showing(_still(d, clip)))
        return
    if form == "seen to clip":
        picture = replace(d.image(relation_share=0.0), count=1)
        motion = d.pick(MOTIONS)
        d.user(picture, _ask_motion(d, motion))
        d.assistant(*d.showing(_clip(d, picture, motion)))
        return
    thing = d.pick(_SOUNDING)
    heard = d.sound_of(thing)
    if form == "sound to picture":
        d.user(heard, d.phrase(say.PICTURE_OF_THIS))
        d.assistant(*d.showing(ImageScene(object=thing, seed=d.seed())))
    else:
        motion = d.pick(MOTIONS)
        words = d.pick(say.MOTION_WORDS[motion])
        d.user(heard, d.phrase(say.CLIP_WITH_MOTION).format(m=words))
        d.assistant(*d.showing(VideoScene(object=thing, motion=motion, seed=d.seed())))


def _play_or_decline(d: Draft, thing: str, before: str = "") -> None:
    if thing in SOUND_OF_OBJECT:
        d.assistant(*d.showing(d.sound_of(thing), before))
    else:
        d.assistant(d.pick(say.SILENT).format(x=OBJECTS[thing].with_article))


def _ask_motion(d: Draft, motion: str) -> str:
    if motion == "bouncing" and d.chance(0.5):  # the default motion
        return d.phrase(say.CLIP_OF_THIS)
    if d.chance(0.5):
        return d.pick(say.MAKE_IT[motion])
    return d.phrase(say.CLIP_WITH_MOTION).format(m=d.pick(say.MOTION_WORDS[motion]))


def _clip(d: Draft, scene: ImageScene | VideoScene, motion: str) -> VideoScene:
    return VideoScene(
        object=scene.object, motion=motion, background=scene.background, seed=d.seed()
    )


def _still(d: Draft, scene: VideoScene) -> ImageScene:
    return ImageScene(object=scene.object, background=scene.background, seed=d.seed())


def follow_up(d: Draft) -> None:
    """Two to four turns on one thing: more of it, elsewhere, moving, heard, replaced, corrected,
    counted.
    """
    scene = _opening(d)
    for _ in range(int(d.rng.integers(1, 4))):
        following = _continue(d, scene)
        if following is None:
            return
        scene = following
    if d.chance(0.15):
        d.user(d.pick(say.THANKS))
        d.assistant(d.pick(say.WELCOME))


def _opening(d: Draft) -> Scene:
    """The first turn: asked for, or given by the user and described."""
    modality = d.pick(("image", "image", "image", "video", "audio"))
    scene: Scene
    if modality == "image":
        scene = d.image(relation_share=0.0)
    elif modality == "video":
        scene = d.video()
    else:
        scene = d.sound_of(d.pick(_SOUNDING))
    if not isinstance(scene, AudioScene) and d.chance(0.4):
        scene = replace(scene, object=d.pick(_SOUNDING))
    if d.chance(0.6):
        d.user(d.phrase(_REQUESTS[modality]).format(x=describe(d.rng, scene)))
        d.assistant(*d.showing(scene))
    else:
        d.user(scene, d.phrase(say.DESCRIBE[modality]))
        d.assistant(d.pick(say.DESCRIPTION[modality]).format(c=scene.caption))
    return scene


def _continue(d: Draft, scene: Scene) -> Scene | None:
    """One more turn about `scene`; returns what is talked about then, None if nothing follows."""
    if isinstance(scene, AudioScene):
        return _after_sound(d, scene)
    moves = ["place", "instead", "sound", "no sound"]
    moves += ["still", "motion"] if isinstance(scene, VideoScene) else ["count", "count", "ask"]
    if isinstance(scene, ImageScene) and scene.count == 1:
        moves += ["motion", "motion"]
    move = d.pick(moves)
    if move in ("sound", "no sound"):
        return _to_sound(d, scene, correcting=move == "no sound")
    if move == "ask":
        assert isinstance(scene, ImageScene)
        question, answer = _about_things(d, scene)
        d.user(question)
        d.assistant(answer)
        return scene
    question, following = _changed(d, scene, move)
    d.user(question)
    d.assistant(*d.showing(following))
    return following


def _changed(d: Draft, scene: ImageScene | VideoScene, move: str) -> tuple[str, Scene]:
    """What the user says to change what is seen, and what it becomes."""
    if move == "still" and isinstance(scene, VideoScene):
        return d.phrase(say.STILL), _still(d, scene)
    if move == "motion":
        motion = d.pick([motion for motion in MOTIONS if motion != getattr(scene, "motion", None)])
        return _ask_motion(d, motion), _clip(d, scene, motion)
    if move == "count" and isinstance(scene, ImageScene):
        count = d.pick([n for n in range(2, MAX_COUNT + 1) if n != scene.count])
        number = d.pick((NUMBER_WORDS[count], str(count)))
        return d.phrase(say.WITH_COUNT).format(n=number), replace(scene, count=count, seed=d.seed())
    if move == "place":
        background = d.pick([name for name in BACKGROUNDS if name != scene.background])
        words = d.pick([place for place in say.PLACES[background] if place])
        following = replace(scene, background=background, seed=d.seed())
        return d.phrase(say.WITH_BACKGROUND).format(b=words), following
    other = d.pick([name for name in OBJECTS if name != scene.object])
    many = isinstance(scene, ImageScene) and scene.count > 1
    words = call(d.rng, other, plural=many)
    question = d.phrase(say.INSTEAD).format(x=words if many else article(words))
    return question, replace(scene, object=other, seed=d.seed())


def _to_sound(d: Draft, scene: ImageScene | VideoScene, *, correcting: bool) -> Scene | None:
    correcting = correcting and not isinstance(
        d.turns[-1][1][-1], str
    )  # only a medium can be a mistake
    d.user(d.phrase(say.NO_THE_SOUND if correcting else say.SOUND_OF_THIS))
    _play_or_decline(d, scene.object, d.pick(say.SORRY) if correcting else "")
    if scene.object in SOUND_OF_OBJECT:
        return d.scenes[-1]
    return scene


def _after_sound(d: Draft, scene: AudioScene) -> Scene | None:
    thing = SOUNDS[scene.sounds[0]].object
    if thing is None or d.chance(0.25):
        name = d.pick([name for name in SOUNDS if name != scene.sounds[0]])
        following: Scene = d.sound(name)
        d.user(
            d.phrase(say.INSTEAD).format(x=d.pick((SOUNDS[name].phrase, *say.SOUND_WORDS[name])))
        )
        d.assistant(*d.showing(following))
        return following
    correcting = d.chance(0.3)
    if correcting or d.chance(0.6):
        following = ImageScene(object=thing, seed=d.seed())
        d.user(d.phrase(say.NO_THE_PICTURE if correcting else say.PICTURE_OF_THIS))
        d.assistant(*d.showing(following, d.pick(say.SORRY) if correcting else ""))
    else:
        motion = d.pick(MOTIONS)
        following = VideoScene(object=thing, motion=motion, seed=d.seed())
        d.user(_ask_motion(d, motion))
        d.assistant(*d.showing(following))
    return following


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


def refuse(d: Draft) -> None:
    """What is not in the world: a polite no, in words alone."""
    modality = d.pick(("image", "image", "video", "audio"))
    if modality == "audio" and d.chance(0.5):
        thing = OBJECTS[d.pick(_SILENT)].with_article
        d.user(d.phrase(say.AUDIO_REQUESTS).format(x=thing))
        d.assistant(d.pick(say.SILENT).format(x=thing))
        return
    thing = article(d.phrase(say.OUTSIDE))
    instead = OBJECTS[d.pick(_SOUNDING if modality == "audio" else tuple(OBJECTS))].with_article
    place = "" if modality == "audio" else d.pick(say.PLACES[d.pick(tuple(BACKGROUNDS))])
    motion = d.pick(say.MOTION_WORDS[d.pick(MOTIONS)]) if modality == "video" else ""
    words = " ".join(word for word in (thing, motion, place) if word)
    d.user(d.phrase(_REQUESTS[modality]).format(x=words))
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
    scene = _sample(d, d.pick(("image", "video", "audio")))
    d.user(d.phrase(_REQUESTS[modality_of(scene)]).format(x=describe(d.rng, scene)))
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
TEXT_ONLY_KINDS = ("talk", "refuse")
