"""Turns in which the user shows or plays something and asks about it."""

from __future__ import annotations

from anyweave.messages import Modality
from emoji_mini.emoji_talk.talk import KIND, Talk
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.scenes import BACKGROUNDS, MIRRORS, ClipScene, PictureScene, SoundScene
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import NUMBER_WORDS, THINGS


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def describe_it(t: Talk, modality: Modality) -> None:
    """A medium, with or without an instruction; its caption is the answer."""
    scene = t.scene(modality)
    kind = KIND[modality]
    if t.chance(0.3):
        t.user(scene)
        t.assistant(capital(scene.caption) + ".")
    else:
        t.user(scene, t.line(f"describe_{kind}"))
        t.assistant(t.line(f"description_{kind}", c=scene.caption))
    t.about = scene


def ask_about(t: Talk, modality: Modality) -> None:
    """A medium and one or two questions about it."""
    scene = t.scene(modality)
    for turn in range(2 if t.chance(0.3) else 1):
        question, answer = question_about(t, scene)
        t.user(*((question,) if turn else (scene, question)))
        t.assistant(answer)
    t.about = scene


def question_about(t: Talk, scene: PictureScene | ClipScene | SoundScene) -> tuple[str, str]:
    """A question whose answer the scene decides, and the answer."""
    if isinstance(scene, SoundScene):
        return _about_sound(t, scene)
    topic = t.pick(("what", "where", "yes", "own", "own", "own"))
    thing = THINGS[scene.object]
    is_clip = isinstance(scene, ClipScene)
    count = 1 if isinstance(scene, ClipScene) else scene.count
    shown = thing.many(count)
    if isinstance(scene, PictureScene) and scene.other is not None:
        shown += f" and {THINGS[scene.other].many(scene.other_count)}"
    many = not is_clip and count + getattr(scene, "other_count", 0) > 1
    if topic == "what":
        key = t.pick(("which", "what_clip" if is_clip else "what_picture"))
        return t.line(key), f"These are {shown}." if many else f"It is {shown}."
    if topic == "where":
        place = BACKGROUNDS[scene.background][0]
        return t.line("where_is"), f"They are {place}." if many else f"It is {place}."
    if topic == "yes":
        asked = thing if t.chance(0.5) else THINGS[t.pick(tuple(THINGS))]
        right = asked.name in (scene.object, getattr(scene, "other", None))
        answer = "these are" if many else "it is"
        return (
            t.line("is_it", a=call(t.rng, asked)),
            f"{'Yes' if right else 'No'}, {answer} {shown}.",
        )
    if isinstance(scene, ClipScene):
        return t.line("which_motion"), f"The {thing.name} is {scene.motion}."
    if scene.relation is not None and scene.other is not None:
        return _about_relation(t, scene)
    if scene.other is not None:
        which, number = t.pick(((scene.object, scene.count), (scene.other, scene.other_count)))
        plural = THINGS[which].many(2).removeprefix("two ")
        ask = t.pick(("How many {p} are there?", "Count the {p}.", "how many {p} do you see"))
        return ask.format(p=plural), _count_answer(which, number)
    return t.line("how_many"), _count_answer(scene.object, scene.count)


def _count_answer(name: str, count: int) -> str:
    thing = THINGS[name]
    if count == 1:
        return f"There is one {f'{thing.unit} of {name}' if thing.unit else name}."
    return f"There are {thing.many(count)}."


def _about_relation(t: Talk, scene: PictureScene) -> tuple[str, str]:
    assert scene.relation is not None and scene.other is not None
    a, b, relation = scene.object, scene.other, scene.relation
    if relation == "between":
        return (
            t.pick(
                (f"Where is the {a}?", f"What is the {a} between?", "What stands in the middle?")
            ),
            f"The {a} is between {THINGS[b].many(2)}.",
        )
    if t.chance(0.5):
        a, b, relation = b, a, MIRRORS[relation]
    ask = t.pick(
        (
            f"Where is the {a}?",
            f"Where is the {a}, seen from the {b}?",
            f"On which side of the {b} is the {a}?",
            f"Is the {a} left of, right of, above or below the {b}?",
            f"How does the {a} stand to the {b}?",
        )
    )
    return ask, f"The {a} is {relation} the {b}."


def _about_sound(t: Talk, scene: SoundScene) -> tuple[str, str]:
    if len(scene.sounds) == 2:
        first = t.chance(0.5)
        heard = SOUNDS[scene.sounds[0 if first else 1]].phrase
        ask = t.pick(
            ("What do you hear first?", "Which sound comes first?", "what is the first sound")
            if first
            else ("What do you hear after that?", "Which sound comes second?", "and at the end?")
        )
        return ask, f"{'First' if first else 'Then'} I hear {heard}."
    sound = SOUNDS[scene.sounds[0]]
    if t.chance(0.6):
        return t.line("what_sound"), f"It is {sound.phrase}."
    asked = sound if t.chance(0.5) else SOUNDS[t.pick(tuple(SOUNDS))]
    ask = t.pick(("Is this {x}?", "Do you hear {x}?", "Could that be {x}?", "is it {x}"))
    yes = "Yes" if asked == sound else "No"
    return ask.format(x=asked.phrase), f"{yes}, it is {sound.phrase}."


def compare(t: Talk) -> None:
    """Two pictures, at once or one after the other."""
    a, b = t.picture(alone=True), t.picture(alone=True)
    if t.chance(0.5):
        t.user(a, b, t.line("compare"))
    else:
        t.user(a, t.line("describe_picture"))
        t.assistant(t.line("description_picture", c=a.caption))
        t.user(b, t.line("compare"))
    t.assistant(f"The first picture shows {a.caption}, the second picture shows {b.caption}.")
    if a.count != b.count and t.chance(0.5):
        t.user(t.line("more_of_which"))
        more, number = ("first", a.count) if a.count > b.count else ("second", b.count)
        t.assistant(f"The {more} picture has more: {NUMBER_WORDS[number]}.")
    t.about = None
