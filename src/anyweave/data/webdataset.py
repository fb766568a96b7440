"""Samples as files of one stem, ``000012.jpg`` with ``000012.txt``: in tar shards or in a folder.

This is the WebDataset layout, and what img2dataset and its kin download into. A sample is a row
``{"image": bytes, "caption": text}``; a `.json` beside it gives further keys. Only names and places
are kept in memory. Shards are plain tar, as a compressed one cannot be read from the middle.
"""

from __future__ import annotations

import glob
import io
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyweave.data.formats import Format
from anyweave.data.pairs import PAIRS, read_pair, write_pair
from anyweave.data.place import RowError
from anyweave.data.tables import decode
from anyweave.files import whole_file
from anyweave.messages import MEDIA_MODALITIES, Modality

SUFFIXES: dict[Modality, tuple[str, ...]] = {
    "image": ("jpg", "jpeg", "png", "webp"),
    "video": ("mp4", "webm", "mkv", "avi", "gif"),
    "audio": ("wav", "flac", "mp3", "ogg", "m4a"),
}
_CAPTIONS = ("txt", "caption")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class _Member:
    """Bytes in a file: a member of a tar, or the whole file."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass
class _Sample:
    place: str
    key: str
    members: dict[str, _Member] = field(default_factory=dict)
    problem: str | None = None


class Samples:
    """Samples by index. `problems` says which shards are damaged, and from where on."""

    sealed = True  # a sample's media are its own files

    def __init__(self, samples: list[_Sample], folder: Path, problems: tuple[str, ...]) -> None:
        self.folder = folder
        self.problems = problems
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def row(self, index: int) -> Any:
        sample = self._samples[index]
        if sample.problem is not None:
            raise RowError(f"{sample.place}: {sample.problem}")
        return sample_row({s: member.read for s, member in sample.members.items()}, sample.place)

    def place(self, index: int) -> str:
        return self._samples[index].place

    def copy(self, indices: Iterable[int], out: Path) -> None:
        files = (
            (f"{self._samples[index].key}.{suffix}", member.read())
            for index in indices
            for suffix, member in self._samples[index].members.items()
        )
        _write_tar(files, out)


def sample_row(members: Mapping[str, Callable[[], bytes]], place: str) -> dict[str, Any]:
    """The row of a sample, from what reads its members by suffix.

    A file that is no medium, caption or JSON stands in the row as ``.suffix``, so that it counts as
    not read; so does what the JSON says of a caption or a medium that has a file of its own.
    Raises `RowError`, also for two media of one kind.
    """
    row: dict[str, Any] = {}
    if "json" in members:
        found = decode(members["json"](), f"{place}.json", "write it again")
        if not isinstance(found, dict):
            raise RowError(f"{place}.json: an object is needed")
        row.update(found)
    own: dict[str, str] = {}  # what files of the sample give, and the suffixes of these
    for suffix, read in members.items():
        modality = next((m for m in MEDIA_MODALITIES if suffix in SUFFIXES[m]), None)
        name = "caption" if suffix in _CAPTIONS else modality
        if name is None:
            row |= {f".{suffix}": "a file"} if suffix != "json" else {}
            continue
        if name in own:
            raise RowError(f"{place}: two files are its {name}: .{own[name]} and .{suffix}")
        own[name] = suffix
        made: Any = read() if modality else _text(read(), f"{place}.{suffix}")
        if row.get(name, made) != made:
            row[f".json {name}"] = row[name]
        row[name] = made
    return row


def open_samples(path: str, *, allow_outside: bool = False) -> Samples:
    """The samples of a folder, of one shard, or of many: ``*`` and ``{000..127}`` are expanded.

    `allow_outside`: links in a folder may lead out of it. Raises `ValueError` when there is no such
    file.
    """
    if Path(path).is_dir():
        return Samples(_in_folder(Path(path), allow_outside), Path(path), ())
    shards = shard_paths(path)
    samples: list[_Sample] = []
    problems: list[str] = []
    for shard in shards:
        samples += _in_shard(str(shard), problems)
    return Samples(samples, shards[0].parent, tuple(problems))


def shard_paths(path: str) -> list[Path]:
    """Files by name: ``*`` and ``{000..127}`` are expanded. Raises `ValueError` if one is not
    there.
    """
    shards = [Path(name) for one in _expand(path) for name in sorted(glob.glob(one)) or [one]]
    for shard in shards:
        if not shard.is_file():
            raise ValueError(f"{shard}: no such file; the shards {path!r} were asked for")
    return shards


def is_member(entry: tarfile.TarInfo) -> bool:
    """Whether an entry of a shard belongs to a sample: a file, or a link where one should be."""
    return entry.isfile() or entry.issym() or entry.islnk()


def link_problem(entry: tarfile.TarInfo) -> str:
    """Why a link in a shard is not followed."""
    return f"{entry.name} is a link to {entry.linkname}, and a shard holds files; pack it again"


def member_name(name: str) -> tuple[str, str]:
    """The sample that a member of a shard belongs to, and which of its files it is."""
    stem, _, suffix = Path(name).name.partition(".")
    return str(Path(name).parent / stem), suffix.lower()


def save(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write pairs into one tar, the media copied in. Raises `ValueError` for another name."""
    if path.suffix != ".tar":
        raise ValueError(f"{path}: samples are written as one .tar; name it so")

    def files() -> Iterator[tuple[str, bytes]]:
        for number, row in enumerate(rows):
            modality = next(modality for modality in MEDIA_MODALITIES if modality in row)
            medium = path.parent / row[modality]
            suffix = medium.suffix.lower().removeprefix(".")
            if suffix not in SUFFIXES[modality]:
                raise ValueError(f"{medium}: .{suffix} names no {modality} in a shard; rename it")
            yield f"{number:09d}.{suffix}", medium.read_bytes()
            yield f"{number:09d}.txt", row["caption"].encode()

    _write_tar(files(), path)


