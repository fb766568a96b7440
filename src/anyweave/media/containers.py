"""Is a container whole? Decoders read a truncated one without complaint.

A WAV becomes shorter, an MP4 loses its last frames; so the containers' own lengths are checked.
Only media data that is declared but missing counts: anything after it (tags, a camera's footer, a
line break) is not damage, and neither is a length that a pipe's writer could not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from anyweave.media.matroska import segment_missing
from anyweave.media.mpeg import mpeg_frames

_ENDLESS = 0x7FFF_F000  # unknown from here on: pipes get this, or the largest less a header
_BOXES = {
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"pdin",
    b"sidx", b"ssix", b"prft", b"emsg", b"meta", b"uuid", b"udta", b"pnot", b"PICT", b"junk",
}  # fmt: skip
_MEDIA_BOXES = (b"moov", b"mdat", b"moof")
_OGG_PAGE = 65_307  # the longest


def missing_bytes(file: BinaryIO, size: int, format: str) -> str | None:
    """Why a file of `size` bytes cannot be whole, or None.

    PNG, JPEG and FLAC are left to their decoders, which do notice.
    """
    if format == "WAV":
        return _wav_missing(file, size)
    if format in ("AVI", "WebP"):
        missing = _riff_missing(file, size)
        return missing or (_webp_broken(file) if format == "WebP" else None)
    if format in ("MP4", "M4A", "HEIC", "AVIF"):
        return _boxes_missing(file, size, needed=b"moov" if format in ("MP4", "M4A") else b"meta")
    if format == "WebM":
        return segment_missing(file, size)
    if format in ("MP3", "AAC"):
        return mpeg_frames(file, size, format).missing
    if format.startswith("Ogg"):
        return _pages_missing(file, size)
    return _gif_missing(file, size) if format == "GIF" else None


def _short(declared: int, size: int) -> str | None:
    if declared <= size:
        return None
    return f"it should have {declared:,} bytes and has {size:,}"


@dataclass(frozen=True)
class WavData:
    """Where the samples of a WAV begin and how many bytes they take. `streamed`: the header does
    not say, so they run to the end of the file.
    """

    start: int
    length: int
    streamed: bool


def wav_data(file: BinaryIO, size: int) -> WavData | None:
    """The data chunk of a WAV or RF64, None if there is none."""
    position, long = 12, None
    while position + 8 <= size:
        file.seek(position)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        start = position + 8
        if kind == b"ds64":  # RF64 keeps its 64-bit lengths here
            long = int.from_bytes(file.read(16)[8:], "little")
        elif kind == b"data":
            if length == 0xFFFF_FFFF and long not in (None, 0) and long < 1 << 62:
                return WavData(start, long, streamed=False)
            streamed = length >= _ENDLESS or (
                length == 0 and not _only_chunks(file, start, size) and long in (None, 0)
            )
            return WavData(start, size - start if streamed else length, streamed)
        position = start + length + length % 2
    return None


def _only_chunks(file: BinaryIO, position: int, size: int) -> bool:
    """Whether only RIFF chunks follow from `position` on."""
    while position + 8 <= size:
        file.seek(position)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        if not _is_name(kind):
            return False
        position += 8 + length + length % 2
    return position in (size, size + 1)


def _wav_missing(file: BinaryIO, size: int) -> str | None:
    data = wav_data(file, size)
    if data is None:
        return "it has no data chunk"
    return _short(data.start + data.length, size)


def _riff_missing(file: BinaryIO, size: int) -> str | None:
    """RIFF: its length, unless unknown, and for AVI those of the RIFFs that continue it."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        kind, length, what = file.read(4), int.from_bytes(file.read(4), "little"), file.read(4)
        if position and (kind, what) != (b"RIFF", b"AVIX"):
            return None
        if length == 0 or length >= _ENDLESS:
            return None
        if position + 8 + length > size:
            return _short(position + 8 + length, size)
        position += 8 + length + length % 2
    return None if position >= 20 else "it ends within its first chunk"


def _webp_broken(file: BinaryIO) -> str | None:
    """WebP: readers stop at a chunk they cannot follow and return the frames so far."""
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4), "little")
    position = 12
    while position + 8 <= end:
        file.seek(position)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        if not _is_name(kind) or position + 8 + length > end:
            return f"its structure breaks at byte {position:,}"
        position += 8 + length + length % 2
    return None


def _is_name(kind: bytes) -> bool:
    return kind.isascii() and kind.decode("ascii").isprintable()


def _boxes_missing(file: BinaryIO, size: int, needed: bytes) -> str | None:
    """ISO base media: the top-level boxes of media must fit, and the index must be there."""
    position, kinds = 0, set()
    while position + 8 <= size:
        file.seek(position)
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        if kind not in _BOXES:
            break  # not a box: trailing bytes, or damage that the decoder reports
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        kinds.add(kind)
        if length == 0:  # up to the end of the file
            break
        if length < 8:
            break
        if position + length > size and (kind in _MEDIA_BOXES or needed not in kinds):
            return _short(position + length, size)
        position += length
    return None if needed in kinds else f"its index (the {needed.decode()} box) is missing"


def _pages_missing(file: BinaryIO, size: int) -> str | None:
    """Ogg: the last page must be complete."""
    end = size
    while end > 0:
        start = max(0, end - _OGG_PAGE)
        file.seek(start)
        tail = file.read(_OGG_PAGE + 300)
        page = tail.rfind(b"OggS", 0, end - start)
        if page >= 0:
            if len(tail) < page + 27 or len(tail) < page + 27 + tail[page + 26]:
                return "its last page is incomplete"
            segments = tail[page + 26]
            length = 27 + segments + sum(tail[page + 27 : page + 27 + segments])
            return _short(start + page + length, size)
        end = start + 3 if start else 0
    return "it has no page"


def _gif_missing(file: BinaryIO, size: int) -> str | None:
    """GIF: walk its blocks to the trailer."""
    file.seek(10)
    flags = file.read(1)
    file.seek(13 + _palette(flags))
    missing = "its trailer is missing"
    while kind := file.read(1):
        if kind == b"\x3b":
            return None
        if kind == b"\x2c":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                return missing
            file.seek(_palette(descriptor[8:]) + 1, 1)  # and the code size
        elif kind == b"\x21":
            file.seek(1, 1)
        elif kind == b"\0":
            continue  # padding between blocks, which decoders skip
        else:
            return "its structure breaks"
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return missing


def _palette(flags: bytes) -> int:
    """Bytes of the colour table that `flags` declares."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0
