"""Media beside a data file: how written rows name them, and saving those that are in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from anyweave import media
from anyweave.data.place import listed
from anyweave.files import whole_file
from anyweave.media.source import open_encoded
from anyweave.messages import Media

PathOf = Callable[[Media, str], str]
"""How a row names a medium; the string is its place in its conversation, ``turn_part``."""


class MediaStore:
    """Names media for rows of a file in `folder`, by relative POSIX paths.

    Media in memory are saved in `media_dir`: arrays as PNG, MP4 or WAV, encoded bytes as they are.
    Files on disk stay where they are, or with `copy` are copied there; with `embed`, whoever reads
    the rows copies them. Copied either way, they must be what the row says, and below one of the
    folders `inside` (None is anywhere). With `absolute_outside`, files that are not below `folder`
    get absolute paths.
    """

    def __init__(
        self,
        folder: Path,
        media_dir: Path,
        *,
        copy: bool = False,
        embed: bool = False,
        inside: Sequence[Path] | None = None,
        absolute_outside: bool = False,
    ) -> None:
        self._folder = folder.resolve()
        self._media_dir = media_dir
        self._copy, self._embed = copy, embed
        self._inside = inside
        self._absolute_outside = absolute_outside
        self._saved: list[Path] = []

    def path(self, part: Media, stem: str) -> str:
        """How a row names this medium, which is stored as `stem` if necessary.

        Raises `ValueError` for a medium that is missing or cannot be saved.
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
        if not os.path.isfile(path):  # or its name is too long
            raise ValueError(f"no such media file: {path}; check the path")
        if on_disk and (self._copy or self._embed):
            check_inside(path, self._inside)
        if on_disk and self._copy:
            path = copy_medium(part, self._media_dir / f"{stem}{path.suffix}")
        elif on_disk and self._embed:
            with open_encoded(part, media.DEFAULT_LIMITS):
                pass
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


def check_inside(path: Path, inside: Sequence[Path] | None) -> None:
    """Raise `ValueError` unless a file to be copied is below one of the folders `inside` after
    following links; None is anywhere.
    """
    real = path.resolve()
    if inside is None or any(real.is_relative_to(folder.resolve()) for folder in inside):
        return
    leads = "" if real == path else f" (it leads to {real})"
    raise ValueError(
        f"{path} is outside {listed(map(str, inside))}{leads}, so it is not copied; "
        "--allow-outside takes files from anywhere"
    )


def copy_medium(part: Media, to: Path) -> Path:
    """Copy a part's file, whole or not at all. Raises `MediaError` if it is not such a medium."""
    with open_encoded(part, media.DEFAULT_LIMITS) as encoded, whole_file(to) as file:
        shutil.copyfileobj(encoded.file, file)
    return to
