"""Media beside a data file: what a written row calls them, and saving those that are in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from anyweave import media
from anyweave.files import copy_file
from anyweave.messages import Media

PathOf = Callable[[Media, str], str]
"""What a row calls a medium; the string is its place in its conversation, ``turn_part``."""


class MediaStore:
    """Names media for rows of a file in `folder`: by relative paths, as POSIX writes them.

    Media in memory are saved in `media_dir`: arrays as PNG, MP4 or WAV, encoded bytes as they are.
    Files on disk stay where they are, or with `copy` are copied there. With `absolute_outside`
    files that are not below `folder` are named by absolute paths.
    """

    def __init__(
        self,
        folder: Path,
        media_dir: Path,
        *,
        copy: bool = False,
        absolute_outside: bool = False,
    ) -> None:
        self._folder = folder.resolve()
        self._media_dir = media_dir
        self._copy = copy
        self._absolute_outside = absolute_outside
        self._saved: list[Path] = []

    def path(self, part: Media, stem: str) -> str:
        """What a row calls this medium; it is stored as `stem` if it has to be.

        Raises `ValueError` for a medium that is not there or cannot be saved.
        """
        if part.source is None:
            raise ValueError(
                f"a medium that is known by its caption alone ({part.caption!r}) has no file, and "
                "this format cannot do without"
            )
        on_disk = isinstance(part.source, (str, Path))
        if not on_disk or self._copy:
            self._media_dir.mkdir(parents=True, exist_ok=True)
        path = media.store(part, self._media_dir / stem)
        if not path.is_file():
            raise ValueError(f"no such media file: {path}; check the path")
        if on_disk and self._copy:
            copy = self._media_dir / f"{stem}{path.suffix}"
            copy_file(path, copy)
            path = copy
        if not on_disk or self._copy:
            self._saved.append(path)
        path = path.resolve()
        if self._absolute_outside and not path.is_relative_to(self._folder):
            return path.as_posix()
        return Path(os.path.relpath(path, self._folder)).as_posix()

    def undo(self) -> None:
        """Remove what was saved."""
        for path in self._saved:
            path.unlink(missing_ok=True)
