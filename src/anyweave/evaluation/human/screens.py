"""What a rater sees: replies side by side, without names, in an order of the rater's own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anyweave.evaluation.folder import Saved, read_folder
from anyweave.evaluation.human.votes import ASPECTS, Vote, Votes
from anyweave.messages import Media

_LONGEST_NAME = 60
_LETTERS = "ABCDEFGHIJ"


class Screens:
    """Folders of replies to the same requests, by the models' names, and the votes on them.

    Raises `ValueError` for folders that do not answer the same requests, or more than ten.
    """

    def __init__(self, folders: Mapping[str, str | Path], votes: Votes) -> None:
        if not 1 <= len(folders) <= len(_LETTERS):
            raise ValueError(f"1 to {len(_LETTERS)} folders are rated, got {len(folders)}")
        self.models = tuple(folders)
        self.votes = votes
        self._replies = {name: read_folder(folder) for name, folder in folders.items()}
        first = self._replies[self.models[0]]
        for name, replies in self._replies.items():
            other = {id: saved.asked for id, saved in replies.items()}
            if other != {id: saved.asked for id, saved in first.items()}:
                raise ValueError(
                    f"{name} and {self.models[0]} answer different requests: fill both folders "
                    "from one file with `anyweave eval folder`"
                )
        self.requests = tuple(first)

    def overview(self, rater: str) -> dict[str, Any]:
        """The rater's requests, in an order of their own, and which are done."""
        done = self.votes.of(_name(rater))
        order = list(self.requests)
        random.Random(f"requests {rater}").shuffle(order)
        return {
            "aspects": list(ASPECTS),
            "requests": [{"id": id, "done": id in done} for id in order],
        }

    def show(self, rater: str, id: str) -> dict[str, Any]:
        """What was asked, the replies under letters, and the rater's vote so far."""
        order = self._order(rater, id)
        asked = self._saved(order[0], id).asked
        vote = self.votes.of(rater).get(id)
        return {
            "id": id,
            "asked": [{"role": m["role"], "parts": _words(m["content"])} for m in asked],
            "replies": [
                {"letter": _LETTERS[slot], "parts": self._parts(rater, id, slot)}
                for slot in range(len(order))
            ],
            "vote": None
            if vote is None
            else {
                "scores": [[vote.scores[model][a] for a in ASPECTS] for model in order],
                "best": None if vote.best is None else order.index(vote.best),
            },
        }

    def vote(self, rater: str, id: str, scores: Any, best: Any) -> dict[str, Any]:
        """Record a score per reply and aspect, and the best reply's place (None: a tie).

        Raises `ValueError` for anything else, `KeyError` for an unknown request.
        """
        order = self._order(rater, id)
        shape = f"{len(order)} lists of {len(ASPECTS)} whole numbers from 1 to 10"
        if not isinstance(scores, list) or len(scores) != len(order):
            raise ValueError(f"scores are {shape}")
        for row in scores:
            if not isinstance(row, list) or len(row) != len(ASPECTS):
                raise ValueError(f"scores are {shape}")
            if not all(type(score) is int and 1 <= score <= 10 for score in row):
                raise ValueError(f"scores are {shape}")
        if best is not None and not (type(best) is int and 0 <= best < len(order)):
            raise ValueError(f"best is a reply's place from 0 to {len(order) - 1}, or null")
        self.votes.add(
            Vote(
                rater=_name(rater),
                request=id,
                scores={
                    model: dict(zip(ASPECTS, row, strict=True))
                    for model, row in zip(order, scores, strict=True)
                },
                best=None if best is None else order[best],
            )
        )
        return self.show(rater, id)

    def medium(self, rater: str, id: str, slot: int, number: int) -> Media:
        """A medium of a reply. Raises `KeyError` or `IndexError`."""
        return self._saved(self._order(rater, id)[slot], id).media()[number]

    def _order(self, rater: str, id: str) -> list[str]:
        """The models behind the letters: always the same for a rater and a request."""
        if id not in self.requests:
            raise KeyError(id)
        order = sorted(self.models)
        random.Random(f"{_name(rater)} {id}").shuffle(order)
        return order

    def _saved(self, model: str, id: str) -> Saved:
        return self._replies[model][id]

    def _parts(self, rater: str, id: str, slot: int) -> list[dict[str, Any]]:
        """Parts with URLs that reveal no model. A caption could reveal one, so it is not shown."""
        saved = self._saved(self._order(rater, id)[slot], id)
        shown: list[dict[str, Any]] = []
        number = 0
        for part in saved.parts:
            if part["type"] == "text":
                shown.append({"type": "text", "text": part["text"]})
            elif part.get("path"):
                where = f"/media/{quote(id, safe='')}/{slot}/{number}?rater={quote(rater, safe='')}"
                shown.append({"type": part["type"], "url": where})
                number += 1
            else:
                shown.append({"type": part["type"], "url": None})
        return shown


def _name(rater: str) -> str:
    """A rater's name as given. Raises `ValueError` for none, or a very long one."""
    if not 1 <= len(rater.strip()) <= _LONGEST_NAME:
        raise ValueError(f"a rater's name has 1 to {_LONGEST_NAME} letters")
    return rater


def _words(content: Any) -> list[str]:
    """A turn in words: media of the request appear as ``[image: caption]``."""
    if isinstance(content, str):
        return [content]
    return [
        part["text"] if part["type"] == "text" else f"[{part['type']}: {part.get('caption') or ''}]"
        for part in content
    ]
