"""Media of replies, kept for a while: on disk, under unguessable names."""

from __future__ import annotations

import re
import secrets
import threading
import time
from pathlib import Path

from anyweave.files import whole_file
from anyweave.messages import MEDIA_MODALITIES, PAPER_MODALITIES, Modality, kind_of

_SWEEP_EVERY = 10.0  # seconds; in between there may be a little too much
FILE_ID = re.compile(r"file-[0-9a-f]{40}")


def _endings() -> dict[str, Modality]:
    """What follows an id in file names, and the modality it stands for."""
    return {file_ending(m, f): m for m in MEDIA_MODALITIES for f in kind_of(m).formats}


def file_ending(modality: Modality, format: str) -> str:
    """How a medium's file name ends; kinds beyond the paper's may share a format."""
    return format if modality in PAPER_MODALITIES else f"{modality}.{format}"


class FileStore:
    """A folder of files, bounded in age and size; the oldest are dropped.

    An id is a 160-bit secret: whoever knows it may read the file.
    """

    def __init__(self, folder: Path, *, seconds: float, max_bytes: int) -> None:
        self._folder, self._seconds, self._max_bytes = folder, seconds, max_bytes
        self._sweeping = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # nobody else's business
        self.sweep()

    @staticmethod
    def new_id() -> str:
        """An id for a file that is still to come."""
        return f"file-{secrets.token_hex(20)}"

    def put(self, file_id: str, content: bytes, suffix: str) -> int:
        """Keep `content`; returns when it expires, in seconds since 1970."""
        with whole_file(self._folder / f"{file_id}.{suffix}") as file:
            file.write(content)
        if time.monotonic() > self._swept + _SWEEP_EVERY:
            self.sweep()
        return int(time.time() + self._seconds)

    def path(self, file_id: str) -> Path | None:
        """The file of an id; None for one that is gone, was never there, or is no id."""
        if not FILE_ID.fullmatch(file_id):
            return None
        names = (f"{file_id}.{ending}" for ending in _endings())
        found = next((p for name in names if (p := self._folder / name).is_file()), None)
        if found is None or found.stat().st_mtime < time.time() - self._seconds:
            return None
        return found

    def modality(self, file_id: str) -> Modality | None:
        """What an id holds."""
        path = self.path(file_id)
        return _endings().get(path.name.removeprefix(f"{file_id}.")) if path else None

    def sweep(self) -> None:
        """Remove files that are too old, and the oldest beyond the size limit."""
        with self._sweeping:
            self._swept = time.monotonic()
            now, left = time.time(), self._max_bytes
            found = [(path, path.stat()) for path in self._folder.glob("file-*")]
            for path, stat in sorted(found, key=lambda pair: -pair[1].st_mtime):
                left -= stat.st_size
                if left < 0 or stat.st_mtime < now - self._seconds:
                    path.unlink(missing_ok=True)
