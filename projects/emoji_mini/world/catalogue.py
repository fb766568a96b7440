"""What exists in the emoji world: objects, sounds, motions, backgrounds and relations, as plain
tables.

Names are the words captions use. An object may make a sound; a sound may belong to no object
("applause").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from anyweave.messages import Modality

Relation = Literal["left of", "right of", "above", "below"]
RELATIONS: tuple[Relation, ...] = ("left of", "right of", "above", "below")

MOTIONS: tuple[str, ...] = (
    "moving left",
    "moving right",
    "rising",
    "falling",
    "spinning",
    "bouncing",
    "growing",
)

# name -> phrase in a caption
BACKGROUNDS: dict[str, str] = {
    "white": "on a white background",
    "sky": "under a blue sky",
    "grass": "on green grass",
    "night": "at night",
    "beach": "on a beach",
    "pink": "on a pink background",
}

NUMBER_WORDS: tuple[str, ...] = ("zero", "one", "two", "three", "four")
MAX_COUNT = 4


@dataclass(frozen=True, kw_only=True)
class ObjectKind:
    """One kind of thing that can be seen. `code` is its emoji code point, the asset's file name."""

    name: str
    plural: str
    code: str
    group: str

    @property
    def with_article(self) -> str:
        return f"{'an' if self.name[0] in 'aeio' else 'a'} {self.name}"


@dataclass(frozen=True, kw_only=True)
class SoundKind:
    """One kind of sound. `phrase` is its caption; `object` the thing that makes it, if it is in the
    world.

    `program` is a General MIDI instrument, 128 the drum kit; None means that `world.synthesis`
    makes it.
    """

    name: str
    phrase: str
    object: str | None
    program: int | None


def _objects(group: str, rows: str) -> list[ObjectKind]:
    kinds = []
    for row in rows.split():
        name, code, *plural = row.split(":")
        kinds.append(
            ObjectKind(name=name, code=code, group=group, plural=(plural or [name + "s"])[0])
        )
    return kinds


_ALL_OBJECTS = [
    *_objects(
        "animal",
        "dog:1f436 cat:1f431 cow:1f42e pig:1f437 horse:1f434 monkey:1f412 lion:1f981 panda:1f43c "
        "rabbit:1f430 fox:1f98a:foxes frog:1f438 chicken:1f414 penguin:1f427 duck:1f986 owl:1f989 "
        "fish:1f420:fish whale:1f433 octopus:1f419:octopuses turtle:1f422 snake:1f40d bee:1f41d "
        "butterfly:1f98b:butterflies elephant:1f418 sheep:1f411:sheep unicorn:1f984 bird:1f426",
    ),
    *_objects(
        "food",
        "apple:1f34e banana:1f34c grapes:1f347:grapes strawberry:1f353:strawberries "
        "watermelon:1f349 lemon:1f34b carrot:1f955 pizza:1f355 hamburger:1f354 cake:1f382 "
        "donut:1f369",
    ),
    *_objects(
        "nature",
        "sunflower:1f33b rose:1f339 cactus:1f335:cacti mushroom:1f344 tree:1f333 "
        "snowman:26c4:snowmen fire:1f525",
    ),
    *_objects(
        "vehicle",
        "car:1f697 bus:1f68c:buses bicycle:1f6b2 airplane:1f6eb rocket:1f680 train:1f686 "
        "helicopter:1f681",
    ),
    *_objects("thing", "house:1f3e0 balloon:1f388 robot:1f916"),
    *_objects(
        "instrument",
        "piano:1f3b9 guitar:1f3b8 violin:1f3bb trumpet:1f3ba drum:1f941 saxophone:1f3b7 "
        "banjo:1fa95 accordion:1fa97 bell:1f514 telephone:260e-fe0f",
    ),
]
OBJECTS: dict[str, ObjectKind] = {kind.name: kind for kind in _ALL_OBJECTS}

_ALL_SOUNDS = [
    SoundKind(name=name, phrase=phrase, object=thing, program=program)
    for name, phrase, thing, program in (
        ("dog", "a dog barking", "dog", None),
        ("cat", "a cat meowing", "cat", None),
        ("cow", "a cow mooing", "cow", None),
        ("frog", "a frog croaking", "frog", None),
        ("duck", "a duck quacking", "duck", None),
        ("bee", "a bee buzzing", "bee", None),
        ("sheep", "a sheep bleating", "sheep", None),
        ("bird", "a bird singing", "bird", 123),
        ("piano", "a piano playing", "piano", 0),
        ("guitar", "a guitar playing", "guitar", 24),
        ("violin", "a violin playing", "violin", 40),
        ("trumpet", "a trumpet playing", "trumpet", 56),
        ("drum", "a drum beating", "drum", 128),
        ("saxophone", "a saxophone playing", "saxophone", 65),
        ("banjo", "a banjo playing", "banjo", 105),
        ("accordion", "an accordion playing", "accordion", 21),
        ("bell", "a bell ringing", "bell", 14),
        ("telephone", "a telephone ringing", "telephone", 124),
        ("helicopter", "a helicopter flying", "helicopter", 125),
        ("applause", "people clapping", None, 126),
        ("waves", "waves on the shore", None, 122),
        ("harp", "a harp playing", None, 46),
        ("organ", "an organ playing", None, 19),
        ("xylophone", "a xylophone playing", None, 13),
    )
]
SOUNDS: dict[str, SoundKind] = {kind.name: kind for kind in _ALL_SOUNDS}
SOUND_OF_OBJECT: dict[str, str] = {kind.object: kind.name for kind in _ALL_SOUNDS if kind.object}

# How the world is rendered. Sizes in pixels, rates in Hz or frames/s.
IMAGE_SIZE = 64
NUM_FRAMES = 8
FRAME_RATE = 8.0
SAMPLE_RATE = 16_000
RATES: dict[Modality, float | None] = {
    "image": None,
    "video": FRAME_RATE,
    "audio": float(SAMPLE_RATE),
}
AUDIO_SAMPLES = 32_768  # 2.048 s
NUM_TAKES = 10  # recorded takes per sound; the last TEST_TAKES of them are heard only in tests
TEST_TAKES = 2
