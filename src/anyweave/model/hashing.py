"""Hashes: one over a frozen part's weights and configs, which is its identity; and one per file of
a checkpoint, so that damaged files are not loaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyweave.files import file_digest, read_json, read_object, write_text

logger = logging.getLogger(__name__)

HASHES_FILE = "sha256.json"
_OTHER_WEIGHTS = (".gguf", ".bin", ".pth", ".pt")

# Written by libraries on saving; they change between versions even if the part does not.
_VOLATILE = ("transformers_version", "_diffusers_version", "_name_or_path", "torch_dtype", "dtype")


def folder_sha256(folder: str | Path) -> str:
    """sha256 over the safetensors and JSON files below `folder`, by sorted relative name; where
    there are no safetensors, over weights in other forms too.

    JSON is normalised without the keys that libraries stamp, so saving a part again does not change
    the hash. Raises `ValueError` if there is nothing to hash.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    if all(path.suffix == ".json" for path in files):
        files = sorted({*files, *(p for p in folder.rglob("*") if p.suffix in _OTHER_WEIGHTS)})
    if not files:
        raise ValueError(
            f"{folder} holds no .safetensors or .json file; is it the folder of a frozen part?"
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        if path.suffix == ".json":
            digest.update(_canonical(read_json(path)))
        else:
            with path.open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
    return digest.hexdigest()


def check_sha256(part: str, folder: Path, expected: str | None) -> None:
    """Raises `ValueError` saying what was expected, what was found and what to do. None skips the
    check.
    """
    if expected is None:
        return
    got = folder_sha256(folder)
    if got != expected:
        raise ValueError(
            f"the frozen {part} in {folder} is not the one this checkpoint was trained with: "
            "expected sha256 "
            f"{expected}, got {got}. Fetch the revision that spec.json names, or pass "
            "verify=False to use it all the same"
        )


def _canonical(value: Any) -> bytes:
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in _VOLATILE}
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def write_hashes(folder: str | Path, files: Mapping[str, Path] | None = None) -> None:
    """Write ``sha256.json`` into a checkpoint: the hash of every file by its relative name.

    Args:
        files: name -> current path of its content; None takes all in `folder`, except weights of
            frozen parts, whose hashes are in the spec.
    """
    folder = Path(folder)
    if files is None:
        files = {path.relative_to(folder).as_posix(): path for path in checkable(folder)}
    hashes = {name: file_digest(path) for name, path in sorted(files.items())}
    write_text(folder / HASHES_FILE, _hashes_text(hashes))


def checkable(folder: Path) -> list[Path]:
    """The files below `folder` that ``sha256.json`` covers."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name != HASHES_FILE
        and path.suffix != ".md"  # for people, who may edit it
        and not path.name.startswith(".")
        and not (path.suffix == ".safetensors" and path.parent != folder)
    ]


def check_hashes(folder: Path, needed: tuple[str, ...] = ()) -> None:
    """Raise `ValueError` naming the first file that is missing or was changed. A folder without
    ``sha256.json`` was written by an older version: that is logged and nothing is checked.

    `needed`: names that must be listed if they are in the folder.
    """
    path = folder / HASHES_FILE
    if not path.is_file():
        logger.warning(
            "%s has no %s: it was written by an older version, and damage to its files would not "
            "be noticed; save_pretrained writes it anew",
            folder,
            HASHES_FILE,
        )
        return
    hashes = read_object(path)
    unlisted = [name for name in needed if (folder / name).exists() and name not in hashes]
    if path.read_text(encoding="utf-8") != _hashes_text(hashes) or unlisted:
        reason = f"it does not list {unlisted[0]}" if unlisted else "it is not as it was written"
        raise ValueError(f"{path} is damaged: {reason}. {_WHAT_TO_DO}")
    for name, expected in hashes.items():
        file = folder / name
        if not _is_inside(name) or not isinstance(expected, str):
            raise ValueError(f"{path} is damaged: {name!r} is no file of a checkpoint")
        if not file.is_file():
            raise ValueError(f"{folder} lacks {name}, which was written into it. {_WHAT_TO_DO}")
        got = file_digest(file)
        if got != expected:
            raise ValueError(
                f"{file} is damaged or was changed: expected sha256 {expected}, got {got}. "
                f"{_WHAT_TO_DO}"
            )


_WHAT_TO_DO = (
    "Fetch or write the folder again; if the change is yours, remove "
    f"{HASHES_FILE} or pass verify=False"
)


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _hashes_text(hashes: Mapping[str, Any]) -> str:
    return json.dumps(hashes, indent=1, sort_keys=True) + "\n"
