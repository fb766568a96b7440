"""Tiny data sets in the layouts in which their owners publish them: ten records each, or so."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anyweave import media

TEN = range(10)


def medium(path: Path, number: int) -> None:
    """A tiny picture, clip or sound, by the name of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.random.default_rng(number)
    if path.suffix in (".wav", ".flac"):
        wave = shade.uniform(-0.5, 0.5, 4000).astype(np.float32)
        media.save("audio", wave, path, rate=16_000)
    elif path.suffix in (".mp4", ".avi"):  # what is in a file counts, not its name
        frames = shade.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
        path.write_bytes(media.encode("video", frames, rate=8, format="mp4"))
    else:
        picture = shade.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        path.write_bytes(media.encode("image", picture, format="jpeg"))


def put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def table(path: Path, rows: Sequence[dict[str, Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def karpathy(root: Path, name: str, pictures: Path, **more: str) -> None:
    rows = []
    for n in TEN:
        medium(pictures / f"{n}.jpg", n)
        said = [{"raw": f"a dog number {n}"}, {"raw": f"the {n} dogs run"}]
        rows.append({**more, "filename": f"{n}.jpg", "split": "test", "sentences": said})
    rows.append({**more, "filename": "other.jpg", "split": "train", "sentences": [{"raw": "no"}]})
    put(root / name, {"dataset": "x", "images": rows})


def published(path: Path, pictures: Path, captions: int) -> None:
    for n in TEN:
        medium(pictures / f"{n}.jpg", n)
    said = [{"image_id": n, "caption": f"a cat {n} {k}"} for n in TEN for k in range(captions)]
    put(path, {"images": [{"id": n, "file_name": f"{n}.jpg"} for n in TEN], "annotations": said})


def coco(root: Path) -> None:
    karpathy(root, "dataset_coco.json", root / "val2014", filepath="val2014")
    published(root / "annotations" / "captions_val2014.json", root / "val2014", 2)


def vqa(root: Path, questions: str, annotations: str) -> None:
    asked = [{"question_id": n, "image_id": n, "question": "What is it?"} for n in TEN]
    said = [{"answer": "a dog"}] * 9 + [{"answer": "puppy"}]
    given = [{"question_id": n, "answers": said} for n in TEN]
    for n in TEN:
        medium(root / "val2014" / f"COCO_val2014_{n:012d}.jpg", n)
    put(root / questions, {"questions": asked})
    put(root / annotations, {"annotations": given})


def vizwiz(root: Path) -> None:
    rows = []
    for n in TEN:
        medium(root / "val" / f"VizWiz_val_{n}.jpg", n)
        rows.append({"image": f"VizWiz_val_{n}.jpg", "question": "What?",
                     "answers": [{"answer": "soup"}] * 10})  # fmt: skip
    put(root / "val.json", rows)


def mmbench(root: Path) -> None:
    medium(root / "one.jpg", 0)
    picture = base64.b64encode((root / "one.jpg").read_bytes()).decode()
    row = {"question": "Which?", "hint": "", "A": "cat", "B": "dog", "C": "", "D": "",
           "answer": "B"}  # fmt: skip
    rows = [{"index": n, **row, "image": picture if n == 0 else "0"} for n in range(5)]
    table(root / "MMBench_DEV_EN.tsv", rows, "\t")


def seed_bench(root: Path) -> None:
    rows = [{"question_id": str(n), "data_id": f"{n}.jpg", "data_type": "image", "question": "Who?",
             "choice_a": "a man", "choice_b": "two", "choice_c": "none", "choice_d": "me",
             "answer": "C"} for n in TEN]  # fmt: skip
    for n in TEN:
        medium(root / "SEED-Bench-image" / f"{n}.jpg", n)
    put(root / "SEED-Bench.json", {"questions": [*rows, {**rows[0], "data_type": "video"}]})


def msrvtt(root: Path) -> None:
    videos = [{"video_id": f"video{n}", "split": "test"} for n in TEN]
    said = [{"video_id": f"video{n}", "caption": f"a man runs {n}"} for n in TEN for _ in "ab"]
    put(root / "test_videodatainfo.json", {"videos": videos, "sentences": said})
    rows = [{"id": n, "video_id": n, "question": "what?", "answer": "man"} for n in TEN]
    put(root / "test_qa.json", rows)
    for n in TEN:
        medium(root / "TestVideo" / f"video{n}.mp4", n)


def msvd(root: Path) -> None:
    put(root / "youtube_mapping.txt", "".join(f"abc_{n}_9 vid{n}\n" for n in TEN))
    rows = [{"id": n, "video_id": n, "question": "what?", "answer": "man"} for n in TEN]
    put(root / "test_qa.json", rows)
    for n in TEN:
        medium(root / "YouTubeClips" / f"abc_{n}_9.avi", n)


def nextqa(root: Path) -> None:
    put(root / "map_vid_vidorID.json", {str(n): f"1164/{n}" for n in TEN})
    rows = [{"video": n, "question": "why", "answer": 1, "qid": 0, "a0": "fun", "a1": "food",
             "a2": "x", "a3": "y", "a4": "z"} for n in TEN]  # fmt: skip
    table(root / "test.csv", rows)
    for n in TEN:
        medium(root / "NExTVideo" / "1164" / f"{n}.mp4", n)


def audiocaps(root: Path) -> None:
    rows = [{"audiocap_id": n * 10 + k, "youtube_id": f"yt{n}", "start_time": 30,
             "caption": f"a dog barks {n} {k}"} for n in TEN for k in range(5)]  # fmt: skip
    table(root / "test.csv", rows)
    for n in TEN:
        medium(root / "test" / f"yt{n}_30.wav", n)


def edits(root: Path) -> None:
    rows = [{"image": f"{n}.jpg", "instruction": "make it a cat", "caption": "a cat",
             "kind": "object" if n % 2 else "background"} for n in TEN]  # fmt: skip
    put(root / "edits.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    for n in TEN:
        medium(root / f"{n}.jpg", n)


def davis(root: Path) -> None:
    rows = [{"video": "bear", "instruction": f"make it {n}", "caption": f"{n}"} for n in TEN]
    table(root / "prompts.csv", rows)
    for n in range(4):
        medium(root / "JPEGImages" / "480p" / "bear" / f"{n:05d}.jpg", n)


def vctk(root: Path) -> None:
    for n in range(11):
        put(root / "txt" / "p225" / f"p225_{n:03d}.txt", f"sentence {n}\n")
        medium(root / "wav48_silence_trimmed" / "p225" / f"p225_{n:03d}_mic1.flac", n)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "coco": coco,
    "nocaps": lambda root: published(
        root / "nocaps_val_4500_captions.json", root / "images", 10
    ),
    "flickr30k": lambda root: karpathy(
        root, "dataset_flickr30k.json", root / "flickr30k-images"
    ),
    "vqav2": lambda root: vqa(
        root, "v2_OpenEnded_mscoco_val2014_questions.json", "v2_mscoco_val2014_annotations.json"
    ),
    "ok-vqa": lambda root: vqa(
        root, "OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json"
    ),
    "vizwiz": vizwiz,
    "mmbench": mmbench,
    "seed-bench": seed_bench,
    "msrvtt": msrvtt,
    "msvd": msvd,
    "nextqa": nextqa,
    "audiocaps": audiocaps,
    "coco-edits": edits,
    "davis": davis,
    "vctk": vctk,
}  # fmt: skip
