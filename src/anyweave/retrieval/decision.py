"""Found or drawn: a logistic decision on how well the best match in an index fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from anyweave.files import read_object, write_json

FACTS = ("score", "margin", "alike", "unlearned")
"""Score of the best match, its margin over the second, how much of the model's own caption for
what it would draw was asked for, and 1 if that caption has words that the decoder never learned.
"""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Weights of `FACTS`. The default accepts a score of 0.9 (docs/retrieval.md says why), or of
    0.6 where the decoder never learned a word.
    """

    score: float = 1.0
    margin: float = 0.0
    alike: float = 0.0
    unlearned: float = 0.3
    bias: float = -0.9

    @classmethod
    def threshold(cls, score: float) -> Decision:
        """Found from this score on, whatever the other facts."""
        return cls(score=1.0, unlearned=0.0, bias=-score)

    def finds(self, facts: Sequence[float]) -> bool:
        """Whether the best match is the answer."""
        weights = [getattr(self, name) for name in FACTS]
        return sum(w * f for w, f in zip(weights, facts, strict=True)) + self.bias >= 0

    @classmethod
    def fitted(cls, rows: Sequence[Sequence[float]], found: Sequence[bool]) -> Decision:
        """Logistic regression with slight weight decay, run to convergence (L-BFGS)."""
        if len(set(found)) < 2:
            raise ValueError("a decision is learned from examples of both: found and drawn")
        inputs = torch.tensor([[*row, 1.0] for row in rows], dtype=torch.float64)
        targets = torch.tensor(found, dtype=torch.float64)
        weights = torch.zeros(len(FACTS) + 1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            error = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weights, targets)
            total = error + 1e-3 * weights[:-1].square().sum()
            total.backward()
            return total

        optimizer.step(loss)
        values = [round(float(value), 4) for value in weights.detach()]
        return cls(**dict(zip((*FACTS, "bias"), values, strict=True)))

    def save(self, path: str | Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Decision:
        """Raises `ValueError` if the file is not a decision."""
        told = {"unlearned": 0.0, **read_object(path)}  # earlier ones lack it
        try:
            return cls(**{name: float(value) for name, value in told.items()})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is no decision ({error})") from error
