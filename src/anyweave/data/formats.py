"""The formats by name, and how the format of some rows is recognised."""

from __future__ import annotations

import copyreg
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anyweave import errors
from anyweave.data.format import Format
from anyweave.data.place import ReadOptions, RowError, listed
from anyweave.data.rows import Rows, existing_file
from anyweave.data.tables import json_kind, open_rows
from anyweave.messages import MEDIA_MODALITIES

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
"""In the order in which `recognise` tries them."""
ENTRY_POINT_GROUP = "anyweave.formats"
_LOOKED_AT = 1000  # rows, to recognise a format
_HEAVY = 20  # rows with media inside, at most: the media are read too


def resolve(name: str) -> Format:
    """The format called `name`, ours or an installed package's entry point, imported on demand.

    Raises `ValueError` with the nearest known name.
    """
    found: Format = errors.resolve(name, FORMATS, what="format", group=ENTRY_POINT_GROUP)
    return found


# Pickled by name: some functions of a format are lambdas, which cannot be pickled.
copyreg.pickle(Format, lambda format: (resolve, (format.name,)))


def recognise(path: str | Path, options: ReadOptions) -> Format:
    """The format that fits the rows at a path: see `recognise_rows`. Raises `ValueError`."""
    if str(path).endswith(".json") and json_kind(existing_file(path)) == "object":
        return resolve("coco")  # our only format that is one object, not a list of rows
    return recognise_rows(open_rows(path, options), str(path), options)


def recognise_rows(rows: Rows, name: str, options: ReadOptions) -> Format:
    """The first format that fits all sampled rows, and surely one of them.

    Rows that no format recognises are left to the reader. Raises `ValueError` if none is
    recognised, or they are in several formats.
    """
    if rows.sealed:
        return resolve("webdataset")
    if len(rows) == 0:
        return resolve("messages")
    formats = [resolve(known) for known in FORMATS]
    seen: dict[str, list[str]] = {}  # format -> places of rows that are surely in it
    out: set[str] = set()
    texts: list[str] = []
    heavy = 0
    for index in _looked_at(len(rows)):
        if heavy >= _HEAVY:
            break
        try:
            row = rows.row(index)
        except RowError:
            continue
        if not isinstance(row, dict):
            continue
        row = renamed(row, options)
        heavy += any(isinstance(value, (bytes, dict)) for value in row.values())
        votes = {format.name: format.recognises(row) for format in formats}
        sure = [known for known, vote in votes.items() if vote]
        for known in sure:
            seen.setdefault(known, []).append(rows.place(index))
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
    """A row with its columns renamed as the options say."""
    given = {ours: row[theirs] for ours, theirs in options.columns.items() if theirs in row}
    theirs = options.columns.values()
    return {**{name: value for name, value in row.items() if name not in theirs}, **given}


def _looked_at(size: int) -> Iterable[int]:
    """Rows to sample: all of a small table, else the first ones and some of the rest."""
    if size <= _LOOKED_AT:
        return range(size)
    half = _LOOKED_AT // 2
    rest = size - half
    return (*range(half), *(half + (number * rest) // half for number in range(half - 1)), size - 1)


def _placeholder_texts(row: Mapping[str, Any]) -> list[str]:
    """Placeholders in messages whose content is a string."""
    turns = row.get("messages")
    contents = [
        turn.get("content")
        for turn in (turns if isinstance(turns, list) else ())
        if isinstance(turn, dict)
    ]
    words = "".join(content for content in contents if isinstance(content, str))
    return [f"<{modality}>" for modality in MEDIA_MODALITIES if f"<{modality}>" in words]
