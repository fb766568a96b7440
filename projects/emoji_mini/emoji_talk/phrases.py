"""The tables of phrasings, and which of them a split may use.

Every fifth phrasing of a list is kept for tests, so that a test never asks in words that training
has used.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from emoji_mini.emoji_world.held_out import held_out_requests, held_out_words, plain
from emoji_mini.emoji_world.scenes import Split
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import find_thing

_HELD_OUT_EVERY = 5


@lru_cache(maxsize=1)
def tables() -> dict[str, tuple[Any, ...]]:
    """Every table by name: strings, pairs of a line and its answer, or rows."""
    found = tomllib.loads((Path(__file__).parent / "phrases.toml").read_text("utf-8"))
    return {key: tuple(row for row in rows if not _told(row)) for key, rows in found.items()}


@cache
def phrases(key: str, split: Split) -> Sequence[Any]:
    """The rows of a table that a split may use; a short table is shared by both."""
    rows = tables()[key]
    if len(rows) < _HELD_OUT_EVERY:
        return rows
    return tuple(
        row
        for number, row in enumerate(rows)
        if (number % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1) == (split == "test")
    )


@lru_cache(maxsize=1)
def unknown_things() -> tuple[str, ...]:
    """What people may ask for that the world lacks, without articles. Excludes what the held-out
    requests ask for.
    """
    asked = {request.unknown.lower() for request in held_out_requests() if request.unknown}
    return tuple(
        name
        for name in tables()["outside"]
        if find_thing(name) is None and name.lower() not in asked
    )


@lru_cache(maxsize=1)
def unknown_sounds() -> tuple[tuple[str, str], ...]:
    """The same for sounds: (as asked for, what makes it)."""
    asked = {request.unknown.lower() for request in held_out_requests() if request.unknown}
    known = {sound.thing for sound in SOUNDS.values()}

    def is_known(thing: str) -> bool:
        found = find_thing(thing)
        return found is not None and found.name in known

    return tuple(
        (heard, thing)
        for heard, thing in tables()["outside_sounds"]
        if not is_known(thing) and thing.split(" ", 1)[-1].lower() not in asked
    )


def _told(row: Any) -> bool:
    """Whether a row begins with the very words of a held-out request."""
    first = row[0] if isinstance(row, list) and row else row
    return isinstance(first, str) and plain(first) in held_out_words()
