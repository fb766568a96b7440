"""A medium as an answer: its type comes from its bytes, never from its name."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, JSONResponse, Response

from anyweave.media import MediaError
from anyweave.media.errors import DEFAULT_LIMITS
from anyweave.media.source import open_encoded
from anyweave.messages import PAPER_MODALITIES, Media, kind_of

__all__ = ["medium_response"]

# By format, as `open_encoded` names it. The same container has a type per modality.
_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "WebP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "MP3": "audio/mpeg",
    "M4A": "audio/mp4",
    "WAV": "audio/wav",
    "FLAC": "audio/flac",
    "MP4": "{modality}/mp4",
    "WebM": "{modality}/webm",
    "AVI": "video/x-msvideo",
    "Ogg": "audio/ogg",
    "Ogg video": "{modality}/ogg",
}


def medium_response(part: Media) -> Response:
    """The encoded medium of `part`, whole or the byte range that is asked for.

    A medium of another kind than the paper's, or a file that is not of its modality (HTML or SVG
    with a picture's name), is only ever downloaded; a missing file is 404.
    """
    kind = None
    try:
        with open_encoded(part, DEFAULT_LIMITS) as encoded:
            kind = _TYPES.get(encoded.format, "").format(modality=part.modality) or None
            if kind is None and part.modality not in PAPER_MODALITIES:
                return _download(part, kind_of(part.modality).media_type(encoded.format))
    except MediaError:
        pass  # not shown, but a person may still want to see what it is
    if kind is None:
        return _download(part, "application/octet-stream")
    if isinstance(part.source, (bytes, bytearray, memoryview)):
        return Response(bytes(part.source), media_type=kind)
    if not isinstance(part.source, (str, Path)) or not Path(part.source).is_file():
        return JSONResponse({"error": "no such medium"}, 404)
    return FileResponse(Path(part.source), media_type=kind)


def _download(part: Media, kind: str) -> Response:
    if isinstance(part.source, (bytes, bytearray, memoryview)):
        how = {"Content-Disposition": "attachment"}
        return Response(bytes(part.source), media_type=kind, headers=how)
    if not isinstance(part.source, (str, Path)) or not Path(part.source).is_file():
        return JSONResponse({"error": "no such medium"}, 404)
    path = Path(part.source)
    return FileResponse(path, media_type=kind, filename=path.name)
