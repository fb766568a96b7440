"""Is a Matroska or WebM file whole? FFmpeg silently skips what it cannot follow up to the next
cluster, so the elements are walked here (RFC 8794, RFC 9559).
"""

from __future__ import annotations

from typing import BinaryIO

_SEGMENT, _CLUSTER, _BLOCK_GROUP = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa0"
_VOID = (b"\xec", b"\xbf")  # padding and checksums may stand anywhere
_TOP = {
    _CLUSTER, *_VOID, b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b",
    b"\x1c\x53\xbb\x6b", b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67",
}  # fmt: skip
_IN_CLUSTER = {_BLOCK_GROUP, *_VOID, b"\xe7", b"\x58\x54", b"\xa7", b"\xab", b"\xa3", b"\xaf"}


def segment_missing(file: BinaryIO, size: int) -> str | None:
    """Why the segment cannot be whole, or None. Anything after a segment of known length is
    ignored; a live recording's segment ends where its elements do.
    """
    file.seek(4)
    header = vint(file.read(8))
    if header is None:
        return None
    position = 4 + header[1] + header[0]
    kind, length, position = _element(file, position)
    if kind != _SEGMENT:
        return f"it should go on after byte {size:,}" if position > size else None
    end = size if length is None else position + length
    if end > size:
        return f"it should have {end:,} bytes and has {size:,}"
    return _walk(file, position, end, live=length is None)


def _walk(file: BinaryIO, position: int, end: int, *, live: bool) -> str | None:
    in_cluster = False
    while position < end:
        start = position
        kind, length, position = _element(file, position)
        if kind in _TOP and kind not in _VOID:
            in_cluster = False
        if kind not in (_IN_CLUSTER if in_cluster else _TOP):
            file.seek(start)
            if live and not file.read(end - start).strip(b"\0\r\n"):
                return None  # nothing but padding after a recording
            return f"its structure breaks at byte {start:,}"
        if kind == _CLUSTER:
            in_cluster = True  # its children follow; its own length need not be known
            if length is not None and position + length > end:
                return f"its cluster at byte {start:,} ends {position + length - end:,} bytes late"
            continue
        if length is None:
            return f"its structure breaks at byte {start:,}"
        position += length
        if position > end:
            return f"its last block ends {position - end:,} bytes late"
    return None


def _element(file: BinaryIO, position: int) -> tuple[bytes, int | None, int]:
    """The element at `position`: its id, its content's length if known, and where that begins."""
    file.seek(position)
    head = file.read(12)
    if not head:
        return b"", None, position
    width = 9 - head[0].bit_length() if head[0] else 1
    kind, length = head[:width], vint(head[width : width + 8])
    if length is None:
        return b"", None, position + width
    unknown = length[0] == (1 << (7 * length[1])) - 1
    return kind, None if unknown else length[0], position + width + length[1]


def vint(data: bytes) -> tuple[int, int] | None:
    """An EBML variable-length number at the start of `data`: its value and its own length."""
    if not data or data[0] == 0:
        return None
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return None
    return int.from_bytes(data[:length], "big") & ((1 << (7 * length)) - 1), length
