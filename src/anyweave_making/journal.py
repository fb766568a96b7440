"""An append-only file of finished pieces of work: what it holds is never done again.

One JSON object per line, each with a `key`. A line is written in one go, so a process that is
killed loses at most the piece it was making; half a line at the end (a full disk, a power cut) is
cut off when the file is opened again. The first line holds the settings the work was begun with:
resuming with others is refused, as the pieces would not belong together.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["GivenUpError", "Journal", "work_through"]

Row = dict[str, Any]
Progress = Callable[[int, int], None]


class GivenUpError(ValueError):
    """One piece of work cannot be done; the rest can. The reason goes into the journal."""


class Journal(Mapping[str, Row]):
    """The journal at `path`, as a mapping from key to the row written last under it.

    Args:
        settings: what the work depends on. An existing journal must have been begun with the same.
            None takes any.

    Raises `ValueError` for other settings, a damaged line, or a journal that another process has
    open. Use it in a ``with`` block or `close` it; threads may share it.
    """

    def __init__(self, path: str | Path, settings: Row | None = None) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {self.path.parent}; make it first")
        self._lock = FileLock(f"{self.path}.lock", timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise ValueError(
                f"{path}: another process is writing it; wait for that one or stop it"
            ) from None
        self._writing = threading.Lock()
        self._rows: dict[str, Row] = {}
        try:
            self._file = open(self.path, "a+b")
            self.settings = self._read()
            if settings is not None:
                self._check(settings)
        except BaseException:
            self.close()
            raise

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, key: str, row: Row) -> None:
        """Write one row; it counts from now on, whatever happens to the process."""
        with self._writing:
            self._write({"key": key, **row})
            self._rows[key] = row

    def close(self) -> None:
        """Let others write. Closing twice does nothing."""
        if hasattr(self, "_file"):
            self._file.close()
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, row: Row) -> None:
        line = json.dumps(row, ensure_ascii=False) + "\n"
        self._file.write(line.encode())
        self._file.flush()

    def _read(self) -> Row | None:
        """Read the rows, cut off half a line at the end, and return the settings."""
        settings: Row | None = None
        end = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            end += len(line)
            try:
                row = json.loads(line)
                if number == 1 and "settings" in row:
                    settings = row["settings"]
                else:
                    self._rows[row.pop("key")] = row
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(
                    f"{self.path}:{number}: not a line of a journal ({error}); "
                    "remove that line or begin in another folder"
                ) from error
        if end < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(end)
        return settings

    def _check(self, settings: Row) -> None:
        settings = json.loads(json.dumps(settings))  # as it is read back: tuples are lists
        if self.settings is None and not self._rows:
            self._write({"settings": settings})
            self.settings = settings
            return
        begun = self.settings or {}
        for name in sorted({*begun, *settings}):
            if begun.get(name) != settings.get(name):
                raise ValueError(
                    f"{self.path}: this work was begun with {name}={begun.get(name)!r}, now it is "
                    f"{settings.get(name)!r}; use the same settings or another folder"
                )


def work_through(
    journal: Journal,
    keys: Sequence[str],
    make: Callable[[str], Row],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Append ``make(key)`` for every key that the journal does not hold yet.

    A piece that raises `GivenUpError` is written as ``{"failed": reason}``. Any other error stops
    the work; what was finished until then is kept.

    Args:
        workers: threads that call `make`; with one, it is called here, in order.
        progress: called with (finished, all).
    """
    todo = [key for key in keys if key not in journal]
    done = len(keys) - len(todo)

    stopped = threading.Event()  # of the work, by an error in one thread

    def finish(key: str) -> None:
        if stopped.is_set():
            return
        try:
            row = make(key)
        except GivenUpError as error:
            row = {"failed": str(error)}
        except BaseException:
            stopped.set()
            raise
        journal.append(key, row)

    def report(count: int) -> None:
        if progress is not None:
            progress(count, len(keys))

    report(done)
    with ThreadPoolExecutor(workers) as pool:
        finished = map(finish, todo) if workers == 1 else pool.map(finish, todo)
        for count, _ in enumerate(finished, done + 1):
            report(count)
