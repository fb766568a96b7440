"""Tables: text ``str[R, C]`` with the header as the first row; files are CSV.

A language model reads and writes a table as text: CSV between two lines of three backticks, as
models write it anyway. What it reads is bounded, and what is left out is reported.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import numpy as np

from anyweave.modalities import MediaKind

ROWS, COLUMNS, CELL, LETTERS = 50, 12, 80, 4000
"""How much of one table a language model is given: rows besides the header, columns, characters per
cell, characters in all."""
SAID = 4096
"""Bytes of text that one table may be made from."""
_MOST_BYTES = 2**28  # of an array, whose cells all take as much space as the longest
_DELIMITERS = ",;\t|"
_SPECIAL = re.compile(r'[,;\t|"\r\n]')
_QUOTED = re.compile(r'"[^"]*"')
_LOOKED_AT = 65_536  # characters, to find the delimiter
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def read(content: bytes) -> np.ndarray:
    """The cells of a UTF-8 CSV file, whose first line shows the delimiter. Raises `ValueError` for
    rows of different lengths.
    """
    text = content.decode("utf-8-sig")
    if "\0" in text:
        raise ValueError("it has null bytes, so it is no text")
    bare = _QUOTED.sub("", text[:_LOOKED_AT])  # quoted delimiters do not count
    first = bare.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = _rows(text, delimiter)
    if not rows:
        raise ValueError("it has no rows")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(rows[0])}")
    return check(_array(rows))


def check(array: np.ndarray) -> np.ndarray:
    """`array` as text ``str[R, C]``; numbers become digits. Raises `ValueError` for any other
    shape.
    """
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "Uiufb":
        raise ValueError(
            f"a table is letters or numbers [rows, columns] with a header, got {array.dtype} "
            f"{list(array.shape)}"
        )
    return array if array.dtype.kind == "U" else array.astype(str)


def write(array: np.ndarray) -> bytes:
    """CSV with commas, UTF-8. Cells with anything that `read` may take for a separator are quoted,
    so every table reads back unchanged.
    """
    rows = (",".join(_quoted(cell, alone=len(row) == 1) for cell in row) for row in array.tolist())
    return "".join(f"{row}\n" for row in rows).encode()


def _quoted(cell: str, alone: bool) -> str:
    plain = cell and not _SPECIAL.search(cell) or not cell and not alone
    return cell if plain else '"' + cell.replace('"', '""') + '"'


def said(array: np.ndarray) -> str:
    """The text that stands for a whole table; `of_words` restores it. Raises `ValueError` if it
    would be too long.
    """
    words = f"```csv\n{write(array).decode()}```\n"
    if "```" in words[3:-4] or len(words.encode()) > SAID:
        raise ValueError(
            f"this table of {array.shape[0]} rows cannot be said in {SAID} bytes without backticks"
        )
    return words


def of_words(words: str) -> tuple[np.ndarray, str]:
    """The last table in a text, and what had to be changed in it; "" for nothing.

    Short rows are padded with empty cells, long ones are cut. A text without a table becomes one
    cell below the header "text".
    """
    words = words.replace("\0", "")  # no text file holds these
    blocks: list[str] = _BLOCK.findall(words)
    if not blocks:
        return np.array([["text"], [words.strip()]]), "there is no table in the words"
    rows = _rows(blocks[-1])
    if not rows:
        return np.array([["text"]]), "the table in the words is empty"
    width = len(rows[0])
    wrong = sum(len(row) != width for row in rows)
    fitted = [(*row, *[""] * width)[:width] for row in rows]
    told = f"{wrong} of {len(rows)} rows were not as long as the header"
    return _array(fitted), told if wrong else ""


def as_text(array: np.ndarray) -> tuple[str, str]:
    """What a language model is given of a table, and how it was cut; "" if it was not."""
    part = array[: ROWS + 1, :COLUMNS]
    short = np.array([[cell[:CELL] for cell in row] for row in part.tolist()])
    while len(short) > 2 and len(words := write(short).decode()) > LETTERS:
        short = short[: max(2, len(short) * LETTERS // len(words))]
    left = [
        f"{len(short) - 1} of {len(array) - 1} rows" * (len(short) < len(array)),
        f"{short.shape[1]} of {array.shape[1]} columns" * (short.shape[1] < array.shape[1]),
        f"{CELL} letters of long cells" * bool((short != part[: len(short)]).any()),
    ]
    note = ", ".join(filter(None, left))
    return f"```csv\n{write(short).decode()}```\n" + f"(only {note})\n" * bool(note), note


def _rows(text: str, delimiter: str = ",") -> list[list[str]]:
    try:
        found = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [row for row in found if row]
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error


def _array(rows: Sequence[Sequence[str]]) -> np.ndarray:
    longest = max((len(cell) for row in rows for cell in row), default=0)
    if 4 * max(1, longest) * len(rows) * len(rows[0]) > _MOST_BYTES:
        raise ValueError(
            f"{len(rows)} rows of {len(rows[0])} cells with up to {longest} letters are too much"
        )
    return np.array(rows, dtype=f"<U{max(1, longest)}")


TABLE = MediaKind(
    name="table",
    noun="a table",
    label="TAB",
    formats=("csv",),
    suffixes=("csv", "tsv"),
    media_types={"csv": "text/csv"},
    signal_tokens=2,
    read=read,
    write=write,
    check=check,
    as_text=as_text,
    said=said,
    decoder="anyweave.decoders.table:TableDecoder",
    prompts=("What does this table say?", "Describe the table.", "Sum up the table."),
)
