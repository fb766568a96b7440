"""Media for the captions of drafts: found in collections, else generated."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anyweave import media
from anyweave.messages import PAPER_MODALITIES, Media, Modality
from anyweave_making.collection import Item, check_items
from anyweave_making.journal import Journal
from anyweave_making.mosit.build import DRAFTS, read_dialogues
from anyweave_making.mosit.dialogue import Dialogue, media_of
from anyweave_making.release import Origin
from anyweave_making.text_index import Embed, EmbeddingIndex, TfIdfIndex

__all__ = ["FILLED", "Filler", "Generator", "fill_drafts"]

FILLED = "filled.jsonl"
_CANDIDATES = 50


@dataclass(frozen=True, kw_only=True)
class Generator:
    """Makes media from captions. `make` gets modality, caption and seed, and returns a medium with
    a source, or None for what it cannot make; `source` and `licence` describe it. `each` calls a
    function for every dialogue, in order or several at a time, and yields the results in order.
    """

    make: Callable[[Modality, str, int], Media | None]
    source: str
    licence: str = ""
    each: Callable[[Callable[[Dialogue], Dialogue], Iterable[Dialogue]], Iterable[Dialogue]] = map


class Filler:
    """Gives media to dialogues.

    A medium is looked for among the captions of `items`; the nearest one that the dialogue does not
    have yet is taken if it scores at least `min_score`. What is not found is generated, or stays
    open.

    Args:
        embed: a text encoder, for similarity; None compares words (TF-IDF).
        generator: for what is not found.
        max_uses: how often one item may be taken over all dialogues.
        folder: where generated media are stored.
        allow_outside: also take media outside their table's folder; a data set copies its media.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        folder: str | Path,
        generator: Generator | None = None,
        embed: Embed | None = None,
        min_score: float = 0.5,
        max_uses: int | None = None,
        allow_outside: bool = False,
    ) -> None:
        if not allow_outside:
            check_items(items)
        self._items: dict[Modality, list[Item]] = {
            m: [item for item in items if item.modality == m] for m in PAPER_MODALITIES
        }
        self._indices = {
            m: EmbeddingIndex(captions, embed) if embed else TfIdfIndex(captions)
            for m, found in self._items.items()
            for captions in [[item.caption for item in found]]
        }
        self._generator = generator
        self._folder = Path(folder)
        self._min_score = min_score
        self._max_uses = max_uses
        self._uses: Counter[str] = Counter()

    def count(self, dialogues: Iterable[Dialogue]) -> None:
        """Note media that were used before, so that `max_uses` counts them."""
        for dialogue in dialogues:
            self._uses.update(
                str(part.source) for part in media_of(dialogue.conversation) if part.source
            )

    def fill(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue with a medium for every caption for which there is one."""
        (filled,) = self.fill_all([dialogue])
        return filled

    def fill_all(self, dialogues: Iterable[Dialogue]) -> Iterable[Dialogue]:
        """`fill` for each, in order. What is found depends on what others took before, so it is
        searched in this order; media may be generated together.
        """
        found = map(self._find, dialogues)
        each = map if self._generator is None else self._generator.each
        return each(self._make, found)

    def _find(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue with what the collections have."""
        parts = media_of(dialogue.conversation)
        taken = {str(part.source) for part in parts if part.source is not None}
        filled, origins = [], []
        for part, origin in zip(parts, dialogue.origins, strict=True):
            if part.source is None and (found := self._retrieve(part, taken)) is not None:
                part, origin = found
                taken.add(str(part.source))
                self._uses[str(part.source)] += 1
            filled.append(part)
            origins.append(origin)
        return dialogue.with_media(filled, origins)

    def _make(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue with what can be generated in the places that are still open."""
        filled, origins = [], []
        places = zip(media_of(dialogue.conversation), dialogue.origins, strict=True)
        for number, (part, origin) in enumerate(places):
            if part.source is None:
                part, origin = self._generate(part, f"{dialogue.id}-{number}")
            filled.append(part)
            origins.append(origin)
        return dialogue.with_media(filled, origins)

    def _retrieve(self, part: Media, taken: set[str]) -> tuple[Media, Origin] | None:
        asked = part.caption or ""
        for number, score in self._indices[part.modality].search(asked, _CANDIDATES):
            item = self._items[part.modality][number]
            if score < self._min_score:
                return None
            spent = self._max_uses is not None and self._uses[str(item.path)] >= self._max_uses
            if str(item.path) in taken or spent:
                continue
            origin = Origin(
                how="retrieved",
                source=item.source,
                licence=item.licence,
                asked=asked,
                score=round(score, 4),
            )
            return replace(part, source=str(item.path), caption=item.caption), origin
        return None

    def _generate(self, part: Media, stem: str) -> tuple[Media, Origin | None]:
        if self._generator is None:
            return part, None
        asked = part.caption or ""
        made = self._generator.make(part.modality, asked, zlib.crc32(stem.encode()) % 2**31)
        if made is None:
            return part, None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = media.store(made, self._folder / stem)
        origin = Origin(
            how="generated",
            source=self._generator.source,
            licence=self._generator.licence,
            asked=asked,
        )
        return replace(part, source=str(path.resolve())), origin


def fill_drafts(
    work: str | Path,
    filler: Filler,
    *,
    settings: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Fill the drafts in the folder `work` into a second journal, in their order; returns how many
    dialogues have all their media. A stopped run resumes.

    Args:
        settings: what the filling depends on, for the journal and the card.

    Raises `ValueError` where there are no drafts, or the journal was begun with other settings.
    """
    work = Path(work)
    if not (work / DRAFTS).is_file():
        raise ValueError(f"{work}: it has no {DRAFTS}; write some with: anyweave data mosit build")
    with Journal(work / DRAFTS) as journal:
        drafts = {draft.id: draft for draft in read_dialogues(journal)}
    with Journal(work / FILLED, settings or {}) as journal:
        filler.count(read_dialogues(journal))
        todo = [draft for key, draft in drafts.items() if key not in journal]
        report = progress or (lambda done, total: None)
        report(len(drafts) - len(todo), len(drafts))
        for done, dialogue in enumerate(filler.fill_all(todo), len(drafts) - len(todo) + 1):
            journal.append(dialogue.id, dialogue.to_row())
            report(done, len(drafts))
        return sum(None not in dialogue.origins for dialogue in read_dialogues(journal))