def _write_tar(files: Iterable[tuple[str, bytes]], path: Path) -> None:
    with whole_file(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _in_shard(shard: str, problems: list[str]) -> list[_Sample]:
    samples: list[_Sample] = []
    size = Path(shard).stat().st_size
    try:
        with tarfile.open(shard, "r:") as tar:
            for entry in tar:
                if not is_member(entry):
                    continue
                if entry.offset_data + entry.size > size:
                    raise tarfile.ReadError(f"{entry.name} is cut off")
                key, suffix = member_name(entry.name)
                if not samples or samples[-1].key != key:
                    samples.append(_Sample(f"{shard}: {key}", key))
                member = _Member(shard, entry.offset_data, entry.size)
                samples[-1].members[suffix] = member
                if not entry.isfile():
                    samples[-1].problem = link_problem(entry)
    except tarfile.TarError as error:
        after = f" after {samples[-1].key}" if samples else ""
        problems.append(f"{shard}: this tar is damaged{after} ({error}); get it again")
    return samples


def _in_folder(folder: Path, allow_outside: bool) -> list[_Sample]:
    """The samples of a folder and the folders below it, by name."""
    samples: dict[str, _Sample] = {}
    known = {suffix for found in SUFFIXES.values() for suffix in found} | {*_CAPTIONS, "json"}
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        name, _, suffix = path.name.partition(".")
        if name and path.is_file():
            key = (path.parent / name).relative_to(folder).as_posix()
            sample = samples.setdefault(key, _Sample(f"{folder}: {key}", key))
            sample.members[suffix.lower()] = _Member(str(path), 0, path.stat().st_size)
            if not allow_outside and not path.resolve().is_relative_to(root):
                sample.problem = (
                    f"{path.name} leads out of the folder; --allow-outside takes files from "
                    "anywhere"
                )
    samples = {key: one for key, one in samples.items() if known & one.members.keys()}
    if not samples:
        raise ValueError(f"{folder}: a folder without samples; these are files of one stem")
    return list(samples.values())


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


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise RowError(f"{place}: not UTF-8 ({error}); save the file as UTF-8") from error


WEBDATASET = Format(
    name="webdataset",
    about="pairs as files of one stem, in tar shards or a folder",
    ignores=PAIRS.ignores,
    recognises=lambda row: False,  # its rows are pairs
    read=read_pair,
    write=write_pair,
    save=save,
    holds_media=True,
)
