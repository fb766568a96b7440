"""A conversation in the making: media are scenes until the very end, when `Draft.finish` renders
them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from anyweave.messages import (
    MEDIA_TYPES,
    Conversation,
    Media,
    Message,
    Modality,
    Part,
    Text,
)
from emoji_mini.world.catalogue import RATES, SOUND_OF_OBJECT
from emoji_mini.world.phrases import SHOW, usable
from emoji_mini.world.render import render
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    Scene,
    Split,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
)

T = TypeVar("T")
Said = str | Scene
_MANY = {"Here is": "Here are", "This is": "These are"}


@dataclass(frozen=True)
class Dialogue:
    """A finished conversation with its truth: the scene of every medium, in the order of the
    messages.
    """

    kind: str
    messages: Conversation
    scenes: tuple[Scene, ...]


def modality_of(scene: Scene) -> Modality:
    if isinstance(scene, ImageScene):
        return "image"
    return "video" if isinstance(scene, VideoScene) else "audio"


def _wanted(scene: Scene, with_media: bool | Collection[Modality]) -> bool:
    return with_media if isinstance(with_media, bool) else modality_of(scene) in with_media


def as_part(scene: Scene, *, rendered: bool) -> Media:
    """The scene as a message part. `caption` is exactly the scene's, and `rate` is set where one
    applies.
    """
    modality = modality_of(scene)
    source = render(scene) if rendered else None
    return MEDIA_TYPES[modality](source, caption=scene.caption, rate=RATES[modality])


def casually(text: str) -> str:
    """Without a capital and a full stop."""
    start = len(text) - len(text.lstrip())
    return text[:start] + text[start : start + 1].lower() + text[start + 1 :].rstrip(".")


def spaced(said: Sequence[Said]) -> tuple[Said, ...]:
    """The parts of a reply; words that follow a medium begin with a space."""
    return tuple(f" {part}" if n and isinstance(part, str) else part for n, part in enumerate(said))


@dataclass
class Draft:
    """Collects turns. Every random choice comes from `rng`, every phrasing from those that `split`
    may use.
    """

    rng: np.random.Generator
    split: Split
    turns: list[tuple[str, tuple[Said, ...]]] = field(default_factory=list)

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.integers(len(options)))]

    def phrase(self, phrases: Sequence[T]) -> T:
        return self.pick(usable(phrases, self.split))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def image(self, *, relation_share: float = 0.2) -> ImageScene:
        return sample_image(self.rng, self.split, relation_share=relation_share)

    def video(self) -> VideoScene:
        return sample_video(self.rng, self.split)

    def audio(self, *, pair_share: float = 0.15) -> AudioScene:
        return sample_audio(self.rng, self.split, pair_share=pair_share)

    def sound(self, name: str) -> AudioScene:
        """A scene of one named sound, in a take of the split."""
        scene = self.audio(pair_share=0.0)
        return replace(scene, sounds=(name,))

    def sound_of(self, thing: str) -> AudioScene:
        return self.sound(SOUND_OF_OBJECT[thing])

    def seed(self) -> int:
        return int(self.rng.integers(2**31))

    def user(self, *said: Said) -> None:
        """A user's turn; empty texts are left out, and now and then the words come before the
        media.
        """
        kept = [part for part in said if part != ""]
        if len(kept) == 2 and not isinstance(kept[0], str) and self.chance(0.15):
            kept.reverse()
        self.turns.append(
            ("user", tuple(self._casual(p) if isinstance(p, str) else p for p in kept))
        )

    def assistant(self, *said: Said) -> None:
        """The assistant's turn."""
        self.turns.append(("assistant", spaced(said)))

    def showing(self, scene: Scene, before: str = "", *, plain: bool = False) -> tuple[Said, ...]:
        """The assistant's words for a scene and the scene: the canonical caption is said right
        before it.

        `plain` leaves out a "Sure!", as does something said `before`.
        """
        words = self.pick(SHOW[modality_of(scene)]).format(c=scene.caption)
        if before or plain:
            words = words.removeprefix("Sure! ")
        if isinstance(scene, ImageScene) and scene.count > 1:
            for one, many in _MANY.items():
                words = words.replace(f"{one} {scene.caption}", f"{many} {scene.caption}")
        return f"{before} {words}".strip(), scene

    def _casual(self, text: str) -> str:
        """Some people write without capitals or full stops."""
        return casually(text) if self.chance(0.12) else text

    @property
    def scenes(self) -> tuple[Scene, ...]:
        return tuple(part for _, said in self.turns for part in said if not isinstance(part, str))

    @property
    def allowed(self) -> bool:
        """Training holds no test scene at all; a test with media holds at least one."""
        splits = [scene.split for scene in self.scenes]
        if self.split == "train":
            return "test" not in splits
        return not splits or "test" in splits

    def finish(self, kind: str, *, with_media: bool | Collection[Modality]) -> Dialogue:
        """Render: user media always, the assistant's all, none, or those of some modalities."""
        messages = []
        for role, said in self.turns:
            parts: list[Part] = [
                Text(part)
                if isinstance(part, str)
                else as_part(part, rendered=role == "user" or _wanted(part, with_media))
                for part in said
            ]
            messages.append(Message("user" if role == "user" else "assistant", parts))
        return Dialogue(kind, messages, self.scenes)
