"""Which media a model gave, against those that a person would have wanted: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from anyweave.evaluation.decision.requests import Request
from anyweave.evaluation.metrics import Figure, Proportion, Ratio
from anyweave.messages import PAPER_MODALITIES, Modality

_GROUPS = ("none", *PAPER_MODALITIES, "several")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The media of one reply. `ordered` is False where the order of several kinds is unknown, as
    with servers that list pictures and sounds separately.
    """

    given: tuple[Modality, ...]
    ordered: bool = True
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class DecisionReport:
    """Every figure with its trials and its 95% interval."""

    model: str
    requests: int
    media: Mapping[str, Mapping[str, Figure]]
    """Per medium, and for ``any``: precision, recall and f1. A trial is a request."""
    shares: Mapping[str, Figure]
    """Over requests: exactly right, false draws on words alone, kinds, number, order."""
    groups: Mapping[str, Figure]
    """Exactly right, by what is wanted."""
    kinds: Mapping[str, Figure]
    """Exactly right, by how it is asked."""
    order_untold: int = 0
    """Replies with several kinds of media in unknown order; not counted as trials of the order."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        tables = {"shares": self.shares, "groups": self.groups, "kinds": self.kinds}
        return {
            "benchmark": "decision",
            "model": self.model,
            "requests": self.requests,
            "media": {name: _plain(figures) for name, figures in self.media.items()},
            **{name: _plain(table) for name, table in tables.items()},
            "order_untold": self.order_untold,
        }

    def to_markdown(self) -> str:
        """Three tables."""
        lines = [
            f"# Decisions: {self.model}",
            "",
            f"{self.requests:,} requests in everyday words. In brackets 95% intervals: Wilson's "
            "for shares, bootstrap over requests for F1.",
            "",
            "| medium | precision | recall | F1 |",
            "|---|---|---|---|",
        ]
        for name, found in self.media.items():
            lines.append(f"| {name} | {found['precision']} | {found['recall']} | {found['f1']} |")
        for title, table in (
            ("replies", self.shares),
            ("exactly right, by what is wanted", self.groups),
            ("exactly right, by how it is asked", self.kinds),
        ):
            lines += ["", f"| {title} | share | trials |", "|---|---|---|"]
            lines += [f"| {name} | {found} | {found.trials} |" for name, found in table.items()]
        if self.order_untold:
            lines += ["", f"{self.order_untold} replies do not tell the order of their media."]
        return "\n".join(lines) + "\n"


def score(model: str, requests: Iterable[Request], answers: Mapping[str, Answer]) -> DecisionReport:
    """The report on `answers`, by the ids of requests. Raises `ValueError` where one is missing."""
    rows = list(requests)
    if missing := [row.id for row in rows if row.id not in answers]:
        raise ValueError(f"{len(missing)} of {len(rows)} requests have no answer: {missing[0]} ...")
    pairs = [(row, answers[row.id]) for row in rows]
    right = {row.id: answer.ordered and answer.given == row.wanted for row, answer in pairs}
    wanting = [(row, answer) for row, answer in pairs if row.wanted]
    several = [(row, answer) for row, answer in pairs if row.group == "several"]
    shares = {
        "exactly right: kinds, number and order": Proportion.of(right.values()),
        "false draws on words alone": Proportion.of(
            bool(answer.given) for row, answer in pairs if not row.wanted
        ),
        "kinds right where media are wanted": Proportion.of(
            set(answer.given) == set(row.wanted) for row, answer in wanting
        ),
        "number of each right where media are wanted": Proportion.of(
            Counter(answer.given) == Counter(row.wanted) for row, answer in wanting
        ),
        "order and number right where several are wanted": Proportion.of(
            answer.given == row.wanted for row, answer in several if answer.ordered
        ),
    }
    kinds = sorted({row.kind for row in rows})
    return DecisionReport(
        model=model,
        requests=len(rows),
        media={"any": _any(pairs), **{m: _medium(m, pairs) for m in PAPER_MODALITIES}},
        shares={name: Figure.of(share) for name, share in shares.items()},
        groups={
            group: Figure.of(Proportion.of(right[row.id] for row in rows if row.group == group))
            for group in _GROUPS
        },
        kinds={
            kind: Figure.of(Proportion.of(right[row.id] for row in rows if row.kind == kind))
            for kind in kinds
        },
        order_untold=sum(not answer.ordered for _, answer in pairs),
    )


def _medium(medium: Modality, pairs: list[tuple[Request, Answer]]) -> dict[str, Figure]:
    return _figures([(medium in row.wanted, medium in answer.given) for row, answer in pairs])


def _any(pairs: list[tuple[Request, Answer]]) -> dict[str, Figure]:
    """Whether there is a medium at all, whichever."""
    return _figures([(bool(row.wanted), bool(answer.given)) for row, answer in pairs])


def _figures(trials: list[tuple[bool, bool]]) -> dict[str, Figure]:
    """Precision, recall and F1 of (wanted, given)."""
    f1 = Ratio.of((2.0 * (w and g), float(w) + float(g)) for w, g in trials)
    return {
        "precision": Figure.of(Proportion.of(w for w, g in trials if g)),
        "recall": Figure.of(Proportion.of(g for w, g in trials if w)),
        "f1": Figure.of(f1),
    }


def _plain(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: vars(figure) for name, figure in figures.items()}
