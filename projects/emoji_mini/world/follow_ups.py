"""Conversations that cross modalities and go on: heard, moved, placed elsewhere, replaced,
corrected.
"""

from __future__ import annotations

from dataclasses import replace

from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import (
    BACKGROUNDS,
    MAX_COUNT,
    MOTIONS,
    NUMBER_WORDS,
    OBJECTS,
    SOUND_OF_OBJECT,
    SOUNDS,
)
from emoji_mini.world.describing import article, call, describe
from emoji_mini.world.draft import Draft
from emoji_mini.world.questions import about_things
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

SOUNDING = tuple(SOUND_OF_OBJECT)
REQUESTS = {
    "image": say.IMAGE_REQUESTS,
    "video": say.VIDEO_REQUESTS,
    "audio": say.AUDIO_REQUESTS,
}


def cross(d: Draft) -> None:
    """A medium in, another modality out."""
    form = d.pick(
        ("seen to sound", "sound to picture", "sound to clip", "seen to clip", "clip to picture")
    )
    if form == "seen to sound":
        seen = d.video() if d.chance(0.4) else d.image(relation_share=0.0)
        if seen.object not in SOUND_OF_OBJECT and d.chance(0.8):
            seen = replace(seen, object=d.pick(SOUNDING))
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
    thing = d.pick(SOUNDING)
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
        scene = d.sound_of(d.pick(SOUNDING))
    if not isinstance(scene, AudioScene) and d.chance(0.4):
        scene = replace(scene, object=d.pick(SOUNDING))
    if d.chance(0.6):
        d.user(d.phrase(REQUESTS[modality]).format(x=describe(d.rng, scene)))
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
        question, answer = about_things(d, scene)
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
