"""What captioning tasks share: one record per medium, with all its captions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from anyweave.data import Records
from anyweave.evaluation.task import Record
from anyweave.messages import MEDIA_TYPES, Message, Modality

PROMPTS: dict[Modality, str] = {
    "image": "Describe the picture in one sentence.",
    "video": "Describe the clip in one sentence.",
    "audio": "Describe the sound in one sentence.",
}


def captioned(pairs: Iterable[tuple[str, str]], modality: Modality) -> list[Record]:
    """Records of (path, caption), in the order in which media first appear."""
    said: dict[str, list[str]] = {}
    for path, caption in pairs:
        said.setdefault(path, []).append(caption)
    show = MEDIA_TYPES[modality]
    return [
        Record(
            key=path.rsplit("/", 1)[-1],
            references=tuple(captions),
            ask=(Message("user", [show(path), PROMPTS[modality]]),),
        )  # fmt: skip
        for path, captions in said.items()
    ]


def pairs_of(path: Any, format: str, **options: Any) -> list[tuple[str, str]]:
    """(path, caption) of all rows of a file of pairs; the media need not exist."""
    records = Records(path, format, check_media=False, **options)
    found = (records.reading(number, warn=False).conversation for number in range(len(records)))
    return [(str(user.media()[0].source), reply.text) for user, reply in found]
