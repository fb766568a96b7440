"""The mark of generated media: anyone who finds a file can tell that a model made it.

It is the IPTC digital source type ``trainedAlgorithmicMedia`` in an XMP packet, where the XMP
specification (part 3) or the container's own (PNG, WebP) puts one: PNG, JPEG, WebP, GIF, MP4, WAV.
FLAC, OGG, MP3 and WebM have no such place for XMP in common use; there the comment holds the same
two properties. Metadata readers show both, and pixels and samples are unchanged. A C2PA manifest
would be signed, but every reader calls it untrusted without an issued certificate, it takes tens of
kilobytes and a library of 50 MB, and OGG and WebM cannot carry one.
"""

from __future__ import annotations

import struct

GENERATED = "trainedAlgorithmicMedia"
VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PROPERTIES = f'Iptc4xmpExt:DigitalSourceType="{VOCABULARY}{GENERATED}" xmp:CreatorTool="anyweave"'
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    f'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" {_PROPERTIES}/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_MP4_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def xmp(generated: bool) -> bytes:
    """The packet of a generated medium; empty for any other."""
    return _XMP.encode() if generated else b""


def comment(generated: bool) -> str:
    """The mark as a line of text, for containers with comments but no XMP."""
    return _PROPERTIES if generated else ""


def mp4_box(generated: bool) -> bytes:
    """A box to append to an MP4: ``uuid`` with the packet."""
    packet = xmp(generated)
    return struct.pack(">I4s", len(packet) + 24, b"uuid") + _MP4_XMP + packet if packet else b""


def mark_gif(data: bytes, generated: bool) -> bytes:
    """A GIF with the packet as an application extension after its header. Readers take the packet
    itself for sub-blocks, so 258 bytes follow that lead from any position to the end.
    """
    packet = xmp(generated)
    if not packet:
        return data
    flags = data[10]
    start = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)  # after the global palette
    tail = bytes([1, *range(255, -1, -1), 0])
    return data[:start] + b"\x21\xff\x0bXMP DataXMP" + packet + tail + data[start:]


def mark_wav(data: bytes, generated: bool) -> bytes:
    """A WAV with the packet as its last chunk."""
    packet = xmp(generated)
    if not packet:
        return data
    chunk = struct.pack("<4sI", b"_PMX", len(packet)) + packet + b"\0" * (len(packet) % 2)
    return data[:4] + struct.pack("<I", len(data) + len(chunk) - 8) + data[8:] + chunk
