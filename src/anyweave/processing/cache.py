"""A folder of tensors addressed by content: encoder features, caption embeddings and latents,
computed once.

A key is the sha256 of *what was encoded* (media bytes or caption) and of *what encoded it* (a
fingerprint of the frozen part and its preprocessing), so changing either can never return a stale
tensor. Entries are single safetensors files, written to a temporary name and renamed: several
processes may share a folder. A damaged entry is reported, removed and computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from anyweave.messages import Media

logger = logging.getLogger(__name__)

Kind = Literal["features", "caption", "latents"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def cache_folder(cache: str | Path | None = None) -> Path:
    """Where downloads, conversions and other things made once per user are kept: `cache`, else
    ``$ANYWEAVE_CACHE``, else ``~/.cache/anyweave``.
    """
    return Path(cache or os.environ.get("ANYWEAVE_CACHE") or Path.home() / ".cache" / "anyweave")


def fingerprint(*values: Any) -> str:
    """A short stable hash of JSON-like values (ids, revisions, sizes): names a frozen part in cache
    keys.
    """
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def media_digest(part: Media) -> str:
    """sha256 of a medium's content: file bytes, encoded bytes, or array values with shape, type and
    rate.
    """
    source = part.source
    digest = hashlib.sha256(part.modality.encode())
    if isinstance(source, (str, Path)):
        with Path(source).open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        digest.update(source)
    elif source is None:
        raise ValueError(
            f"a {part.modality} without a source has no content to address; give it a source"
        )
    else:
        array = np.ascontiguousarray(np.asarray(source))
        digest.update(f"{array.shape}{array.dtype}{part.rate}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """sha256 of a caption."""
    return hashlib.sha256(text.encode()).hexdigest()


class FeatureCache:
    """Tensors by (kind, key) under `folder`.

    `dtype` stores floating tensors in another type (``torch.float16`` halves the space) and `get`
    returns them so.
    """

    def __init__(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
        self.folder = Path(folder)
        self.dtype = dtype

    @staticmethod
    def key(content: str, encoder: str) -> str:
        """The key of `content` (a digest) as seen by `encoder` (a `fingerprint`)."""
        return hashlib.sha256(f"{content}\n{encoder}".encode()).hexdigest()

    def path(self, kind: Kind, key: str) -> Path:
        if kind not in KINDS:
            raise ValueError(f"unknown cache kind {kind!r}; there are {', '.join(KINDS)}")
        suffix = "" if self.dtype is None else f".{str(self.dtype).removeprefix('torch.')}"
        return self.folder / kind / key[:2] / f"{key[2:]}{suffix}.safetensors"

    def get(self, kind: Kind, key: str) -> dict[str, Tensor] | None:
        """The stored tensors, or None when the entry is absent or damaged (and removed)."""
        path = self.path(kind, key)
        try:
            with safe_open(str(path), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                expected = (file.metadata() or {}).get("crc32")
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError) as error:
            self._remove_damaged(path, str(error))
            return None
        if expected != _checksum(tensors):
            self._remove_damaged(path, "checksum differs")
            return None
        return tensors

    def put(self, kind: Kind, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Store `tensors` under the key; the last of several writers wins, all write the same
        content.
        """
        path = self.path(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {name: self._stored(tensor) for name, tensor in tensors.items()}
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        os.close(handle)
        try:
            save_file(stored, temporary, metadata={"crc32": _checksum(stored)})
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def get_or_compute(
        self, kind: Kind, key: str, compute: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The stored tensors, computed and stored first when absent. Both ways return the same
        values.
        """
        found = self.get(kind, key)
        if found is not None:
            return found
        tensors = {name: self._stored(tensor) for name, tensor in compute().items()}
        self.put(kind, key, tensors)
        return tensors

    def prune(self, max_bytes: int) -> int:
        """Remove the oldest entries until at most `max_bytes` remain; returns how many were
        removed.
        """
        entries = [(path.stat(), path) for path in self.folder.glob("*/*/*.safetensors")]
        entries.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
        kept = removed = 0
        for stat, path in entries:
            kept += stat.st_size
            if kept > max_bytes:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _stored(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach().cpu()
        if self.dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(self.dtype)
        # save_file refuses views that share storage; a cache entry is a copy anyway.
        return tensor.clone(memory_format=torch.contiguous_format)

    def _remove_damaged(self, path: Path, reason: str) -> None:
        logger.warning(
            "damaged cache entry %s (%s): removed, it will be computed again", path, reason
        )
        path.unlink(missing_ok=True)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    value = 0
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        value = zlib.crc32(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"
