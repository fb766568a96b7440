"""A data file of any format as conversations by index: what a training run takes as its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anyweave.data.formats import Format, recognise, resolve
from anyweave.data.place import Place, ReadOptions
from anyweave.data.tables import Table
from anyweave.messages import Conversation


class Records(Sequence[Conversation]):
    """The conversations of a file, shards or a data set; nothing is read before it is asked for.

        Records("cc3m.tsv", "cc3m", media="images", task="generate")

    `format` is a name from `FORMATS`, or None to know it by sight; the other arguments are those of
    `ReadOptions`. Raises `ValueError` for what is not there or damaged as a whole. A row that is
    not in the format raises `RowError` when it is asked for, and a medium that is not there
    `MediaError`, which a training run skips and counts.
    """

    def __init__(
        self, path: str | Path, format: str | Format | None = None, **options: Any
    ) -> None:
        self._open(path, format, ReadOptions(**options))
        if self.table.problems:
            more = f" (and {len(self.table.problems) - 1} more)" * (len(self.table.problems) > 1)
            raise ValueError(
                f"{self.table.problems[0]}{more}; anyweave data validate --clean writes what is "
                "whole into another file"
            )

    @classmethod
    def damaged(
        cls, path: str | Path, format: str | Format | None, options: ReadOptions
    ) -> Records:
        """What is whole of a file, even if it is damaged: see `table.problems`."""
        records = cls.__new__(cls)
        records._open(path, format, options)
        return records

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"no record {index}; there are {len(self)}")
        index %= len(self)
        return self.read(self.row(index), index)

    def row(self, index: int) -> Any:
        """The decoded row of a record, with its columns renamed as the options say."""
        row = self.table.row(index)
        if isinstance(row, dict):
            row.update({ours: row[theirs] for ours, theirs in self._renamed if theirs in row})
        return row

    def read(self, row: Any, index: int) -> Conversation:
        """The conversation of a row, with the errors of record `index`."""
        return self.format.read(row, self.place(index))

    def place(self, index: int) -> Place:
        """Where a record stands."""
        return Place(self.table.place(index), self.table.folder, self.options)

    def _open(self, path: str | Path, format: str | Format | None, options: ReadOptions) -> None:
        if format is None:
            format = recognise(path, options)
        self.format: Format = resolve(format) if isinstance(format, str) else format
        self.options = options
        self.table: Table = self.format.open(path, options)
        self.files = (Path(path),) if Path(path).is_file() else ()
        self._renamed = tuple(options.columns.items())
