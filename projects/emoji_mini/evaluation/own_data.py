"""What a person might bring: twenty things and five sounds that the shipped model has never met.

The things are emoji that the world does not have, on its backdrops; the sounds are synthesised like
its own. `pack` holds both.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image as PilImage

from anyweave.data import write_messages
from anyweave.messages import Conversation
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.emoji_world.arranging import arrange
from emoji_mini.emoji_world.backdrops import backdrop
from emoji_mini.emoji_world.render import PICTURE_SIZE
from emoji_mini.emoji_world.scenes import BACKGROUNDS, PictureScene
from emoji_mini.emoji_world.sounds import SAMPLE_RATE
from emoji_mini.emoji_world.synthesis import perform
from emoji_mini.emoji_world.things import article_of

PACK = Path(__file__).parent / "pack"
NEW_THINGS = tuple(sorted(file.stem for file in PACK.glob("*.webp")))
NEW_SOUNDS = {
    "cuckoo": "a cuckoo calling",
    "whistle": "a whistle blowing",
    "foghorn": "a foghorn sounding",
    "laser": "a laser firing",
    "typewriter": "a typewriter clacking",
}
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
            return NEW_SOUNDS[self.name]
        return f"{article_of(self.name)} {self.name} {BACKGROUNDS[self.background][0]}"

    def render(self) -> NDArray[np.uint8] | NDArray[np.float32]:
        """``uint8[128, 128, 3]``, or ``float32[64000]`` at 16 kHz."""
        if self.is_sound:
            wave = perform(self.name, 100 + self.take, _voices())
            return (0.8 * wave / (np.abs(wave).max() + 1e-9)).astype(np.float32)
        return painted(new_thing(self.name), self.background, self.take)


def painted(sprite: PilImage.Image, background: str, seed: int) -> NDArray[np.uint8]:
    """A sprite where the world would place one of its own things: ``uint8[128, 128, 3]``."""
    arranged = arrange(PictureScene(object="dog", background=background, seed=seed))
    place = arranged.things[0]
    scale = place.size * PICTURE_SIZE / max(sprite.size)
    thing = sprite.resize((round(sprite.width * scale), round(sprite.height * scale)))
    picture = PilImage.fromarray(backdrop(background, arranged.variant, PICTURE_SIZE))
    left = round(place.x * PICTURE_SIZE - thing.width / 2)
    picture.paste(thing, (left, round(place.y * PICTURE_SIZE - thing.height / 2)), thing)
    return np.asarray(picture)


@cache
def new_thing(name: str) -> PilImage.Image:
    """A new thing's picture with its opacity, at most 128 pixels."""
    return PilImage.open(PACK / f"{name}.webp").convert("RGBA")


@cache
def _voices() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads((PACK / "voices.toml").read_text("utf-8"))


def brought(each: int = EACH) -> Iterator[Shown]:
    """`each` pictures of every thing, on five of the eight backgrounds, and as many recordings of
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
    """What is asked for afterwards: every thing on a background it was never seen on, and on
    another one; every sound four times.
    """
    places = list(BACKGROUNDS)
    for number, name in enumerate(NEW_THINGS):
        for turn in (0, 2):
            place = places[(number + turn) % len(places)]
            yield Shown(name=name, background=place, take=500_000 + number + turn)
    for name in NEW_SOUNDS:
        yield from (Shown(name=name, take=50 + turn) for turn in range(4))


def write_data(folder: Path, each: int = EACH) -> Path:
    """Write the folder that a person would bring: media and ``table.csv``."""
    return _write(folder, brought(each))


def write_keep(folder: Path, number: int = KEPT) -> Path:
    """Write dialogues the model was trained on, so that it does not forget them; without those that
    name what it is about to learn, which it declines there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = Dialogues("train", 2 * number, seed=7, with_media=True)
    drawn = (source[row] for row in range(len(source)))
    told = (conversation for conversation in drawn if not _says(conversation))
    write_messages(islice(told, number), folder / "messages.jsonl")
    return folder / "messages.jsonl"


def _says(conversation: Conversation) -> bool:
    said = " ".join(message.text for message in conversation).lower()
    return any(re.search(rf"\b{name}", said) for name in (*NEW_THINGS, *NEW_SOUNDS))


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
