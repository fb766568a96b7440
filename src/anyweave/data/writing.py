"""Rows as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anyweave.files import whole_file


def save_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows as JSON lines, a JSON list, CSV or TSV, by the suffix of `path`.

    Raises `ValueError` for any other suffix. `check_row` says what rows CSV and TSV can hold.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    with whole_file(path) as file:
        if suffix == ".json":
            file.write(b"[")
            for count, row in enumerate(rows):
                file.write((b",\n" if count else b"\n") + _json(row))
            file.write(b"\n]\n")
        elif suffix == ".jsonl":
            for row in rows:
                file.write(_json(row) + b"\n")
        else:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            _write_delimited(rows, text, "\t" if suffix == ".tsv" else ",")
            text.detach()


def check_suffix(path: Path) -> None:
    """Raise `ValueError` unless rows can be written into a file of this name."""
    if path.suffix.lower() not in (".jsonl", ".json", ".csv", ".tsv"):
        raise ValueError(f"{path}: rows are written as .jsonl, .json, .csv or .tsv; name it so")


def check_row(row: Mapping[str, Any], path: Path) -> None:
    """Raise `ValueError` unless a file of this name can hold such a row."""
    nested = any(isinstance(value, (dict, list)) for value in row.values())
    if nested and path.suffix.lower() in (".csv", ".tsv"):
        raise ValueError(
            f"{path}: these rows have lists in them, which CSV and TSV cannot hold; "
            "write .jsonl or .json"
        )


def _write_delimited(
    rows: Iterable[Mapping[str, Any]], file: io.TextIOWrapper, delimiter: str
) -> None:
    writer: Any = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(file, list(row), delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)


def _json(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()
