"""MSR-VTT captions, test split: 2,990 clips with twenty captions each."""

from __future__ import annotations

from pathlib import Path

from anyweave.evaluation.metrics.captions import BLEU4, CIDER, METEOR
from anyweave.evaluation.task import Record, Task, first_file, needed_file
from anyweave.evaluation.tasks.captioning import captioned
from anyweave.evaluation.tasks.questions import whole


def test_clips(folder: Path) -> list[tuple[str, str]]:
    """(path, caption) of the test split, clip by clip."""
    path = needed_file(folder, "test_videodatainfo.json", "MSRVTT_data.json")
    both = whole(path)
    clips = [row["video_id"] for row in both["videos"] if row.get("split", "test") == "test"]
    said: dict[str, list[str]] = {clip: [] for clip in clips}
    for row in both["sentences"]:
        if row["video_id"] in said:
            said[row["video_id"]].append(row["caption"])
    return [(clip_file(folder, clip), text) for clip in clips for text in said[clip]]


def clip_file(folder: Path, clip: str) -> str:
    """Where a clip is, in any of the usual folders."""
    names = (f"{place}{clip}.mp4" for place in ("TestVideo/", "videos/all/", "videos/", ""))
    return first_file(folder, *names)


def records(folder: Path) -> list[Record]:
    return captioned(test_clips(folder), "video")


TASK = Task(
    title="Captions of MSR-VTT",
    folder="msrvtt",
    layout="test_videodatainfo.json, TestVideo/*.mp4",
    records=records,
    reads=("video",),
    metrics=(CIDER, BLEU4, METEOR),
    published={"CIDEr": {"3": 76.2}, "B@4": {"13": 58.8}, "METEOR": {"13": 39.6}},
    note="table 3 names no metric: CIDEr is taken, as the figures beside it are; its model was "
    "fine-tuned on MSR-VTT. All 2,990 test clips",
)
