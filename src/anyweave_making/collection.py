"""A local collection: media files and a table of what each one shows, where it comes from and under
which licence.

The table is in any format that `tables` opens (CSV, TSV, JSON, JSON lines). Its rows have the
columns `path` (relative to the table) and `caption`, and optionally `modality`, `source` and
`licence`; or they are X-caption pairs (see `pairs`) or `messages`, whose captioned media are taken.
The dataset builders wrap its captions and fill their dialogues from it.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyweave.data.messages_jsonl import MESSAGES
from anyweave.data.pairs import PAIRS, read_pair
from anyweave.data.place import Place, ReadOptions, listed
from anyweave.data.store import check_inside
from anyweave.data.tables import open_rows
from anyweave.messages import (
    MEDIA_MODALITIES,
    PAPER_MODALITIES,
    Conversation,
    Modality,
    kind_of,
)
from anyweave.modalities import known_modalities

__all__ = ["Item", "check_items", "modality_by_name", "read_collection"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One medium of a collection. Empty `source` or `licence`: not stated. `root` is the folder of
    the table that names it, None if a program made it.
    """

    modality: Modality
    path: Path
    caption: str
    source: str = ""
    licence: str = ""
    root: Path | None = field(default=None, compare=False)


def check_items(items: Iterable[Item]) -> None:
    """Raise `ValueError` unless all items may be copied: their files are inside the folders of
    their tables, links followed.
    """
    for item in items:
        check_inside(item.path, None if item.root is None else [item.root])


def read_collection(
    path: str | Path, *, source: str = "", licence: str = "", check_media: bool = True
) -> list[Item]:
    """The items of the table at `path`, in its order.

    Args:
        source: where the media come from, for rows that do not say.
        licence: likewise.
        check_media: whether every file must exist (none is opened).

    Raises `ValueError` naming file and line for a row that is not in the format.
    """
    options = ReadOptions(check_media=check_media)
    table = open_rows(path, options)
    if table.problems:
        raise ValueError(table.problems[0])
    items: list[Item] = []
    for index in range(len(table)):
        place = Place(table.place(index), table.folder, options)
        row = place.object(table.row(index), "", required=(), optional=None)
        stated = {
            "source": str(row.get("source") or source),
            "licence": str(row.get("licence") or licence),
        }
        for modality, file, caption in _found(row, place):
            if not isinstance(file, str):
                problem = f"its {modality} is inside the table, which data convert gets out"
                raise place.error("", problem)
            items.append(
                Item(
                    modality=modality,
                    path=Path(file),
                    caption=caption,
                    root=table.folder,
                    **stated,
                )
            )
    if not items:
        raise ValueError(f"{path}: it has no media with captions")
    return items


def _found(row: dict[str, Any], place: Place) -> Iterable[tuple[Modality, Any, str]]:
    """The captioned media of a row: modality, file, caption."""
    if "messages" in row:
        return _pairs(MESSAGES.read(row, place))
    if PAIRS.recognises(row) and "path" not in row:
        return _pairs(read_pair(row, place))
    if lacking := [key for key in ("path", "caption") if key not in row]:
        columns = "a row has path and caption, or image, video or audio and caption"
        raise place.error("", f"no {' and no '.join(lacking)}; {columns}; this has {listed(row)}")
    path, caption = (place.text(row.get(key) or "", key).strip() for key in ("path", "caption"))
    for key, value in (("path", path), ("caption", caption)):
        if not value:
            raise place.error(key, "it is empty; a row says which file shows what")
    modality = _modality(row.get("modality") or "", Path(path), place)
    medium = place.medium(modality, path, "path", role="user")
    return [(modality, str(medium.source), caption)]


def _modality(named: str, file: Path, place: Place) -> Modality:
    modality = named or modality_by_name(file)
    if modality is not None and modality in MEDIA_MODALITIES:
        return modality
    what = f"unknown modality {named!r}" if named else f"what is {file.name}?"
    raise place.error("modality", f"{what}; say one of {', '.join(known_modalities())}")


def modality_by_name(file: Path) -> Modality | None:
    """What kind of medium a file is, by its suffix; None if it is not one."""
    kind = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
    if kind in PAPER_MODALITIES:
        return kind
    # Which types Python knows depends on the machine: without /etc/mime.types it lacks WebP.
    suffix = file.suffix[1:].lower()
    return next((name for name in known_modalities() if suffix in kind_of(name).suffixes), None)


def _pairs(conversation: Conversation) -> Iterator[tuple[Modality, Any, str]]:
    """Media with captions; for a question about one medium, the answer in words is the caption."""
    for message in conversation:
        for part in message.media():
            if part.caption and part.source is not None:
                yield part.modality, part.source, part.caption
    if [message.role for message in conversation] == ["user", "assistant"]:
        given, answer = conversation[0].media(), conversation[1]
        if len(given) == 1 and given[0].caption is None and not answer.media() and answer.text:
            yield given[0].modality, given[0].source, answer.text.strip()
