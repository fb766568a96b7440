"""Bytes by key in a few large files, for several processes at once, on a local disk.

    index.sqlite     (kind, key) -> shard, offset, size, checksum; how much of every shard is taken
    000001.shard     the bytes, one blob after another

A writer reserves a place in the newest shard, writes there, and only then enters the blob into the
index; both steps are SQLite transactions. A killed writer leaves at most a hole that nobody reads.
A blob is checked whenever it is read.

LMDB was tried instead: it maps its file, so a truncated file kills the process with SIGBUS, whereas
here the blobs after the cut are made again. A single SQLite file was tried too: 20 lines less, but
one truncation would cost everything. Safetensors files cannot be appended to.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger(__name__)

SHARD_BYTES = 1 << 28
_OWN = re.compile(r"index\..*|\d{6}\.shard|\..*")  # names that may exist before the index does
_PATIENCE = 60.0  # seconds that a writer waits for the others
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (number INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS done (job TEXT, part INTEGER, PRIMARY KEY (job, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
  kind TEXT, key BLOB, shard INTEGER, offset INTEGER, size INTEGER, crc32 INTEGER,
  PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""


class CacheError(ValueError):
    """A cache cannot be used. The message says what to do."""


class BlobStore:
    """Blobs below `folder`, which the first `put` creates.

    `max_bytes` bounds the shards, from then on for every user of the folder; None leaves the bound
    as it is. `shard_bytes`: size of a shard, the unit in which `prune` frees space.
    """

    def __init__(
        self, folder: str | Path, *, max_bytes: int | None = None, shard_bytes: int = SHARD_BYTES
    ) -> None:
        self.folder = Path(folder)
        self.max_bytes, self.shard_bytes = max_bytes, shard_bytes
        self._db: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        _stores.add(self)

    def get(self, kind: str, key: str) -> bytes | None:
        """The blob, or None if it is absent or damaged (then it is reported and removed)."""
        with self._index() as db:
            row = None if db is None else db.execute(_FIND, (kind, _raw(key))).fetchone()
        if row is None:
            return None
        shard, offset, size, checksum = row
        try:
            with open(self._path(shard), "rb", buffering=0) as file:
                file.seek(offset)
                blob = file.read(size)
        except FileNotFoundError:
            blob = b""
        if zlib.crc32(blob) == checksum and len(blob) == size:
            return blob
        self.remove(kind, key, f"{self._path(shard)} at {offset}: checksum differs")
        return None

    def put(self, kind: str, key: str, blob: bytes) -> bool:
        """Store a blob unless there is one already. False if it would exceed `max_bytes`."""
        with self._transaction() as db:
            if db.execute(_FIND, (kind, _raw(key))).fetchone() is not None:
                return True
            place = self._reserve(db, len(blob))
        if place is None:
            return False
        shard, offset = place
        try:
            self._path(shard).touch()
            with open(self._path(shard), "r+b") as file:
                file.seek(offset)
                file.write(blob)
        except OSError as error:  # Python's own does not say which file
            raise CacheError(
                f"the cache {self.folder} cannot be written ({error.strerror}); make room or put "
                "it elsewhere (cache_dir). What is in it stays of use"
            ) from error
        with self._transaction() as db:
            # Only into a shard that was not removed meanwhile; the first of two writers wins.
            row = (kind, _raw(key), shard, offset, len(blob), zlib.crc32(blob), shard)
            db.execute(_ENTER, row)
        return True

    def remove(self, kind: str, key: str, reason: str) -> None:
        """Remove a damaged blob and log it. No job counts as done any more."""
        logger.warning("damaged cache entry (%s): removed, it will be computed again", reason)
        with self._transaction() as db:
            db.execute("DELETE FROM blobs WHERE kind = ? AND key = ?", (kind, _raw(key)))
            db.execute("DELETE FROM done")

    def keys(self) -> Iterator[tuple[str, str]]:
        """(kind, key) of all blobs."""
        with self._index() as db:
            rows = [] if db is None else db.execute("SELECT kind, key FROM blobs").fetchall()
        return ((kind, key.hex()) for kind, key in rows)

    def usage(self) -> tuple[int, int]:
        """Number of blobs, and bytes of all shards."""
        with self._index() as db:
            if db is None:
                return 0, 0
            (count,) = db.execute("SELECT count(*) FROM blobs").fetchone()
            return int(count), _total(db)

    def prune(self, max_bytes: int) -> int:
        """Remove the oldest shards to leave at most `max_bytes`; returns how many blobs went."""
        removed, gone = 0, []
        with self._transaction() as db:
            shards = db.execute("SELECT number, size FROM shards ORDER BY number").fetchall()
            left = sum(size for _, size in shards)
            for number, size in shards:
                if left <= max_bytes:
                    break
                left -= size
                gone.append(number)
                removed += db.execute("DELETE FROM blobs WHERE shard = ?", (number,)).rowcount
                db.execute("DELETE FROM shards WHERE number = ?", (number,))
            if gone:
                db.execute("DELETE FROM done")
        for number in gone:
            self._path(number).unlink(missing_ok=True)
        return removed

    def agree(self, name: str, value: str) -> str:
        """A setting of the folder: `value` if this is the first to ask, else what it was set to."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))
            (found,) = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            return str(found)

    def done(self, job: str) -> set[int]:
        """The parts of a job that were marked as done."""
        with self._index() as db:
            found = "SELECT part FROM done WHERE job = ?"
            return set() if db is None else {part for (part,) in db.execute(found, (job,))}

    def mark_done(self, job: str, part: int) -> None:
        """Remember that a part of a job need not be looked at again."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO done VALUES (?, ?)", (job, part))

    def close(self) -> None:
        """Close the index; the next use opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
            self._db = None

    def _reserve(self, db: sqlite3.Connection, size: int) -> tuple[int, int] | None:
        """A shard and an offset in it that nobody else writes to."""
        bound = db.execute("SELECT value FROM settings WHERE name = 'max_bytes'").fetchone()
        if bound is not None and _total(db) + size > bound[0]:
            return None
        newest = db.execute("SELECT number, size FROM shards ORDER BY number DESC LIMIT 1")
        number, end = newest.fetchone() or (None, 0)
        if number is None or (end and end + size > self.shard_bytes):
            number, end = db.execute("INSERT INTO shards (size) VALUES (0)").lastrowid, 0
        db.execute("UPDATE shards SET size = ? WHERE number = ?", (end + size, number))
        return int(number or 0), int(end)

    def _path(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}.shard"

    @contextmanager
    def _index(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            try:
                if self._db is None and (create or (self.folder / "index.sqlite").is_file()):
                    self._db = self._connect()
                yield self._db
            except sqlite3.OperationalError as error:
                raise CacheError(
                    f"the cache {self.folder} cannot be used ({error}); it needs a local disk to "
                    "write to"
                ) from error
            except sqlite3.DatabaseError as error:
                raise CacheError(
                    f"the index of the cache {self.folder} is damaged ({error}); remove the "
                    "folder, everything in it can be made again"
                ) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._index(create=True) as db:
            assert db is not None
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise

    def _connect(self) -> sqlite3.Connection:
        if not (self.folder / "index.sqlite").is_file() and self.folder.is_dir():
            foreign = [p.name for p in self.folder.iterdir() if not _OWN.fullmatch(p.name)]
            if foreign:
                raise CacheError(
                    f"{self.folder} holds {foreign[0]} and no feature cache: not writing into it; "
                    "choose another folder"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        # Two processes that create the index at once would not wait for each other: SQLite gives up
        # where changing the journal mode might deadlock.
        with FileLock(self.folder / "index.lock"):
            db = sqlite3.connect(
                self.folder / "index.sqlite",
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,  # our own lock sees to it
            )
            db.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the newest entries, or keep entries of unwritten bytes, which
            # the checksum finds; it does not damage the index.
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(_SCHEMA)
            if self.max_bytes is not None:
                bound = "INSERT OR REPLACE INTO settings VALUES ('max_bytes', ?)"
                db.execute(bound, (self.max_bytes,))
        return db


_FIND = "SELECT shard, offset, size, crc32 FROM blobs WHERE kind = ? AND key = ?"
_ENTER = """INSERT OR IGNORE INTO blobs SELECT ?, ?, ?, ?, ?, ?
            WHERE EXISTS (SELECT 1 FROM shards WHERE number = ?)"""


def _raw(key: str) -> bytes:
    return bytes.fromhex(key)


def _total(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(sum(size), 0) FROM shards").fetchone()[0])


# SQLite's locks belong to a process and do not survive a fork: all connections are closed before
# one, and both sides open them again on demand.
_stores: weakref.WeakSet[BlobStore] = weakref.WeakSet()
_forking = threading.local()


def _before_fork() -> None:
    _forking.stores = list(_stores)
    for store in _forking.stores:
        store._lock.acquire()
        store.close()


def _after_fork() -> None:
    for store in _forking.__dict__.pop("stores", ()):
        store._lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
