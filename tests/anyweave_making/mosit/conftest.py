"""A small collection of media and topics that ask for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyweave import media
from anyweave_making.collection import Item
from anyweave_making.mosit import Filler, Plan, Question, Topic

SCENES = {
    "image": ("a red tent beside a lake", "a loaf of bread on a table", "an owl on a branch"),
    "video": ("mist drifting over a lake", "hands kneading dough", "fireflies between trees"),
    "audio": ("a campfire crackling", "a bread crust cracking", "an owl hooting"),
}
TOPICS = tuple(
    Topic(
        name=name,
        scenes={
            m: (*captions[i : i + 1], *captions[:i], *captions[i + 1 :])
            for m, captions in SCENES.items()
        },
        why=(Question(f"Why {name}?", f"Because {name} is good for you."),),
        tips=(Question(f"How do I begin with {name}?", f"Take {name} slowly."),),
        plans=(Plan(f"a day of {name}", ("get up early", "go to bed late")),),
    )
    for i, name in enumerate(("camping", "baking", "owls"))
)


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    folder = tmp_path_factory.mktemp("collection")
    made = []
    array: np.ndarray
    rate: float | None
    for modality, captions in SCENES.items():
        for number, caption in enumerate(captions):
            shade = 40 + 60 * number
            if modality == "image":
                array, rate, suffix = np.full((8, 8, 3), shade, np.uint8), None, "png"
            elif modality == "video":
                array, rate, suffix = np.full((4, 16, 16, 3), shade, np.uint8), 8, "mp4"
            else:
                array, rate, suffix = np.full(800, shade / 255, np.float32), 16_000, "wav"
            path = media.save(modality, array, folder / f"{modality}{number}.{suffix}", rate=rate)
            made.append(
                Item(modality=modality, path=path, caption=caption, source="toy", licence="CC0")
            )
    return made


@pytest.fixture
def filler(items: list[Item], tmp_path: Path) -> Filler:
    return Filler(items, folder=tmp_path / "made")
