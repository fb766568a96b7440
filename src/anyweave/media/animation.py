"""Animated GIF and WebP, built frame by frame.

Pillow and libwebp merge equal neighbouring frames into one longer frame, which changes the frame
count. So each frame is encoded alone, as the rectangle that changed, and the pieces are put into
one file here (GIF89a specification; WebP container specification, "Animation").
"""

from __future__ import annotations

import io
import struct

import numpy as np
import PIL.Image
import PIL.ImageChops
from jaxtyping import UInt8

from anyweave.media.errors import media_error
from anyweave.media.marking import gif_block, xmp

_TICKS = {"gif": 100, "webp": 1000}  # time units per second
_MIN_TICKS = {"gif": 2, "webp": 1}  # players slow a GIF of 1 tick down to 10


def encode_animation(
    frames: UInt8[np.ndarray, "T H W 3"], rate: float, format: str, name: str, generated: bool
) -> bytes:
    """Encode frames at `rate` frames/s as a looping GIF or WebP.

    Every frame has its own duration in whole ticks (GIF 10 ms, WebP 1 ms), rounded so that they
    add up to the clip's true length. Raises `MediaError` for a rate or size the format cannot hold.
    """
    ticks = [
        round((i + 1) * _TICKS[format] / rate) - round(i * _TICKS[format] / rate)
        for i in range(len(frames))
    ]
    if min(ticks) < _MIN_TICKS[format]:
        fastest = _TICKS[format] / _MIN_TICKS[format]
        raise media_error(
            name,
            f"{format} cannot play {rate:g} frames/s",
            f"use at most {fastest:g}, or write mp4 or webm",
        )
    largest = 65_535 if format == "gif" else 16_383
    if max(frames.shape[1:3]) > largest:
        raise media_error(
            name,
            f"{format} holds at most {largest} pixels a side, got {max(frames.shape[1:3])}",
            "make it smaller, or write mp4 or webm",
        )
    pieces = [
        (picture, box, tick) for (picture, box), tick in zip(_changes(frames), ticks, strict=True)
    ]
    write = _gif if format == "gif" else _webp
    return write(pieces, frames.shape[2], frames.shape[1], generated)


_Piece = tuple[
    PIL.Image.Image, tuple[int, int], int
]  # what changed, its left upper corner, its ticks


def _changes(frames: UInt8[np.ndarray, "T H W 3"]) -> list[tuple[PIL.Image.Image, tuple[int, int]]]:
    """Each frame cut to what differs from the frame before, at an even corner (WebP wants that)."""
    pictures = [PIL.Image.fromarray(frame) for frame in frames]
    changed = [(pictures[0], (0, 0))]
    for before, now in zip(pictures, pictures[1:], strict=False):
        left, top, right, bottom = PIL.ImageChops.difference(before, now).getbbox() or (0, 0, 1, 1)
        corner = (left - left % 2, top - top % 2)
        changed.append((now.crop((*corner, right, bottom)), corner))
    return changed


def _gif(pieces: list[_Piece], width: int, height: int, generated: bool) -> bytes:
    out = io.BytesIO()
    out.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
    out.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # loop for ever
    out.write(gif_block(generated))
    for picture, (left, top), ticks in pieces:
        alone = io.BytesIO()
        picture.save(alone, format="gif", interlace=False)
        palette, size_bits, lzw = _gif_parts(alone.getvalue())
        out.write(b"\x21\xf9\x04" + struct.pack("<BHBB", 0x04, ticks, 0, 0))  # keep what is below
        out.write(b"\x2c" + struct.pack("<HHHH", left, top, *picture.size))
        out.write(bytes([0x80 | size_bits]) + palette + lzw)
    out.write(b"\x3b")
    return out.getvalue()


def _gif_parts(data: bytes) -> tuple[bytes, int, bytes]:
    """The palette, its size bits and the compressed pixels of a GIF of one frame."""
    flags = data[10]
    position = 13
    palette, size_bits = b"", 0
    if flags & 0x80:
        size_bits = flags & 7
        palette = data[position : position + 3 * 2 ** (size_bits + 1)]
        position += len(palette)
    while data[position] == 0x21:  # extensions: sub-blocks up to an empty one
        position += 2
        while data[position]:
            position += 1 + data[position]
        position += 1
    assert data[position] == 0x2C, "an image descriptor follows the extensions"
    flags = data[position + 9]
    position += 10
    if flags & 0x80:
        size_bits = flags & 7
        palette = data[position : position + 3 * 2 ** (size_bits + 1)]
        position += len(palette)
    return palette, size_bits, data[position : data.rindex(b"\x3b")]


def _webp(pieces: list[_Piece], width: int, height: int, generated: bool) -> bytes:
    body = io.BytesIO()
    packet = xmp(generated)
    flags = b"\x06" if packet else b"\x02"  # animation, metadata
    body.write(_chunk(b"VP8X", flags + b"\0\0\0" + _u24(width - 1) + _u24(height - 1)))
    body.write(_chunk(b"ANIM", b"\xff\xff\xff\xff\0\0"))  # white background, loop for ever
    for picture, (left, top), ticks in pieces:
        alone = io.BytesIO()
        picture.save(alone, format="webp", quality=95, method=4)
        place = _u24(left // 2) + _u24(top // 2)
        size = _u24(picture.width - 1) + _u24(picture.height - 1)
        header = place + size + _u24(ticks) + b"\x02"  # 2: do not blend, keep afterwards
        body.write(_chunk(b"ANMF", header + alone.getvalue()[12:]))
    if packet:
        body.write(_chunk(b"XMP ", packet))
    content = b"WEBP" + body.getvalue()
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _u24(value: int) -> bytes:
    return value.to_bytes(3, "little")
