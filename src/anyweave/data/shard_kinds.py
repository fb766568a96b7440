"""Kinds of shards: where the records of a file stand, and what the bytes of one mean."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from anyweave.data.place import listed
from anyweave.data.tables import decode
from anyweave.data.webdataset import member_name, sample_row

_BLOCK = 512  # bytes, of tar


@dataclass(frozen=True)
class Kind:
    """A kind of shard: `scan` gives start and number of every record, and where the last ends."""

    scan: Callable[[BinaryIO, Path], Iterator[tuple[int, int]]]
    row: Callable[[bytes, str], Any]
    place: Callable[[Path, int], str]
    tokens_known: bool  # by the size of a record
    copied: Callable[[bytes], bytes]  # a record as it stands in another file
    end: bytes  # after the last record of a file
    sealed: bool  # media are inside, so rows name no files


def kind_of(paths: Sequence[Path]) -> Kind:
    """The kind of some shards. Raises `ValueError` for several, or one that cannot be read."""
    suffixes = {path.suffix.lower() for path in paths}
    if len(suffixes) > 1:
        raise ValueError(f"shards of one kind are needed, got {listed(sorted(suffixes))}")
    suffix = suffixes.pop()
    if suffix in (".gz", ".zst", ".bz2", ".xz"):
        raise ValueError(f"{paths[0]}: compressed, so not to be read from the middle; unpack it")
    if suffix not in KINDS:
        raise ValueError(f"{paths[0]}: shards are {listed(KINDS)}, got {suffix or 'no suffix'!r}")
    return KINDS[suffix]


def _scan_lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, int]]:
    start = 0
    for number, line in enumerate(file, 1):
        if line.strip():
            yield start, number
        start += len(line)
    yield start, 0


def _scan_samples(file: BinaryIO, path: Path) -> Iterator[tuple[int, int]]:
    size, number, end = os.fstat(file.fileno()).st_size, 0, 0
    last: str | None = None
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                if not entry.isfile():
                    continue
                if entry.offset_data + entry.size > size:
                    raise tarfile.ReadError(f"{entry.name} is cut off")
                key, _ = member_name(entry.name)
                if key != last:
                    last, number = key, number + 1
                    yield entry.offset, number
                end = entry.offset_data + -(-entry.size // _BLOCK) * _BLOCK
    except tarfile.TarError as error:
        after = f" after {last}" if last else ""
        raise ValueError(f"{path}: this tar is damaged{after} ({error}); get it again") from error
    yield end, 0


def _piece(data: bytes, start: int, end: int) -> bytes:
    return data[start:end]


def _sample_row(data: bytes, place: str) -> Any:
    members: dict[str, Callable[[], bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for entry in tar:
            if entry.isfile():
                _, suffix = member_name(entry.name)
                start = entry.offset_data
                members[suffix] = partial(_piece, data, start, start + entry.size)
    return sample_row(members, place)


LINES = Kind(
    scan=_scan_lines,
    row=lambda data, place: decode(data, place, "each line is one whole JSON object"),
    place=lambda path, number: f"{path}:{number}",
    tokens_known=True,
    copied=lambda data: data.rstrip() + b"\n",
    end=b"",
    sealed=False,
)
SAMPLES = Kind(
    scan=_scan_samples,
    row=_sample_row,
    place=lambda path, number: f"{path}: sample {number}",
    tokens_known=False,
    copied=bytes,
    end=b"\0" * (2 * _BLOCK),
    sealed=True,
)
KINDS = {".jsonl": LINES, ".ndjson": LINES, ".tar": SAMPLES}
