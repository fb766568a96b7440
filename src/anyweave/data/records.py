"""A data file of any format as conversations by index: what a training run takes as its source."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyweave.data.format import Format
from anyweave.data.formats import recognise, recognise_rows, renamed, resolve
from anyweave.data.indexed import IndexedRows
from anyweave.data.mixture import Mixture, Reading
from anyweave.data.place import Place, ReadOptions, Task
from anyweave.data.rows import Rows, existing_file
from anyweave.data.tables import names_shards, open_shards
from anyweave.messages import Conversation, Modality

logger = logging.getLogger(__name__)
_FILE = "a messages file, JSON lines"
_TOLD = 100  # kinds of loss that are logged


class Records(Sequence[Conversation]):
    """The conversations of a file, shards or a data set; nothing is read until it is asked for.

        Records("cc3m.tsv", "cc3m", media="images", task="generate")

    `format` is a name from `FORMATS`, or None to recognise it. `on_disk` keeps the places of the
    rows beside the files, or in `index_dir`, instead of in memory. The other arguments are those of
    `ReadOptions`. Raises `ValueError` for data that are missing or damaged as a whole. Indexing
    raises `RowError` for a row that is not in the format or breaks the rules of a conversation, and
    `MediaError`, which a training run skips and counts, for a missing medium. What a row's format
    has no place for is logged as a warning, once per kind; `reading` reports it for every row.
    """

    def __init__(
        self,
        path: str | Path,
        format: str | Format | None = None,
        *,
        media: str | Path | Mapping[Modality, str | Path] | None = None,
        check_media: bool = True,
        captions_only: bool = False,
        task: Task = "describe",
        split: str | None = None,
        columns: Mapping[str, str] | None = None,
        allow_outside: bool = False,
        on_disk: bool = False,
        index_dir: str | Path | None = None,
    ) -> None:
        self._on_disk, self._index_dir = on_disk, index_dir
        options = ReadOptions(
            media=media,
            check_media=check_media,
            captions_only=captions_only,
            task=task,
            split=split,
            columns=columns or {},
            allow_outside=allow_outside,
        )
        self._open(path, format, options)
        if self.rows.problems:
            more = f" (and {len(self.rows.problems) - 1} more)" * (len(self.rows.problems) > 1)
            raise ValueError(
                f"{self.rows.problems[0]}{more}; anyweave data validate --clean writes what is "
                "whole into another file"
            )

    _on_disk: bool = False
    _index_dir: str | Path | None = None

    @classmethod
    def damaged(
        cls, path: str | Path, format: str | Format | None, options: ReadOptions
    ) -> Records:
        """The intact records of a file that may be damaged: see `rows.problems`."""
        records = cls.__new__(cls)
        records._open(path, format, options)
        return records

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"no record {index}; there are {len(self)}")
        return self.reading(index % len(self)).conversation

    def reading(self, index: int, *, warn: bool = True) -> Reading:
        """A record with what was lost of it. Raises as indexing does.

        `warn`: log each kind of loss once.
        """
        row, place = self.rows.row(index), self.place(index)
        if isinstance(row, dict):
            row = renamed(row, self.options)
        conversation = place.checked(self.format.read(row, place))
        for what in place.lost if warn else ():
            if what not in self._told and len(self._told) < _TOLD:
                self._told.add(what)
                logger.warning("%s: not read: %s (read as %s)", place.name, what, self._read_as)
        return Reading(conversation, tuple(dict.fromkeys(place.lost)))

    def place(self, index: int) -> Place:
        """Where a record is."""
        return Place(
            self.rows.place(index),
            self.rows.folder,
            self.options,
            format=self._read_as,
            ignores=self.format.ignores,
            sealed=self.rows.sealed,
        )

    def where(self, index: int) -> str:
        """File and line of a record."""
        return self.rows.place(index)

    def length(self, index: int) -> int | None:
        """About how many tokens a record has, if its size on disk says so."""
        return self.rows.length(index) if isinstance(self.rows, IndexedRows) else None

    def _open(self, path: str | Path, format: str | Format | None, options: ReadOptions) -> None:
        rows: Rows | None = None
        if self._on_disk:
            rows = open_shards(path, on_disk=True, index_dir=self._index_dir)
        if format is not None:
            self.format = resolve(format) if isinstance(format, str) else format
        elif rows is not None:
            self.format = recognise_rows(rows, str(path), options)
        else:
            self.format = recognise(path, options)
        self._read_as = self.format.name + ", known by sight" * (format is None)
        self._told: set[str] = set()
        self.options = options
        self.rows: Rows = self.format.open(path, options) if rows is None else rows
        alone = (Path(path),) if Path(path).is_file() else ()
        self.files: tuple[Path, ...] = tuple(getattr(self.rows, "paths", alone))


class MessagesJsonl(Records):
    """A `messages` file: `Records` of our own format."""

    def __init__(self, path: str | Path, *, check_media: bool = True) -> None:
        super().__init__(existing_file(path, _FILE), "messages", check_media=check_media)


def read_messages(path: str | Path, *, check_media: bool = True) -> Iterator[Conversation]:
    """The conversations of a `messages` file, one by one.

    `check_media` checks that every media file exists (none is opened). Raises `ValueError` naming
    file, line and place for anything that is not in the format.
    """
    return iter(MessagesJsonl(path, check_media=check_media))


def open_data(path: str | Path, format: str | None = None, **options: Any) -> Records:
    """The records at a path; indices of many files (a pattern, a folder of shards) are kept on
    disk.
    """
    return Records(path, format, on_disk=names_shards(path), **options)


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

    A training run takes it directly: ``data.source="anyweave.data:stream"``. See `Records` for
    `format` and `options`, `Mixture` for the rest.
    """
    named = data if isinstance(data, Mapping) else {"data": data}
    sources = {}
    for name, path in named.items():
        below = index_dir if index_dir is None or len(named) == 1 else Path(index_dir) / name
        sources[name] = Records(path, format, on_disk=True, index_dir=below, **options)
    return Mixture(sources, weights=weights, seed=seed, length=length, buffer=buffer, block=block)
