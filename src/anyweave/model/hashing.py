"""The identity of a frozen part: one hash over a folder's weights and configs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

# Written by libraries when they save, and different from version to version without a change of the
# part.
_VOLATILE = ("transformers_version", "_diffusers_version", "_name_or_path", "torch_dtype", "dtype")


def folder_sha256(folder: str | Path) -> str:
    """sha256 over the safetensors and JSON files below `folder`, by sorted relative name.

    JSON is read and written again without the keys that libraries stamp, so saving a part anew does
    not change it. Raises `ValueError` if there is nothing to hash.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    if not files:
        raise ValueError(
            f"{folder} holds no .safetensors or .json file; is it the folder of a frozen part?"
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        if path.suffix == ".json":
            digest.update(_canonical(path.read_text(encoding="utf-8")))
        else:
            with path.open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
    return digest.hexdigest()


def disk_stamp(part: str | Path) -> str:
    """Names, sizes and times of a folder's files, or of one file, as one hash. Unlike
    `folder_sha256` it reads nothing, and differs between copies: a cheap sign that what stands
    there was written anew.
    """
    part = Path(part)
    rows = [
        (path.relative_to(part).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted([part, *part.rglob("*")])
        if path.is_file()
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def check_sha256(part: str, folder: Path, expected: str | None) -> None:
    """Raises `ValueError` saying what was expected, what was found and what to do. None expects
    nothing.
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


def _canonical(text: str) -> bytes:
    value = json.loads(text)
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in _VOLATILE}
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
