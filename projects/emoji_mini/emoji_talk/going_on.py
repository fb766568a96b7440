"""Turns that follow up on what was shown: more, others, elsewhere, moving, heard, recalled. What
they mean is in the conversation, not in the words.
"""

from __future__ import annotations

from dataclasses import replace

from emoji_mini.emoji_talk.asking import SOUNDING
from emoji_mini.emoji_talk.showing import question_about
from emoji_mini.emoji_talk.talk import Talk
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.scenes import BACKGROUNDS, ClipScene, PictureScene, Scene, SoundScene
from emoji_mini.emoji_world.sounds import SOUND_OF_THING, SOUNDS
from emoji_mini.emoji_world.things import MAX_COUNT, NUMBER_WORDS, THINGS


def go_on(t: Talk) -> None:
    """One more turn about what was shown or played last. Needs `t.about`."""
    scene = t.about
    assert scene is not None
    if isinstance(scene, SoundScene):
        _after_sound(t, scene)
        return
    moves = ["place", "thing", "sound", "ask", "more"]
    if isinstance(scene, ClipScene):
        moves += ["still", "motion"]
    elif scene.other is None:
        moves += ["number", "number", "motion"]
    else:
        moves = ["place", "ask", "more"]
    move = t.pick(moves)
    if move == "sound":
        _to_sound(t, scene)
    elif move == "ask":
        question, answer = question_about(t, scene)
        t.user(question)
        t.assistant(answer)
        t.about = scene
    else:
        question, following = changed(t, scene, move)
        t.user(question)
        t.show(following)


def changed(t: Talk, scene: PictureScene | ClipScene, move: str) -> tuple[str, Scene]:
    """What the user says to change what is seen, and what it becomes. `move` is "still", "motion",
    "place", "thing", "number" or "more".
    """
    if move == "still":
        return t.line("its_picture"), t.one(scene.object, scene.background)
    if move == "motion":
        if t.chance(0.5):
            return t.line("motion"), t.moving(scene.object, None, scene.background)
        motion = t.motion(scene.object)
        return t.line("motion_so", m=motion), t.moving(scene.object, motion, scene.background)
    if move == "place":
        background = t.pick([name for name in BACKGROUNDS if name != scene.background])
        words = t.place(background)
        return t.line("place_instead", b=words), replace(
            scene, background=background, seed=t.seed()
        )
    if move == "thing":
        return _other_thing(t, scene)
    if move == "number" and isinstance(scene, PictureScene):
        count = t.pick([n for n in range(1, MAX_COUNT + 1) if n != scene.count])
        number = t.pick((NUMBER_WORDS[count], str(count), NUMBER_WORDS[count]))
        return t.line("number", n=number), replace(scene, count=count, seed=t.seed())
    # "One more of them" after two bees: three bees; "again" is the same once more.
    if isinstance(scene, PictureScene) and scene.other is None and scene.count < MAX_COUNT:
        if t.chance(0.6):
            line = t.line("one_more", p=THINGS[scene.object].many(2).removeprefix("two "))
            return line, replace(scene, count=scene.count + 1, seed=t.seed())
    return t.line("more"), replace(scene, seed=t.seed())


def _other_thing(t: Talk, scene: PictureScene | ClipScene) -> tuple[str, Scene]:
    other = THINGS[t.pick([name for name in THINGS if name != scene.object])]
    if isinstance(scene, ClipScene):
        words = call(t.rng, other)
        if THINGS[scene.object].does == scene.motion and other.does != scene.motion:
            return t.line("thing_instead", x=words), t.moving(other.name, None, scene.background)
        return t.line("thing_instead", x=words), replace(scene, object=other.name, seed=t.seed())
    words = call(t.rng, other, scene.count)
    return t.line("thing_instead", x=words), replace(scene, object=other.name, seed=t.seed())


def _to_sound(t: Talk, scene: PictureScene | ClipScene) -> None:
    thing = scene.object
    made = not isinstance(t.turns[-1][1][-1], str)  # only a medium can be a mistake
    correcting = made and t.chance(0.35)
    t.user(t.line("no_the_sound" if correcting else "its_sound"))
    if thing in SOUND_OF_THING:
        t.show(t.sound_of(thing), before=t.line("oops") if correcting else "")
    else:
        t.assistant(t.line("silent_reply", x=THINGS[thing].one))


def _after_sound(t: Talk, scene: SoundScene) -> None:
    thing = SOUNDS[scene.sounds[0]].thing
    if len(scene.sounds) == 2 or not thing or t.chance(0.3):
        if t.chance(0.4):
            t.user(t.line("more"))
            t.show(replace(scene, seed=t.seed()))
            return
        following = t.sound(t.pick([name for name in SOUNDS if name not in scene.sounds]))
        t.user(t.line("thing_instead", x=t.words(following)))
        t.show(following)
    elif t.chance(0.6):
        made = not isinstance(t.turns[-1][1][-1], str)
        correcting = made and t.chance(0.4)
        t.user(t.line("no_the_picture" if correcting else "its_picture"))
        t.show(t.one(thing), before=t.line("oops") if correcting else "")
    elif t.chance(0.5):
        motion = t.motion(thing)
        t.user(t.line("motion_so", m=motion))
        t.show(t.moving(thing, motion))
    else:
        t.user(t.line("motion"))
        t.show(t.moving(thing))


def cross(t: Talk) -> None:
    """The user gives a medium and wants another of the same thing."""
    form = t.pick(("seen", "seen", "heard", "heard"))
    if form == "heard":
        thing = t.pick(SOUNDING)
        moving = t.chance(0.3)
        t.user(t.sound_of(thing), t.line("motion" if moving else "its_picture"))
        t.show(t.moving(thing) if moving else t.one(thing))
        return
    seen = t.clip() if t.chance(0.4) else replace(t.picture(alone=True), count=1)
    if t.chance(0.6):
        seen = _sounding(t, seen)
        t.user(seen, t.line("its_sound"))
        if seen.object in SOUND_OF_THING:
            t.show(t.sound_of(seen.object))
        else:
            t.assistant(t.line("silent_reply", x=THINGS[seen.object].one))
            t.about = seen
        return
    move = "still" if isinstance(seen, ClipScene) else t.pick(("motion", "place", "thing"))
    question, following = changed(t, seen, move)
    t.user(seen, question)
    t.show(following)


def recall(t: Talk) -> None:
    """What came first, or last, in this conversation, which must hold media."""
    made = [(role, part) for role, said in t.turns for part in said if not isinstance(part, str)]
    if t.chance(0.5):
        t.user(t.line("recall_first"))
        t.assistant(f"First there was {made[0][1].caption}.")
    else:
        last = [part for role, part in made if role == "assistant"]
        if not last:
            return
        t.user(t.line("recall_last"))
        t.assistant(f"The last thing that I made was {last[-1].caption}.")


def thank(t: Talk) -> None:
    t.user(t.line("thanks"))
    t.assistant(t.line("glad"))


def _sounding(t: Talk, seen: PictureScene | ClipScene) -> PictureScene | ClipScene:
    """Mostly something that has a sound."""
    if seen.object in SOUND_OF_THING or t.chance(0.15):
        return seen
    thing = t.pick(SOUNDING)
    if isinstance(seen, ClipScene) and seen.motion == THINGS[seen.object].does:
        return t.moving(thing, None, seen.background)
    return replace(seen, object=thing)
