"""Which modality a file holds, for people who only name a path."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import PIL.Image

from anyweave.media.errors import DEFAULT_LIMITS, MediaError, explain
from anyweave.media.image import DAMAGE
from anyweave.media.source import Encoded, open_encoded
from anyweave.messages import MEDIA_TYPES, Modality


def sniff(path: str | Path) -> Modality:
    """The modality of a file, by its content and not by its name.

    Where a container holds several kinds the suffix decides; a GIF or WebP is a video when it has
    several frames. Raises `MediaError` for what is not a whole medium.
    """
    named = (mimetypes.guess_type(str(path))[0] or "").partition("/")[0]
    order = sorted(MEDIA_TYPES, key=lambda modality: modality != named)  # the suffix's kind first
    first: MediaError | None = None
    for modality in order:
        try:
            with open_encoded(MEDIA_TYPES[modality](path), DEFAULT_LIMITS) as encoded:
                return _kind(encoded, modality)
        except MediaError as error:
            first = first or error
    assert first is not None
    raise first


def _kind(encoded: Encoded, modality: Modality) -> Modality:
    if set(encoded.modalities) != {"image", "video"}:
        return modality
    reason = f"this {encoded.format} is damaged"
    with explain(encoded.name, reason, "get the file again", DAMAGE):
        return "video" if getattr(PIL.Image.open(encoded.file), "n_frames", 1) > 1 else "image"
