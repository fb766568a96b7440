"""Writes replies to disk: each medium as a file in a common format, and the parts in order as plain
JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anyweave import media
from anyweave.messages import Media, Message, Text


def write_message(
    message: Message, folder: str | Path, stem: str = "reply"
) -> list[dict[str, Any]]:
    """Save the media of `message` below `folder` and return its parts in order.

    A text part is ``{"type": "text", "text": ...}``; a medium ``{"type", "path", "caption"}``,
    named ``stem-NUMBER.png|mp4|wav`` where NUMBER counts the message's media from 1. A medium that
    is already a file stays where it is; one with only a caption has the path None. Raises
    `MediaError` if a file cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, Any]] = []
    number = 0
    for part in message.parts:
        if isinstance(part, Text):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, Media):
            number += 1
            path = None
            if part.source is not None:
                path = str(media.store(part, folder / f"{stem}-{number}"))
            parts.append({"type": part.modality, "path": path, "caption": part.caption})
    return parts
