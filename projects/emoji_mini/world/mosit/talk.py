"""A dialogue of the emoji world while it is written: the person, what was shown, and what "it"
means now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anyweave.messages import Modality, Part
from anyweave_making.mosit import Talk, Topic
from emoji_mini.world.catalogue import OBJECTS, SOUND_OF_OBJECT, SOUNDS
from emoji_mini.world.describing import DEFAULT_MOTION, article
from emoji_mini.world.draft import Draft, Said, as_part, casually, modality_of, spaced
from emoji_mini.world.mosit.situations import Bank, Pair, Situation
from emoji_mini.world.phrases import OUTSIDE, usable
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene

__all__ = ["EmojiTalk", "ShortTalk"]

# Share of scenes that are about what this person likes; the rest keeps all things known.
_OWN = 0.75


class EmojiTalk(Talk):
    """State of a dialogue for the acts of `acts`.

    `about` is what a pronoun would mean, None after talk about nothing to see or hear; `by` says
    who showed it. Scenes are of the training split: `is_whole` refuses a dialogue with another.
    """

    def __init__(
        self,
        situation: Situation,
        bank: Bank,
        topic: Topic,
        rng: np.random.Generator,
        num_turns: int,
    ) -> None:
        super().__init__(topic, bank, rng, num_turns)
        self.situation = situation
        self.bank = bank
        self.draft = Draft(rng, "train")
        self.about: Scene | None = None
        self.by = "user"
        self.given: list[Scene] = []
        self.made: list[Scene] = []
        self.first: Scene | None = None
        """What was seen or heard first in this dialogue."""
        self._quiet = False
        self._casual = self.chance(0.08)  # writes without capitals and full stops

    # --- words

    def own(self, lines: Sequence[str], **slots: str) -> str:
        """One of the situation's lines, as long as possible one that was not said yet."""
        return self.fresh(lines).format(**slots)

    def entry(self, key: str) -> Any:
        """Any entry of the bank, of whatever form."""
        return self.draft.pick(self.bank[key])

    def bank_pairs(self, key: str) -> tuple[Pair, ...]:
        """The pairs of the bank under `key`."""
        return tuple((one, other) for one, other in self.bank[key])

    def outside_thing(self) -> str:
        """Something that is not in the world, with its article."""
        names = self.bank["outside"] if self.chance(0.6) else usable(OUTSIDE, "train")
        return article(self.draft.pick(names))

    def before(self) -> str:
        """Why the person is here, or what they think of what they were given."""
        if self._quiet:
            return ""
        if not self.messages:
            return self.own(self.situation.opening) if self.chance(0.6) else ""
        if self.messages[-1].media() and self.chance(0.4):
            lines = self.situation.love if self.chance(0.5) else self.bank["thanks"]
            return self.own(lines)
        return ""

    def showing(self, *scenes: Scene, before: str = "") -> tuple[Said, ...]:
        """The assistant's words and media: each canonical caption is said right before its medium.

        Without words `before`, some replies begin with a "With pleasure!".
        """
        if not before and self.chance(0.3):
            before = self.phrase("sure")
        said: list[Said] = []
        for scene in scenes:
            said += self.draft.showing(scene, before, plain=bool(said))
            before = ""
        return tuple(said)

    # --- scenes

    def thing(self, *, sounding: bool = False) -> str:
        """Something that this person likes, mostly."""
        liked = self.situation.things if self.chance(_OWN) else tuple(OBJECTS)
        options = [name for name in liked if name in SOUND_OF_OBJECT] if sounding else liked
        return self.draft.pick(options or tuple(SOUND_OF_OBJECT))

    def place(self) -> str:
        """A background that goes with the situation."""
        return self.draft.pick(self.situation.places)

    def image(self, *, many: bool = True) -> ImageScene:
        """A picture: of one thing or, where `many` may come, of several; seldom of two kinds."""
        while True:
            scene = self.draft.image(relation_share=0.1)
            if scene.relation is None:
                count = scene.count if many else 1
                place = self.place() if self.chance(_OWN) else scene.background
                scene = replace(scene, object=self.thing(), count=count, background=place)
            if scene.split == self.draft.split:
                return scene

    def video(self) -> VideoScene:
        """A clip of something that this person likes, mostly."""
        while True:
            scene = replace(self.draft.video(), object=self.thing(), background=self.place())
            if scene.split == self.draft.split:
                return scene

    def audio(self) -> AudioScene:
        """A sound that goes with the situation, mostly."""
        if self.chance(1 - _OWN):
            return self.draft.audio()
        return self.draft.sound(self.draft.pick(self.situation.sounds))

    def sample(self, modality: Modality) -> Scene:
        """A scene of a modality, as `image`, `video` and `audio` make them."""
        makers: Mapping[Modality, Callable[[], Scene]] = {
            "image": self.image,
            "video": self.video,
            "audio": self.audio,
        }
        return makers[modality]()

    def next_modality(self) -> Modality:
        """Seldom twice the same in a row."""
        last = None if self.about is None else modality_of(self.about)
        weights: dict[Modality, float] = {"image": 1.0, "video": 0.8, "audio": 0.8}
        shares = np.array([w * (0.25 if m == last else 1.0) for m, w in weights.items()])
        return list(weights)[int(self.rng.choice(len(weights), p=shares / shares.sum()))]

    @property
    def heard_thing(self) -> str | None:
        """The thing that "it" is, also when it was only heard."""
        if isinstance(self.about, AudioScene):
            return SOUNDS[self.about.sounds[0]].object if len(self.about.sounds) == 1 else None
        return None if self.about is None else self.about.object

    @property
    def single(self) -> bool:
        """Whether "it" is one thing alone, which could move."""
        return not isinstance(self.about, ImageScene) or (
            self.about.count == 1 and self.about.relation is None
        )

    @property
    def pair(self) -> bool:
        """Whether "it" is two things, or two sounds."""
        if isinstance(self.about, AudioScene):
            return len(self.about.sounds) > 1
        return isinstance(self.about, ImageScene) and self.about.relation is not None

    def plain(self, modality: Modality, name: str, count: int = 1) -> ImageScene | VideoScene:
        """What a request that says nothing more of a thing gets: its picture, or its clip."""
        if modality == "image":
            return ImageScene(object=name, count=count, seed=self.draft.seed())
        return VideoScene(object=name, motion=DEFAULT_MOTION, seed=self.draft.seed())

    def still(self) -> ImageScene:
        """A picture of "it", which was heard or seen moving."""
        place = self.about.background if isinstance(self.about, VideoScene) else "white"
        return ImageScene(object=str(self.heard_thing), background=place, seed=self.draft.seed())

    def clip(self, scene: Scene | None, motion: str) -> VideoScene:
        """What `scene` shows in motion, where it is; without one to be seen, "it"."""
        if isinstance(scene, (ImageScene, VideoScene)):
            name, place = scene.object, scene.background
        else:
            name, place = str(self.heard_thing), "white"
        return VideoScene(object=name, motion=motion, background=place, seed=self.draft.seed())

    # --- turns

    def _opening(self, parts: Sequence[Part | str]) -> list[Part | str]:
        said = super()._opening(parts)
        if not self._casual:
            return said
        return [casually(part) if isinstance(part, str) else part for part in said]

    def say(
        self, user: Sequence[Said], reply: Sequence[Said], *tags: str, about: Scene | None = None
    ) -> None:
        """One exchange. What was shown last is what "it" means from now on, or else `about`."""
        given = [part for part in user if not isinstance(part, str)]
        made = [part for part in reply if not isinstance(part, str)]
        self.exchange(_parts(user), _parts(spaced(reply)), *tags)
        self.given += given
        self.made += made
        self.first = self.first or next(iter((*given, *made)), None)
        self.by = "assistant" if made else "user"
        self.about = made[-1] if made else given[-1] if given else about

    def quietly(self, user: Sequence[Said], reply: Sequence[Said], *tags: str) -> None:
        """As `say`, with nothing before what the user says: it answers the assistant."""
        self._quiet = True
        self.say(user, reply, *tags)
        self._quiet = False

    def is_whole(self) -> bool:
        several = len({part.modality for part in self.media()}) > 1
        known = all(scene.split == "train" for scene in (*self.given, *self.made))
        return bool(self.given and self.made and several and known)


class ShortTalk(EmojiTalk):
    """A chat of one exchange or two, with media or without."""

    def before(self) -> str:
        """Most come straight to the point."""
        return super().before() if self.messages or self.chance(0.25) else ""

    def is_whole(self) -> bool:
        return all(scene.split == "train" for scene in (*self.given, *self.made))


def _parts(said: Sequence[Said]) -> list[Part | str]:
    return [part if isinstance(part, str) else as_part(part, rendered=False) for part in said]
