"""A conversation in the making: media are scenes until `Talk.finish` renders them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from anyweave.messages import MEDIA_TYPES, Conversation, Media, Message, Modality, Part, Text
from emoji_mini.emoji_talk.phrases import phrases
from emoji_mini.emoji_world.captions import describe
from emoji_mini.emoji_world.render import FRAME_RATE, render
from emoji_mini.emoji_world.sampling import pick, sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import (
    BACKGROUNDS,
    MOTIONS,
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
    Split,
)
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SOUND_OF_THING
from emoji_mini.emoji_world.things import THINGS

T = TypeVar("T")
Said = str | Scene
RATES: dict[Modality, float | None] = {"image": None, "video": FRAME_RATE, "audio": SAMPLE_RATE}
MODALITIES: dict[type, Modality] = {
    PictureScene: "image",
    ClipScene: "video",
    SoundScene: "audio",
}
SAMPLERS: dict[Modality, Callable[[np.random.Generator, Split], Scene]] = {
    "image": sample_picture,
    "video": sample_clip,
    "audio": sample_sound,
}
KIND: dict[Modality, str] = {"image": "picture", "video": "clip", "audio": "sound"}
DEFAULT_MOTION = "bouncing"  # for things with no motion of their own
_MANY = {"Here is": "Here are", "This is": "These are"}
_EXAMPLES = {  # how a reply introduces a medium; the caption {c} comes right before it
    "image": ("Here is {c}.", "Here is a picture of {c}.", "Sure! Here is {c}.", "This is {c}."),
    "video": ("Here is a clip of {c}.", "Sure! Here is a clip of {c}.", "This clip shows {c}."),
    "audio": (
        "Here is the sound of {c}.",
        "Listen: {c}.",
        "Sure! Here is the sound of {c}.",
        "This is the sound of {c}.",
    ),
}


@dataclass(frozen=True)
class Dialogue:
    """A finished conversation with its truth: the scene of every medium, in order."""

    kind: str
    messages: Conversation
    scenes: tuple[Scene, ...]


def modality_of(scene: Scene) -> Modality:
    return MODALITIES[type(scene)]


def _are_many(scene: Scene) -> bool:
    """Whether to say "here are": not for "a shell above a bee"."""
    return (
        isinstance(scene, PictureScene)
        and scene.relation is None
        and scene.count + scene.other_count > 1
    )


def as_part(scene: Scene, *, rendered: bool) -> Media:
    """The scene as a message part with the scene's caption."""
    modality = modality_of(scene)
    source = render(scene) if rendered else None
    return MEDIA_TYPES[modality](source, caption=scene.caption, rate=RATES[modality])


@dataclass
class Talk:
    """Collects turns. Every choice comes from `rng`, every phrasing from those for `split`.

    `about` is what "it" means now, None after talk about nothing seen or heard.
    """

    rng: np.random.Generator
    split: Split
    turns: list[tuple[str, tuple[Said, ...]]] = field(default_factory=list)
    about: Scene | None = None

    # --- choices

    def pick(self, options: Sequence[T]) -> T:
        return pick(self.rng, options)

    def line(self, key: str, **slots: str) -> str:
        """One of the phrasings of a table, its slots filled."""
        return str(self.pick(phrases(key, self.split))).format(**slots)

    def row(self, key: str) -> Any:
        return self.pick(phrases(key, self.split))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def seed(self) -> int:
        return int(self.rng.integers(2**31))

    # --- scenes

    def picture(self, *, alone: bool = False) -> PictureScene:
        """A random picture; `alone`: of one kind of thing."""
        while True:
            scene = sample_picture(self.rng, self.split)
            if not (alone and scene.other):
                return scene

    def clip(self) -> ClipScene:
        return sample_clip(self.rng, self.split)

    def sound(self, name: str | None = None, *, pair_share: float = 0.2) -> SoundScene:
        """A random sound, or a take of a named one."""
        scene = sample_sound(self.rng, self.split, pair_share=0 if name else pair_share)
        return replace(scene, sounds=(name,)) if name else scene

    def sound_of(self, thing: str) -> SoundScene:
        return self.sound(SOUND_OF_THING[thing])

    def scene(self, modality: Modality) -> Scene:
        if modality == "image":
            return self.picture()
        return self.clip() if modality == "video" else self.sound()

    def one(self, thing: str, background: str = "white") -> PictureScene:
        """A plain picture of one thing."""
        return PictureScene(object=thing, background=background, seed=self.seed())

    def moving(self, thing: str, motion: str | None = None, background: str = "white") -> ClipScene:
        """A clip of a thing, in its own motion if none is named."""
        motion = motion or THINGS[thing].does or DEFAULT_MOTION
        return ClipScene(object=thing, motion=motion, background=background, seed=self.seed())

    def motion(self, thing: str) -> str:
        """A motion that a thing can have."""
        own = THINGS[thing].does
        return own if own and self.chance(0.3) else self.pick(tuple(MOTIONS))

    def place(self, background: str) -> str:
        """A background in someone's words."""
        return self.pick(BACKGROUNDS[background])

    def words(self, scene: Scene) -> str:
        """A scene in someone's words."""
        return describe(self.rng, scene)

    # --- turns

    def user(self, *said: Said) -> None:
        """A user's turn; empty texts are left out, and now and then words come before media."""
        kept = [part for part in said if part != ""]
        if len(kept) == 2 and not isinstance(kept[0], str) and self.chance(0.2):
            kept.reverse()
        self.turns.append(
            ("user", tuple(self._casual(p) if isinstance(p, str) else p for p in kept))
        )

    def assistant(self, *said: Said) -> None:
        """The assistant's turn; words that follow a medium begin with a space."""
        spaced = tuple(
            f" {part}" if n and isinstance(part, str) else part for n, part in enumerate(said)
        )
        self.turns.append(("assistant", spaced))

    def show(self, *scenes: Scene, before: str = "") -> None:
        """The assistant's reply with `scenes`, each caption right before its medium."""
        said: list[Said] = []
        for scene in scenes:
            options = [
                words
                for words in _EXAMPLES[modality_of(scene)]
                if not (said or before) or not words.startswith("Sure")
            ]
            words = self.pick(options).format(c=scene.caption)
            if _are_many(scene):
                for one, many in _MANY.items():
                    words = words.replace(f"{one} {scene.caption}", f"{many} {scene.caption}")
            said += [f"{before} {words}".strip(), scene]
            before = ""
        self.assistant(*said)
        self.about = scenes[-1] if len(scenes) == 1 else None

    def _casual(self, text: str) -> str:
        """Some people write without capitals or full stops."""
        if not self.chance(0.25):
            return text
        words = text.lower() if self.chance(0.5) else text[:1].lower() + text[1:]
        return words.rstrip(".!") if self.chance(0.7) else words

    # --- the end

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

        def wanted(scene: Scene) -> bool:
            if isinstance(with_media, bool):
                return with_media
            return modality_of(scene) in with_media

        messages = []
        for role, said in self.turns:
            parts: list[Part] = [
                Text(part)
                if isinstance(part, str)
                else as_part(part, rendered=role == "user" or wanted(part))
                for part in said
            ]
            messages.append(Message("user" if role == "user" else "assistant", parts))
        return Dialogue(kind, messages, self.scenes)
