"""A person shows something of their own and asks what it is."""

from __future__ import annotations

from anyweave.messages import Modality
from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import OBJECTS
from emoji_mini.world.draft import Said
from emoji_mini.world.mosit.talk import EmojiTalk
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene

__all__ = ["compare", "is_it", "own_pictures", "show"]


def show(t: EmojiTalk) -> None:
    """A medium of the person's own; the answer is its caption."""
    modality = t.next_modality()
    scene = t.sample(modality)
    asked = t.own(t.situation.shown[modality]) if t.chance(0.6) else t.phrase("which")
    answer = t.draft.pick(say.DESCRIPTION[modality]).format(c=scene.caption)
    t.say(_beside(t, asked, scene), [answer], "perception")


def is_it(t: EmojiTalk) -> None:
    """Whether what is shown is one thing or another."""
    modality: Modality = t.draft.pick(("image", "video"))
    scene = t.sample(modality)
    assert not isinstance(scene, AudioScene)
    asked = scene.object if t.chance(0.5) else t.thing()
    yes = asked == scene.object or (isinstance(scene, ImageScene) and asked == scene.other)
    words = t.phrase("is_it", a=OBJECTS[asked].with_article)
    answer = f"{'Yes' if yes else 'No'}, I see {scene.caption}."
    t.say(_beside(t, words, scene), [answer], "perception")


def compare(t: EmojiTalk) -> None:
    """A second picture beside one that the person sent before."""
    before = own_pictures(t)[-1]
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
    """A medium with words, which come before it now and then."""
    return [words, scene] if t.chance(0.25) else [scene, words]


def own_pictures(t: EmojiTalk) -> list[ImageScene]:
    """The pictures that the person sent so far."""
    return [scene for scene in t.given if isinstance(scene, ImageScene)]
