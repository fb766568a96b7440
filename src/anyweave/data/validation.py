"""Read every record and medium of a data set as training would: report all that is wrong, and write
a copy without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyweave.data.checks import Found, Problem, check_records, problem_of
from anyweave.data.format import Format
from anyweave.data.hub import is_saved
from anyweave.data.place import ReadOptions
from anyweave.data.records import Records
from anyweave.data.tables import DATA_SUFFIXES
from anyweave.data.writing import save_rows
from anyweave.media import DEFAULT_LIMITS, Limits

Progress = Callable[[int, int], None]


@dataclass
class Validation:
    """What was found. `formats` is the format each file was read as, `dropped` counts bad records
    by their first problem, `lost` counts what the format has no place for.
    """

    formats: dict[str, str] = field(default_factory=dict)
    records: int = 0
    media: int = 0
    problems: list[Problem] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    clean: list[str] = field(default_factory=list)

    @property
    def reasons(self) -> Counter[str]:
        """How many problems there are of each kind."""
        return Counter(problem.reason for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "formats": self.formats,
            "records": self.records,
            "good_records": self.records - self.dropped.total(),
            "media": self.media,
            "reasons": dict(self.reasons.most_common()),
            "dropped": dict(self.dropped.most_common()),
            "lost": dict(self.lost.most_common()),
            "clean": self.clean,
            "problems": [problem.to_dict() for problem in self.problems],
        }


def validate(
    path: str | Path,
    format: str | Format | None = None,
    options: ReadOptions | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    clean: str | Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Validation:
    """Read every record and every medium of a data file, or of all data files in a folder.

    Args:
        format: None recognises the format of each file.
        clean: write the good records here unchanged, to a file (for a folder, a folder). Media are
            neither moved nor copied, so it must be where their paths still lead to them; only
            messages files are rewritten and may be anywhere.
        workers: number of reader processes; 0 reads in this one.
        progress: called with (records done, total) for the current file.

    Raises `ValueError` if there is nothing to read or `clean` cannot be written.
    """
    options = replace(options or ReadOptions(), check_media=False)  # each is opened anyway
    result = Validation()
    for file in data_files(path, format):
        target = None if clean is None else Path(clean)
        if target is not None and str(file) != str(path):
            target.mkdir(parents=True, exist_ok=True)
            target /= Path(file).name
        try:
            records = Records.damaged(file, format, options)
        except ValueError as error:
            if str(file) == str(path):
                raise
            result.problems.append(problem_of(str(file), None, str(error)))
            continue
        if target is not None:
            _check_clean(records, target)
        result.formats[str(file)] = records.format.name
        damage = [problem_of(str(file), None, text) for text in records.rows.problems]
        result.problems += damage
        bad = _read_all(records, limits, workers, progress, result)
        if target is not None:
            _write_clean(records, [i for i in range(len(records)) if i not in bad], target)
            result.clean.append(str(target))
    return result


def data_files(path: str | Path, format: str | Format | None = None) -> list[str | Path]:
    """The data files at a path: itself, or those in a folder that is not itself a data set."""
    folder = Path(path)
    name = format.name if isinstance(format, Format) else format
    if not folder.is_dir() or is_saved(folder) or name == "webdataset":
        return [path]
    found = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in DATA_SUFFIXES]
    return [file for file in found if file.is_file() and not file.name.startswith(".")] or [path]


def _read_all(
    records: Records,
    limits: Limits,
    workers: int,
    progress: Progress | None,
    result: Validation,
) -> set[int]:
    """Add what is found to `result`; returns the bad records."""
    found: dict[int, Found] = {}
    for chunk, checked in check_records(records, limits, workers):
        found.update(zip(chunk, checked, strict=True))
        if progress is not None:
            progress(len(found), len(records))
    for index in sorted(found):
        count, problems, lost = found[index]
        result.lost.update(lost)
        result.media += count
        result.problems += problems
        result.dropped.update(problem.reason for problem in problems[:1])
    result.records += len(records)
    return {index for index, (_, problems, _) in found.items() if problems}


# --- the clean copy


def _check_clean(records: Records, clean: Path) -> None:
    """Raise `ValueError` now, not hours later, if the copy cannot be written or used."""
    if clean.exists():
        raise ValueError(f"{clean} is already there; remove it or choose another name")
    if not clean.parent.is_dir():
        raise ValueError(f"{clean}: there is no folder {clean.parent}; make it first")
    elsewhere = clean.parent.resolve() != records.rows.folder.resolve()
    movable = records.format.rebase is not None or records.format.holds_media
    if elsewhere and not movable and records.options.media is None:
        raise ValueError(
            f"{clean}: its media are named relative to {records.rows.folder}; put the copy there, "
            "say with --media where they are, or make a messages file with data convert"
        )


def _write_clean(records: Records, kept: Sequence[int], clean: Path) -> None:
    folder, rebase = records.rows.folder, records.format.rebase
    if rebase is None or records.options.media is not None or clean.parent.samefile(folder):
        records.rows.copy(kept, clean)  # unchanged: the paths in them stay valid
    else:
        rows = (rebase(records.rows.row(index), folder, clean.parent) for index in kept)
        save_rows(rows, clean)
