"""A local collection: media files and a table of what each one shows, where it comes from and under
which licence.

The table is CSV, TSV or JSON lines with the columns `path` (relative to the table) and `caption`,
and if you like `modality`, `source` and `licence`; or a `messages` file, whose captioned media are
taken. The dataset builders wrap its captions and fill their dialogues from it.
"""

from __future__ import annotations

import csv
import json
import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyweave.data.messages_jsonl import read_messages
from anyweave.messages import MEDIA_MODALITIES, Conversation, Modality

__all__ = ["Item", "read_collection"]

_COLUMNS = ("path", "caption", "modality", "source", "licence")
_READABLE = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One medium of a collection. Empty `source` or `licence`: nobody said."""

    modality: Modality
    path: Path
    caption: str
    source: str = ""
    licence: str = ""


def read_collection(
    path: str | Path, *, source: str = "", licence: str = "", check_media: bool = True
) -> list[Item]:
    """The items of the table at `path`, in its order.

    Args:
        source: where the media come from, for rows that do not say it.
        licence: likewise.
        check_media: whether every file must be there (none is opened).

    Raises `ValueError` naming file and line for a row that is not in the format.
    """
    path = Path(path)
    if not path.is_file() or path.suffix.lower() not in _READABLE:
        raise ValueError(
            f"{path}: a collection is a table of captions, one of *{', *'.join(_READABLE)}; "
            + ("this is another kind of file" if path.exists() else "there is no such file")
        )
    items = []
    for number, row in _rows(path):
        if "messages" in row:
            items += list(_captioned(path, check_media, source, licence))
            break  # the whole file was read
        items.append(_item(row, f"{path}:{number}", path.parent, check_media, source, licence))
    if not items:
        raise ValueError(f"{path}: it has no media with captions")
    return items


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(line, f"{path}:{number}")
            return
        table = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        try:
            for row in table:
                yield table.line_num, {k: v for k, v in row.items() if k is not None}
        except csv.Error as error:
            raise ValueError(f"{path}:{table.line_num}: not a row of a table ({error})") from error


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: bad JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{place}: an object with {', '.join(_COLUMNS)}, got {line.strip()[:60]}")
    return row


def _item(
    row: dict[str, Any], place: str, folder: Path, check_media: bool, source: str, licence: str
) -> Item:
    given = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    for name in ("path", "caption"):
        if not given[name]:
            raise ValueError(
                f"{place}: no {name}; a row has path and caption, and may have modality, source "
                f"and licence. It has {', '.join(sorted(row)) or 'nothing'}"
            )
    file = folder / given["path"]
    if check_media and not file.is_file():
        raise ValueError(f"{place}: no such media file: {file}; paths are relative to the table")
    return Item(
        modality=_modality(given["modality"], file, place),
        path=file,
        caption=given["caption"],
        source=given["source"] or source,
        licence=given["licence"] or licence,
    )


def _modality(named: str, file: Path, place: str) -> Modality:
    kind = named or (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
    for modality in MEDIA_MODALITIES:
        if modality == kind:
            return modality
    raise ValueError(
        f"{place}: {'unknown modality ' + repr(named) if named else f'what is {file.name}?'}; "
        f"say modality, one of {', '.join(MEDIA_MODALITIES)}"
    )


def _captioned(path: Path, check_media: bool, source: str, licence: str) -> Iterator[Item]:
    for conversation in read_messages(path, check_media=check_media):
        for modality, file, caption in _pairs(conversation):
            yield Item(
                modality=modality,
                path=Path(file),
                caption=caption,
                source=source,
                licence=licence,
            )


def _pairs(conversation: Conversation) -> Iterable[tuple[Modality, str, str]]:
    """Media with captions; of a question about one medium, the answer in words is the caption."""
    for message in conversation:
        for part in message.media():
            if part.caption and part.source is not None:
                yield part.modality, part.source, part.caption
    if [message.role for message in conversation] == ["user", "assistant"]:
        given, answer = conversation[0].media(), conversation[1]
        if len(given) == 1 and given[0].caption is None and not answer.media() and answer.text:
            yield given[0].modality, given[0].source, answer.text.strip()
