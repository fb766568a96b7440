"""Rows of many large files by index, with the places of the rows on disk instead of in memory.

Every shard has a small file ``<shard>.index`` beside it, made once in one pass: a header, then 16
bytes a record. A row costs two reads, of its place and of itself, wherever it stands. A digest in
the index is compared with every row that is read, and with some when a shard is opened: one that
was changed in place, with its size and time kept, gets a new index or ends the run.
"""

from __future__ import annotations

import io
import logging
import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from anyweave.data.shard_kinds import Kind, kind_of
from anyweave.files import whole_file

logger = logging.getLogger(__name__)

# An index is int64s: magic, size and time of the shard, count; then start and number of every
# record, and the end of the last. The upper half of a number is the record's digest.
_MAGIC = int.from_bytes(b"anywshd2", "little")
_NUMBERS = 1 << 32
_TRIED = 16  # records that are compared when a shard is opened
_HEADER, _ROW = 32, 16  # bytes
_TOGETHER = 1 << 16  # numbers written at once
_OPEN = 128  # files: the blocks of a shuffle window are in 64 shards at most, each with its index


class ShardTable:
    """Rows of shards of one kind, in the order of `paths` (`anyweave.data.tables.Table`).

    `index_dir`: where indices go if not beside the shards, such as when those are read-only. Raises
    `ValueError` for a shard that is damaged or of a kind that cannot be read from the middle.
    """

    def __init__(self, paths: Sequence[Path], *, index_dir: str | Path | None = None) -> None:
        self.paths = list(paths)
        self.folder = self.paths[0].parent
        if any(path.parent != self.folder for path in self.paths):
            raise ValueError(
                f"the shards of a set are in one folder, got {self.folder} and others; mix several "
                "sets by name"
            )
        self.problems: tuple[str, ...] = ()
        self._kind = kind_of(self.paths)
        self.sealed = self._kind.sealed
        beside = self.folder if index_dir is None else Path(index_dir)
        self._indices = [beside / f"{path.name}.index" for path in self.paths]
        counts = map(self._counted, self.paths, self._indices)
        self._ends = list(accumulate(counts))
        self._files = _Files()

    def __len__(self) -> int:
        return self._ends[-1]

    def row(self, index: int) -> Any:
        data, place = self._record(index)
        return self._kind.row(data, place)

    def place(self, index: int) -> str:
        shard, _, _, number = self._span(index)
        return self._name(shard, number)

    def length(self, index: int) -> int | None:
        """About how many tokens a record has: a quarter of its bytes. None for samples with
        media.
        """
        if not self._kind.tokens_known:
            return None
        _, start, end, _ = self._span(index)
        return (end - start) // 4

    def copy(self, indices: Iterable[int], out: Path) -> None:
        with whole_file(out) as file:
            for index in indices:
                file.write(self._kind.copied(self._record(index)[0]))
            file.write(self._kind.end)

    def _span(self, index: int) -> tuple[int, int, int, int]:
        """Shard, start and end in bytes, and the number of the line or sample."""
        shard = bisect_right(self._ends, index)
        before = self._ends[shard - 1] if shard else 0
        offset = _HEADER + (index - before) * _ROW
        row = array("q", self._files.read(self._indices[shard], offset, 2 * _ROW))
        return shard, row[0], row[2], row[1]

    def _record(self, index: int) -> tuple[bytes, str]:
        """The bytes of a record, and its place. Raises `ValueError` if the shard was changed."""
        shard, start, end, number = self._span(index)
        data = self._files.read(self.paths[shard], start, end - start)
        if self._kind.digest(io.BytesIO(data), 0, len(data)) != number // _NUMBERS:
            raise ValueError(
                f"{self.paths[shard]}: it was changed after it was indexed; remove "
                f"{self._indices[shard]} and start again"
            )
        return data, self._name(shard, number)

    def _name(self, shard: int, number: int) -> str:
        return self._kind.place(self.paths[shard], number % _NUMBERS)

    def _counted(self, path: Path, index: Path) -> int:
        """The number of records of a shard; its index is made if there is none that fits."""
        found = _fitting(self._kind, path, index)
        if found is not None:
            return found
        try:
            index.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(index.parent / ".index.lock"):  # one process makes it, the others wait
                found = _fitting(self._kind, path, index)
                return _write_index(self._kind, path, index) if found is None else found
        except PermissionError as error:
            raise ValueError(
                f"cannot write the index {index} ({error.strerror}); pass index_dir, a folder to "
                "write into"
            ) from error


class _Files:
    """Files read at places, a few held open. They keep no position of ours, so forked processes and
    threads may share them.
    """

    def __init__(self) -> None:
        self._open: dict[Path, BinaryIO] = {}

    def read(self, path: Path, offset: int, size: int) -> bytes:
        file = self._open.get(path)
        if file is None:
            if len(self._open) >= _OPEN:
                # Closed when nobody reads it any more.
                self._open.pop(next(iter(self._open)), None)
            file = self._open[path] = open(path, "rb", buffering=0)  # noqa: SIM115
        found = os.pread(file.fileno(), size, offset)
        if len(found) < size:
            raise OSError(f"{path}: it became shorter while it was read; start again")
        return found


def _fitting(kind: Kind, path: Path, index: Path) -> int | None:
    """The number of records, or None without an index of the shard as it is now: some records are
    compared.
    """
    count = _read_header(path, index)
    if not count:
        return count
    with open(index, "rb") as places, open(path, "rb") as file:
        for number in {place * (count - 1) // (_TRIED - 1) for place in range(_TRIED)}:
            places.seek(_HEADER + number * _ROW)
            start, known, end = array("q", places.read(_ROW + _ROW // 2))
            if kind.digest(file, start, end) != known // _NUMBERS:
                return None
    return count


def _read_header(path: Path, index: Path) -> int | None:
    """The number of records, or None without an index of a shard of this size and time."""
    try:
        with open(index, "rb") as file:
            header = array("q", file.read(_HEADER))
    except (FileNotFoundError, ValueError):
        return None
    stat = path.stat()
    fits = list(header[:3]) == [_MAGIC, stat.st_size, stat.st_mtime_ns] and len(header) == 4
    whole = fits and index.stat().st_size == _HEADER + (header[3] + 1) * _ROW
    return header[3] if whole else None


def _write_index(kind: Kind, path: Path, index: Path) -> int:
    """Index a shard and say how many records it has."""
    logger.info("indexing %s", path)
    total, rows = 0, array("q")
    with whole_file(index) as out, open(path, "rb") as file:
        stat = os.fstat(file.fileno())
        out.write(bytes(_HEADER))
        for start, number, digest in kind.scan(file, path):
            rows.extend((start, number + digest * _NUMBERS))
            if len(rows) >= _TOGETHER:
                total += len(rows)
                out.write(rows.tobytes())
                del rows[:]
        out.write(rows.tobytes())
        count = (total + len(rows)) // 2 - 1
        out.seek(0)
        out.write(array("q", (_MAGIC, stat.st_size, stat.st_mtime_ns, count)).tobytes())
    return count
