"""Convert one format to another, record by record: resumable, atomic, and counting what is lost.

Rows are first collected in ``.<name>.part`` beside the target, one line per record, in order. A run
that was stopped or killed resumes after the last complete line. Once the part file holds all
records, the target is written atomically and the part file is removed.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from anyweave.data.checks import reason_of
from anyweave.data.format import Format, Written
from anyweave.data.formats import resolve
from anyweave.data.records import Records
from anyweave.data.store import MediaStore
from anyweave.data.writing import check_row, check_suffix, save_rows
from anyweave.files import path_lock

Progress = Callable[[int, int], None]
_FLUSH_EVERY = 64  # records


@dataclass
class Conversion:
    """What became of the records. `skipped` counts records by reason; `lost` counts conversations
    by what the format or the target has no place for; `resumed_at` is the record at which a stopped
    run resumed.
    """

    records: int
    written: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    resumed_at: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        counts = {"skipped": dict(self.skipped), "lost": dict(self.lost)}
        return {**vars(self), **counts}

    def count(self, line: Mapping[str, Any]) -> None:
        """Count one line of the part file."""
        if "skipped" in line:
            self.skipped[line["skipped"]] += 1
        else:
            self.written += 1
            self.lost.update(line["lost"])


def convert(
    records: Records,
    out: str | Path,
    to: str | Format = "messages",
    *,
    copy_media: bool = False,
    skip: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Write `records` into `out` in the format `to`.

    Rows name media by paths relative to the folder of `out`. Media on disk stay where they are;
    with `copy_media` they are copied into ``<name>_media`` beside `out`, where media from shards
    go too. Copied files must be below the data's folders unless `ReadOptions.allow_outside` is
    set.

    Args:
        skip: skip and count records that cannot be read or that the target cannot express;
            otherwise the first one stops the conversion.
        progress: called with (records done, total).

    Raises `ValueError` for such a record, an existing target, or another conversion's part file.
    """
    out = Path(out)
    target = resolve(to) if isinstance(to, str) else to
    _check_target(out, target)
    result = Conversion(len(records))
    part = out.with_name(f".{out.name}.part")
    media_dir = out.with_name(f"{out.stem}_media")
    if target.holds_media:
        media_dir = out.with_name(f".{out.name}.media")
    store = MediaStore(
        out.parent,
        media_dir,
        copy=copy_media and not target.holds_media,
        embed=target.holds_media,
        inside=records.options.inside(records.rows.folder),
    )
    begun = _settings(records, target, copy_media)
    with path_lock(out), open(part, "a+b") as file:
        for line in _resume(file, part, begun):
            result.count(line)
        result.resumed_at = result.written + sum(result.skipped.values())
        for index in range(result.resumed_at, len(records)):
            line = _line(records, index, target, store, skip)
            if result.written == 0 and "row" in line and target.save is save_rows:
                check_row(line["row"], out)
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            result.count(line)
            if index % _FLUSH_EVERY == 0:
                file.flush()
            if progress is not None:
                progress(index + 1, len(records))
        file.flush()
        target.save((line["row"] for line in _lines(part) if "row" in line), out)
        part.unlink()
    if target.holds_media:
        shutil.rmtree(media_dir, ignore_errors=True)
    return result


def _check_target(out: Path, target: Format) -> None:
    if target.write is None:
        raise ValueError(f"{target.name} is only read; choose another --to")
    if out.exists():
        raise ValueError(f"{out} is already there; remove it or choose another name")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: there is no folder {out.parent}; make it first")
    if target.save is save_rows:
        check_suffix(out)


def _line(
    records: Records, index: int, target: Format, store: MediaStore, skip: bool
) -> dict[str, Any]:
    """One record as a line of the part file."""
    assert target.write is not None, "checked before"
    place = records.rows.place(index)
    try:
        read = records.reading(index, warn=False)
        written: Written = target.write(
            read.conversation, lambda medium, at: store.path(medium, f"{index:06d}_{at}")
        )
    except ValueError as error:
        if not skip:
            problem = str(error).removeprefix(f"{place}: ")
            raise ValueError(
                f"{place}: {problem} (--skip leaves such records out and counts them)"
            ) from error
        return {"skipped": reason_of(str(error), place)}
    return {"row": written.row, "lost": sorted({*read.lost, *written.lost})}


def _settings(records: Records, target: Format, copy_media: bool) -> dict[str, Any]:
    """What a part file depends on: with another file, format or option it cannot be resumed."""
    found = [file.stat() for file in records.files]
    begun = {
        "from": records.format.name,
        "to": target.name,
        "first": records.rows.place(0) if len(records) else None,
        "records": len(records),
        "files": [[stat.st_size, stat.st_mtime_ns] for stat in found],
        "options": {**asdict(records.options), "allow_outside": None},  # may change on resuming
        "copy_media": copy_media,
    }
    return json.loads(json.dumps(begun, default=str))


def _resume(file: BinaryIO, part: Path, begun: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a part file's complete lines, leaving `file` after them; a new one gets its header."""
    file.seek(0)
    head = file.readline()
    if not head.endswith(b"\n"):
        file.truncate(0)
        file.write(json.dumps(begun, ensure_ascii=False).encode() + b"\n")
        return
    was = json.loads(head)
    for name in begun:
        if was.get(name) != begun[name]:
            raise ValueError(
                f"{part}: this conversion was begun with {name}={was.get(name)!r}, now it is "
                f"{begun[name]!r}; remove that file to begin anew"
            )
    end = file.tell()
    for line in file:
        if not line.endswith(b"\n"):
            break
        end += len(line)
        yield json.loads(line)
    file.truncate(end)


def _lines(part: Path) -> Iterator[dict[str, Any]]:
    with open(part, "rb") as file:
        file.readline()
        for line in file:
            yield json.loads(line)
