"""Kinds of media other than pictures, clips and sounds, read and written by their own functions."""

from __future__ import annotations

import numpy as np

from anyweave.media.errors import DAMAGE, Limits, explain, media_error
from anyweave.media.source import check_source, open_encoded
from anyweave.messages import Media, MediaKind, Modality, kind_of


def read(part: Media, sample_rate: int, limits: Limits) -> tuple[np.ndarray, float | None]:
    """The array of a medium, read by the `read` of its kind, and the part's own rate. An array is
    only checked. Raises `MediaError` for anything that these functions reject.
    """
    kind = kind_of(part.modality)
    if isinstance(part.source, np.ndarray):
        limits.check(part.name, decoded_bytes=part.source.nbytes)
        return _checked(part.source, part.name, kind), part.rate
    check_source(part, "a path, bytes or an array")
    assert kind.read is not None
    with open_encoded(part, limits) as encoded:
        content = encoded.file.read()
    advice = f"give {kind.noun}: {', '.join(kind.suffixes)}"
    with explain(part.name, f"it is not {kind.noun} that can be read", advice, DAMAGE):
        array = kind.read(content)
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        raise media_error(
            part.name,
            f"the reader of {part.modality} gave {type(array).__name__}",
            "it has to make an array of numbers or letters",
        )
    limits.check(part.name, decoded_bytes=array.nbytes)
    return _checked(array, part.name, kind), part.rate


def encode(
    modality: Modality,
    array: np.ndarray,
    rate: float | None,
    format: str,
    name: str,
    generated: bool,
) -> bytes:
    """The bytes of an array, written by the `write` of its kind; `name` is for errors, and
    `generated` is ignored. Raises `MediaError`.
    """
    kind = kind_of(modality)
    assert kind.write is not None
    array = _checked(array, name, kind)
    with explain(name, f"cannot be written as {format}", f"give {kind.noun}", DAMAGE):
        return kind.write(array)


def _checked(array: np.ndarray, name: str, kind: MediaKind) -> np.ndarray:
    if kind.check is None:
        return array
    with explain(name, f"it is not {kind.noun}", "correct the array", DAMAGE):
        return kind.check(array)
