"""Rows at a path: JSON lines, a JSON list, CSV and TSV, tar shards, folders of samples, `datasets`.

A path may stand for many files of one kind: ``*`` and ``{000..127}`` in a name, or a folder.
"""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Literal

from anyweave.data.hub import HubRows, is_saved
from anyweave.data.indexed import IndexedRows
from anyweave.data.kinds import KINDS
from anyweave.data.place import ReadOptions, RowError, listed
from anyweave.data.rows import Rows, decode, existing_file
from anyweave.data.samples import SampleFolder

DATA_SUFFIXES = (*KINDS, ".parquet")
_SHARDS = (".jsonl", ".ndjson", ".tar")  # what a folder of shards may hold
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def open_rows(path: str | Path, options: ReadOptions) -> Rows:
    """The rows at a path, with their places in memory. Raises `ValueError` if there are none."""
    name = str(path)
    if name.startswith("hf://") or name.endswith(".parquet") or is_saved(path):
        return HubRows(name, options)
    if Path(path).is_dir():
        return SampleFolder(Path(path), allow_outside=options.allow_outside)
    return open_shards(path)


def open_shards(
    path: str | Path, *, on_disk: bool = False, index_dir: str | Path | None = None
) -> IndexedRows:
    """The rows of the file or the files at a path: see `IndexedRows`."""
    paths = data_files(path)
    return IndexedRows(paths, _suffix_of(paths), on_disk=on_disk, index_dir=index_dir)


def names_shards(path: str | Path) -> bool:
    """Whether a path is a pattern of names or a folder of shards."""
    if Path(path).is_dir():
        return bool(_shards_in(Path(path)))
    return any(mark in str(path) for mark in "*{")


def data_files(path: str | Path) -> list[Path]:
    """The files that a path, a pattern or a folder of shards stands for. Raises `ValueError`."""
    if Path(path).is_dir():
        found = _shards_in(Path(path))
        if not found:
            raise ValueError(f"{path}: no shards there; they are called *{', *'.join(_SHARDS)}")
        return found
    if Path(path).is_file() or not names_shards(path):
        return [existing_file(path)]
    names = (name for one in _expand(str(path)) for name in sorted(glob.glob(one)) or [one])
    shards = [Path(name) for name in names]
    for shard in shards:
        if not shard.is_file():
            raise ValueError(f"{shard}: no such file; the shards {str(path)!r} were asked for")
    return shards


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


def _suffix_of(paths: list[Path]) -> str:
    suffixes = {path.suffix.lower() for path in paths}
    if len(suffixes) > 1:
        raise ValueError(f"shards of one kind are needed, got {listed(sorted(suffixes))}")
    suffix = suffixes.pop()
    if suffix in _COMPRESSED:
        raise ValueError(f"{paths[0]}: compressed, so not to be read from the middle; unpack it")
    if suffix not in KINDS:
        raise ValueError(
            f"{paths[0]}: no table is called *{suffix or paths[0].name}; known: "
            f"{listed(DATA_SUFFIXES)}, a folder of samples, hf://owner/name"
        )
    if suffix == ".json" and {json_kind(path) for path in paths} == {"lines"}:
        return ".jsonl"
    return suffix


def _shards_in(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in _SHARDS)
    return sorted(path for path in found if not path.name.startswith("."))


def _expand(path: str) -> list[str]:
    found = _BRACES.search(path)
    if found is None:
        return [path]
    first, last = found.groups()
    return [
        name
        for number in range(int(first), int(last) + 1)
        for name in _expand(f"{path[: found.start()]}{number:0{len(first)}d}{path[found.end() :]}")
    ]
