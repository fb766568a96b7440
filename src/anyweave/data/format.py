"""What a format is: a value that says how rows are read and written.

A `Format` turns a decoded row into a conversation and back. How rows are stored (JSON, CSV, tar
shards ...) is a separate matter: `anyweave.data.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyweave.data.place import Place, ReadOptions
from anyweave.data.rows import Rows
from anyweave.data.store import PathOf
from anyweave.data.tables import open_rows
from anyweave.data.writing import save_rows
from anyweave.messages import Conversation


@dataclass(frozen=True)
class Written:
    """A conversation as a row, and what the format has no place for."""

    row: Mapping[str, Any]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format. `about` is a line for people. `ignores` are row keys that carry nothing to learn;
    any other key that `read` has no place for counts as lost (`Place.rest`).

    `recognises` says whether a row is (True), may be (None) or is not (False) in this format: see
    `formats.recognise`.

    `read` raises `RowError`, or `MediaError` for a missing medium. `write` raises `ValueError` for
    a conversation that the format cannot express; None means read-only. `save` writes rows to a
    file, whole or not at all. `rebase` rewrites the paths of a row from one folder to another; None
    if they cannot all be found. `holds_media`: the media are inside the file.
    """

    name: str
    about: str
    recognises: Callable[[Mapping[str, Any]], bool | None]
    read: Callable[[Any, Place], Conversation]
    write: Callable[[Conversation, PathOf], Written] | None = None
    open: Callable[[str | Path, ReadOptions], Rows] = open_rows
    save: Callable[[Iterable[Mapping[str, Any]], Path], None] = save_rows
    rebase: Callable[[Mapping[str, Any], Path, Path], Mapping[str, Any]] | None = None
    holds_media: bool = False
    ignores: tuple[str, ...] = ()
