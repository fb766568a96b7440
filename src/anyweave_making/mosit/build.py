"""Drafts: dialogues with captions in place of their media, one by one into a journal."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from anyweave_making.journal import Journal, work_through
from anyweave_making.mosit.dialogue import Dialogue
from anyweave_making.mosit.topics import Topic

__all__ = ["DRAFTS", "Writer", "build_drafts", "draft_topics", "read_dialogues"]

DRAFTS = "drafts.jsonl"


class Writer(Protocol):
    """Who writes dialogues: `Grammar`, `Prompter` or your own. `name` goes into the card."""

    name: str

    def write(self, id: str, topic: Topic, seed: Sequence[int]) -> Dialogue:
        """A dialogue: the same for the same seed. Raises `GivenUpError`."""
        ...


def build_drafts(
    writer: Writer,
    topics: Sequence[Topic],
    work: str | Path,
    *,
    num: int,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `num` drafts into the journal of the folder `work` and return how many there are now.

    Existing drafts are not written again, so a stopped run resumes and a larger `num` adds to it.
    Raises `ValueError` if the journal was begun with another writer, seed or topics.
    """
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    numbers = {_key(seed, i): i for i in range(num)}
    named = draft_topics(topics, num, seed)
    settings = {"writer": writer.name, "seed": seed, "topics": _identity(topics)}
    with Journal(work / DRAFTS, settings) as journal:
        work_through(
            journal,
            list(numbers),
            lambda key: writer.write(key, named[numbers[key]], (seed, numbers[key])).to_row(),
            workers=workers,
            progress=progress,
        )
        return sum("failed" not in row for row in journal.values())


def draft_topics(topics: Sequence[Topic], num: int, seed: int) -> list[Topic]:
    """The topic of each draft: all of them once in one order, then in another, and so on."""
    rounds = -(-num // len(topics))
    orders = [np.random.default_rng([seed, r]).permutation(len(topics)) for r in range(rounds)]
    return [topics[i] for order in orders for i in order][:num]


def read_dialogues(journal: Journal) -> list[Dialogue]:
    """The dialogues in a journal, in key order (threads finish in any order)."""
    rows = (journal[key] for key in sorted(journal))
    return [Dialogue.from_row(row) for row in rows if "failed" not in row]


def _key(seed: int, index: int) -> str:
    return f"mosit-{seed}-{index:06d}"


def _identity(topics: Sequence[Topic]) -> str:
    """A hash that differs when other topics, or topics with other scenes, are given."""
    text = repr([(t.name, sorted(t.scenes.items()), t.why, t.tips, t.plans) for t in topics])
    return f"{len(topics)} topics, {zlib.crc32(text.encode()):08x}"
