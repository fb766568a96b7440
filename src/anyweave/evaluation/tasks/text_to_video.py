"""Clips from captions of the MSR-VTT test split, the first caption of each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.media import CLIPSIM, FID
from anyweave.evaluation.task import Record, Task
from anyweave.evaluation.tasks.msrvtt_captions import test_clips
from anyweave.messages import Message, Video


def records(folder: Path) -> list[Record]:
    first = {path: caption for path, caption in reversed(test_clips(folder))}
    return [
        Record(
            key=Path(path).name,
            ask=(Message("user", caption),),
            references=(caption,),
            real=Video(path),
        )  # fmt: skip
        for path, caption in reversed(first.items())
    ]


TASK = Task(
    title="Clips of MSR-VTT captions",
    folder="msrvtt",
    layout="test_videodatainfo.json, TestVideo/*.mp4",
    records=records,
    makes="video",
    max_new_tokens=64,
    metrics=(CLIPSIM, FID),
    published={"CLIPSIM": {"4": 30.96, "9": 31.97}, "FID": {"9": 12.69}},
    note="table 9 says zero-shot and prints the figure that table 4 gives for the tuned model; FID "
    "is of single frames and is no FVD",
)
