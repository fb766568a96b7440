"""Media to be described: pictures, clips and sounds with several captions each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anyweave.data import Records
from anyweave.evaluation.metrics.captions import BLEU4, CIDER, METEOR, SPICE, SPIDER
from anyweave.evaluation.task import Record, Task, needed_file
from anyweave.evaluation.tasks.questions import msrvtt_clip, whole
from anyweave.messages import MEDIA_TYPES, Message, Modality

PROMPTS: dict[Modality, str] = {
    "image": "Describe the picture in one sentence.",
    "video": "Describe the clip in one sentence.",
    "audio": "Describe the sound in one sentence.",
}
Pairs = list[tuple[str, str]]
"""(path, caption), a medium's captions one behind the other or not."""


def by_medium(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The captions of each medium, in the order in which media first appear."""
    said: dict[str, list[str]] = {}
    for path, caption in pairs:
        said.setdefault(path, []).append(caption)
    return said


def captioned(pairs: Iterable[tuple[str, str]], modality: Modality) -> list[Record]:
    """A record per medium, with all its captions."""
    show = MEDIA_TYPES[modality]
    return [
        Record(
            key=path.rsplit("/", 1)[-1],
            references=tuple(captions),
            ask=(Message("user", [show(path), PROMPTS[modality]]),),
        )  # fmt: skip
        for path, captions in by_medium(pairs).items()
    ]


def pairs_of(path: Any, format: str, **options: Any) -> Pairs:
    """All rows of a file of pairs; the media need not exist."""
    records = Records(path, format, check_media=False, **options)
    found = (records.reading(number, warn=False).conversation for number in range(len(records)))
    return [(str(user.media()[0].source), reply.text) for user, reply in found]


def _coco(folder: Path) -> list[Record]:
    path = needed_file(folder, "dataset_coco.json")
    return captioned(pairs_of(path, "coco", split="test"), "image")


COCO_CAPTIONS = Task(
    title="Captions of COCO",  # 5,000 pictures with five captions each
    folder="coco",
    layout="dataset_coco.json (Karpathy), val2014/*.jpg",
    records=_coco,
    reads=("image",),
    metrics=(CIDER, BLEU4, METEOR, SPICE),
    published={
        "CIDEr": {"2": 124.9, "12": 158.3},
        "B@4": {"12": 45.1},
        "METEOR": {"12": 34.1},
    },
    note="tables 2 and 12 give two CIDEr of one model and do not say how it was tuned for each",
)


def _nocaps(folder: Path) -> list[Record]:
    path = needed_file(folder, "nocaps_val_4500_captions.json")
    return captioned(pairs_of(path, "coco", media=folder / "images"), "image")


NOCAPS = Task(
    title="Captions of NoCaps",  # 4,500 pictures of Open Images with ten captions each
    folder="nocaps",
    layout="nocaps_val_4500_captions.json, images/*.jpg",
    records=_nocaps,
    reads=("image",),
    metrics=(CIDER, BLEU4, METEOR, SPICE),
    published={"CIDEr": {"2": 123.7}},
    note="validation set, all domains; the test set is scored by its owners' server",
)


def _flickr30k(folder: Path) -> list[Record]:
    path = needed_file(folder, "dataset_flickr30k.json")
    media = folder / "flickr30k-images"
    return captioned(pairs_of(path, "coco", split="test", media=media), "image")


FLICKR30K = Task(
    title="Captions of Flickr30K",  # 1,000 pictures with five captions each
    folder="flickr30k",
    layout="dataset_flickr30k.json (Karpathy), flickr30k-images/*.jpg",
    records=_flickr30k,
    reads=("image",),
    metrics=(CIDER, BLEU4, METEOR, SPICE),
    published={"CIDEr": {"2": 84.5}},
)


def msrvtt_pairs(folder: Path) -> Pairs:
    """The test split of MSR-VTT, clip by clip: 2,990 with twenty captions each."""
    both = whole(needed_file(folder, "test_videodatainfo.json", "MSRVTT_data.json"))
    clips = [row["video_id"] for row in both["videos"] if row.get("split", "test") == "test"]
    said: dict[str, list[str]] = {clip: [] for clip in clips}
    for row in both["sentences"]:
        if row["video_id"] in said:
            said[row["video_id"]].append(row["caption"])
    return [(msrvtt_clip(folder, clip), text) for clip in clips for text in said[clip]]


MSRVTT_CAPTIONS = Task(
    title="Captions of MSR-VTT",
    folder="msrvtt",
    layout="test_videodatainfo.json, TestVideo/*.mp4",
    records=lambda folder: captioned(msrvtt_pairs(folder), "video"),
    reads=("video",),
    metrics=(CIDER, BLEU4, METEOR),
    published={"CIDEr": {"3": 76.2}, "B@4": {"13": 58.8}, "METEOR": {"13": 39.6}},
    note="table 3 names no metric: CIDEr is taken, as the figures beside it are; its model was "
    "fine-tuned on MSR-VTT. All 2,990 test clips",
)


def audiocaps_pairs(folder: Path) -> Pairs:
    """The test split of AudioCaps: sounds with five captions each."""
    return pairs_of(needed_file(folder, "test.csv"), "audiocaps", media=folder / "test")


AUDIOCAPS = Task(
    title="Captions of AudioCaps",
    folder="audiocaps",
    layout="test.csv, test/YOUTUBE_ID_START.wav",
    # A caption has an id of its own; the sound is that of the clip.
    records=lambda folder: captioned(audiocaps_pairs(folder), "audio"),
    reads=("audio",),
    metrics=(CIDER, SPIDER),
    published={"CIDEr": {"3": 81.3, "11": 80.7}, "SPIDEr": {"11": 53.4}},
    note="tables 3 and 11 give two CIDEr of one model; table 11 is printed as shares of 1. Clips "
    "that are gone from their host are counted as failed",
)
