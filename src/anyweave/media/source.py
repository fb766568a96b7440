"""Open a medium's source and say what its bytes hold: we trust the content, not the extension."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from anyweave.media.containers import missing_bytes
from anyweave.media.errors import Limits, explain, media_error
from anyweave.media.mpeg import id3_length
from anyweave.messages import PAPER_MODALITIES, Media, Modality, kind_of


@dataclass(frozen=True)
class Encoded:
    """An open source of encoded bytes, its `format` as sniffed and what such bytes may hold."""

    name: str
    file: BinaryIO
    size: int
    format: str
    modalities: tuple[Modality, ...]


@contextmanager
def open_encoded(part: Media, limits: Limits) -> Iterator[Encoded]:
    """Open the path or the bytes of `part`; check their size and kind, and that they are whole.

    Raises `MediaError` for anything that is not a file of the part's modality.
    """
    source = part.source
    if isinstance(source, (bytes, bytearray, memoryview)):
        file: BinaryIO = io.BytesIO(source)
    else:
        file = open_path(part)
    with file:
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise media_error(part.name, "it is empty (0 bytes)", "write or download it again")
        limits.check(part.name, bytes=size)
        file.seek(0)
        if part.modality not in PAPER_MODALITIES:  # its own reader knows what it is
            yield Encoded(part.name, file, size, _format(part), (part.modality,))
            return
        head = file.read(512)
        if tag := id3_length(head):  # a tag says nothing about what follows it
            file.seek(tag)
            head = file.read(512) or head
        format, modalities = _identify(part.name, part.modality, head)
        if part.modality not in modalities:
            raise media_error(
                part.name,
                f"it holds {kind_of(modalities[0]).noun} ({format}), "
                f"not {kind_of(part.modality).noun}",
                f"pass it as {modalities[0].title()}(...)",
            )
        missing = missing_bytes(file, size, format)
        if missing:
            raise media_error(
                part.name,
                f"this {format} is truncated: {missing}",
                "it was cut off while it was written or downloaded: get it again",
            )
        file.seek(0)
        yield Encoded(part.name, file, size, format, modalities)


def _format(part: Media) -> str:
    """The format of a file of another kind than the paper's: its suffix, if the kind has it."""
    kind = kind_of(part.modality)
    named = Path(part.source).suffix[1:].lower() if isinstance(part.source, (str, Path)) else ""
    return named if named in kind.suffixes else kind.formats[0]


def check_source(part: Media, accepted: str) -> None:
    """Raise `MediaError` unless the source is a path or bytes; readers handle arrays themselves."""
    if isinstance(part.source, (str, os.PathLike, bytes, bytearray, memoryview)):
        return
    if part.source is None:
        raise media_error(
            f"<{part.modality}>",
            "it has no source, it is known by its caption alone",
            f"give it {accepted}",
        )
    raise media_error(
        part.name,
        f"a source of type {type(part.source).__name__} cannot be read",
        f"give it {accepted}",
    )


def open_path(part: Media) -> BinaryIO:
    """Open the regular file that `part` names. Raises `MediaError`."""
    path = Path(part.source)
    if str(part.source).split(":", 1)[0] in ("http", "https", "data", "s3", "gs", "hf"):
        raise media_error(
            part.name[:80], "it is a URL, and URLs are not fetched", "download it and give the path"
        )
    reading = explain(
        part.name, "it cannot be opened", "check the path and its rights", (OSError, ValueError)
    )
    with reading:
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            raise media_error(
                part.name, "no such file", f"check the path (the current folder is {Path.cwd()})"
            ) from None
        if stat.S_ISDIR(mode):
            raise media_error(part.name, "it is a folder, not a file", "give the path of one file")
        if not stat.S_ISREG(mode):
            raise media_error(part.name, "it is not a regular file", "give the path of a file")
        return open(path, "rb")


_MAGIC: tuple[tuple[bytes, str, tuple[Modality, ...]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG", ("image", "video")),
    (b"\xff\xd8\xff", "JPEG", ("image",)),
    (b"GIF87a", "GIF", ("image", "video")),
    (b"GIF89a", "GIF", ("video", "image")),
    (b"BM", "BMP", ("image",)),
    (b"II*\x00", "TIFF", ("image",)),
    (b"MM\x00*", "TIFF", ("image",)),
    (b"fLaC", "FLAC", ("audio",)),
    (b"ID3", "MP3", ("audio",)),
    (b"\x1aE\xdf\xa3", "WebM", ("video", "audio")),
)
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_RIFF: dict[bytes, tuple[str, tuple[Modality, ...]]] = {
    b"WAVE": ("WAV", ("audio",)),
    b"WEBP": ("WebP", ("image", "video")),
    b"AVI ": ("AVI", ("video", "audio")),
}
_NOT_MEDIA: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG drawing"),
    (b"%pdf", "a PDF document"),
    (b"pk\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def _identify(name: str, wanted: Modality, head: bytes) -> tuple[str, tuple[Modality, ...]]:
    """The format of a file that begins with `head`, and what it may hold, likeliest first."""
    for magic, format, modalities in _MAGIC:
        if head.startswith(magic):
            return format, modalities
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        brands = {head[at : at + 4] for at in range(8, min(int.from_bytes(head[:4]), 512), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF", ("image", "video")
        if brands & _HEIF:
            raise media_error(
                name,
                "it is an HEIC picture, which is not read",
                "convert it to JPEG or PNG",
            )
        return ("M4A", ("audio",)) if brand == b"M4A " else ("MP4", ("video", "audio"))
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):  # QuickTime files without a brand
        return "MP4", ("video", "audio")
    if head.startswith(b"OggS"):
        return ("Ogg video", ("video", "audio")) if b"\x80theora" in head else ("Ogg", ("audio",))
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[2] >> 4 != 15:
        return "MP3", ("audio",)  # a bare MPEG layer III frame
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC", ("audio",)  # a bare ADTS frame
    text = head.lstrip().lower()
    kind = next((kind for start, kind in _NOT_MEDIA if text.startswith(start)), None)
    reason = (
        f"it is {kind}" if kind else f"its content is not a known medium (it begins {head[:8]!r})"
    )
    readable = {
        "image": "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF",
        "video": "MP4, WebM, MKV, AVI, GIF, WebP or APNG",
        "audio": "WAV, FLAC, MP3, AAC, OGG, or the sound of an MP4 or WebM",
    }
    raise media_error(
        name, f"{reason}, not {kind_of(wanted).noun}", f"convert it to {readable[wanted]}"
    )
