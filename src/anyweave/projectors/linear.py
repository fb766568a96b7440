"""One linear map. Of inputs: as in the paper's ablation and the released checkpoint."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class LinearProjector(nn.Module):
    """Patch features ``[B, N, in_dim]`` -> ``[B, T, out_dim]``.

    The patches are averaged over T = `tokens` equal stretches of N, then projected. ``tokens=1`` is
    the mean of the patches; ``tokens=None`` projects every patch.
    """

    def __init__(self, in_dim: int, out_dim: int, *, tokens: int | None = 1) -> None:
        super().__init__()
        if tokens is not None and tokens < 1:
            raise ValueError(f"a linear projector gives at least 1 token, got tokens={tokens}")
        self.tokens = tokens
        self.fc = nn.Linear(in_dim, out_dim)

    def num_tokens(self, num_patches: int) -> int:
        """How many tokens the language model reads for a medium of `num_patches` patches."""
        return num_patches if self.tokens is None else self.tokens

    def forward(self, features: Float[Tensor, "B N Din"]) -> Float[Tensor, "B T Dout"]:
        if self.tokens is not None:
            pooled = functional.adaptive_avg_pool1d(features.transpose(1, 2), self.tokens)
            features = pooled.transpose(1, 2)
        return self.fc(features)


def principal_directions(
    flat: Float[Tensor, "U D"], most: int
) -> tuple[Float[Tensor, "D K"], Float[Tensor, " K"]]:
    """At most `most` directions in which the rows differ, those of the widest spread first, and the
    standard deviation along each. The same rows always give the same directions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # they are found from random ones
        _, sizes, directions = torch.svd_lowrank(flat - flat.mean(0), min(most, *flat.shape))
    return directions, sizes / len(flat) ** 0.5


class LinearOutputProjector(nn.Module):
    """Signal states ``[B, S, in_dim]`` -> conditioning ``[B, num_queries, out_dim]``, for S =
    `num_tokens`: all states together, each normalised, through one map of rank `rank`.

    What the transformer has to find out, which state says what, it sees at once, so it learns from
    far fewer states; it cannot learn what is not linear in them. (GILL compares a linear map and a
    transformer too, section 4.3.)
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        num_queries: int,
        *,
        num_tokens: int,
        rank: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(num_queries, num_tokens, rank) < 1:
            raise ValueError(
                "a linear output projector needs at least 1 query, token and rank, got "
                f"{num_queries}, {num_tokens}, {rank}"
            )
        self.num_queries = num_queries
        self.dropout = nn.Dropout(dropout)
        self.in_fc = nn.Linear(num_tokens * in_dim, rank)
        self.out_fc = nn.Linear(rank, num_queries * out_dim)

    @torch.no_grad()
    def start_from(self, embeddings: Float[Tensor, "U Q C"]) -> None:
        """Begin with outputs around the mean of caption `embeddings`, and with their principal
        directions, each by its spread, for the rank.
        """
        flat = embeddings.flatten(1).float()
        directions, spreads = principal_directions(flat, self.in_fc.out_features)
        self.out_fc.weight.zero_()
        self.out_fc.weight[:, : len(spreads)] = directions * spreads
        self.out_fc.bias.copy_(flat.mean(0))

    def forward(self, hidden: Float[Tensor, "B S D"]) -> Float[Tensor, "B Q C"]:
        seen = functional.layer_norm(hidden, hidden.shape[-1:]).flatten(1)
        projected = self.out_fc(self.in_fc(self.dropout(seen)))
        return projected.unflatten(1, (self.num_queries, -1))
