"""Kinds of shards: where the records of a file stand, and what the bytes of one mean."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from anyweave.data.place import RowError, listed
from anyweave.data.tables import decode
from anyweave.data.webdataset import is_member, link_problem, member_name, sample_row

_BLOCK = 512  # bytes, of tar
MASK = 0x7FFFFFFF  # a digest is half of an int64 and not negative
Found = tuple[int, int, int]


@dataclass(frozen=True)
class Kind:
    """A kind of shard.

    `scan` gives start, number and digest of every record, and at last where the last one ends.
    `digest` says the same of the bytes from start to end, None if they are no record at all: so a
    shard is known to have changed.
    """

    scan: Callable[[BinaryIO, Path], Iterator[Found]]
    digest: Callable[[BinaryIO, int, int], int | None]
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


def _scan_lines(file: BinaryIO, path: Path) -> Iterator[Found]:
    start = 0
    found: Found | None = None
    for number, line in enumerate(file, 1):
        if line.strip():
            if found is not None:
                yield (*found[:2], found[2] & MASK)
            found = start, number, zlib.crc32(line)
        elif found is not None:  # a blank line belongs to the record before it
            found = (*found[:2], zlib.crc32(line, found[2]))
        start += len(line)
    if found is not None:
        yield (*found[:2], found[2] & MASK)
    yield start, 0, 0


def _scan_samples(file: BinaryIO, path: Path) -> Iterator[Found]:
    size, number, end = os.fstat(file.fileno()).st_size, 0, 0
    last: str | None = None
    start = digest = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                if not is_member(entry):
                    continue
                if entry.offset_data + entry.size > size:
                    raise tarfile.ReadError(f"{entry.name} is cut off")
                key, _ = member_name(entry.name)
                if key != last:
                    if last is not None:
                        yield start, number, digest & MASK
                    last, number, start, digest = key, number + 1, entry.offset, 0
                digest = _digest_member(entry, start, digest)
                end = entry.offset_data + -(-entry.size // _BLOCK) * _BLOCK
    except tarfile.TarError as error:
        after = f" after {last}" if last else ""
        raise ValueError(f"{path}: this tar is damaged{after} ({error}); get it again") from error
    if last is not None:
        yield start, number, digest & MASK
    yield end, 0, 0


def _digest_member(entry: tarfile.TarInfo, start: int, digest: int) -> int:
    """The digest with one more member of a sample that begins at `start`: names and places, which
    are all that an index believes; the contents are read as they are.
    """
    said = f"{entry.name}\0{entry.offset_data - start}\0{entry.size}\0"
    return zlib.crc32(said.encode(errors="surrogateescape"), digest)


def _digest_line(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    return zlib.crc32(file.read(end - start)) & MASK


def _digest_sample(file: BinaryIO, start: int, end: int) -> int | None:
    digest = 0
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (entry := tar.next()) is not None and entry.offset < end:
                if is_member(entry):
                    digest = _digest_member(entry, start, digest)
    except tarfile.TarError:
        return None
    return digest & MASK


def _piece(data: bytes, start: int, end: int) -> bytes:
    return data[start:end]


def _sample_row(data: bytes, place: str) -> Any:
    members: dict[str, Callable[[], bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for entry in tar:
            if is_member(entry):
                if not entry.isfile():
                    raise RowError(f"{place}: {link_problem(entry)}")
                _, suffix = member_name(entry.name)
                start = entry.offset_data
                members[suffix] = partial(_piece, data, start, start + entry.size)
    return sample_row(members, place)


LINES = Kind(
    scan=_scan_lines,
    digest=_digest_line,
    row=lambda data, place: decode(data, place, "each line is one whole JSON object"),
    place=lambda path, number: f"{path}:{number}",
    tokens_known=True,
    copied=lambda data: data.rstrip() + b"\n",
    end=b"",
    sealed=False,
)
SAMPLES = Kind(
    scan=_scan_samples,
    digest=_digest_sample,
    row=_sample_row,
    place=lambda path, number: f"{path}: sample {number}",
    tokens_known=False,
    copied=bytes,
    end=b"\0" * (2 * _BLOCK),
    sealed=True,
)
KINDS = {".jsonl": LINES, ".ndjson": LINES, ".tar": SAMPLES}
