"""Rows on disk, by index: only their places are kept in memory, and damage is found, not met.

A table knows no format; it gives decoded rows (`dict`s as a rule). `open_table` chooses by the
path: JSON lines, a JSON list, CSV and TSV, tar shards and folders of samples, `datasets`.
"""

from __future__ import annotations

import json
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from anyweave.data.place import ReadOptions, RowError, named, shown
from anyweave.files import whole_file

_DECODER = json.JSONDecoder()
_MOST_NUMBERS = "Exceeds the limit"  # how Python begins to say that an integer has too many digits
_SPACE = re.compile(r"\s*")
_KEEP = "surrogateescape"
DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tar", ".parquet")


class Table(Protocol):
    """Rows by index. `folder` is what paths in them are relative to unless something else is said;
    `problems` is damage that belongs to no row, such as a file that was cut off.
    """

    folder: Path
    problems: tuple[str, ...]
    # Whether media are inside the rows' own files, so that rows name no others.
    sealed: bool

    def __len__(self) -> int: ...
    def row(self, index: int) -> Any:
        """Decode one row. Raises `RowError` for what is none."""

    def place(self, index: int) -> str:
        """File and line of a row, for people."""

    def copy(self, indices: Iterable[int], out: Path) -> None:
        """Write these rows as they are into a file of the same kind, whole or not at all."""


def open_table(path: str | Path, options: ReadOptions) -> Table:
    """The table at a path. Raises `ValueError` for what is no table."""
    name = str(path)
    from anyweave.data.hub import HubTable, is_saved

    if name.startswith("hf://") or name.endswith(".parquet") or is_saved(path):
        return HubTable(name, options)
    if name.endswith(".tar") or Path(name).is_dir():
        from anyweave.data.webdataset import open_samples

        return open_samples(name, allow_outside=options.allow_outside)
    path = existing_file(path)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        from anyweave.data.delimited import Delimited

        return Delimited(path)
    if suffix in (".jsonl", ".ndjson"):
        return JsonLines(path)
    if suffix == ".json":
        return JsonLines(path) if json_kind(path) == "lines" else JsonArray(path)
    raise ValueError(
        f"{path}: no table is called *{suffix or path.name}; "
        "known: .jsonl, .json, .csv, .tsv, .tar, .parquet, a folder of samples, hf://owner/name"
    )


def existing_file(path: str | Path, what: str = "the path of a data file") -> Path:
    """`path` if it is a file. Raises `ValueError`."""
    path = Path(path)
    if not path.is_file():
        found = "it is a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {found}; give {what}")
    return path


class JsonLines:
    """One JSON value a line; blank lines are skipped."""

    sealed = False

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        self.folder = self.path.parent
        self.problems: tuple[str, ...] = ()
        self._numbers, self._starts = array("Q"), array("Q")
        offset = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    self._numbers.append(number)
                    self._starts.append(offset)
                offset += len(line)

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, index: int) -> Any:
        return decode(self._line(index), self.place(index), "each line is one whole JSON object")

    def place(self, index: int) -> str:
        return f"{self.path}:{self._numbers[index]}"

    def copy(self, indices: Iterable[int], out: Path) -> None:
        with whole_file(out) as file:
            for index in indices:
                file.write(self._line(index).rstrip(b"\r\n") + b"\n")

    def _line(self, index: int) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self._starts[index])
            return file.readline()


class JsonArray:
    """A JSON list of rows.

    The file is parsed once, to find where rows stand. A row that cannot be parsed is a problem; the
    next one is looked for at the same indentation, so a list on one line ends there.
    """

    sealed = False

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        self.folder = self.path.parent
        self._lines, self._starts, self._ends = array("Q"), array("Q"), array("Q")
        problems: list[str] = []
        # Bytes that are no UTF-8 are kept, and told by the row that has them.
        self._index(self.path.read_bytes().decode(errors=_KEEP), problems)
        self.problems = tuple(problems)

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, index: int) -> Any:
        with open(self.path, "rb") as file:
            return decode(self._bytes(file, index), self.place(index), "make the list again")

    def place(self, index: int) -> str:
        return f"{self.path}:{self._lines[index]}"

    def copy(self, indices: Iterable[int], out: Path) -> None:
        with whole_file(out) as copied, open(self.path, "rb") as file:
            copied.write(b"[")
            for count, index in enumerate(indices):
                copied.write((b",\n" if count else b"\n") + self._bytes(file, index))
            copied.write(b"\n]\n")

    def _bytes(self, file: BinaryIO, index: int) -> bytes:
        file.seek(self._starts[index])
        return file.read(self._ends[index] - self._starts[index])

    def _index(self, text: str, problems: list[str]) -> None:
        position = _skip(text, 1 if text.startswith("\ufeff") else 0)
        if text[position : position + 1] != "[":
            start = text[position : position + 40].encode(errors=_KEEP)
            what = shown(start.decode(errors="replace"))
            raise ValueError(f"{self.path}: a JSON list of rows is needed, got {what}")
        position = _skip(text, position + 1)
        indent = text[text.rfind("\n", 0, position) + 1 : position]
        again = re.compile(rf"\n{indent}(?=\{{)") if indent.isspace() or not indent else None
        passed, offset, line = 0, 0, 1  # characters, their bytes, their line
        while text[position : position + 1] not in ("]", ""):
            offset += len(text[passed:position].encode(errors=_KEEP))
            line += text.count("\n", passed, position)
            passed = position
            try:
                _, position = _DECODER.raw_decode(text, position)
                size = len(text[passed:position].encode(errors=_KEEP))
                following = _skip(text, position)
                if text[following : following + 1] not in (",", "]"):
                    raise ValueError("no comma after it")
                self._lines.append(line)
                self._starts.append(offset)
                self._ends.append(offset + size)
                position = following
                if text[position] == ",":
                    position = _skip(text, position + 1)
            except (ValueError, RecursionError) as error:
                found = again.search(text, passed + 1) if again is not None else None
                rest = "it is left out" if found else "it and all after it are lost"
                problems.append(f"{self.path}:{line}: bad JSON ({_why(error)}); {rest}")
                position = found.end() if found else len(text)
        if text[position : position + 1] != "]" and not problems:
            problems.append(f"{self.path}: bad JSON: the list has no end; it was cut off")


def decode(data: bytes, place: str, advice: str) -> Any:
    """JSON from bytes. Raises `RowError` naming the place."""
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise RowError(f"{place}: not UTF-8 ({error}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RowError(f"{place}: bad JSON ({_why(error)}); {advice}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {named(twice)} stands twice in one object")
    return made


def _why(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    return "a number has thousands of digits" if text.startswith(_MOST_NUMBERS) else text


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None, "the pattern matches nothing too"
    return found.end()


def json_kind(path: Path) -> Literal["list", "lines", "object"]:
    """What a .json file is by content: a list of rows, JSON lines, or one whole object."""
    with open(path, "rb") as file:
        first = next((line for line in file if line.strip()), b"")
    if not first.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return "list"
    try:
        value = decode(first, "", "")
    except RowError:
        return "object"
    images = value.get("images")
    pictures = isinstance(images, list) and all(isinstance(image, dict) for image in images[:1])
    turns = ("messages", "conversations", "conversation", "instruction", "query")
    return "object" if pictures and not any(key in value for key in turns) else "lines"
