"""Bytes, files and pictures to arrays and back. Knows no model and no tensor.

An image is ``uint8[H, W, 3]``, a video ``uint8[T, H, W, 3]``, audio ``float32[S]`` mono in -1..1;
other kinds (see `anyweave.modalities`) are whatever array their reader makes.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from anyweave.files import whole_file
from anyweave.media import isolation
from anyweave.media.errors import DEFAULT_LIMITS, Limits, MediaError, media_error
from anyweave.media.source import open_encoded
from anyweave.messages import PAPER_MODALITIES, Media, Modality, kind_of

__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "Limits",
    "MediaError",
    "encode",
    "encode_part",
    "load",
    "load_video_with_rate",
    "read",
    "save",
    "store",
]

FORMATS: dict[Modality, tuple[str, ...]] = {m: kind_of(m).formats for m in PAPER_MODALITIES}
_SAME = {"jpg": "jpeg"}
_SUFFIXES = {"JPEG": "jpg", "Ogg video": "ogv"}  # the others are the format's name


def load(part: Media, *, sample_rate: int = 16_000, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """The array of a medium.

    Image ``uint8[H, W, 3]``, video ``uint8[T, H, W, 3]``, audio ``float32[S]`` at `sample_rate` Hz.
    The source is a path, encoded bytes, an array, or (images) a PIL image. The content is sniffed:
    a wrong extension does not matter. The result may share memory with an array source.
    Raises `MediaError`.
    """
    return read(part, sample_rate=sample_rate, limits=limits)[0]


def read(
    part: Media, *, sample_rate: int = 16_000, limits: Limits = DEFAULT_LIMITS
) -> tuple[np.ndarray, float | None]:
    """`load`, and the array's rate: frames/s, Hz, or None for images and for a video array without
    one.

    All decoding goes through here, in another process where `isolation` says so.
    """
    if not sample_rate > 0:
        raise ValueError(f"sample_rate must be positive, got {sample_rate}")
    decoder = isolation.decoder_for(part)
    if decoder is not None:
        return decoder.read(part, sample_rate, limits)
    with isolation.bounded_time(limits):
        array, rate = kind_of(part.modality).call("reader")(part, sample_rate, limits)
        return array, rate


def load_video_with_rate(
    part: Media, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[np.ndarray, float]:
    """The frames ``uint8[T, H, W, 3]`` of a video and their mean rate in frames/s.

    Raises `MediaError`, also for an array without a rate.
    """
    if part.modality != "video":
        raise media_error(part.name, f"it is {part.modality}, not a video", "use media.load")
    frames, rate = read(part, limits=limits)
    if not rate or not 0 < rate < math.inf:
        raise media_error(
            part.name,
            f"a video array needs its rate in frames/s, got rate={rate}",
            "pass Video(array, rate=8)",
        )
    return frames, rate


def encode(
    modality: Modality,
    array: np.ndarray,
    *,
    rate: float | None = None,
    format: str,
    generated: bool = False,
) -> bytes:
    """Encode an array as PNG, JPEG, WebP | MP4, WebM, GIF | WAV, FLAC, OGG, MP3, or as its kind
    writes it.

    `rate` is Hz for audio, frames/s for video, unused for images. `generated` marks what a model
    made (see `marking`). Raises `MediaError`.
    """
    return _encode(modality, array, rate, format, f"<{modality} array>", generated)


def save(
    modality: Modality,
    array: np.ndarray,
    path: str | Path,
    *,
    rate: float | None = None,
    generated: bool = False,
) -> Path:
    """`encode` by the suffix of `path` and write it whole or not at all. Raises `MediaError`."""
    path = Path(path)
    format = path.suffix.removeprefix(".")
    _write_whole(path, _encode(modality, array, rate, format, str(path), generated))
    return path


def store(part: Media, stem: str | Path) -> Path:
    """Write a part's medium, as `encode_part` gives it, to a file called `stem` plus the suffix of
    its format. A path is returned, not copied. Raises `MediaError`.
    """
    if isinstance(part.source, (str, Path)):
        return Path(part.source)
    suffix, content = encode_part(part)
    path = Path(f"{stem}.{suffix}")
    _write_whole(path, content)
    return path


def encode_part(part: Media) -> tuple[str, bytes]:
    """The suffix and the bytes of a part's medium.

    A source that is already encoded, a file or bytes, is checked to be whole and kept as it is.
    Arrays become PNG, MP4 (slightly lossy) or 16-bit WAV, marked if a model made them. Raises
    `MediaError`.
    """
    if isinstance(part.source, (str, Path, bytes, bytearray, memoryview)):
        with open_encoded(part, DEFAULT_LIMITS) as encoded:
            suffix = _SUFFIXES.get(encoded.format, encoded.format.lower())
            return suffix, encoded.file.read()
    if part.modality == "audio" and isinstance(part.source, np.ndarray):
        array, rate = part.source, part.rate  # at its own rate
    elif part.modality == "video":
        array, rate = load_video_with_rate(part)
    else:
        array, rate = read(part)
    suffix = kind_of(part.modality).formats[0]
    content = encode(part.modality, array, rate=rate, format=suffix, generated=part.generated)
    return suffix, content


def _encode(
    modality: Modality,
    array: np.ndarray,
    rate: float | None,
    format: str,
    name: str,
    generated: bool,
) -> bytes:
    kind = kind_of(modality)
    known = _SAME.get(format.lower(), format.lower())
    if known not in kind.formats:
        raise media_error(
            name,
            f"{modality} cannot be written as {format!r}",
            f"choose one of {', '.join(kind.formats)}",
        )
    if not isinstance(array, np.ndarray):
        raise media_error(
            name, f"an array is needed, got {type(array).__name__}", "convert it with np.asarray"
        )
    content: bytes = kind.call("writer")(modality, array, rate, known, name, generated)
    return content


def _write_whole(path: Path, content: bytes) -> None:
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
