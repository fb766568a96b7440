"""A folder of tensors addressed by content: encoder features, caption embeddings and latents,
computed once.

A key is the sha256 of *what was encoded* (media bytes or caption) and of *what encoded it* (a
fingerprint of the frozen part and its preprocessing), so changing either can never return a stale
tensor. An entry is a safetensors blob in a `BlobStore`: several processes may share a folder, and a
damaged entry is reported, removed and computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from anyweave import media
from anyweave.media.audio import check_audio
from anyweave.media.source import open_path
from anyweave.messages import Media
from anyweave.processing.blobs import SHARD_BYTES, BlobStore, CacheError

__all__ = [
    "KINDS",
    "CacheError",
    "FeatureCache",
    "Kind",
    "fingerprint",
    "media_digest",
    "text_digest",
]

logger = logging.getLogger(__name__)

Kind = Literal["features", "caption", "latents"]
KINDS: tuple[Kind, ...] = get_args(Kind)
READER = 2
"""Incremented when the same file is read or prepared as other values than before, so that old cache
entries are made again."""


def fingerprint(*values: Any) -> str:
    """A short stable hash of JSON-like values (ids, revisions, sizes): names a frozen part in cache
    keys.
    """
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def media_digest(part: Media) -> str:
    """sha256 of what a model is given of a medium: the bytes of a file, or decoded values.

    Pictures and arrays are hashed as `media.load` decodes them: colours, not palette indices or
    memory layout. Shape and rate are included, a caption is not. Raises `MediaError` for a source
    that cannot be read.
    """
    source = part.source
    digest = hashlib.sha256(f"{part.modality} {READER}".encode())
    if source is None:
        raise ValueError(
            f"a {part.modality} without a source has no content to address; give it a source"
        )
    if isinstance(source, (bytes, bytearray, memoryview)):
        digest.update(source)
    elif isinstance(source, (str, os.PathLike)):
        with open_path(part) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    elif part.modality == "audio" and isinstance(source, np.ndarray):
        samples = check_audio(source, part.name)  # at its own rate
        digest.update(f"{samples.shape}{part.rate and float(part.rate)}".encode())
        digest.update(samples.tobytes())
    else:
        array = media.load(part)
        rate = part.rate and float(part.rate) if part.modality == "video" else None
        digest.update(f"{array.shape}{rate}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """sha256 of a caption."""
    return hashlib.sha256(text.encode()).hexdigest()


class FeatureCache:
    """Tensors by (kind, key) under `folder`, of any shapes.

    Args:
        dtype: stores floating tensors in another type (``torch.float16`` halves the space), and
            `get` returns them in it. The first writer chooses for the folder; None accepts its
            choice.
        max_bytes: bound on the folder, stored in it; None leaves it as it is. A full cache takes
            nothing more: new entries are computed every time, and existing ones stay usable.
            (Training cycles through its data, so making room for each entry would drop the one
            that is needed next.) `prune` makes room.
        shard_bytes: the unit in which `prune` frees space.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        dtype: torch.dtype | None = None,
        max_bytes: int | None = None,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self.folder = Path(folder)
        self.dtype = dtype
        self.store = BlobStore(folder, max_bytes=max_bytes, shard_bytes=shard_bytes)
        self.full = False
        """Whether an entry was rejected since this object was made or `prune` ran."""
        self._agreed: str | None = None
        if any((self.folder / kind).is_dir() for kind in KINDS):
            logger.warning(
                "%s holds entries of an older layout, one file each; they are not read and may be "
                "removed: the folders %s",
                self.folder,
                ", ".join(KINDS),
            )

    @staticmethod
    def key(content: str, encoder: str) -> str:
        """The key of `content` (a digest) as seen by `encoder` (a `fingerprint`)."""
        return hashlib.sha256(f"{content}\n{encoder}".encode()).hexdigest()

    def get(self, kind: Kind, key: str) -> dict[str, Tensor] | None:
        """The stored tensors, or None if the entry is absent or damaged (and removed)."""
        blob = self.store.get(_known(kind), key)
        if blob is None:
            return None
        try:
            return load(blob)
        except SafetensorError as error:  # its checksum is right: it was written like this
            self.store.remove(kind, key, str(error))
            return None

    def put(self, kind: Kind, key: str, tensors: Mapping[str, Tensor]) -> bool:
        """Store `tensors` under the key; the first of several writers wins, as all write the same
        content. False if the cache is full.
        """
        stored = {name: self._stored(tensor) for name, tensor in tensors.items()}
        if self.store.put(_known(kind), key, save(stored)):
            return True
        if not self.full:
            logger.warning(
                "the cache %s is full: what is not in it is computed every time; raise max_bytes, "
                "or make room with FeatureCache.prune",
                self.folder,
            )
        self.full = True
        return False

    def get_or_compute(
        self, kind: Kind, key: str, compute: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The stored tensors, computed and stored first if absent. Both ways return the same
        values.
        """
        found = self.get(kind, key)
        if found is not None:
            return found
        tensors = {name: self._stored(tensor) for name, tensor in compute().items()}
        self.put(kind, key, tensors)
        return tensors

    def verify(self) -> int:
        """Read everything, reporting and removing damaged entries; returns how many there were."""
        return sum(self.get(cast(Kind, kind), key) is None for kind, key in self.store.keys())

    def prune(self, max_bytes: int) -> int:
        """Remove the oldest shards to leave at most `max_bytes`; returns how many entries went."""
        self.full = False
        return self.store.prune(max_bytes)

    def _stored(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach().cpu()
        if self._agreed is None:
            self._agreed = self.store.agree("dtype", _name(self.dtype))
        if self.dtype is not None and self._agreed != _name(self.dtype):
            raise ValueError(
                f"the cache {self.folder} keeps numbers {self._agreed or 'as they are made'}, not "
                f"as {_name(self.dtype)}; use another folder, or leave dtype away"
            )
        if self._agreed and tensor.is_floating_point():
            tensor = tensor.to(getattr(torch, self._agreed))
        # Views that share storage cannot be saved; a cache entry is a copy anyway.
        return tensor.clone(memory_format=torch.contiguous_format)


def _name(dtype: torch.dtype | None) -> str:
    return "" if dtype is None else str(dtype).removeprefix("torch.")


def _known(kind: Kind) -> Kind:
    if kind not in KINDS:
        raise ValueError(f"unknown cache kind {kind!r}; there are {', '.join(KINDS)}")
    return kind
