"""Depth maps: how far away everything is, ``float32[H, W]`` in metres; 0 and NaN are unknown.

Files are NumPy arrays in metres (``.npy``), or 16-bit PNGs in millimetres, as depth cameras and
most data sets write them. SUN RGB-D's PNGs have their bits rotated by 3: convert those first.
"""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
from jaxtyping import Float, UInt8

from anyweave.modalities import MediaKind

_PNG = b"\x89PNG\r\n\x1a\n"


def read(content: bytes) -> Float[np.ndarray, "H W"]:
    """The map of a PNG or NumPy file. Raises `ValueError` for anything else."""
    if content.startswith(_PNG):
        with PIL.Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if not picture.mode.startswith("I"):
                raise ValueError(
                    f"a PNG of depth has 16 bits of grey, millimetres; this is of mode "
                    f"{picture.mode}"
                )
            return np.asarray(picture).astype(np.float32) / 1000
    if not content.startswith(b"\x93NUMPY"):
        raise ValueError("it is neither a PNG nor a NumPy array")
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return check(array)


def check(array: np.ndarray) -> Float[np.ndarray, "H W"]:
    """`array` as ``float32[H, W]``. Raises `ValueError` unless it is floating-point, with two axes
    and nothing below 0.
    """
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"depth is in metres, as floating-point numbers, got dtype {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"a depth map has the shape [H, W], got {list(array.shape)}")
    if (array < 0).any():
        raise ValueError("a depth below 0 is behind the camera; unknown depth is 0 or NaN")
    return np.ascontiguousarray(array, np.float32)


def write(array: np.ndarray) -> bytes:
    """A NumPy file, exact."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def picture(array: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Near is bright, unknown is black."""
    known = np.isfinite(array) & (array > 0)
    grey = np.zeros(array.shape, np.uint8)
    if known.any():
        near, far = array[known].min(), array[known].max()
        share = (far - array[known]) / max(far - near, 1e-6)
        grey[known] = (55 + 200 * share).round()
    return np.repeat(grey[..., None], 3, axis=2)


DEPTH = MediaKind(
    name="depth",
    noun="a depth map",
    label="DEP",
    formats=("npy",),
    suffixes=("npy", "png"),
    read=read,
    write=write,
    check=check,
    picture=picture,
    prompts=(
        "What does this depth map show?",
        "Describe the depth map.",
        "What is in front of the camera?",
    ),
)
