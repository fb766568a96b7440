"""What a person might bring: twenty things and five sounds that the shipped model has never met.

The pictures are the next world's things on this world's backgrounds, the sounds its synthesis.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image as PilImage

from anyweave.data import write_messages
from anyweave.messages import Conversation
from emoji_mini.emoji_world.pack import load_pack as next_pack
from emoji_mini.emoji_world.sounds import SOUNDS as NEXT_SOUNDS
from emoji_mini.emoji_world.synthesis import perform
from emoji_mini.emoji_world.things import THINGS
from emoji_mini.world.assets import SPRITE_SIZE, Pack
from emoji_mini.world.catalogue import AUDIO_SAMPLES, BACKGROUNDS, SAMPLE_RATE
from emoji_mini.world.render import render_image
from emoji_mini.world.scenes import ImageScene
from emoji_mini.world.sources import stage_source

NEW_THINGS = (
    *("tiger", "koala", "giraffe", "zebra", "flamingo", "dolphin", "crab", "ladybug"),
    *("pear", "pineapple", "tomato", "cheese", "ice cream", "taxi", "sailboat", "umbrella"),
    *("crown", "light bulb", "pumpkin", "astronaut"),
)
NEW_SOUNDS = ("owl", "siren", "clock", "robot", "heart")
KEPT = 600
EACH = 10  # pictures of a thing, recordings of a sound


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A medium of the proof: what it shows, its caption, and which take it is."""

    name: str
    background: str = ""
    take: int = 0

    @property
    def is_sound(self) -> bool:
        return not self.background

    @property
    def caption(self) -> str:
        if self.is_sound:
            return NEXT_SOUNDS[self.name].phrase
        return f"{THINGS[self.name].one} {BACKGROUNDS[self.background]}"

    def render(self) -> NDArray[np.uint8] | NDArray[np.float32]:
        """``uint8[64, 64, 3]``, or ``float32[32768]`` at 16 kHz."""
        if self.is_sound:
            wave = perform(self.name, 100 + self.take)[:AUDIO_SAMPLES]
            return (0.8 * wave / (np.abs(wave).max() + 1e-9)).astype(np.float32)
        scene = ImageScene(object=self.name, background=self.background, seed=self.take)
        return render_image(scene, new_pack())


@cache
def new_pack() -> Pack:
    """The new things as this world's sprites: square, 128 pixels."""
    return Pack({name: _sprite(name) for name in NEW_THINGS}, {})


def _sprite(name: str) -> NDArray[np.uint8]:
    picture = PilImage.fromarray(next_pack().picture(name), "RGBA")
    edge = max(picture.size)
    square = PilImage.new("RGBA", (edge, edge))
    square.paste(picture, ((edge - picture.width) // 2, (edge - picture.height) // 2))
    return np.asarray(square.resize((SPRITE_SIZE, SPRITE_SIZE), PilImage.Resampling.LANCZOS))


def brought(each: int = EACH) -> Iterator[Shown]:
    """`each` pictures of every thing, on five of the six backgrounds, and as many recordings of
    every sound.
    """
    places = list(BACKGROUNDS)
    for number, name in enumerate(NEW_THINGS):
        for take in range(each):
            place = places[(number + 1 + take % 5) % len(places)]
            yield Shown(name=name, background=place, take=1000 * number + take)
    for name in NEW_SOUNDS:
        yield from (Shown(name=name, take=take) for take in range(each))


def asked_for() -> Iterator[Shown]:
    """What is asked for afterwards: every thing on the background that it was never seen on, and
    on another one; every sound four times.
    """
    places = list(BACKGROUNDS)
    for number, name in enumerate(NEW_THINGS):
        for turn in (0, 2):
            place = places[(number + turn) % len(places)]
            yield Shown(name=name, background=place, take=500_000 + number + turn)
    for name in NEW_SOUNDS:
        yield from (Shown(name=name, take=50 + turn) for turn in range(4))


def write_data(folder: Path, each: int = EACH) -> Path:
    """The folder that a person would bring: media and ``table.csv``."""
    return _write(folder, brought(each))


def write_keep(folder: Path, number: int = KEPT) -> Path:
    """Dialogues that the model was trained with, so that it does not forget them; without those in
    which it says that it cannot draw or play what it is about to learn.
    """
    source = stage_source("stage3", "train", 2 * number, seed=7)
    new = [*NEW_THINGS, *NEW_SOUNDS]
    drawn = (source[row] for row in range(len(source)))
    told = (conversation for conversation in drawn if not _says(conversation, new))
    write_messages(islice(told, number), folder / "messages.jsonl")
    return folder / "messages.jsonl"


def _says(conversation: Conversation, names: Iterable[str]) -> bool:
    said = " ".join(message.text for message in conversation).lower()
    return any(name in said for name in names)


def _write(folder: Path, media: Iterable[Shown]) -> Path:
    folder.mkdir(parents=True)
    rows = []
    for number, shown in enumerate(media):
        stem = f"{number:04d}-{shown.name.replace(' ', '-')}"
        if shown.is_sound:
            name = f"{stem}.wav"
            soundfile.write(folder / name, shown.render(), SAMPLE_RATE)
        else:
            name = f"{stem}.png"
            PilImage.fromarray(shown.render()).save(folder / name)
        rows.append({"path": name, "caption": shown.caption})
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "caption"])
        writer.writeheader()
        writer.writerows(rows)
    return folder
