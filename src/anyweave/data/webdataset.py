"""Pairs as files with a common stem: the format of `anyweave.data.samples`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyweave.data.pairs import PAIRS
from anyweave.data.samples import write_tar
from anyweave.messages import MEDIA_MODALITIES, kind_of


def save(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write pairs and their media into one tar. Raises `ValueError` for any other suffix."""
    if path.suffix != ".tar":
        raise ValueError(f"{path}: samples are written as one .tar; name it so")

    def files() -> Iterator[tuple[str, bytes]]:
        for number, row in enumerate(rows):
            modality = next(modality for modality in MEDIA_MODALITIES if modality in row)
            medium = path.parent / row[modality]
            suffix = medium.suffix.lower().removeprefix(".")
            if suffix not in kind_of(modality).suffixes:
                raise ValueError(f"{medium}: .{suffix} names no {modality} in a shard; rename it")
            yield f"{number:09d}.{suffix}", medium.read_bytes()
            yield f"{number:09d}.txt", row["caption"].encode()

    write_tar(files(), path)


WEBDATASET = replace(
    PAIRS,
    name="webdataset",
    about="pairs as files of one stem, in tar shards or a folder",
    recognises=lambda row: False,  # its rows are pairs
    save=save,
    holds_media=True,
)
