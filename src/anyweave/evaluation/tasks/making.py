"""Media to be made from captions, each compared with the real medium of its caption."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from anyweave.evaluation.metrics.media import CLIP, CLIPSIM, FAD, FD, FID, IS, KL
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.captions import audiocaps_pairs, by_medium, msrvtt_pairs, pairs_of
from anyweave.messages import MEDIA_TYPES, Message, Modality

_PICTURES = 30_000


def _wanted(pairs: Iterable[tuple[str, str]], modality: Modality) -> list[Record]:
    """A request per medium: its first caption."""
    real = MEDIA_TYPES[modality]
    return [
        Record(
            key=Path(path).name,
            ask=(Message("user", caption),),
            references=(caption,),
            real=real(path),
        )  # fmt: skip
        for path, (caption, *_) in by_medium(pairs).items()
    ]


def _drawn(folder: Path) -> list[Record]:
    """30,000 pictures of COCO val2014, drawn with seed 0, by one caption of each."""
    path = needed_file(folder, "captions_val2014.json", "annotations/captions_val2014.json")
    pairs = pairs_of(path, "coco", media=folder / "val2014")
    random.Random(0).shuffle(pairs)
    return _wanted(pairs, "image")[:_PICTURES]


TEXT_TO_IMAGE = Task(
    title="Pictures of COCO captions",
    folder="coco",
    layout="annotations/captions_val2014.json, val2014/*.jpg",
    records=_drawn,
    makes="image",
    max_new_tokens=64,
    metrics=(FID, CLIP),
    published={"FID": {"4": 11.18, "8": 11.18}},
    note="FID against the pictures of the same captions. It depends on their number, the guidance "
    "scale and the resizing, none of which the paper gives; 10.07 in table 4 is of a tuned model",
)

TEXT_TO_AUDIO = Task(
    title="Sounds of AudioCaps captions",
    folder="audiocaps",
    layout="test.csv, test/YOUTUBE_ID_START.wav",
    records=lambda folder: _wanted(audiocaps_pairs(folder), "audio"),
    makes="audio",
    max_new_tokens=64,
    metrics=(FD, FAD, IS, KL),
    published={"FAD": {"4": 1.74}, "FD": {"10": 23.25}, "IS": {"10": 8.67}},
    note="the paper names no backbone: VGGish for FAD and PANNs at 16 kHz for FD and IS are "
    "usual. Resampling alone moves FD by tens. 1.68 in table 4 is of a tuned model",
)

TEXT_TO_VIDEO = Task(
    title="Clips of MSR-VTT captions",
    folder="msrvtt",
    layout="test_videodatainfo.json, TestVideo/*.mp4",
    records=lambda folder: _wanted(msrvtt_pairs(folder), "video"),
    makes="video",
    max_new_tokens=64,
    metrics=(CLIPSIM, FID),
    published={"CLIPSIM": {"4": 30.96, "9": 31.97}, "FID": {"9": 12.69}},
    note="table 9 says zero-shot and prints the figure that table 4 gives for the tuned model; FID "
    "is of single frames and is no FVD",
)
