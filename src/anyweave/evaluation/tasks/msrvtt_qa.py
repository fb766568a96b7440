"""MSRVTT-QA, test split: one-word answers about a clip."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.answers import EXACT
from anyweave.evaluation.task import Record, Task
from anyweave.evaluation.tasks.msrvtt_captions import clip_file
from anyweave.evaluation.tasks.questions import clip_questions


def records(folder: Path) -> list[Record]:
    return clip_questions(folder, lambda number: clip_file(folder, f"video{number}"))


TASK = Task(
    title="Questions of MSRVTT-QA",
    folder="msrvtt",
    layout="test_qa.json, TestVideo/*.mp4",
    records=records,
    reads=("video",),
    metrics=(EXACT,),
    published={"accuracy": {"3": 61.4, "5": 61.4}},
    note="the paper does not say who judged; a language model as judge gives much higher figures",
)
