"""Images: a path, bytes, a PIL image or an array in, ``uint8[H, W, 3]`` out, and back.

Pictures are read as a person sees them: EXIF orientation is honoured, transparency is laid on
white, and palettes, 16-bit and CMYK become 8-bit RGB. Colour profiles are ignored. An animation is
a video, not an image.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from jaxtyping import UInt8
from PIL.PngImagePlugin import PngInfo

from anyweave.media.errors import DAMAGE, Limits, explain, media_error
from anyweave.media.marking import xmp
from anyweave.media.source import check_source, open_encoded
from anyweave.messages import Media, Modality

FORMATS: tuple[str, ...] = ("png", "jpeg", "webp")
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO")


def read(part: Media, sample_rate: int, limits: Limits) -> tuple[np.ndarray, None]:
    """`load_image`; a picture has no rate."""
    return load_image(part, limits), None


def encode(
    modality: Modality,
    array: np.ndarray,
    rate: float | None,
    format: str,
    name: str,
    generated: bool,
) -> bytes:
    """`encode_image`; a picture has no rate."""
    return encode_image(array, format, name, generated)


def load_image(part: Media, limits: Limits) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels of an image part; an array source is checked and returned. Raises `MediaError`."""
    source = part.source
    if isinstance(source, np.ndarray):
        return check_image(source, part.name)
    if isinstance(source, PIL.Image.Image):
        with explain(part.name, "the PIL image cannot be read", "load it again", DAMAGE):
            return _to_rgb(source, part.name, limits)
    check_source(part, "a path, bytes, a PIL image or an array uint8[H, W, 3]")
    with open_encoded(part, limits) as encoded:
        reason = f"this {encoded.format} is damaged or truncated"
        with explain(part.name, reason, "get the file again, or open and save it anew", DAMAGE):
            with PIL.Image.open(encoded.file, formats=_READ) as picture:
                return _to_rgb(picture, part.name, limits)


def check_image(array: np.ndarray, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Raise `MediaError` unless `array` is ``uint8[H, W, 3]`` with at least one pixel."""
    if array.dtype != np.uint8:
        raise media_error(
            name,
            f"an image array is uint8[H, W, 3], got dtype {array.dtype}",
            "scale it to 0..255 and use .astype(np.uint8)",
        )
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise media_error(
            name,
            f"an image array is uint8[H, W, 3], got shape {list(array.shape)}",
            "put the three colour channels last, and drop alpha and batch axes",
        )
    return np.ascontiguousarray(array)


def encode_image(array: np.ndarray, format: str, name: str, generated: bool) -> bytes:
    """Encode ``uint8[H, W, 3]``: PNG losslessly, JPEG and WebP at high quality."""
    picture = PIL.Image.fromarray(check_image(array, name))
    packet = xmp(generated)
    text = PngInfo()
    if packet:
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
    options: dict[str, dict[str, Any]] = {
        "png": {"pnginfo": text},
        "jpeg": {"quality": 95, "subsampling": 0, "xmp": packet},
        "webp": {"quality": 95, "xmp": packet},
    }
    buffer = io.BytesIO()
    with explain(name, f"cannot be written as {format}", "choose another format", DAMAGE):
        picture.save(buffer, format=format, **options[format])
    return buffer.getvalue()


def _to_rgb(picture: PIL.Image.Image, name: str, limits: Limits) -> UInt8[np.ndarray, "H W 3"]:
    width, height = picture.size
    if width == 0 or height == 0:
        raise media_error(name, "the picture has no pixels", "give a picture with pixels")
    limits.check(name, pixels=width * height, decoded_bytes=width * height * 3)
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format in ANIMATED:
        raise media_error(
            name, f"it is an animation of {frames} frames, not an image", "pass it as Video(...)"
        )
    picture.load()
    return np.asarray(flatten(PIL.ImageOps.exif_transpose(picture), name))


def flatten(picture: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """Any Pillow mode as 8-bit RGB on white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _to_8_bit(picture, name)
    if picture.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in picture.info:
        if picture.mode == "La":  # the only mode Pillow converts it to
            picture = picture.convert("LA")
        opaque = PIL.Image.new("RGBA", picture.size, "white")
        opaque.alpha_composite(picture.convert("RGBA"))
        picture = opaque
    return picture.convert("RGB")


def _to_8_bit(picture: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """16-bit grey as 8-bit. Pillow's own conversion clips at 255 and turns such pictures white."""
    values = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > 65_535:
        raise media_error(
            name,
            f"its pixels have an unknown range (Pillow mode {picture.mode})",
            "convert it to an 8- or 16-bit picture",
        )
    return PIL.Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
