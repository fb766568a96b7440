"""A person's decisions on dialogues: accept, reject, or accept in other words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args
from urllib.parse import quote

from anyweave.data.written import write_conversation, written_caption
from anyweave.messages import Media, Text
from anyweave_making.journal import Journal
from anyweave_making.mosit.dialogue import Dialogue, media_of
from anyweave_making.release import Origin
from anyweave_making.written import read_conversation

__all__ = ["DECISIONS", "Decision", "Review", "decided", "edited"]

DECISIONS = "decisions.jsonl"
Decision = Literal["open", "accept", "reject"]


def edited(dialogue: Dialogue, text: str) -> Dialogue:
    """The dialogue, changed to the written form `text`.

    A medium with the same caption keeps its file; among the others, the first image in the text
    keeps the file of the first image left, and so on: a person who changes a caption corrects it. A
    medium beyond those has no source yet. Raises `ValueError` as `read_conversation` does.
    """
    conversation = read_conversation(text)
    before = list(zip(media_of(dialogue.conversation), dialogue.origins, strict=True))
    found: dict[int, tuple[Media, Origin | None]] = {}
    wanted = list(enumerate(media_of(conversation)))
    for same_caption in (True, False):
        for number, part in wanted:
            match = next(
                (
                    pair
                    for pair in before
                    if pair[0].modality == part.modality
                    and (written_caption(pair[0]) == part.caption or not same_caption)
                ),
                None,
            )
            if number not in found and match is not None:
                before.remove(match)
                caption = match[0].caption if same_caption else part.caption
                found[number] = (replace(match[0], caption=caption), match[1])
    pairs = [found.get(number, (part, None)) for number, part in wanted]
    blank = replace(dialogue, conversation=conversation, origins=())
    return blank.with_media([part for part, _ in pairs], [origin for _, origin in pairs])


def decided(
    dialogues: Iterable[Dialogue], decisions: Journal, *, only_reviewed: bool = False
) -> tuple[list[Dialogue], dict[str, str]]:
    """Dialogues as people left them, and the reason for each that was left out, by id.

    What nobody decided on stays, unless `only_reviewed`.
    """
    kept: list[Dialogue] = []
    dropped: dict[str, str] = {}
    for dialogue in dialogues:
        row = decisions.get(dialogue.id, {"decision": "open"})
        if row["decision"] == "reject":
            dropped[dialogue.id] = "rejected in review"
        elif row["decision"] == "open" and only_reviewed:
            dropped[dialogue.id] = "not reviewed"
        elif row.get("text"):
            changed = edited(dialogue, row["text"])
            kept.append(replace(changed, writer=f"{dialogue.writer}, edited"))
        else:
            kept.append(dialogue)
    return kept, dropped


class Review:
    """Dialogues and a journal of decisions, for the page. A decision is on disk when it returns."""

    def __init__(self, dialogues: Sequence[Dialogue], decisions: Journal) -> None:
        self._dialogues = {dialogue.id: dialogue for dialogue in dialogues}
        self._decisions = decisions

    def overview(self) -> dict[str, Any]:
        """All dialogues in brief, and how many there are of each decision."""
        rows = [
            {
                "id": dialogue.id,
                "topic": dialogue.topic,
                "decision": self._row(dialogue.id)["decision"],
                "edited": bool(self._row(dialogue.id).get("text")),
            }
            for dialogue in self._dialogues.values()
        ]
        counts = Counter(str(row["decision"]) for row in rows)
        return {"dialogues": rows, "counts": {d: counts[d] for d in get_args(Decision)}}

    def show(self, id: str) -> dict[str, Any]:
        """One dialogue as it is now. Raises `KeyError`."""
        dialogue, row = self._current(id), self._row(id)
        numbers = iter(range(len(dialogue.origins)))
        return {
            "id": id,
            "topic": dialogue.topic,
            "writer": dialogue.writer,
            "tags": list(dialogue.tags),
            "decision": row["decision"],
            "edited": bool(row.get("text")),
            "text": write_conversation(dialogue.conversation),
            "messages": [
                {
                    "role": message.role,
                    "parts": [
                        {"type": "text", "text": part.text}
                        if isinstance(part, Text)
                        else self._medium(dialogue, part, next(numbers))
                        for part in message.parts
                    ],
                }
                for message in dialogue.conversation
            ],
        }

    def decide(self, id: str, decision: str, text: str | None = None) -> dict[str, Any]:
        """Record a decision and return the dialogue as it is now.

        `text` is the dialogue in other words (None: as they were). Raises `ValueError` for an
        unknown decision or a text that is not a dialogue, `KeyError` for an unknown dialogue.
        """
        if decision not in get_args(Decision):
            raise ValueError(f"a decision is {', '.join(get_args(Decision))}, got {decision!r}")
        if text is not None:
            edited(self._dialogues[id], text)
            if text.strip() == write_conversation(self._dialogues[id].conversation):
                text = None
        elif id not in self._dialogues:
            raise KeyError(id)
        self._decisions.append(id, {"decision": decision, **({"text": text} if text else {})})
        return self.show(id)

    def medium(self, id: str, number: int) -> Media:
        """A medium of a dialogue as it is now. Raises `KeyError` or `IndexError`."""
        return media_of(self._current(id).conversation)[number]

    def _current(self, id: str) -> Dialogue:
        text = self._row(id).get("text")
        return edited(self._dialogues[id], text) if text else self._dialogues[id]

    def _row(self, id: str) -> dict[str, Any]:
        return self._decisions.get(id, {"decision": "open"})

    def _medium(self, dialogue: Dialogue, part: Media, number: int) -> dict[str, Any]:
        origin = dialogue.origins[number]
        shown = {"type": part.modality, "caption": part.caption}
        if part.source is None or origin is None:
            return shown
        facts = [origin.how, origin.source, origin.licence or "licence not stated"]
        if origin.asked and origin.asked != part.caption:
            facts.append(f"asked for: {origin.asked}")
        if origin.score is not None:
            facts.append(f"score {origin.score:.2f}")
        return {
            **shown,
            "url": f"/media/{quote(dialogue.id, safe='')}/{number}",
            "origin": " · ".join(fact for fact in facts if fact),
        }
