"""Files and folders that appear whole or not at all, whatever kills the process or fills the disk.

What is written has a temporary name beside its destination, ``.NAME.TOKEN.tmp``, until it is on
disk (fsync of every file and folder); then it is renamed. Its writer holds the lock
``.NAME.TOKEN.tmp.lock``, which vanishes with the process, so leftovers of killed jobs are
recognised and swept. An existing folder is replaced from within: its new files become
``FOLDER/.next`` in one rename, and from then on the new version counts; `settle` finishes what a
killed process began.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

NEXT = ".next"
"""Within a folder: files of a version that already counts, not yet moved into place."""
_GONE = ".gone.json"  # within `NEXT`: names that the new version lacks
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.tmp\.lock")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_PATIENCE = 60.0  # seconds for another process to put its files in place
_swept: set[Path] = set()


class NotWrittenError(OSError, ValueError):
    """Something could not be written, for example because the disk is full. Nothing was lost."""


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where downloads, conversions and other things made once per user are kept: `cache`, else
    ``$ANYWEAVE_CACHE``, else ``~/.cache/anyweave``.
    """
    return Path(cache or os.environ.get("ANYWEAVE_CACHE") or Path.home() / ".cache" / "anyweave")


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file under a temporary name beside `path`; on success it is renamed to `path`,
    replacing what was there.

    Raises `ValueError` if there is no such folder, `NotWrittenError` if the disk is full.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
    with _temporary(path) as temporary:
        with open(temporary, "xb") as file:
            yield file
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file as UTF-8, keeping its line ends."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write a whole JSON file."""
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def file_digest(path: str | Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_stamp(part: str | Path) -> str:
    """Names, sizes and times of a folder's files, or of one file, as one hash. It reads none of
    them, and differs between copies: a cheap sign that something was rewritten.
    """
    part = Path(part)
    rows = [
        (path.relative_to(part).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted([part, *part.rglob("*")])
        if path.is_file()
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder under a temporary name; on success it becomes `path`.

    Raises `ValueError` if `path` exists and is not an empty folder, `NotWrittenError` if the disk
    is full.
    """
    path = Path(path)
    check_new(path)
    path = path.resolve()
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        _sync_tree(temporary)
        if path.exists():
            path.rmdir()
        temporary.rename(path)
        _sync(path.parent)


@contextmanager
def replaced_folder(path: str | Path, *, keep: bool = False) -> Iterator[Path]:
    """As `whole_folder`, but `path` may exist: at any time it holds the old files or, after
    `settle`, the new ones, never some of each.

    Args:
        keep: keep entries of the old folder that the new one lacks; otherwise they are removed. A
            file named `_GONE` in the new folder may list some to remove all the same.
    """
    path = Path(path)
    if not path.is_dir() or not any(path.iterdir()):
        with whole_folder(path) as fresh:
            yield fresh
            (fresh / _GONE).unlink(missing_ok=True)
        return
    with path_lock(path, patience=_PATIENCE):
        _finish(path)
        with _temporary(path / "next") as temporary:
            temporary.mkdir()
            yield temporary
            if not keep:
                held = {entry.name for entry in path.iterdir() if not _ours(entry.name)}
                drop(temporary, held - {entry.name for entry in temporary.iterdir()})
            _sync_tree(temporary)
            temporary.rename(path / NEXT)  # from here on the new version counts
            _sync(path)
        _finish(path)


def drop(fresh: Path, names: Iterable[str]) -> None:
    """Within `replaced_folder`: the new version has no entries with these names."""
    (fresh / _GONE).write_text(json.dumps(sorted(names)), encoding="utf-8")


def settle(folder: str | Path) -> None:
    """Call before reading a folder that `replaced_folder` writes: finishes what a killed process
    began to put in place. Does nothing otherwise.
    """
    folder = Path(folder)
    if (folder / NEXT).is_dir():
        with path_lock(folder, patience=_PATIENCE):
            _finish(folder)


def _finish(folder: Path) -> None:
    fresh = folder / NEXT
    if not fresh.is_dir():
        return
    gone = fresh / _GONE
    names = json.loads(gone.read_text(encoding="utf-8")) if gone.is_file() else []
    with _explained(folder):
        for entry in sorted(fresh.iterdir()):
            if entry.name != _GONE:
                if entry.is_dir() or (folder / entry.name).is_dir():
                    _remove(folder / entry.name)
                os.replace(entry, folder / entry.name)
        for name in names:
            _remove(folder / name)
        _sync(folder)
        gone.unlink(missing_ok=True)
        fresh.rmdir()
        _sync(folder)


def check_new(path: str | Path) -> None:
    """Raise `ValueError` unless `path` can become a new folder: nothing there, or an empty one."""
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} exists already: not overwriting it; choose another folder")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")


def check_unmixed(
    folder: str | Path, patterns: Iterable[str], *, overwrite: bool = False, what: str = "results"
) -> None:
    """Make sure that the files a command will write do not mix with those of an earlier one.

    Args:
        patterns: globs of all that the command may write into `folder`. Other files there do not
            matter.
        overwrite: earlier files are no error: `clear` removes them before new ones are written.

    Raises `ValueError` naming some of them.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder; choose another --out")
    found = _matching(folder, patterns)
    if found and not overwrite:
        names = ", ".join(path.name for path in found[:4]) + (", ..." if len(found) > 4 else "")
        raise ValueError(
            f"{folder} holds earlier {what} ({names}): not mixing them with new ones; choose "
            "another folder, or replace them with --overwrite (overwrite=True)"
        )


def clear(folder: str | Path, patterns: Iterable[str]) -> None:
    """Make the folder if needed, and remove the files in it that match `patterns`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in _matching(Path(folder), patterns):
        _remove(path)


def free_folder(folder: str | Path) -> Path:
    """`folder` if absent or empty, else the first such of ``folder-2``, ``folder-3``..."""
    folder, number = Path(folder), 1
    free = folder
    while free.exists() and (not free.is_dir() or any(free.iterdir())):
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


@contextmanager
def path_lock(path: str | Path, *, doing: str = "", patience: float = 0.0) -> Iterator[None]:
    """Let one process at a time into this block for a file or folder, which need not exist yet. The
    lock is a file beside it and vanishes with its process, however that ends.

    Args:
        doing: what the other process does, for the error.
        patience: seconds to wait for it; forever if negative.

    Raises `ValueError` if it does not end in time.
    """
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=patience, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"{path} is in use: another process {doing or 'is writing it'}; wait for that one, "
            "stop it, or choose another place"
        ) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def sweep(folder: str | Path) -> list[Path]:
    """Remove the temporary copies in `folder` whose writers are dead; returns them."""
    removed = []
    for lock_file in sorted(Path(folder).glob(".*.tmp.lock")):
        if _TEMPORARY.fullmatch(lock_file.name) is None:
            continue
        lock = FileLock(lock_file, timeout=0)
        try:
            lock.acquire()
        except (Timeout, OSError):
            continue  # its writer lives, or it is another user's
        try:
            left = lock_file.with_suffix("")
            if left.exists():
                removed.append(left)
                _remove(left)
            lock_file.unlink(missing_ok=True)
        finally:
            lock.release()
    return removed


def read_json(path: str | Path, *, max_bytes: int = 1 << 26, max_depth: int = 64) -> Any:
    """The value in a JSON file of at most `max_bytes`, nested at most `max_depth` deep; numbers are
    finite.

    Raises `ValueError` naming the file if it is missing, too large, damaged or too deep.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing; fetch or write the whole folder again") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise ValueError(f"{path} is larger than {max_bytes:,} bytes: no JSON file of ours is")
    try:
        value = json.loads(
            data.decode("utf-8"), parse_constant=_finite_number, parse_float=_finite_number
        )
        _check_depth(value, max_depth)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is damaged, or no JSON file ({reason})") from error
    return value


def read_object(path: str | Path) -> dict[str, Any]:
    """As `read_json`, for a file that holds one object: anything else is a `ValueError`."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(
            f"{path} is damaged: it holds a {type(value).__name__}, expected a JSON object {{...}}"
        )
    return value


def _finite_number(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is no number of JSON, or too large")
    return float(text)


def _check_depth(value: Any, left: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if left == 0:
        raise RecursionError
    for item in value.values() if isinstance(value, dict) else value:
        _check_depth(item, left - 1)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A free temporary name for `path`, locked; whatever has that name at the end is removed."""
    parent = path.parent
    if parent not in _swept:
        _swept.add(parent)
        sweep(parent)
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    with _explained(path):
        lock = FileLock(f"{temporary}.lock", timeout=0, thread_local=False)
        lock.acquire()
        try:
            yield temporary
        finally:
            _remove(temporary)
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Report a full or broken disk with what could not be written."""
    try:
        yield
    except NotWrittenError:
        raise
    except OSError as error:
        if error.errno not in _FULL:
            raise
        told = NotWrittenError(
            f"{path} cannot be written: {error.strerror}. What was there before is unharmed; free "
            "some space, or choose another disk"
        )
        told.errno = error.errno
        raise told from error


def _ours(name: str) -> bool:
    return name == NEXT or (name.startswith(".next.") and name.endswith((".tmp", ".tmp.lock")))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk."""
    if path.is_dir() and os.name == "nt":  # Windows has no such call for folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            file = Path(root, name)
            if not file.is_symlink():
                _sync(file)
        _sync(Path(root))
