"""MSVD-QA, test split: one-word answers about a clip."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.answers import EXACT
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.questions import clip_questions


def records(folder: Path) -> list[Record]:
    lines = needed_file(folder, "youtube_mapping.txt").read_text(encoding="utf-8").split("\n")
    pairs = [line.split() for line in lines if line.strip()]
    names = {number: clip for clip, number in pairs}
    clips = folder / "YouTubeClips"
    return clip_questions(folder, lambda number: str(clips / (names[f"vid{number}"] + ".avi")))


TASK = Task(
    title="Questions of MSVD-QA",
    folder="msvd",
    layout="test_qa.json, youtube_mapping.txt, YouTubeClips/*.avi",
    records=records,
    reads=("video",),
    metrics=(EXACT,),
    published={"accuracy": {"3": 64.5, "5": 64.5}},
    note="the paper does not say who judged; a language model as judge gives much higher figures",
)
