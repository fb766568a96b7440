"""What the documentation says of the world's size is the size of its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emoji_mini.emoji_world.held_out import held_out_requests
from emoji_mini.emoji_world.scenes import BACKGROUNDS, MOTIONS
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import THINGS

SIZES = {
    "things": len(THINGS),
    "sounds": len(SOUNDS),
    "motions": len(MOTIONS),
    "backgrounds": len(BACKGROUNDS),
    "requests in everyday": len(held_out_requests()),
    "animated emojis": sum(bool(thing.does) for thing in THINGS.values()),
}


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/index.md", "docs/world.md", "src/anyweave/weights/emoji_mini/README.md"],
)
def test_sizes_are_those_of_the_tables(page: str, root: Path) -> None:
    text = (root / page).read_text(encoding="utf-8")
    told = {
        (what, int(number))
        for what in SIZES
        for number in re.findall(rf"(\d+) {what}\b", text.replace("\n", " "))
    }
    assert told and told <= set(SIZES.items())
