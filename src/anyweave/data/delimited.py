"""CSV and TSV with a header line, by index. A row is ``{column: text}``."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from anyweave.data.place import RowError
from anyweave.data.tables import existing_file
from anyweave.files import whole_file


class Delimited:
    """A CSV or TSV file. Fields in quotes may hold line breaks.

    Raises `ValueError` for a file without a header.
    """

    sealed = False

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        self.folder = self.path.parent
        self.problems: tuple[str, ...] = ()
        self._delimiter = "\t" if self.path.suffix.lower() == ".tsv" else ","
        self._lines, self._ends = array("Q"), array("Q")
        self._index()
        if not self._ends:
            raise ValueError(f"{self.path}: it is empty; the first line names the columns")
        self._header = self._fields(0)
        for name in self._header:
            if self._header.count(name) > 1:
                raise ValueError(
                    f"{self.path}: {self._header.count(name)} columns are called {name!r}; "
                    "rename all but one"
                )

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, index: int) -> Any:
        fields = self._fields(index + 1)
        if len(fields) != len(self._header):
            raise RowError(
                f"{self.place(index)}: {len(fields)} fields, but {len(self._header)} columns; "
                "put text with a comma, a tab or a line break in double quotes"
            )
        return dict(zip(self._header, fields, strict=True))

    def place(self, index: int) -> str:
        return f"{self.path}:{self._lines[index + 1]}"

    def copy(self, indices: Iterable[int], out: Path) -> None:
        with whole_file(out) as file:
            for number in (0, *(index + 1 for index in indices)):
                file.write(self._bytes(number).rstrip(b"\r\n") + b"\n")

    def _index(self) -> None:
        """Find where records end; the bytes are taken for Latin-1, in which none is illegal."""
        read = 0

        def lines() -> Iterator[str]:
            nonlocal read
            with open(self.path, "rb") as file:
                for line in file:
                    read += len(line)
                    yield line.decode("latin-1")

        reader = csv.reader(lines(), delimiter=self._delimiter)
        while True:
            begun = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:  # told again, with its reason, by whoever asks for the row
                fields = [""]
            if not fields:  # a blank line belongs to the record before it
                if self._ends:
                    self._ends[-1] = read
                continue
            self._lines.append(begun)
            self._ends.append(read)

    def _bytes(self, number: int) -> bytes:
        start = self._ends[number - 1] if number else 0
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(self._ends[number] - start)

    def _fields(self, number: int) -> list[str]:
        place = f"{self.path}:{self._lines[number]}"
        try:
            text = self._bytes(number).decode("utf-8-sig" if number == 0 else "utf-8")
            return next(
                csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True)
            )
        except UnicodeDecodeError as error:
            raise RowError(f"{place}: not UTF-8 ({error}); save the file as UTF-8") from error
        except csv.Error as error:
            raise RowError(
                f"{place}: bad CSV ({error}); is a double quote opened and never closed?"
            ) from error
