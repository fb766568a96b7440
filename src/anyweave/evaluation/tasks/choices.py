"""Questions with choices: the answer is a letter."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from anyweave.evaluation.metrics.answers import CHOICE, CIRCULAR, letter
from anyweave.evaluation.task import Record, Task, first_file, needed_file
from anyweave.evaluation.tasks.questions import question, rows_of, whole
from anyweave.messages import Modality

_MILLION = 1_000_000


def _choose(
    key: object,
    modality: Modality,
    medium: str | bytes,
    said: str,
    options: dict[str, str],
    answer: str,
    **about: Any,
) -> Record:
    """The question with its choices, one per line."""
    listed = "\n".join(f"{letter}. {words}" for letter, words in options.items())
    said = f"{said}\n{listed}\nAnswer with the letter of the right choice."
    return question(key, modality, medium, said, [answer], choices=options, **about)


def _mmbench(folder: Path) -> list[Record]:
    path = needed_file(folder, "MMBench_DEV_EN.tsv", "mmbench_dev_en_20231003.tsv")
    rows = rows_of(path)
    pictures = {int(row["index"]): row["image"] for row in rows}
    # A row is a question. Where the table holds the rotations itself (their index is the
    # question's plus a multiple of a million), they are taken as they are.
    rotated = any(index >= _MILLION for index in pictures)
    return [record for row in rows for record in _rotations(row, pictures, 1 if rotated else None)]


def _rotations(row: Any, pictures: dict[int, str], count: int | None) -> list[Record]:
    index, picture = int(row["index"]), row["image"]
    if len(picture) <= 64:  # the index of the row that holds it
        picture = pictures[int(picture)]
    words = [row[key] for key in "ABCD" if row.get(key)]
    right = "ABCD".index(row["answer"])
    hint = f"{row['hint']}\n" if row.get("hint") else ""
    made = []
    for turn in range(count or len(words)):
        options = dict(zip("ABCD", words[turn:] + words[:turn], strict=False))
        answer = "ABCD"[(right - turn) % len(words)]
        made.append(_choose(f"{index}-{turn}", "image", base64.b64decode(picture),
                            hint + row["question"], options, answer,
                            group=index % _MILLION))  # fmt: skip
    return made


MMBENCH = Task(
    title="MMBench",  # up to four choices, asked in every rotation
    folder="mmbench",
    layout="MMBench_DEV_EN.tsv",
    records=_mmbench,
    reads=("image",),
    metrics=(CIRCULAR,),
    published={"CircularEval": {"2": 58.0}},
    read=letter,
    note="development set, and no language model reads the letter out of an unclear answer, which "
    "is then wrong; --limit may cut a question's rotations",
)


def _seed_bench(folder: Path) -> list[Record]:
    made = []
    for row in whole(needed_file(folder, "SEED-Bench.json"))["questions"]:
        if row.get("data_type", "image") != "image":
            continue
        options = {key: str(row[f"choice_{key.lower()}"]) for key in "ABCD"}
        picture = str(folder / "SEED-Bench-image" / row["data_id"])
        made.append(_choose(row["question_id"], "image", picture, row["question"], options,
                            row["answer"]))  # fmt: skip
    return made


SEED_BENCH = Task(
    title="SEED-Bench",
    folder="seed-bench",
    layout="SEED-Bench.json, SEED-Bench-image/*",
    records=_seed_bench,
    reads=("image",),
    metrics=(CHOICE,),
    published={"accuracy": {"2": 57.5}},
    read=letter,
    note="dimensions 1 to 9, about pictures; questions about clips are left out. The letter is "
    "what the model says; its owners rank the choices by likelihood, which gives other figures",
)


def _nextqa(folder: Path) -> list[Record]:
    places = whole(needed_file(folder, "map_vid_vidorID.json", "nextqa/map_vid_vidorID.json"))
    made = []
    for row in rows_of(needed_file(folder, "test.csv", "nextqa/test.csv")):
        options = {key: row[f"a{number}"] for number, key in enumerate("ABCDE")}
        clip = first_file(folder, f"NExTVideo/{places[str(row['video'])]}.mp4",
                          f"NExTVideo/{row['video']}.mp4")  # fmt: skip
        made.append(_choose(f"{row['video']}-{row['qid']}", "video", clip, f"{row['question']}?",
                            options, "ABCDE"[int(row["answer"])]))  # fmt: skip
    return made


NEXTQA = Task(
    title="Questions of NExT-QA",
    folder="nextqa",
    layout="test.csv, map_vid_vidorID.json, NExTVideo/*/*.mp4",
    records=_nextqa,
    reads=("video",),
    metrics=(CHOICE,),
    published={"accuracy": {"3": 50.7}},
    read=letter,
    note="multiple choice, which needs no judge; the paper does not say whether its figure is of "
    "choices or of free answers, so the difference may mean nothing",
)
