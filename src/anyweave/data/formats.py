"""What a row means: formats are values, looked up by the name that people type.

A `Format` turns a decoded row of a table into a conversation and back. Which table holds the rows
(JSON, CSV, tar shards ...) is another question: `anyweave.data.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from anyweave.data.place import Place, ReadOptions, RowError, listed
from anyweave.data.store import PathOf
from anyweave.data.tables import Table, existing_file, json_kind, open_table
from anyweave.data.writing import save_rows
from anyweave.messages import Conversation

FORMATS: dict[str, str] = {
    "messages": "anyweave.data.messages_jsonl:MESSAGES",
    "coco": "anyweave.data.coco:COCO",
    "webvid": "anyweave.data.pairs:WEBVID",
    "audiocaps": "anyweave.data.pairs:AUDIOCAPS",
    "cc3m": "anyweave.data.pairs:CC3M",
    "pairs": "anyweave.data.pairs:PAIRS",
    "webdataset": "anyweave.data.webdataset:WEBDATASET",
    "mosit": "anyweave.data.nextgpt:MOSIT",
    "mosit-legacy": "anyweave.data.nextgpt:MOSIT_LEGACY",
    "t2m": "anyweave.data.nextgpt:T2M",
    "t2m-legacy": "anyweave.data.nextgpt:T2M_LEGACY",
    "nextgpt": "anyweave.data.nextgpt:NEXTGPT",
    "llava": "anyweave.data.instructions:LLAVA",
    "videochat": "anyweave.data.instructions:VIDEOCHAT",
    "alpaca": "anyweave.data.instructions:ALPACA",
    "sharegpt": "anyweave.data.sharegpt:SHAREGPT",
    "llama-factory": "anyweave.data.sharegpt:LLAMA_FACTORY",
    "ms-swift": "anyweave.data.sharegpt:MS_SWIFT",
}
"""In the order in which `recognise` asks them."""
ENTRY_POINT_GROUP = "anyweave.formats"
_LOOKED_AT = 20  # rows, to recognise a format


@dataclass(frozen=True)
class Written:
    """A conversation as a row, and what of it the format has no place for."""

    row: Mapping[str, Any]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format. `about` is a line for people.

    `read` raises `RowError`, `MediaError` for a missing medium. `write` raises `ValueError` for a
    conversation that has no meaning in the format; None is a format that is only read. `save` puts
    written rows into a file, whole or not at all. `rebase` moves the paths of a row from one folder
    to another; None where they cannot all be found. `holds_media`: the media are inside the file.
    """

    name: str
    about: str
    recognises: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Any, Place], Conversation]
    write: Callable[[Conversation, PathOf], Written] | None = None
    open: Callable[[str | Path, ReadOptions], Table] = open_table
    save: Callable[[Iterable[Mapping[str, Any]], Path], None] = save_rows
    rebase: Callable[[Mapping[str, Any], Path, Path], Mapping[str, Any]] | None = None
    holds_media: bool = False

    def __reduce__(self) -> tuple[Callable[[str], Format], tuple[str]]:
        return resolve, (self.name,)  # between processes by name: its functions have none


def resolve(name: str) -> Format:
    """The format called `name`, ours or an installed package's entry point. Imported only now.

    Raises `ValueError` with the nearest known name.
    """
    if name in FORMATS:
        module, _, attribute = FORMATS[name].partition(":")
        return getattr(import_module(module), attribute)
    foreign = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in foreign:
        return foreign[name].load()
    known = [*FORMATS, *foreign]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known formats: {listed(known)}"
    raise ValueError(f"unknown format {name!r}; {hint}")


def recognise(path: str | Path, options: ReadOptions) -> Format:
    """The format of the first readable rows at a path. Raises `ValueError` if none knows them."""
    if str(path).endswith(".json") and json_kind(existing_file(path)) == "object":
        return resolve("coco")  # the only one of ours that is one object and no list of rows
    if str(path).endswith(".tar"):
        return resolve("webdataset")
    table = open_table(path, options)
    if len(table) == 0:
        return resolve("messages")
    for index in range(min(len(table), _LOOKED_AT)):
        try:
            row = table.row(index)
        except RowError:
            continue
        if not isinstance(row, dict):
            continue
        for name in FORMATS:
            format = resolve(name)
            if format.recognises(row):
                return format
    raise ValueError(
        f"{path}: its rows are in no format that is known by sight; name it: {listed(FORMATS)}"
    )
