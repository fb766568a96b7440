"""Rows on disk by index, however they are stored, and decoding of their JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from anyweave.data.place import RowError, named

_MOST_NUMBERS = "Exceeds the limit"  # how Python's error for an integer with too many digits begins


class Rows(Protocol):
    """Decoded rows (usually `dict`s) by index, independent of any format. `folder` is what paths in
    them are relative to by default; `problems` is damage that belongs to no row, such as a
    truncated file.
    """

    folder: Path
    problems: tuple[str, ...]
    # Whether media are inside the rows' own files, so that rows name no others.
    sealed: bool

    def __len__(self) -> int: ...
    def row(self, index: int) -> Any:
        """Decode one row. Raises `RowError` if it is not one."""

    def place(self, index: int) -> str:
        """File and line of a row, for people."""

    def copy(self, indices: Iterable[int], out: Path) -> None:
        """Write these rows unchanged to a file of the same kind, whole or not at all."""


def existing_file(path: str | Path, what: str = "the path of a data file") -> Path:
    """`path` if it is a file. Raises `ValueError`."""
    path = Path(path)
    if not path.is_file():
        found = "it is a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {found}; give {what}")
    return path


def decode(data: bytes, place: str, advice: str) -> Any:
    """JSON from bytes. Raises `RowError` naming the place."""
    try:
        return json.loads(decode_text(data, place), object_pairs_hook=_object)
    except RowError:
        raise
    except (ValueError, RecursionError) as error:
        raise RowError(f"{place}: bad JSON ({why(error)}); {advice}") from error


def decode_text(data: bytes, place: str) -> str:
    """UTF-8 from bytes. Raises `RowError` naming the place."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError(f"{place}: not UTF-8 ({error}); save the file as UTF-8") from error


def why(error: BaseException) -> str:
    """What is wrong with some JSON, in a few words."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = str(error)
    return "a number has thousands of digits" if text.startswith(_MOST_NUMBERS) else text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {named(twice)} stands twice in one object")
    return made
