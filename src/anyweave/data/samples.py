"""Samples as files with a common stem, ``000012.jpg`` with ``000012.txt``, in tar or a folder.

This is the WebDataset layout, which img2dataset and similar tools write. A sample is a row
``{"image": bytes, "caption": text}``; a `.json` beside it adds further keys.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from anyweave.data.place import RowError
from anyweave.data.rows import decode, decode_text
from anyweave.files import whole_file
from anyweave.messages import MEDIA_MODALITIES, kind_of

_CAPTIONS = ("txt", "caption")


def sample_row(members: Mapping[str, Callable[[], bytes]], place: str) -> dict[str, Any]:
    """The row of a sample, given a reader for each member by suffix.

    A file that is no medium, caption or JSON enters the row as ``.suffix``, so that it counts as
    not read; so does a caption or medium in the JSON that differs from its own file. Raises
    `RowError`, also for two media of one kind.
    """
    row: dict[str, Any] = {}
    if "json" in members:
        found = decode(members["json"](), f"{place}.json", "write it again")
        if not isinstance(found, dict):
            raise RowError(f"{place}.json: an object is needed")
        row.update(found)
    own: dict[str, str] = {}  # what the sample's files give -> their suffix
    for suffix, read in members.items():
        modality = next((m for m in MEDIA_MODALITIES if suffix in kind_of(m).suffixes), None)
        name = "caption" if suffix in _CAPTIONS else modality
        if name is None:
            row |= {f".{suffix}": "a file"} if suffix != "json" else {}
            continue
        if name in own:
            raise RowError(f"{place}: two files are its {name}: .{own[name]} and .{suffix}")
        own[name] = suffix
        made: Any = read() if modality else decode_text(read(), f"{place}.{suffix}").strip()
        if row.get(name, made) != made:
            row[f".json {name}"] = row[name]
        row[name] = made
    return row


# --- in a tar


def is_member(entry: tarfile.TarInfo) -> bool:
    """Whether an entry of a shard belongs to a sample: a file, or a link where one should be. As in
    a folder, names that begin with a dot do not: macOS packs a ``._name`` beside every file.
    """
    hidden = Path(entry.name).name.startswith(".")
    return not hidden and (entry.isfile() or entry.issym() or entry.islnk())


def member_name(name: str) -> tuple[str, str]:
    """The sample that a member of a shard belongs to, and which of its files it is."""
    stem, _, suffix = Path(name).name.partition(".")
    return str(Path(name).parent / stem), suffix.lower()


def tar_row(data: bytes, place: str) -> Any:
    """The row of a sample, from its slice of a tar. Raises `RowError`."""
    members: dict[str, Callable[[], bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for entry in tar:
            if is_member(entry):
                if not entry.isfile():
                    raise RowError(
                        f"{place}: {entry.name} is a link to {entry.linkname}, and a shard holds "
                        "files; pack it again"
                    )
                piece = data[entry.offset_data : entry.offset_data + entry.size]
                members[member_name(entry.name)[1]] = partial(bytes, piece)
    return sample_row(members, place)


def write_tar(files: Iterable[tuple[str, bytes]], path: Path) -> None:
    """Write files into a tar, whole or not at all."""
    with whole_file(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


# --- in a folder


@dataclass
class _Sample:
    files: dict[str, Path] = field(default_factory=dict)
    problem: str | None = None


class SampleFolder:
    """The samples of a folder and the folders below it, by name.

    `allow_outside`: links may lead out of it. Raises `ValueError` if there are none.
    """

    sealed = True  # a sample's media are its own files

    def __init__(self, folder: Path, *, allow_outside: bool = False) -> None:
        self.folder = folder
        self.problems: tuple[str, ...] = ()
        samples: dict[str, _Sample] = {}
        root = folder.resolve()
        for path in sorted(folder.rglob("*")):
            name, _, suffix = path.name.partition(".")
            if name and path.is_file():
                key = (path.parent / name).relative_to(folder).as_posix()
                sample = samples.setdefault(key, _Sample())
                sample.files[suffix.lower()] = path
                if not allow_outside and not path.resolve().is_relative_to(root):
                    sample.problem = (
                        f"{path.name} leads out of the folder; --allow-outside takes files from "
                        "anywhere"
                    )
        media = {suffix for m in MEDIA_MODALITIES for suffix in kind_of(m).suffixes}
        known = media | {*_CAPTIONS, "json"}
        # Of ``b_0.5.jpg`` the stem is ``b_0``, as in a tar; its files are then told as not read.
        self._samples = [
            (key, one)
            for key, one in samples.items()
            if known & {suffix.rpartition(".")[2] for suffix in one.files}
        ]
        if not self._samples:
            raise ValueError(f"{folder}: a folder without samples; these are files of one stem")

    def __len__(self) -> int:
        return len(self._samples)

    def row(self, index: int) -> Any:
        _, sample = self._samples[index]
        if sample.problem is not None:
            raise RowError(f"{self.place(index)}: {sample.problem}")
        members = {suffix: path.read_bytes for suffix, path in sample.files.items()}
        return sample_row(members, self.place(index))

    def place(self, index: int) -> str:
        return f"{self.folder}: {self._samples[index][0]}"

    def copy(self, indices: Iterable[int], out: Path) -> None:
        files = (
            (f"{key}.{suffix}", path.read_bytes())
            for key, sample in (self._samples[index] for index in indices)
            for suffix, path in sample.files.items()
        )
        write_tar(files, out)
