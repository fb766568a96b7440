"""Media to be changed by instruction."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from anyweave import media
from anyweave.evaluation.metrics.media import CLIP, CLIP_I, CLIP_T, FID, MCD, of_kind
from anyweave.evaluation.task import Record, Task, first_file, needed_file
from anyweave.evaluation.tasks.questions import rows_of
from anyweave.messages import Audio, Image, Message, Video

_KINDS = ("object", "background")
_RATE = 24.0  # frames/s of DAVIS


def _pictures(folder: Path) -> list[Record]:
    """The paper's requests and masks were never published. Each row of ``edits.jsonl`` is
    ``{"image", "instruction", "caption", "kind"}``: what is said, what the result should show, and
    "object" or "background".
    """
    rows = rows_of(needed_file(folder, "edits.jsonl"))
    return [_picture(folder, number, row) for number, row in enumerate(rows)]


def _picture(folder: Path, number: int, row: Any) -> Record:
    if row["kind"] not in _KINDS:
        raise ValueError(f"edits.jsonl:{number + 1}: kind {row['kind']!r} is none of {_KINDS}")
    picture = Image(str(folder / row["image"]))
    return Record(key=str(number), ask=(Message("user", row["instruction"]),), source=picture,
                  real=picture, references=(row["caption"],),
                  about={"kind": row["kind"]})  # fmt: skip


IMAGE_EDITING = Task(
    title="Changing pictures",
    folder="coco-edits",
    layout="edits.jsonl, and the pictures it names",
    records=_pictures,
    makes="image",
    max_new_tokens=64,
    metrics=tuple(of_kind(metric, kind) for kind in _KINDS for metric in (CLIP, FID)),
    published={
        "CLIP score, object": {"14": 29.32},
        "FID, object": {"14": 6.62},
        "CLIP score, background": {"14": 27.31},
        "FID, background": {"14": 14.27},
    },
    note="the paper's requests and masks are not published: with your own the difference means "
    "nothing. Whole pictures are compared, FID against the pictures before the change",
)


def _clips(folder: Path) -> list[Record]:
    """The frames are those of DAVIS; the paper does not name its requests, so ``prompts.csv`` gives
    them: `video` (a folder of frames), `instruction`, and `caption`, what the result should show.
    """
    return [
        Record(
            key=f"{row['video']}-{number}",
            ask=(Message("user", row["instruction"]),),
            source=_clip(folder / "JPEGImages" / "480p" / row["video"]),
            references=(row["caption"],),
        )  # fmt: skip
        for number, row in enumerate(rows_of(needed_file(folder, "prompts.csv")))
    ]


def _clip(folder: Path) -> Video:
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise ValueError(f"{folder}: no frames (*.jpg) there")
    return Video(np.stack([media.load(Image(str(path))) for path in paths]), rate=_RATE)


VIDEO_EDITING = Task(
    title="Changing clips",
    folder="davis",
    layout="prompts.csv, JPEGImages/480p/NAME/*.jpg",
    records=_clips,
    makes="video",
    max_new_tokens=64,
    metrics=(CLIP_T, CLIP_I),
    published={"CLIP-T": {"15": 0.2684}, "CLIP-I": {"15": 0.9647}},
    note="the paper names no requests, so the difference says little. CLIP-I compares frames with "
    "their neighbours: a still clip has 1",
)


def _speech(folder: Path) -> list[Record]:
    """A speaker's sentence becomes the speaker's next one, of which VCTK has a real recording."""
    speakers = sorted((folder / "txt").glob("p*"))
    if not speakers:
        raise ValueError(f"{folder / 'txt'}: no speakers (p225, ...) there")
    return [
        _sentence(folder, speaker.name, before, after)
        for speaker in speakers
        for before, after in pairwise(sorted(speaker.glob("*.txt")))
    ]


def _sentence(folder: Path, speaker: str, before: Path, after: Path) -> Record:
    words = after.read_text(encoding="utf-8").strip()
    return Record(key=after.stem, ask=(Message("user", f'Say "{words}" instead.'),),
                  source=_sound(folder, speaker, before.stem), references=(words,),
                  real=_sound(folder, speaker, after.stem))  # fmt: skip


def _sound(folder: Path, speaker: str, stem: str) -> Audio:
    names = (
        f"wav48_silence_trimmed/{speaker}/{stem}_mic1.flac",  # 0.92
        f"wav48/{speaker}/{stem}.wav",  # 0.80
    )
    return Audio(first_file(folder, *names))


SPEECH_EDITING = Task(
    title="Changing speech",
    folder="vctk",
    layout="txt/p*/*.txt, wav48_silence_trimmed/p*/*_mic1.flac",
    records=_speech,
    makes="audio",
    max_new_tokens=64,
    metrics=(MCD,),
    published={"MCD": {"16": 0.3}},
    note="the paper says neither what is edited nor how its MCD is scaled (3 to 8 is usual): the "
    "difference means nothing, figures of one's own models compare with each other",
)
