"""What a row means: formats are values, looked up by the name that people type.

A `Format` turns a decoded row of a table into a conversation and back. Which table holds the rows
(JSON, CSV, tar shards ...) is another question: `anyweave.data.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyweave import errors
from anyweave.data.place import Place, ReadOptions, RowError, listed
from anyweave.data.store import PathOf
from anyweave.data.tables import Table, existing_file, json_kind, open_table
from anyweave.data.writing import save_rows
from anyweave.messages import MEDIA_MODALITIES, Conversation

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
_LOOKED_AT = 1000  # rows, to recognise a format
_HEAVY = 20  # rows with media in them, which are read for it too


@dataclass(frozen=True)
class Written:
    """A conversation as a row, and what of it the format has no place for."""

    row: Mapping[str, Any]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format. `about` is a line for people. `ignores` are the keys of a row that carry nothing
    to be learnt; any other that `read` has no place for is counted as lost (`Place.rest`).

    `recognises` says whether a row is one of this format (True), may be one (None) or is none
    (False): see `recognise`.

    `read` raises `RowError`, `MediaError` for a missing medium. `write` raises `ValueError` for a
    conversation that has no meaning in the format; None is a format that is only read. `save` puts
    written rows into a file, whole or not at all. `rebase` moves the paths of a row from one folder
    to another; None where they cannot all be found. `holds_media`: the media are inside the file.
    """

    name: str
    about: str
    recognises: Callable[[Mapping[str, Any]], bool | None]
    read: Callable[[Any, Place], Conversation]
    write: Callable[[Conversation, PathOf], Written] | None = None
    open: Callable[[str | Path, ReadOptions], Table] = open_table
    save: Callable[[Iterable[Mapping[str, Any]], Path], None] = save_rows
    rebase: Callable[[Mapping[str, Any], Path, Path], Mapping[str, Any]] | None = None
    holds_media: bool = False
    ignores: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Callable[[str], Format], tuple[str]]:
        return resolve, (self.name,)  # between processes by name: its functions have none


def resolve(name: str) -> Format:
    """The format called `name`, ours or an installed package's entry point. Imported only now.

    Raises `ValueError` with the nearest known name.
    """
    found: Format = errors.resolve(name, FORMATS, what="format", group=ENTRY_POINT_GROUP)
    return found


def recognise(path: str | Path, options: ReadOptions) -> Format:
    """The format that fits the rows at a path: see `recognise_rows`. Raises `ValueError`."""
    if str(path).endswith(".json") and json_kind(existing_file(path)) == "object":
        return resolve("coco")  # the only one of ours that is one object and no list of rows
    if str(path).endswith(".tar"):
        return resolve("webdataset")
    return recognise_rows(open_table(path, options), str(path), options)


def recognise_rows(table: Table, name: str, options: ReadOptions) -> Format:
    """The first format that may be that of all rows looked at, and is that of one.

    Rows that no format knows are left to whoever reads them. Raises `ValueError` if none is known,
    or they are in several formats.
    """
    if len(table) == 0:
        return resolve("messages")
    formats = [resolve(known) for known in FORMATS]
    seen: dict[str, list[str]] = {}  # format -> places of rows that are surely in it
    out: set[str] = set()
    texts: list[str] = []
    heavy = 0
    for index in _looked_at(len(table)):
        if heavy >= _HEAVY:
            break
        try:
            row = table.row(index)
        except RowError:
            continue
        if not isinstance(row, dict):
            continue
        row = renamed(row, options)
        heavy += any(isinstance(value, (bytes, dict)) for value in row.values())
        votes = {format.name: format.recognises(row) for format in formats}
        sure = [known for known, vote in votes.items() if vote]
        for known in sure:
            seen.setdefault(known, []).append(table.place(index))
        if sure:
            out.update(known for known, vote in votes.items() if vote is False)
            texts += _placeholder_texts(row)
    if not seen:
        raise ValueError(
            f"{name}: its rows are in no format that is known by sight; name it: {listed(FORMATS)}"
        )
    found = next((format for format in formats if format.name in seen.keys() - out), None)
    if found is None:
        looks = "; ".join(f"{len(places):,} as {known} ({places[0]})" for known, places in
                          seen.items())  # fmt: skip
        raise ValueError(
            f"{name}: no format fits all of its rows. They can be read: {looks}. Name the format "
            "with --format (--from in convert), or put the others into a file of their own"
        )
    if found.name == "messages" and texts:
        raise ValueError(
            f"{name}: {texts[0]} in its texts is words if the format is messages, a medium if it "
            "is llama-factory or ms-swift; name one with --format (--from in convert)"
        )
    return found


def renamed(row: dict[str, Any], options: ReadOptions) -> dict[str, Any]:
    """A row with its columns called as the options say."""
    given = {ours: row[theirs] for ours, theirs in options.columns.items() if theirs in row}
    theirs = options.columns.values()
    return {**{name: value for name, value in row.items() if name not in theirs}, **given}


def _looked_at(size: int) -> Iterable[int]:
    """Rows to know a format by: all of a small table, else the first and some of the rest."""
    if size <= _LOOKED_AT:
        return range(size)
    half = _LOOKED_AT // 2
    rest = size - half
    return (*range(half), *(half + (number * rest) // half for number in range(half - 1)), size - 1)


def _placeholder_texts(row: Mapping[str, Any]) -> list[str]:
    """Placeholders in messages that are strings."""
    turns = row.get("messages")
    contents = [
        turn.get("content")
        for turn in (turns if isinstance(turns, list) else ())
        if isinstance(turn, dict)
    ]
    words = "".join(content for content in contents if isinstance(content, str))
    return [f"<{modality}>" for modality in MEDIA_MODALITIES if f"<{modality}>" in words]
