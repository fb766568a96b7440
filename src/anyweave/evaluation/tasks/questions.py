"""Questions about a picture or a clip, answered in a word or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from anyweave.data.place import ReadOptions
from anyweave.data.tables import open_rows
from anyweave.evaluation.metrics.answers import EXACT, VQA
from anyweave.evaluation.task import Record, Task, first_file, needed_file
from anyweave.files import read_json
from anyweave.messages import MEDIA_TYPES, Message, Modality

_SHORT = "{} Answer with one word or a short phrase."
_OR_NOT = "{} Answer with one word or a short phrase; if it cannot be told, say unanswerable."
_THEIRS = "validation set: answers of the test set are with its owners' server"
_JUDGE = "the paper does not say who judged; a language model as judge gives much higher figures"


def question(
    key: object,
    modality: Modality,
    medium: str | bytes,
    said: str,
    references: Sequence[str],
    **about: Any,
) -> Record:
    """One medium, one question, right answers."""
    shown = MEDIA_TYPES[modality](medium)
    return Record(key=str(key), ask=(Message("user", [shown, said]),),
                  references=tuple(references), about=about)  # fmt: skip


def whole(path: Path) -> Any:
    """A whole JSON file; those of question sets are large."""
    return read_json(path, max_bytes=1 << 30)


def rows_of(path: Path) -> list[Any]:
    """All rows of a table."""
    table = open_rows(path, ReadOptions())
    return [table.row(number) for number in range(len(table))]


def _vqa(folder: Path, stems: tuple[str, str]) -> list[Record]:
    """The layout of VQA: questions in one file, ten people's answers in another, COCO pictures."""
    asked = whole(needed_file(folder, f"{stems[0]}.json"))["questions"]
    given = whole(needed_file(folder, f"{stems[1]}.json"))["annotations"]
    answers = {row["question_id"]: [a["answer"] for a in row["answers"]] for row in given}
    return [
        question(
            row["question_id"],
            "image",
            str(folder / f"val2014/COCO_val2014_{row['image_id']:012d}.jpg"),
            _SHORT.format(row["question"]),
            answers[row["question_id"]],
        )  # fmt: skip
        for row in asked
        if row["question_id"] in answers
    ]


_VQAV2 = ("v2_OpenEnded_mscoco_val2014_questions", "v2_mscoco_val2014_annotations")
_OK_VQA = ("OpenEnded_mscoco_val2014_questions", "mscoco_val2014_annotations")

VQAV2 = Task(
    title="Questions of VQAv2",
    folder="vqav2",
    layout=f"{_VQAV2[0]}.json, {_VQAV2[1]}.json, val2014/*.jpg",
    records=partial(_vqa, stems=_VQAV2),
    reads=("image",),
    metrics=(VQA,),
    published={"VQA accuracy": {"2": 66.7, "5": 66.7}},
    note=_THEIRS,
)

OK_VQA = Task(
    title="Questions of OK-VQA",
    folder="ok-vqa",
    layout=f"{_OK_VQA[0]}.json, {_OK_VQA[1]}.json, val2014/*.jpg",
    records=partial(_vqa, stems=_OK_VQA),
    reads=("image",),
    metrics=(VQA,),
    published={"VQA accuracy": {"2": 52.1}},
)


def _vizwiz(folder: Path) -> list[Record]:
    return [
        question(
            row["image"],
            "image",
            first_file(folder, f"val/{row['image']}", row["image"]),
            _OR_NOT.format(row["question"]),
            [answer["answer"] for answer in row["answers"]],
        )  # fmt: skip
        for row in whole(needed_file(folder, "val.json", "Annotations/val.json"))
    ]


VIZWIZ = Task(
    title="Questions of VizWiz",  # of blind people about their photographs
    folder="vizwiz",
    layout="val.json, val/*.jpg",
    records=_vizwiz,
    reads=("image",),
    metrics=(VQA,),
    published={"VQA accuracy": {"2": 48.4, "5": 48.4}},
    note=_THEIRS,
)


def _clip_questions(folder: Path, file_of: Callable[[Any], str]) -> list[Record]:
    """The layout of MSVD-QA and MSRVTT-QA: one word about the clip with the video's number."""
    return [
        question(
            row["id"],
            "video",
            file_of(row["video_id"]),
            _SHORT.format(row["question"]),
            [row["answer"]],
        )  # fmt: skip
        for row in whole(needed_file(folder, "test_qa.json"))
    ]


def _msvd(folder: Path) -> list[Record]:
    lines = needed_file(folder, "youtube_mapping.txt").read_text(encoding="utf-8").split("\n")
    pairs = [line.split() for line in lines if line.strip()]
    names = {number: clip for clip, number in pairs}
    clips = folder / "YouTubeClips"
    return _clip_questions(folder, lambda number: str(clips / (names[f"vid{number}"] + ".avi")))


MSVD_QA = Task(
    title="Questions of MSVD-QA",
    folder="msvd",
    layout="test_qa.json, youtube_mapping.txt, YouTubeClips/*.avi",
    records=_msvd,
    reads=("video",),
    metrics=(EXACT,),
    published={"accuracy": {"3": 64.5, "5": 64.5}},
    note=_JUDGE,
)


def msrvtt_clip(folder: Path, clip: str) -> str:
    """Where a clip of MSR-VTT is, in any of the usual folders."""
    names = (f"{place}{clip}.mp4" for place in ("TestVideo/", "videos/all/", "videos/", ""))
    return first_file(folder, *names)


MSRVTT_QA = Task(
    title="Questions of MSRVTT-QA",
    folder="msrvtt",
    layout="test_qa.json, TestVideo/*.mp4",
    records=lambda folder: _clip_questions(
        folder, lambda number: msrvtt_clip(folder, f"video{number}")
    ),
    reads=("video",),
    metrics=(EXACT,),
    published={"accuracy": {"3": 61.4, "5": 61.4}},
    note=_JUDGE,
)
