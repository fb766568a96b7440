"""Conversations of many large files, read as a stream: shuffled, from any position, without their
indices in memory.

Shards are JSON lines or plain tar in the WebDataset layout, in any of the formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyweave.data.formats import recognise_rows, resolve
from anyweave.data.mixture import Mixture, Reading
from anyweave.data.place import ReadOptions
from anyweave.data.records import Records
from anyweave.data.shard_kinds import KINDS, SAMPLES, kind_of
from anyweave.data.shard_table import ShardTable
from anyweave.data.webdataset import shard_paths
from anyweave.messages import Conversation

__all__ = ["Shards", "data_files", "names_shards", "open_data", "stream"]


class Shards(Sequence[Conversation]):
    """The conversations of shards by index, as `Records` has those of one file.

    `path` has ``*`` or ``{000..127}`` in it, or is a folder of shards. `format`: as for `Records`;
    None is known by rows of all shards. `options` are those of `ReadOptions`.
    """

    def __init__(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        index_dir: str | Path | None = None,
        **options: Any,
    ) -> None:
        paths = data_files(path)
        self.files = tuple(paths)
        kind = kind_of(paths)
        if format is None and kind is SAMPLES:
            format = "webdataset"
        self.table = ShardTable(paths, index_dir=index_dir)
        if format is None:
            found = recognise_rows(self.table, str(path), ReadOptions(**options))
        else:
            found = resolve(format)
        self._records = Records(path, replace(found, open=lambda *_: self.table), **options)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._records[index]

    def reading(self, index: int) -> Reading:
        """A conversation with what is lost of its row."""
        return self._records.reading(index)

    def where(self, index: int) -> str:
        """File and line of a record."""
        return self.table.place(index)

    def length(self, index: int) -> int | None:
        """About how many tokens a conversation has, if its size on disk tells."""
        return self.table.length(index)


def stream(
    data: str | Path | Mapping[str, str | Path],
    format: str | None = None,
    *,
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    length: int | None = None,
    buffer: int = 4096,
    block: int = 64,
    index_dir: str | Path | None = None,
    **options: Any,
) -> Mixture[Conversation]:
    """Shards, or several sets of shards by name, as one shuffled source that needs no memory.

    A training run takes it as it is: ``data.source="anyweave.data:stream"``. See `Shards` for
    `format` and `options`, `Mixture` for the rest.
    """
    named = data if isinstance(data, Mapping) else {"data": data}
    return Mixture(
        {
            name: Shards(path, format, index_dir=_below(index_dir, name, named), **options)
            for name, path in named.items()
        },
        weights=weights,
        seed=seed,
        length=length,
        buffer=buffer,
        block=block,
    )


def open_data(path: str | Path, format: str | None = None, **options: Any) -> Shards | Records:
    """`Shards` if the path is many files (a pattern, a folder of shards), else `Records`."""
    kind = Shards if names_shards(path) else Records
    return kind(path, format, **options)


def names_shards(path: str | Path) -> bool:
    """Whether a path is a pattern of names or a folder of shards."""
    if Path(path).is_dir():
        return bool(_shards_in(Path(path)))
    return any(mark in str(path) for mark in "*{")


def data_files(path: str | Path) -> list[Path]:
    """The files that a path, a pattern or a folder of shards stands for."""
    if not Path(path).is_dir():
        return shard_paths(str(path))
    found = _shards_in(Path(path))
    if not found:
        raise ValueError(f"{path}: no shards there; they are called *{', *'.join(KINDS)}")
    return found


def _shards_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS)


def _below(
    index_dir: str | Path | None, name: str, named: Mapping[str, str | Path]
) -> str | Path | None:
    return index_dir if index_dir is None or len(named) == 1 else Path(index_dir) / name
