"""Questions about media: a picture, clip or sound from the user, words from the assistant."""

from __future__ import annotations

from collections.abc import Callable

from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import BACKGROUNDS, NUMBER_WORDS, OBJECTS, SOUNDS, Relation
from emoji_mini.world.draft import Draft
from emoji_mini.world.scenes import ImageScene, Scene

Builder = Callable[[Draft], None]
_INVERSE: dict[Relation, Relation] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}


def sample(d: Draft, modality: str) -> Scene:
    samplers: dict[str, Callable[[], Scene]] = {
        "image": d.image,
        "video": d.video,
        "audio": d.audio,
    }
    return samplers[modality]()


def capital(text: str) -> str:
    return text[0].upper() + text[1:]


def caption(modality: str) -> Builder:
    """A medium, with an instruction or bare; the caption as answer."""

    def build(d: Draft) -> None:
        scene = sample(d, modality)
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
        question, answer = _about_pair(d, scene) if scene.relation else about_things(d, scene)
        d.user(*((scene, question) if first else (question,)))
        d.assistant(answer)
        first = False


def about_things(d: Draft, scene: ImageScene) -> tuple[str, str]:
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
