"""One token from one row of logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_FEW = 256


def sample_token(
    logits: Float[Tensor, "V"],
    *,
    allowed: Bool[Tensor, "V"],
    temperature: float,
    top_p: float,
    top_k: int,
    repetition_penalty: float,
    said: Sequence[int],
    generator: torch.Generator,
) -> int:
    """Pick an allowed id: the likeliest at temperature 0, else drawn after penalty, top-k and
    top-p.

    `said` are the ids that `repetition_penalty` penalises (divides a positive logit, multiplies a
    negative one; Keskar et al. 2019). V ids, K of them left by top-k (or all).
    """
    scores_V = logits.float().cpu().masked_fill(~allowed, -torch.inf)
    if repetition_penalty != 1.0 and said:
        ids = torch.tensor(sorted(set(said)))
        picked = scores_V[ids]
        scores_V[ids] = torch.where(
            picked > 0, picked / repetition_penalty, picked * repetition_penalty
        )
    if temperature == 0:
        return int(scores_V.argmax())
    # The likeliest stays at 0, however small the temperature: below `tiny` it would be 0/0.
    scores_V = (scores_V - scores_V.max()) / max(temperature, torch.finfo(torch.float32).tiny)
    if 0 < top_k < scores_V.numel():
        scores_K, ids_K = scores_V.topk(top_k)  # sorted, as top-p needs
        total = scores_K.logsumexp(-1)
    elif top_p < 1.0:
        total = scores_V.logsumexp(-1)
        scores_K, ids_K = _likeliest(scores_V, total, top_p)
    else:
        return int(torch.multinomial(scores_V.softmax(-1), 1, generator=generator))
    probabilities_K = (scores_K - total).exp()
    if top_p < 1.0:
        # A token stays while the mass before it is below top_p, so the likeliest always stays.
        keep_K = (probabilities_K.cumsum(-1) - probabilities_K) < top_p
        keep_K[0] = True
        probabilities_K = probabilities_K * keep_K
    # Drawn in id order, so that a seed gives the same token however the scores were sorted.
    probabilities_V = torch.zeros_like(scores_V).scatter(0, ids_K, probabilities_K)
    return int(torch.multinomial(probabilities_V, 1, generator=generator))


def _likeliest(
    scores: Float[Tensor, "V"], total: Float[Tensor, ""], share: float
) -> tuple[Float[Tensor, "K"], Int[Tensor, "K"]]:
    """At least enough of the likeliest to hold `share` of the probability, sorted. A few nearly
    always suffice, which avoids sorting all.
    """
    few = scores.topk(min(_FEW, scores.numel()))
    if float((few.values - total).exp().sum()) > share:
        return few.values, few.indices
    return scores.sort(descending=True)
