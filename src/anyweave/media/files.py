"""Media files are written whole or not at all, and errors say what prevented it."""

from __future__ import annotations

import os
from pathlib import Path

from anyweave.files import whole_file
from anyweave.media.errors import media_error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody ever sees half written.

    Raises `MediaError` (with the system's reason, such as a full disk) and leaves `path` as it was.
    """
    if not path.parent.is_dir():
        raise media_error(
            str(path), "cannot be written (No such file or directory)", "make the folder first"
        )
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise media_error(
            str(path), f"cannot be written ({reason})", "check space and rights"
        ) from error
