"""Rows of files of one kind by index, keeping only the places of records, in memory or on disk.

On disk, for files too large for memory, every file has a small ``<file>.index`` beside it, made
once in one pass: a header, then the places. A row costs two reads, of its place and of itself,
wherever it is. Each record read is checked against its digest in the index, and a few are checked
when a file is opened: a file changed in place that kept its size and time gets a new index or ends
the run.
"""

from __future__ import annotations

import io
import logging
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from anyweave.data.kinds import KINDS, Kind
from anyweave.files import whole_file

logger = logging.getLogger(__name__)

_PLACE = np.dtype([("start", "<i8"), ("end", "<i8"), ("number", "<u4"), ("digest", "<u4")])
_HEADER = np.dtype([("magic", "S8"), ("size", "<i8"), ("time", "<i8"), ("count", "<i8")])
_MAGIC = b"anywshd4"
_TRIED = 16  # records that are checked when a file is opened
_TOGETHER = 1 << 14  # places written at once
_OPEN = 128  # files: a shuffle window's blocks are in at most 64 shards, each with its index


class IndexedRows:
    """The rows of `paths`, one after another (`anyweave.data.rows.Rows`). `suffix` is their kind's.

    `on_disk`: keep the indices in `index_dir`, or else beside the files; otherwise in memory.
    Raises `ValueError` for files in several folders; with indices on disk also for a damaged file,
    since its `problems` would have to be found again in every run.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        suffix: str,
        *,
        on_disk: bool = False,
        index_dir: str | Path | None = None,
    ) -> None:
        self.paths = list(paths)
        self.folder = self.paths[0].parent
        if any(path.parent != self.folder for path in self.paths):
            raise ValueError(
                f"the shards of a set are in one folder, got {self.folder} and others; mix several "
                "sets by name"
            )
        self._suffix = suffix
        kind = self.kind
        self.sealed = kind.sealed
        beside = self.folder if index_dir is None else Path(index_dir)
        self._indices = [beside / f"{path.name}.index" for path in self.paths] if on_disk else []
        problems: list[str] = []
        self._places = [] if on_disk else [_places(kind, path, problems) for path in self.paths]
        self.problems = tuple(problems)
        counts = (
            map(self._counted, self.paths, self._indices) if on_disk else map(len, self._places)
        )
        self._ends = list(accumulate(count - kind.headed for count in counts))
        self._files = _Files()

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def kind(self) -> Kind:
        """Looked up each time, since its functions cannot be pickled."""
        return KINDS[self._suffix]

    def row(self, index: int) -> Any:
        file, _, data = self._record(index)
        header = self._header(file) if self.kind.headed else b""
        return self.kind.row(data, self.place(index), header)

    def place(self, index: int) -> str:
        file, found = self._find(index)
        return self.kind.place(self.paths[file], int(found["start"]), int(found["number"]))

    def length(self, index: int) -> int | None:
        """About how many tokens a row has: a quarter of its bytes. None without indices on disk, or
        where media inside the row make its size meaningless.
        """
        if self.sealed or not self._indices:
            return None
        _, found = self._find(index)
        return int(found["end"] - found["start"]) // 4

    def copy(self, indices: Iterable[int], out: Path) -> None:
        kind = self.kind
        with whole_file(out) as copied:
            copied.write(kind.copied(self._header(0)) if kind.headed else kind.begin)
            for count, index in enumerate(indices):
                copied.write(kind.between * bool(count) + kind.copied(self._record(index)[2]))
            copied.write(kind.end)

    def _find(self, index: int) -> tuple[int, Any]:
        """The number of the file, and the record's place in it."""
        file = bisect_right(self._ends, index)
        number = index - (self._ends[file - 1] if file else 0) + self.kind.headed
        return file, self._at(file, number)

    def _at(self, file: int, number: int) -> Any:
        if not self._indices:
            return self._places[file][number]
        offset = _HEADER.itemsize + number * _PLACE.itemsize
        return np.frombuffer(
            self._files.read(self._indices[file], offset, _PLACE.itemsize), _PLACE
        )[0]

    def _record(self, index: int) -> tuple[int, Any, bytes]:
        """The file, place and bytes of a record. Raises `ValueError` if the file was changed."""
        file, found = self._find(index)
        return file, found, self._read(file, found)

    def _read(self, file: int, found: Any) -> bytes:
        path, start = self.paths[file], int(found["start"])
        data = self._files.read(path, start, int(found["end"]) - start)
        if self.kind.digest(io.BytesIO(data), 0, len(data)) != found["digest"]:
            what = f"remove {self._indices[file]} and start" if self._indices else "start"
            raise ValueError(f"{path}: it was changed after it was indexed; {what} again")
        return data

    def _header(self, file: int) -> bytes:
        return self._read(file, self._at(file, 0))

    def _counted(self, path: Path, index: Path) -> int:
        """The number of records of a file; makes its index unless a current one exists."""
        found = _fitting(self.kind, path, index)
        if found is not None:
            return found
        try:
            index.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(index.parent / ".index.lock"):  # one process makes it, the others wait
                found = _fitting(self.kind, path, index)
                return _write_index(self.kind, path, index) if found is None else found
        except PermissionError as error:
            raise ValueError(
                f"cannot write the index {index} ({error.strerror}); pass index_dir, a folder to "
                "write into"
            ) from error


class _Files:
    """Files read at given offsets, a few kept open. No file position is used, so forked processes
    and threads may share them.
    """

    def __init__(self) -> None:
        self._open: dict[Path, BinaryIO] = {}

    def __reduce__(self) -> tuple[type[_Files], tuple[()]]:
        return _Files, ()

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


def _places(kind: Kind, path: Path, problems: list[str]) -> np.ndarray:
    with open(path, "rb") as file:
        return np.fromiter(kind.scan(file, path, problems), _PLACE)


def _fitting(kind: Kind, path: Path, index: Path) -> int | None:
    """The number of records, or None if no index matches the file as it is now; some records are
    checked.
    """
    stat = path.stat()
    try:
        (header,) = np.fromfile(index, _HEADER, count=1)
    except (FileNotFoundError, ValueError):
        return None
    count = int(header["count"])
    expected = _HEADER.itemsize + count * _PLACE.itemsize
    known = (header["magic"], header["size"], header["time"], index.stat().st_size)
    if known != (_MAGIC, stat.st_size, stat.st_mtime_ns, expected):
        return None
    with open(path, "rb") as file:
        for number in {
            place * (count - 1) // (_TRIED - 1) for place in range(_TRIED * (count > 0))
        }:
            offset = _HEADER.itemsize + number * _PLACE.itemsize
            (found,) = np.fromfile(index, _PLACE, count=1, offset=offset)
            if kind.digest(file, int(found["start"]), int(found["end"])) != found["digest"]:
                return None
    return count


def _write_index(kind: Kind, path: Path, index: Path) -> int:
    """Index a file and return its number of records. Raises `ValueError` for a damaged one."""
    logger.info("indexing %s", path)
    problems: list[str] = []
    count = 0
    with whole_file(index) as out, open(path, "rb") as file:
        stat = os.fstat(file.fileno())
        out.write(bytes(_HEADER.itemsize))
        records = iter(kind.scan(file, path, problems))
        for first in records:
            places = np.fromiter(chain([first], islice(records, _TOGETHER - 1)), _PLACE)
            count += len(places)
            out.write(places.tobytes())
        if problems:
            raise ValueError(problems[0])
        out.seek(0)
        header = (_MAGIC, stat.st_size, stat.st_mtime_ns, count)
        out.write(np.array(header, _HEADER).tobytes())
    return count
