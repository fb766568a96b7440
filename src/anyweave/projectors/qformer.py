"""Input projection by learned queries that attend to the patches (the paper's ablation)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyweave.projectors.positions import learned_positions, place


class QFormerProjector(nn.Module):
    """Patch features ``[B, N, in_dim]`` -> one token per learned query ``[B, num_queries,
    out_dim]``.

    Each pre-norm layer: self-attention among the queries, cross-attention to the patches,
    feed-forward.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        num_queries: int = 32,
        dim: int = 512,
        depth: int = 2,
        num_heads: int = 8,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
        positions: int = 0,
    ) -> None:
        super().__init__()
        if min(num_queries, depth) < 1:
            raise ValueError(
                f"a Q-Former needs a query and a layer, got num_queries={num_queries} depth={depth}"
            )
        if dim % num_heads:
            raise ValueError(f"Q-Former dim {dim} does not divide by num_heads {num_heads}")
        self.in_fc = nn.Linear(in_dim, dim)
        self.in_norm = nn.LayerNorm(dim)
        self.positions = learned_positions(positions, dim)
        self.query_embs = nn.Parameter(torch.randn(num_queries, dim) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                dim,
                num_heads,
                dim_feedforward=mlp_ratio * dim,
                dropout=dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.out_fc = nn.Linear(dim, out_dim)

    def num_tokens(self, num_patches: int) -> int:
        """How many tokens the language model reads for a medium of `num_patches` patches."""
        return len(self.query_embs)

    def forward(self, features: Float[Tensor, "B N Din"]) -> Float[Tensor, "B T Dout"]:
        patches = self.in_norm(place(self.in_fc(features), self.positions))
        queries = self.query_embs.expand(len(features), -1, -1)
        for layer in self.layers:
            queries = layer(queries, patches)
        return self.out_fc(self.norm(queries))
