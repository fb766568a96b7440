"""Is a stream of MPEG audio frames (MP3, ADTS AAC) whole? Each frame's header gives its length
(ISO 11172-3, 13818-7); the stream as a whole has none, and estimates of it are wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

_KBITS = {  # MPEG 1 and 2, layer III
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HERTZ = (44_100, 48_000, 32_000)


def id3_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that a file begins with, 0 if there is none."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + 10 * bool(head[5] & 0x10)


@dataclass
class MpegFrames:
    """The frames of a stream: `spans` of bytes that hold nothing else, the `count` of frames in
    them, and what is `missing`, or None.
    """

    spans: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0
    missing: str | None = None


def mpeg_frames(file: BinaryIO, size: int, format: str) -> MpegFrames:
    """Walk the frames of an MP3 or AAC stream.

    The last frame must be complete, and there must be as many as a Xing header declares. Tags
    between the frames and anything after the last are harmless; other bytes between them are
    damage.
    """
    file.seek(0)
    data = file.read()
    found = MpegFrames()
    start = id3_length(data)
    if start > size:
        found.missing = f"its tag should have {start:,} bytes and it has {size:,}"
        return found
    measure = _mp3_length if format == "MP3" else _adts_length
    position = next((at for at in range(start, min(start + 4096, size)) if measure(data, at)), size)
    first = position
    while position < size:
        begin = position
        while position < size and _alike(data, position, first):
            length = measure(data, position)
            if not length:
                break
            if position + length > size:
                found.missing = f"its last frame ends {position + length - size:,} bytes late"
                return found
            position, found.count = position + length, found.count + 1
        rest = data[position : position + 7]
        if 0 < len(rest) < 7 and rest[:2] == data[first : first + 2][: len(rest)]:
            found.missing = "its last frame is cut within its header"
            return found
        found.spans.append((begin, position))
        again = _next_frames(data, position, first, measure)
        if again < size and not data.startswith((b"TAG", b"ID3", b"APETAGEX"), position):
            found.missing = f"its frames break off at byte {position:,} and go on at {again:,}"
            return found
        position = again
    declared = _declared_frames(data[first : first + 400]) if format == "MP3" else None
    if declared is not None and found.count < declared:  # the header itself may count or not
        found.missing = f"it should have {declared:,} frames and has {found.count:,}"
    return found


def _next_frames(
    data: bytes, position: int, first: int, measure: Callable[[bytes, int], int]
) -> int:
    """Where three frames like the first follow one another, or the end."""
    while (position := data.find(b"\xff", position)) >= 0:
        at, run = position, 0
        while run < 3 and _alike(data, at, first) and (length := measure(data, at)):
            at, run = at + length, run + 1
        if run == 3:
            return position
        position += 1
    return len(data)


def _alike(data: bytes, position: int, first: int) -> bool:
    """Version, layer and sampling rate do not change within a stream; bits per second may."""
    if position + 3 > len(data):
        return False
    return (data[position + 1] | 1, data[position + 2] & 0x0C) == (
        data[first + 1] | 1,
        data[first + 2] & 0x0C,
    )


def _mp3_length(data: bytes, position: int) -> int:
    """Bytes of the layer III frame whose header is at `position`, 0 if it is none."""
    head = data[position : position + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, rate, bits = head[1] >> 3 & 3, head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or rate == 3 or bits in (0, 15):
        return 0
    whole = version == 3
    hertz = _HERTZ[rate] >> (0 if whole else 1 if version == 2 else 2)
    return (144 if whole else 72) * _KBITS[whole][bits] * 1000 // hertz + (head[2] >> 1 & 1)


def _adts_length(data: bytes, position: int) -> int:
    """Bytes of the AAC frame whose header is at `position`, 0 if it is none."""
    head = data[position : position + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length if length >= 7 else 0


def _declared_frames(frame: bytes) -> int | None:
    """How many frames follow, according to a Xing or Info header in the first frame."""
    whole, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    at = 4 + ((17 if mono else 32) if whole else (9 if mono else 17))
    if (
        frame[at : at + 4] not in (b"Xing", b"Info")
        or not int.from_bytes(frame[at + 4 : at + 8]) & 1
    ):
        return None
    return int.from_bytes(frame[at + 8 : at + 12], "big")
