"""A person goes on with "it": wants it otherwise, in another medium, or asks about it."""

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
from emoji_mini.world.describing import DEFAULT_MOTION, article, call
from emoji_mini.world.mosit.talk import EmojiTalk
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

__all__ = [
    "again",
    "correct",
    "count_it",
    "hear_it",
    "move_it",
    "question",
    "recall",
    "replace_it",
    "see_it",
    "watch_it",
]

# The assistant on what was said before: {c} a caption.
_RECALL = ("It was {c}.", "That was {c}.")


def hear_it(t: EmojiTalk) -> None:
    """The sound of what was seen; for what is silent a no, in words."""
    thing = t.heard_thing
    assert thing is not None
    words = t.phrase("sound_of")
    if thing in SOUND_OF_OBJECT:
        t.say([words], t.showing(t.draft.sound_of(thing)), "follow up")
    else:
        silent = t.phrase("silent_reply", x=OBJECTS[thing].with_article)
        t.say([words], [silent], "refusal", about=t.about)


def see_it(t: EmojiTalk) -> None:
    """A picture of what was heard or seen moving."""
    t.say([t.phrase("picture_of")], t.showing(t.still()), "follow up")


def watch_it(t: EmojiTalk) -> None:
    """A clip of it."""
    motion = DEFAULT_MOTION if t.chance(0.3) else t.draft.pick(MOTIONS)
    if motion == DEFAULT_MOTION and t.chance(0.6):
        words = t.phrase("clip_of")
    else:
        words = t.phrase("clip_doing", m=t.draft.pick(say.MOTION_WORDS[motion]))
    t.say([words], t.showing(t.clip(t.about, motion)), "follow up")


def count_it(t: EmojiTalk) -> None:
    """Another number of it."""
    assert isinstance(t.about, ImageScene)
    count = t.draft.pick([n for n in range(2, MAX_COUNT + 1) if n != t.about.count])
    scene = replace(t.about, count=count, seed=t.draft.seed())
    t.say([t.phrase("change_count", n=NUMBER_WORDS[count])], t.showing(scene), "follow up")


def move_it(t: EmojiTalk) -> None:
    """The same in another place."""
    assert isinstance(t.about, (ImageScene, VideoScene))
    place = t.draft.pick([name for name in BACKGROUNDS if name != t.about.background])
    words = t.draft.pick([words for words in say.PLACES[place] if words])
    scene = replace(t.about, background=place, seed=t.draft.seed())
    t.say([t.phrase("change_place", b=words)], t.showing(scene), "follow up")


def replace_it(t: EmojiTalk) -> None:
    """Something else in its place."""
    scene, words = _other(t)
    t.say([t.phrase("change_thing", x=words)], t.showing(scene), "follow up")


def again(t: EmojiTalk) -> None:
    """The same scene, drawn otherwise."""
    assert t.about is not None
    scene = replace(t.about, seed=t.draft.seed())
    t.say([t.phrase("again")], t.showing(scene), "follow up")


def correct(t: EmojiTalk) -> None:
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
        scene = t.still() if meant == "picture" else t.clip(t.about, DEFAULT_MOTION)
    t.quietly([t.phrase(f"no_the_{meant}")], t.showing(scene, before=sorry), "correction")


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
    if isinstance(scene, ImageScene) and scene.count > 1:
        return scene, f"{NUMBER_WORDS[scene.count]} {call(t.rng, name, plural=True)}"
    return scene, article(call(t.rng, name))


def question(t: EmojiTalk) -> None:
    """How many, where, moving how: answered in words."""
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


def recall(t: EmojiTalk) -> None:
    """What was shown or heard first, or made last."""
    first = t.draft.chance(0.6)
    scene = t.first if first else t.made[-1]
    assert scene is not None
    words = t.phrase("recall_first" if first else "recall_last")
    answer = t.draft.pick(_RECALL).format(c=scene.caption)
    t.say([words], [answer], "recall", "reasoning")
