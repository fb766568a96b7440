"""A data file of any format as conversations by index: what a training run takes as its source."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyweave.data.formats import Format, recognise, renamed, resolve
from anyweave.data.mixture import Reading
from anyweave.data.place import Place, ReadOptions, Task
from anyweave.data.tables import Table
from anyweave.messages import Conversation, Modality

logger = logging.getLogger(__name__)
_TOLD = 100  # kinds of losses that are told one by one


class Records(Sequence[Conversation]):
    """The conversations of a file, shards or a data set; nothing is read before it is asked for.

        Records("cc3m.tsv", "cc3m", media="images", task="generate")

    `format` is a name from `FORMATS`, or None to know it by sight; the other arguments are those of
    `ReadOptions`. Raises `ValueError` for what is not there or damaged as a whole. A row that is
    not in the format, or breaks the rules of a conversation, raises `RowError` when it is asked
    for, and a medium that is not there `MediaError`, which a training run skips and counts. What a
    row has and its format has no place for is told by a warning, each kind once; `reading` says it
    of every row.
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
    ) -> None:
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
        return self.reading(index % len(self)).conversation

    def reading(self, index: int, *, warn: bool = True) -> Reading:
        """A record with what is lost of it. Raises as indexing does.

        `warn`: tell each kind of loss once.
        """
        row, place = self.table.row(index), self.place(index)
        if isinstance(row, dict):
            row = renamed(row, self.options)
        conversation = place.checked(self.format.read(row, place))
        for what in place.lost if warn else ():
            if what not in self._told and len(self._told) < _TOLD:
                self._told.add(what)
                logger.warning("%s: not read: %s (read as %s)", place.name, what, self._read_as)
        return Reading(conversation, tuple(dict.fromkeys(place.lost)))

    def place(self, index: int) -> Place:
        """Where a record stands."""
        return Place(
            self.table.place(index),
            self.table.folder,
            self.options,
            format=self._read_as,
            ignores=self.format.ignores,
            sealed=self.table.sealed,
        )

    def where(self, index: int) -> str:
        """File and line of a record."""
        return self.table.place(index)

    def _open(self, path: str | Path, format: str | Format | None, options: ReadOptions) -> None:
        by_sight = format is None
        if format is None:
            format = recognise(path, options)
        self.format: Format = resolve(format) if isinstance(format, str) else format
        self._read_as = self.format.name + ", known by sight" * by_sight
        self._told: set[str] = set()
        self.options = options
        self.table: Table = self.format.open(path, options)
        self.files = (Path(path),) if Path(path).is_file() else ()
