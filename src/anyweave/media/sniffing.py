"""Which modality a file holds, if only its path is given."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import av
import PIL.Image

from anyweave.media import read
from anyweave.media.audio import DEMUXERS
from anyweave.media.errors import DAMAGE, DEFAULT_LIMITS, MediaError, explain
from anyweave.media.film import video_tracks
from anyweave.media.source import Encoded, open_encoded
from anyweave.messages import MEDIA_TYPES, PAPER_MODALITIES, Modality
from anyweave.modalities import other_by_suffix


def sniff(path: str | Path) -> Modality:
    """The modality of a file, by its content and not by its name.

    If a container holds several kinds, the suffix decides; a GIF, WebP, PNG or AVIF with several
    frames is a video, an MP4 or WebM without a video track is audio. For other kinds the suffix
    decides, if the file can be read as such. Raises `MediaError` for anything but a whole medium.
    """
    named = (mimetypes.guess_type(str(path))[0] or "").partition("/")[0]
    if Path(path).suffix.lower() in (".3gp", ".3g2"):  # systems call these audio
        named = "video"
    order = sorted(PAPER_MODALITIES, key=lambda modality: modality != named)  # the suffix's first
    first: MediaError | None = None
    for modality in order:
        try:
            with open_encoded(MEDIA_TYPES[modality](path), DEFAULT_LIMITS) as encoded:
                return _kind(encoded, modality)
        except MediaError as error:
            first = first or error
    assert first is not None
    other = other_by_suffix(Path(path).suffix[1:])
    if other is None:
        raise first
    try:
        read(MEDIA_TYPES[other](path))
    except MediaError:
        if named in PAPER_MODALITIES:  # report the error for what the suffix promises
            raise first from None
        raise
    return other


def _kind(encoded: Encoded, modality: Modality) -> Modality:
    reason = f"this {encoded.format} is damaged"
    with explain(encoded.name, reason, "get the file again", DAMAGE):
        if set(encoded.modalities) == {"image", "video"}:
            frames = getattr(PIL.Image.open(encoded.file), "n_frames", 1)
            return "video" if frames > 1 else "image"
        if set(encoded.modalities) == {"video", "audio"}:
            with av.open(encoded.file, mode="r", format=DEMUXERS[encoded.format]) as container:
                film, sound = bool(video_tracks(container)), bool(container.streams.audio)
            if film != sound:
                return "video" if film else "audio"
    return modality
