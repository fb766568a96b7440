"""From filled dialogues to a dataset: decisions, filters, and the folder with its card."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from anyweave_making.journal import Journal
from anyweave_making.mosit.build import DRAFTS, read_dialogues
from anyweave_making.mosit.dialogue import Dialogue
from anyweave_making.mosit.fill import FILLED, Filler
from anyweave_making.mosit.filters import Filters, Selection, select
from anyweave_making.mosit.held_out import HeldOut
from anyweave_making.mosit.review import DECISIONS, decided
from anyweave_making.release import Record, Release, write_release

__all__ = ["filled_dialogues", "publish", "selected"]

DESCRIPTION = (
    "Dialogues of several turns with text, images, videos and sounds on both sides "
    "(modality-switching instructions, MosIT, NExT-GPT section 5.2)."
)


def filled_dialogues(work: str | Path) -> list[Dialogue]:
    """The dialogues in the folder `work`, with media. Raises `ValueError` if there are none."""
    path = Path(work) / FILLED
    if not path.is_file():
        raise ValueError(f"{work}: it has no {FILLED}; make it with: anyweave data mosit fill")
    with Journal(path) as journal:
        return read_dialogues(journal)


def selected(
    work: str | Path,
    filters: Filters,
    *,
    held_out: HeldOut | None = None,
    only_reviewed: bool = False,
    filler: Filler | None = None,
) -> Selection:
    """The dialogues of `work` as people left them, filtered; every missing one has a reason.

    Args:
        filler: finds the media that an edit asked for; without it such a dialogue is dropped.
    """
    dialogues = filled_dialogues(work)
    with Journal(Path(work) / DECISIONS) as decisions:
        dialogues, dropped = decided(dialogues, decisions, only_reviewed=only_reviewed)
    if filler is not None:
        dialogues = [filler.fill(dialogue) for dialogue in dialogues]
    selection = select(dialogues, filters, held_out)
    return Selection(selection.kept, dropped | selection.dropped)


def publish(
    work: str | Path,
    output: str | Path,
    filters: Filters | None = None,
    *,
    name: str = "mosit",
    version: str = "0.1.0",
    description: str = DESCRIPTION,
    limit: int | None = None,
    held_out: HeldOut | None = None,
    only_reviewed: bool = False,
    filler: Filler | None = None,
    copy_media: bool = True,
) -> dict[str, Any]:
    """Write the dataset folder `output` (see `release`) from the dialogues in `work`, and return
    the content of its ``dataset.json``. Arguments as in `selected`; of the remaining dialogues the
    first `limit` are taken.
    """
    work = Path(work)
    filters = filters or Filters()
    selection = selected(
        work, filters, held_out=held_out, only_reviewed=only_reviewed, filler=filler
    )
    failed = _failed(work)
    dropped = {**({"could not be written": failed} if failed else {}), **selection.counts()}
    release = Release(
        name=name,
        version=version,
        description=description,
        made={
            "tool": "anyweave data mosit",
            "drafts": _settings(work / DRAFTS),
            "media": _settings(work / FILLED),
            "filters": filters.to_dict(),
            "held out": "checked against evaluation sets" if held_out else "not checked",
            "review": _reviewed(work),
        },
        dropped=dropped,
    )
    kept = selection.kept[:limit]
    return write_release(map(_record, kept), output, release, copy_media=copy_media)


def _record(dialogue: Dialogue) -> Record:
    assert None not in dialogue.origins, f"{dialogue.id}: the filters let an open medium through"
    return Record(
        conversation=dialogue.conversation,
        origins=[origin for origin in dialogue.origins if origin is not None],
        about={
            "id": dialogue.id,
            "topic": dialogue.topic,
            "writer": dialogue.writer,
            "tags": list(dialogue.tags),
        },
    )


def _settings(path: Path) -> dict[str, Any]:
    with Journal(path) as journal:
        return journal.settings or {}


def _failed(work: Path) -> int:
    """Drafts that a language model did not manage to write."""
    with Journal(work / DRAFTS) as journal:
        return sum("failed" in row for row in journal.values())


def _reviewed(work: Path) -> str:
    with Journal(work / DECISIONS) as decisions:
        counts = Counter(row["decision"] for row in decisions.values())
        edits = sum("text" in row for row in decisions.values())
    if not counts["accept"] and not counts["reject"]:
        return "by nobody"
    return f"{counts['accept']} accepted ({edits} edited), {counts['reject']} rejected"
