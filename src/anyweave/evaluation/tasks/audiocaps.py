"""AudioCaps captions, test split: sounds with five captions each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.captions import CIDER, SPIDER
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.captioning import captioned, pairs_of


def test_sounds(folder: Path) -> list[tuple[str, str]]:
    """(path, caption) of the test split."""
    return pairs_of(needed_file(folder, "test.csv"), "audiocaps", media=folder / "test")


def records(folder: Path) -> list[Record]:
    # A caption has an id of its own; the sound is that of the clip.
    return captioned(test_sounds(folder), "audio")


TASK = Task(
    title="Captions of AudioCaps",
    folder="audiocaps",
    layout="test.csv, test/YOUTUBE_ID_START.wav",
    records=records,
    reads=("audio",),
    metrics=(CIDER, SPIDER),
    published={"CIDEr": {"3": 81.3, "11": 80.7}, "SPIDEr": {"11": 53.4}},
    note="tables 3 and 11 give two CIDEr of one model; table 11 is printed as shares of 1. Clips "
    "that are gone from their host are counted as failed",
)
