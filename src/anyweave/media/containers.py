"""Is a container whole? Decoders read one that stops early without complaint.

A WAV becomes shorter, an MP4 loses its last frames; so the containers' own lengths are checked.
"""

from __future__ import annotations

from typing import BinaryIO


def missing_bytes(file: BinaryIO, size: int, format: str) -> str | None:
    """Why a file of `size` bytes cannot be whole, or None.

    PNG, JPEG and FLAC are left to their decoders, which do notice.
    """
    if format in ("WAV", "AVI", "WebP"):
        return _riff_missing(file, size)
    if format in ("MP4", "M4A"):
        return _boxes_missing(file, size)
    if format == "WebM":
        return _segment_missing(file, size)
    if format.startswith("Ogg"):
        return _pages_missing(file, size)
    if format == "GIF":
        file.seek(max(0, size - 64))
        return None if file.read().rstrip(b"\0").endswith(b"\x3b") else "its trailer is missing"
    return None


def _short(declared: int, size: int) -> str | None:
    if declared <= size:
        return None
    return f"it should have {declared:,} bytes and has {size:,}"


def _riff_missing(file: BinaryIO, size: int) -> str | None:
    """RIFF: a chunk is longer than the file. A pipe's writer cannot know: its data chunk passes."""
    position = 12
    while position + 8 <= size:
        file.seek(position)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        if kind == b"data" and (length == 0 or length >= 0x7FFFF000):  # the largest, less a header
            return None
        if position + 8 + length > size:
            return _short(position + 8 + length, size)
        position += 8 + length + length % 2
    return None if position > 12 else "it ends within its first chunk"


def _boxes_missing(file: BinaryIO, size: int) -> str | None:
    """ISO base media: walk the top-level boxes; each must fit, and there must be a `moov`."""
    position, kinds = 0, set()
    while position + 8 <= size:
        file.seek(position)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        kinds.add(kind)
        if length == 0:  # up to the end of the file
            break
        if length < 8:
            return None  # not a box: damage of another kind, the decoder tells
        if position + length > size:
            return _short(position + length, size)
        position += length
    return None if b"moov" in kinds else "its index (the moov box) is missing"


def _segment_missing(file: BinaryIO, size: int) -> str | None:
    """Matroska: the EBML header, then one segment whose length is known unless it was streamed."""
    file.seek(4)
    header = _vint(file.read(8))
    if header is None:
        return None
    position = 4 + header[1] + header[0]
    file.seek(position)
    if file.read(4) != b"\x18\x53\x80\x67":
        return _short(position + 4, size)
    segment = _vint(file.read(8))
    if segment is None or segment[0] == (1 << (7 * segment[1])) - 1:  # unknown length
        return None
    return _short(position + 4 + segment[1] + segment[0], size)


def _vint(data: bytes) -> tuple[int, int] | None:
    """An EBML variable-length number at the start of `data`: its value and its own length."""
    if not data or data[0] == 0:
        return None
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return None
    return int.from_bytes(data[:length], "big") & ((1 << (7 * length)) - 1), length


def _pages_missing(file: BinaryIO, size: int) -> str | None:
    """Ogg: the last page must be complete (a page has at most 65,307 bytes)."""
    start = max(0, size - 65_307)
    file.seek(start)
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27 or len(tail) < page + 27 + tail[page + 26]:
        return "its last page is incomplete"
    segments = tail[page + 26]
    length = 27 + segments + sum(tail[page + 27 : page + 27 + segments])
    return _short(start + page + length, size)
