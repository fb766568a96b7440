"""Checks that a resumed run reads the same data: one hash over a source's files and items."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from anyweave.media import MediaError
from anyweave.messages import Conversation, Text
from anyweave.training.plan import EpochSource, Source, in_epoch

_ITEMS = 32  # items hashed, evenly spread
_BLOCK = 1 << 16
_BLOCKS = 1024  # blocks read in total, evenly spread: a single file up to 64 MiB is read whole


@runtime_checkable
class OnFiles(Protocol):
    """A source that knows the files it reads rows from (not media files)."""

    @property
    def files(self) -> Sequence[Path]: ...


def data_identity(source: Source | EpochSource) -> str:
    """A hash that changes with the data: over the files' sizes and content (of large files, blocks
    spread over them), the number of items, and the content of some of them. Media are hashed by
    path or content.
    """
    digest = hashlib.sha256(f"{len(source)} items".encode())
    files = source.files if isinstance(source, OnFiles) else ()
    for path in files:
        for block in _blocks(path, max(4, _BLOCKS // len(files))):
            digest.update(block)
    items = in_epoch(source, 0)
    for place in np.unique(np.linspace(0, len(source) - 1, _ITEMS).astype(int)).tolist():
        for piece in _said(items, place):
            digest.update(piece)
    return digest.hexdigest()


def _blocks(path: Path, most: int) -> Iterator[bytes]:
    size = path.stat().st_size
    yield f"{path.name} {size}".encode()
    starts: Iterable[int] = range(0, size, _BLOCK)
    if size > _BLOCK * most:
        starts = np.linspace(0, size - _BLOCK, most).astype(int).tolist()
    with path.open("rb") as file:
        for start in starts:
            file.seek(start)
            yield file.read(_BLOCK)


def _said(items: Source, place: int) -> Iterator[bytes]:
    try:
        conversation: Conversation = items[place]
    except (MediaError, OSError, ValueError) as error:  # an unreadable item: hash the error type
        yield type(error).__name__.encode()
        return
    for message in conversation:
        yield message.role.encode()
        for part in message.parts:
            if isinstance(part, Text):
                yield part.text.encode()
                continue
            yield f"{part.modality} {part.caption}".encode()
            if isinstance(part.source, np.ndarray):
                yield np.ascontiguousarray(part.source).tobytes()
            elif isinstance(part.source, bytes):
                yield part.source
            else:
                yield str(part.source).encode()
