"""Who talks and why: situations written by hand, and the phrases that fit any of them.

A situation is a person with a reason to talk, in that person's own words; the bank holds what
people say whatever the reason. All are TOML files beside this module.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from anyweave.messages import PAPER_MODALITIES, Modality
from emoji_mini.world.catalogue import BACKGROUNDS, OBJECTS, SOUNDS

__all__ = ["Bank", "Pair", "Situation", "read_bank", "read_situations"]

_FOLDER = Path(__file__).parent
Pair = tuple[str, str]
Bank = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One person's reason to talk. Pairs are a line of the person and the assistant's answer.

    `hints` have one slot: ``{a}`` a thing with its article, ``{s}`` its plural, ``{sound}`` what is
    heard.
    """

    name: str
    things: tuple[str, ...]
    sounds: tuple[str, ...]
    places: tuple[str, ...]
    opening: tuple[str, ...]
    reply: tuple[str, ...]
    hints: Mapping[Modality, tuple[str, ...]]
    shown: Mapping[Modality, tuple[str, ...]]
    """Said beside a medium of one's own, asking what it is."""
    talk: tuple[Pair, ...]
    plan: Pair
    love: tuple[str, ...]
    closing: tuple[Pair, ...]
    outside: tuple[str, ...]
    """What this person may ask for that is not in the world."""


@cache
def read_situations(folder: Path = _FOLDER / "situations") -> tuple[Situation, ...]:
    """All situations in the TOML files of `folder`, by name of file.

    Raises `ValueError` naming file and situation for what the world does not have.
    """
    found: list[Situation] = []
    for path in sorted(folder.glob("*.toml")):
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["situation"]
        found += [_situation(row, path.name) for row in rows]
    names = [situation.name for situation in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{folder}: there are two situations {twice[0]!r}")
    return tuple(found)


@cache
def read_bank() -> Bank:
    """Phrases by what is done with them: ``bank.toml`` and, for talk in words, ``talk.toml``."""
    bank: dict[str, tuple[Any, ...]] = {}
    for name in ("bank.toml", "talk.toml"):
        rows = tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))
        bank |= {key: tuple(map(_frozen, lines)) for key, lines in rows.items()}
    return bank


def _frozen(line: Any) -> Any:
    return tuple(line) if isinstance(line, list) else line


def _situation(row: dict[str, Any], file: str) -> Situation:
    place = f"{file}: {row.get('name')!r}"
    for key, known in (("things", OBJECTS), ("sounds", SOUNDS), ("places", BACKGROUNDS)):
        if unknown := sorted(set(row[key]) - set(known)):
            raise ValueError(f"{place}: the world has no {unknown[0]!r} ({key})")
    return Situation(
        name=row["name"],
        hints={m: tuple(row[f"hint_{m}"]) for m in PAPER_MODALITIES},
        shown={m: tuple(row[f"shown_{m}"]) for m in PAPER_MODALITIES},
        talk=tuple((asked, answer) for asked, answer in row["talk"]),
        plan=(row["plan"][0], row["plan"][1]),
        closing=tuple((said, answer) for said, answer in row["closing"]),
        **{
            key: tuple(row[key])
            for key in ("things", "sounds", "places", "opening", "reply", "love", "outside")
        },
    )
