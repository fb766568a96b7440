"""Kinds of data files: where their records are, and what the bytes of a record mean."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from anyweave.data.place import RowError, shown
from anyweave.data.rows import decode, decode_text, why
from anyweave.data.samples import is_member, member_name, tar_row

_BLOCK = 512  # bytes in a tar block
_KEEP = "surrogateescape"
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")

Found = tuple[int, int, int, int]
"""Start and end of a record in bytes, its number for people, and its digest."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file.

    `scan` yields its records, and adds damage that belongs to no record to a list. `digest`
    recomputes the digest that `scan` gave the bytes from start to end, or None if they are not a
    record: this reveals a changed file. `row` decodes a record, given its file's header too. A copy
    is `begin` or the header, the records as `copied`, separated by `between`, and `end`.
    """

    scan: Callable[[BinaryIO, Path, list[str]], Iterator[Found]]
    row: Callable[[bytes, str, bytes], Any]
    digest: Callable[[BinaryIO, int, int], int | None]
    place: Callable[[Path, int, int], str] = lambda path, start, number: f"{path}:{number}"
    copied: Callable[[bytes], bytes] = lambda data: data.rstrip() + b"\n"
    begin: bytes = b""
    between: bytes = b""
    end: bytes = b""
    headed: bool = False  # its first record names the columns of the others
    sealed: bool = False  # media are inside, so rows name no files


def _digest_bytes(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    return zlib.crc32(file.read(end - start))


# --- JSON lines


def _scan_lines(file: BinaryIO, path: Path, problems: list[str]) -> Iterator[Found]:
    start = 0
    for number, line in enumerate(file, 1):
        if line.strip():
            yield start, start + len(line), number, zlib.crc32(line)
        start += len(line)


# --- a JSON list


def _scan_list(file: BinaryIO, path: Path, problems: list[str]) -> Iterator[Found]:
    """A row that cannot be parsed is a problem; the next one is looked for at the same indentation,
    so a list on one line ends there.
    """
    # Bytes that are not UTF-8 are kept; the row that has them reports them.
    text = file.read().decode(errors=_KEEP)
    position = _skip(text, 1 if text.startswith("\ufeff") else 0)
    if text[position : position + 1] != "[":
        start = text[position : position + 40].encode(errors=_KEEP)
        what = shown(start.decode(errors="replace"))
        raise ValueError(f"{path}: a JSON list of rows is needed, got {what}")
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
            record = text[passed:position].encode(errors=_KEEP)
            following = _skip(text, position)
            if text[following : following + 1] not in (",", "]"):
                raise ValueError("no comma after it")
            yield offset, offset + len(record), line, zlib.crc32(record)
            position = following
            if text[position] == ",":
                position = _skip(text, position + 1)
        except (ValueError, RecursionError) as error:
            found = again.search(text, passed + 1) if again is not None else None
            rest = "it is left out" if found else "it and all after it are lost"
            problems.append(f"{path}:{line}: bad JSON ({why(error)}); {rest}")
            position = found.end() if found else len(text)
    if problems:
        return
    if text[position : position + 1] != "]":
        problems.append(f"{path}: bad JSON: the list has no end; it was cut off")
    elif _skip(text, position + 1) < len(text):
        problems.append(f"{path}: bad JSON: more follows the list's end, and is lost")


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None, "the pattern matches nothing too"
    return found.end()


# --- CSV and TSV, whose fields in quotes may hold line breaks


def _delimited(delimiter: str) -> Kind:
    def scan(file: BinaryIO, path: Path, problems: list[str]) -> Iterator[Found]:
        # To find where records end, decode as Latin-1, in which every byte is legal.
        read = start = digest = 0

        def lines() -> Iterator[str]:
            nonlocal read, digest
            for line in file:
                read, digest = read + len(line), zlib.crc32(line, digest)
                yield line.decode("latin-1")

        reader = csv.reader(lines(), delimiter=delimiter)
        header: list[str] = []
        while True:
            begun = reader.line_num + 1
            try:
                found = next(reader)
            except StopIteration:
                break
            except csv.Error:  # reported with its reason when the row is read
                found = ["?"]
            if found:
                if not header:
                    header = found
                    _check_header(path, header)
                yield start, read, begun, digest
            start, digest = read, 0
        if not header:
            raise ValueError(f"{path}: it is empty; the first line names the columns")

    def fields(data: bytes, place: str) -> list[str]:
        text = io.StringIO(decode_text(data, place), newline="")
        try:
            return next(csv.reader(text, delimiter=delimiter, strict=True))
        except csv.Error as error:
            raise RowError(
                f"{place}: bad CSV ({error}); is a double quote opened and never closed?"
            ) from error

    def row(data: bytes, place: str, header: bytes) -> Any:
        names, found = fields(header, place), fields(data, place)
        if len(found) != len(names):
            raise RowError(
                f"{place}: {len(found)} fields, but {len(names)} columns; "
                "put text with a comma, a tab or a line break in double quotes"
            )
        return dict(zip(names, found, strict=True))

    return Kind(scan=scan, row=row, digest=_digest_bytes, headed=True)


def _check_header(path: Path, header: list[str]) -> None:
    name, times = Counter(header).most_common(1)[0]
    if times > 1:
        name = name.encode("latin-1").decode(errors="replace")
        raise ValueError(f"{path}: {times} columns are called {name!r}; rename all but one")


# --- tar in the WebDataset layout


def _scan_tar(file: BinaryIO, path: Path, problems: list[str]) -> Iterator[Found]:
    size, number, end = os.fstat(file.fileno()).st_size, 0, 0
    last: str | None = None
    start = digest = 0
    damage = None
    seen: dict[str, set[str]] = {}  # the files of each sample so far
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                if not is_member(entry):
                    continue
                if entry.offset_data + entry.size > size:
                    raise tarfile.ReadError(f"{entry.name} is cut off")
                key, suffix = member_name(entry.name)
                files = seen.setdefault(key, set())
                if key != last:
                    if files and suffix not in files:
                        raise ValueError(
                            f"{path}: the files of {key} are not side by side, so they would be "
                            "taken for samples of their own; pack it in the order of names: "
                            "tar --sort=name -cf ..."
                        )
                    if last is not None:
                        yield start, end, number, digest
                    last, number, start, digest = key, number + 1, entry.offset, 0
                files.add(suffix)
                digest = _digest_member(entry, start, digest)
                end = min(entry.offset_data + -(-entry.size // _BLOCK) * _BLOCK, size)
            _check_end(file, tar.offset)
    except tarfile.TarError as error:
        damage = error
    if last is not None:
        yield start, end, number, digest
    if damage is not None:
        after = f" after {last}" if last else ""
        problems.append(f"{path}: this tar is damaged{after} ({damage}); get it again")


def _check_end(file: BinaryIO, offset: int) -> None:
    """Raises `tarfile.ReadError` unless a tar ends at `offset`: `tarfile` stops without a word at a
    damaged header, and before another tar that was appended.
    """
    file.seek(offset)
    mark = file.read(_BLOCK)
    if len(mark) < _BLOCK or mark.strip(b"\0"):
        raise tarfile.ReadError("what follows is no end of a tar")
    while rest := file.read(1 << 20):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("more follows its end")


def _digest_member(entry: tarfile.TarInfo, start: int, digest: int) -> int:
    """The digest extended by one more member of a sample that begins at `start`. It covers names
    and places, which is all that an index relies on, and not the contents.
    """
    said = f"{entry.name}\0{entry.offset_data - start}\0{entry.size}\0"
    return zlib.crc32(said.encode(errors=_KEEP), digest)


def _digest_tar(file: BinaryIO, start: int, end: int) -> int | None:
    digest = 0
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (entry := tar.next()) is not None and entry.offset < end:
                if is_member(entry):
                    digest = _digest_member(entry, start, digest)
    except tarfile.TarError:
        return None
    return digest


def _place_tar(path: Path, start: int, number: int) -> str:
    """The name that the sample's files share, read from the tar itself."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                entry = tar.next()
    except (tarfile.TarError, OSError):
        entry = None
    return f"{path}: {member_name(entry.name)[0] if entry else f'sample {number}'}"


LINES = Kind(
    scan=_scan_lines,
    row=lambda data, place, _: decode(data, place, "each line is one whole JSON object"),
    digest=_digest_bytes,
)
LIST = Kind(
    scan=_scan_list,
    row=lambda data, place, _: decode(data, place, "make the list again"),
    digest=_digest_bytes,
    copied=bytes,
    begin=b"[\n",
    between=b",\n",
    end=b"\n]\n",
)
TAR = Kind(
    scan=_scan_tar,
    row=lambda data, place, _: tar_row(data, place),
    digest=_digest_tar,
    place=_place_tar,
    copied=bytes,
    end=b"\0" * (2 * _BLOCK),
    sealed=True,
)
KINDS = {
    ".jsonl": LINES,
    ".ndjson": LINES,
    ".json": LIST,
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".tar": TAR,
}
