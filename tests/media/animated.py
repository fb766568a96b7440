"""Clips for tests in any format, of which Pillow writes those that we only read."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

from anyweave import media


def encoded_clip(frames: np.ndarray, rate: float, format: str) -> bytes:
    """``uint8[T, H, W, 3]`` as a file."""
    if format != "webp":
        return media.encode("video", frames, rate=rate, format=format)
    first, *others = map(PIL.Image.fromarray, frames)
    buffer = io.BytesIO()
    first.save(buffer, "webp", save_all=True, append_images=others, duration=round(1000 / rate))
    return buffer.getvalue()
