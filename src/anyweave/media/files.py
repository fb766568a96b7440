"""Write a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from anyweave.media.errors import media_error


def write_whole(path: Path, content: bytes) -> None:
    """Write beside `path` under a temporary name, then rename: nobody ever sees half a file.

    Raises `MediaError` (with the system's reason, such as a full disk) and leaves `path` as it was.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        advice = "make the folder first" if not path.parent.is_dir() else "check space and rights"
        raise media_error(
            str(path), f"cannot be written ({error.strerror or error})", advice
        ) from error
