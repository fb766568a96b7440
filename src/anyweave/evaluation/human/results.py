"""What the votes say: means with intervals, preferences, agreement."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

from anyweave.evaluation.human.votes import ASPECTS, Vote
from anyweave.evaluation.metrics import Figure, Ratio


@dataclass(frozen=True, kw_only=True)
class HumanResults:
    """Intervals are 95%, by bootstrap over requests: several raters of a request are one trial."""

    requests: int
    raters: int
    votes: int
    left_out: int
    """Votes that do not rate exactly these models."""
    means: Mapping[str, Mapping[str, Figure]]
    """Per model and aspect, 1 to 10."""
    preferred: Mapping[str, Figure]
    """Share of votes in which a model was called the best; a tie is shared."""
    alpha: Mapping[str, float | None]
    """Krippendorff's alpha per aspect (interval), and of the preference (nominal)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "requests": self.requests,
            "raters": self.raters,
            "votes": self.votes,
            "left_out": self.left_out,
            "means": {m: {a: vars(f) for a, f in found.items()} for m, found in self.means.items()},
            "preferred": {model: vars(figure) for model, figure in self.preferred.items()},
            "krippendorff_alpha": dict(self.alpha),
        }

    def to_markdown(self) -> str:
        """Means and preferences in one table, agreement in another."""
        lines = [
            f"{self.votes} votes of {self.raters} raters on {self.requests} requests. In brackets "
            "95% intervals, by bootstrap over requests."
            + (f" Left out: {self.left_out} votes on other models." if self.left_out else ""),
            "",
            f"| model | {' | '.join(ASPECTS)} | preferred |",
            f"|---|{'---|' * len(ASPECTS)}---|",
        ]
        for model, means in self.means.items():
            cells = [str(means[aspect]) for aspect in ASPECTS]
            lines.append(f"| {model} | {' | '.join(cells)} | {self.preferred[model]} |")
        lines += ["", "| agreement of raters | Krippendorff's alpha |", "|---|---|"]
        for name, value in self.alpha.items():
            lines.append(f"| {name} | {'not known' if value is None else f'{value:.2f}'} |")
        return "\n".join(lines) + "\n"


def summarise(votes: Sequence[Vote], models: Sequence[str]) -> HumanResults:
    """The results of `models`. Votes on other models are counted and left out; raises `ValueError`
    where none remains.
    """
    used = [vote for vote in votes if set(vote.scores) == set(models)]
    if not used:
        others = sorted({model for vote in votes for model in vote.scores})
        raise ValueError(
            f"no vote on {', '.join(models)} together"
            + (f"; there are votes on {', '.join(others)}" if others else " yet")
        )
    by_request: dict[str, list[Vote]] = defaultdict(list)
    for vote in used:
        by_request[vote.request].append(vote)

    def mean(values: Any) -> Figure:
        return Figure.of(Ratio.of((sum(v), float(len(v))) for v in values))

    return HumanResults(
        requests=len(by_request),
        raters=len({vote.rater for vote in used}),
        votes=len(used),
        left_out=len(votes) - len(used),
        means={
            model: {
                aspect: mean([v.scores[model][aspect] for v in given] for given in _of(by_request))
                for aspect in ASPECTS
            }
            for model in models
        },
        preferred={
            model: mean([_share(v, model) for v in given] for given in _of(by_request))
            for model in models
        },
        alpha={
            aspect: krippendorff_alpha(
                [
                    {v.rater: float(v.scores[model][aspect]) for v in given}
                    for given in _of(by_request)
                    for model in models
                ]
            )
            for aspect in ASPECTS
        }
        | {"preference": _preference(list(_of(by_request)), models)},
    )


def _of(by_request: Mapping[str, list[Vote]]) -> Iterable[list[Vote]]:
    return by_request.values()


def _share(vote: Vote, model: str) -> float:
    return 1 / len(vote.scores) if vote.best is None else float(vote.best == model)


def _preference(groups: Sequence[Sequence[Vote]], models: Sequence[str]) -> float | None:
    names = [*models, None]
    units = [{vote.rater: float(names.index(vote.best)) for vote in given} for given in groups]
    return krippendorff_alpha(units, "nominal")


def votes_csv(votes: Iterable[Vote]) -> str:
    """A row per rater, request and model."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["rater", "request", "model", *ASPECTS, "best"])
    for vote in votes:
        for model, scores in vote.scores.items():
            best = "tie" if vote.best is None else int(vote.best == model)
            row = [vote.rater, vote.request, model, *(scores[aspect] for aspect in ASPECTS), best]
            table.writerow([_harmless(cell) for cell in row])
    return file.getvalue()


def _harmless(cell: Any) -> Any:
    """A spreadsheet would run text that begins like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell


def krippendorff_alpha(
    units: Sequence[Mapping[Any, float]], metric: Literal["interval", "nominal"] = "interval"
) -> float | None:
    """Alpha (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"): 1 where raters
    always agree, 0 where they agree no more than by chance.

    Args:
        units: what was rated; for each, the values by rater. Raters may be missing.
        metric: distance between two values: squared difference, or whether they differ.

    None where no unit has two raters, or all values are the same: nothing could have differed.
    """
    pairable = [list(unit.values()) for unit in units if len(unit) > 1]
    values = [value for unit in pairable for value in unit]

    def distance(one: float, other: float) -> float:
        return (one - other) ** 2 if metric == "interval" else float(one != other)

    def spread(group: Sequence[float]) -> float:
        return sum(distance(a, b) for a, b in permutations(group, 2)) / (len(group) - 1)

    if not values or not (expected := spread(values)):
        return None
    return 1 - sum(spread(unit) for unit in pairable) / expected
