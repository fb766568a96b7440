"""A finished dataset as a folder that can be passed on: conversations, media, where every medium
comes from, hashes of all files and a card that says how it was made.

    messages.jsonl    the conversations
    records.jsonl     line by line what is known about each: id, topic, who wrote it, ...
    media.jsonl       one line per medium: path, modality, caption, source, licence, how obtained
    media/            the files, named by their content (absent if they stay where they are)
    dataset.json      name, version, how it was made, counts, sha256 of every file
    README.md         the card
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from anyweave.data.messages_jsonl import write_messages
from anyweave.data.stats import DATASET_FILE, measure
from anyweave.data.store import copy_medium
from anyweave.files import file_digest, whole_folder, write_json, write_text
from anyweave.messages import MEDIA_TYPES, Conversation, Media, Message, Modality
from anyweave_making.card import card

__all__ = ["Origin", "Record", "Release", "write_release"]

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a medium comes from.

    `how` is ``given``, ``retrieved`` or ``generated``; `source` a collection or a model; `asked`
    the caption that was looked for or generated from, `score` how near the retrieved one is to it.
    """

    how: str
    source: str = ""
    licence: str = ""
    asked: str = ""
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A conversation, the origin of each of its media in order, and what else is known of it."""

    conversation: Conversation
    origins: Sequence[Origin]
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a dataset says about itself. `made` is how it was made, `dropped` counts by reason what
    was left out; both go into the card.
    """

    name: str
    version: str
    description: str
    made: dict[str, Any]
    dropped: dict[str, int] = field(default_factory=dict)


def write_release(
    records: Iterable[Record], folder: str | Path, release: Release, *, copy_media: bool = True
) -> dict[str, Any]:
    """Write the dataset, whole or not at all, and return the content of ``dataset.json``.

    `copy_media`: whether the media files are included; otherwise the conversations point to where
    they are. Raises `ValueError` if the folder exists, or a medium has no file.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder}: it exists; a version is written once: choose another folder")
    if not folder.parent.is_dir():
        raise ValueError(f"{folder}: there is no folder {folder.parent}; make it first")
    with whole_folder(folder) as fresh:
        return _write(list(records), fresh, release, copy_media)


def _write(
    records: list[Record], folder: Path, release: Release, copy_media: bool
) -> dict[str, Any]:
    media = _Shelf(folder if copy_media else None)
    conversations = [media.place(record) for record in records]
    write_messages(conversations, folder / DATASET_FILE)
    _write_lines(folder / "records.jsonl", (record.about for record in records))
    _write_lines(folder / "media.jsonl", media.rows())
    stats = measure(conversations).to_dict()
    facts = {
        "format_version": FORMAT_VERSION,
        "name": release.name,
        "version": release.version,
        "description": release.description,
        "made": release.made,
        "dropped": release.dropped,
        "stats": stats,
        "media": media.summary(),
    }
    write_text(folder / "README.md", card(facts))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts["files"] = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    write_json(folder / "dataset.json", facts, indent=1)
    return facts


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


class _Shelf:
    """The media of a release: each content is stored once, under a name made from its hash."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._digests: dict[Path, str] = {}
        self._rows: dict[str, dict[str, Any]] = {}

    def place(self, record: Record) -> Conversation:
        """The conversation with its media at their places."""
        origins = iter(record.origins)
        return [
            Message(
                message.role,
                [
                    self._place(part, next(origins), record) if isinstance(part, Media) else part
                    for part in message.parts
                ],
            )
            for message in record.conversation
        ]

    def _place(self, part: Media, origin: Origin, record: Record) -> Media:
        if not isinstance(part.source, (str, Path)):
            raise ValueError(
                f"{record.about.get('id', 'a record')}: the {part.modality} {part.caption!r} has "
                "no file; fill it first"
            )
        source = Path(part.source).resolve()
        digest = self._digests.get(source) or self._digests.setdefault(source, file_digest(source))
        path = source if self._folder is None else self._copy(part.modality, source, digest)
        named = path if self._folder is None else path.relative_to(self._folder)
        self._rows.setdefault(
            digest,
            {
                "path": named.as_posix(),
                "modality": part.modality,
                "caption": part.caption or "",
                "sha256": digest,
                **{
                    name: value for name, value in asdict(origin).items() if value not in ("", None)
                },
            },
        )
        return replace(part, source=path)

    def _copy(self, modality: Modality, source: Path, digest: str) -> Path:
        assert self._folder is not None
        path = self._folder / "media" / modality / f"{digest[:20]}{source.suffix.lower()}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            copy_medium(MEDIA_TYPES[modality](source), path)
        return path

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per medium, in the order of their first use."""
        yield from self._rows.values()

    def summary(self) -> list[dict[str, Any]]:
        """How many media of each kind come from where, under which licence."""
        counts: dict[tuple[str, ...], int] = {}
        for row in self._rows.values():
            group = tuple(row.get(name, "") for name in ("modality", "how", "source", "licence"))
            counts[group] = counts.get(group, 0) + 1
        return [
            {"modality": m, "how": how, "source": source, "licence": licence, "count": count}
            for (m, how, source, licence), count in sorted(counts.items())
        ]
