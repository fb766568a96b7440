"""Which filled dialogues are good enough; every one that is not has a reason, and reasons are
counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from anyweave.data.written import write_conversation
from anyweave.files import file_digest
from anyweave.media import MediaError
from anyweave.media.sniffing import sniff
from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave_making.mosit.dialogue import Dialogue, media_of
from anyweave_making.mosit.duplicates import near_duplicates
from anyweave_making.mosit.held_out import HeldOut

__all__ = ["Filters", "Selection", "select"]

_WORDS: dict[Modality, str] = {
    "image": "picture|image|photo|photograph|drawing|illustration",
    "video": "video|clip|footage|animation",
    "audio": "sound|recording|audio",
}
_HANDED_OVER = {
    modality: re.compile(
        rf"\b(here is|here's|here are|i made you|i drew you|attached is)\b[^.:;!?]*\b({words})s?\b",
        re.IGNORECASE,
    )
    for modality, words in _WORDS.items()
}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a dialogue must be like."""

    min_turns: int = 3
    max_turns: int = 7
    min_modalities: int = 2
    """Kinds of media in one dialogue, text aside."""
    both_sides: bool = True
    """Media must be both given and made."""
    max_similarity: float = 0.8
    """Share of word triples that two dialogues may have in common."""
    max_imbalance: float | None = 3.0
    """How many times as many media the commonest kind may have as the rarest; None allows any."""

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, for the card."""
        return asdict(self)


@dataclass(frozen=True)
class Selection:
    """What is kept, in its order, and the reason for each that is not, by id."""

    kept: list[Dialogue]
    dropped: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """How many were dropped for each reason, the commonest first."""
        return dict(Counter(self.dropped.values()).most_common())


def select(
    dialogues: Iterable[Dialogue], filters: Filters, held_out: HeldOut | None = None
) -> Selection:
    """Filter dialogues: first each by itself, then near duplicates, then the balance of media."""
    digest, kind = cache(file_digest), cache(_kind)
    dropped: dict[str, str] = {}
    kept: list[Dialogue] = []
    for dialogue in dialogues:
        reason = _problem(dialogue, filters, kind)
        if not reason and held_out is not None:
            files = (str(part.source) for part in media_of(dialogue.conversation))
            reason = held_out.leak(dialogue, map(digest, files))
        if reason:
            dropped[dialogue.id] = reason
        else:
            kept.append(dialogue)
    twins = near_duplicates(
        [write_conversation(d.conversation) for d in kept], filters.max_similarity
    )
    dropped |= {kept[number].id: "near duplicate" for number in twins}
    kept = [dialogue for number, dialogue in enumerate(kept) if number not in twins]
    if filters.max_imbalance is not None:
        surplus = _surplus(kept, filters.max_imbalance)
        dropped |= dict.fromkeys(surplus, "too many of one modality")
        kept = [dialogue for dialogue in kept if dialogue.id not in surplus]
    return Selection(kept, dropped)


def _problem(dialogue: Dialogue, filters: Filters, kind: Callable[[str], str]) -> str:
    parts = media_of(dialogue.conversation)
    if any(part.source is None for part in parts):
        return "a medium was not found"
    if not filters.min_turns <= dialogue.num_turns <= filters.max_turns:
        return f"not {filters.min_turns} to {filters.max_turns} turns"
    if len({part.modality for part in parts}) < filters.min_modalities:
        return f"fewer than {filters.min_modalities} modalities"
    sides = {message.role for message in dialogue.conversation if message.media()}
    if filters.both_sides and len(sides) < 2:
        return "media on one side only"
    if _promises_nothing(dialogue):
        return "words hand over a medium that is not there"
    if any(kind(str(part.source)) != part.modality for part in parts):
        return "a file is not what its placeholder says"
    return ""


def _promises_nothing(dialogue: Dialogue) -> bool:
    """Whether a reply says "here is the sound" without one."""
    return any(
        pattern.search(message.text) and not message.media(modality)
        for message in dialogue.conversation
        if message.role == "assistant"
        for modality, pattern in _HANDED_OVER.items()
    )


def _kind(path: str) -> str:
    """The modality of a file, or "" if it cannot be read."""
    try:
        return sniff(Path(path))
    except MediaError:
        return ""


def _surplus(dialogues: Sequence[Dialogue], max_imbalance: float) -> set[str]:
    """Dialogues to leave out until no modality has over `max_imbalance` times the media of another.

    Those go first that hold most of the commonest modality and least of the rarest; among equals,
    the last. A modality that does not occur at all does not count.
    """
    uses = {d.id: Counter(part.modality for part in media_of(d.conversation)) for d in dialogues}
    total = sum(uses.values(), Counter[Modality]())
    there = [m for m in PAPER_MODALITIES if total[m]]
    left: set[str] = set()
    orders: dict[tuple[Modality, Modality], list[str]] = {}
    while there:
        common, rare = max(there, key=total.__getitem__), min(there, key=total.__getitem__)
        if total[common] <= max_imbalance * total[rare]:
            break

        def tips(id: str, common: Modality = common, rare: Modality = rare) -> float:
            return uses[id][common] - max_imbalance * uses[id][rare]

        if (common, rare) not in orders:  # worst last
            orders[common, rare] = sorted(uses, key=tips)
        order = orders[common, rare]
        while order and order[-1] in left:
            order.pop()
        if not order or tips(order[-1]) <= 0:
            break  # no dialogue is to blame
        left.add(order[-1])
        total -= uses[order[-1]]
    return left
