"""Output projection for states that hold words: transformer layers, then one map of low rank."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyweave.projectors.linear import LinearOutputProjector


class MixingOutputProjector(LinearOutputProjector):
    """Signal states ``[B, S, in_dim]`` -> conditioning ``[B, num_queries, out_dim]``, for S =
    `num_tokens`: transformer layers let the states of a run read each other, then the linear output
    projector reads them all together.

    A caption's embedding is not the sum of what its words say: a word's place in it depends on the
    words before. One map of all states cannot follow that; the queries of the paper's projector
    (`TransformerOutputProjector`) can, but cost twice as much and begin without the principal
    directions of the embeddings (`start_from`).
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        num_queries: int,
        *,
        num_tokens: int,
        rank: int = 256,
        hidden_dim: int = 256,
        num_heads: int = 4,
        num_layers: int = 2,
        ffn_dim: int = 1024,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            hidden_dim, out_dim, num_queries, num_tokens=num_tokens, rank=rank, dropout=dropout
        )
        if hidden_dim % num_heads:
            raise ValueError(f"hidden_dim {hidden_dim} does not divide by num_heads {num_heads}")
        self.states_fc = nn.Linear(in_dim, hidden_dim)
        self.positions = nn.Parameter(0.02 * torch.randn(num_tokens, hidden_dim))
        layer = nn.TransformerEncoderLayer(
            hidden_dim, num_heads, ffn_dim, dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)

    def forward(self, hidden: Float[Tensor, "B S D"]) -> Float[Tensor, "B Q C"]:
        device = hidden.device.type
        # As in TransformerOutputProjector: a frozen projector in a training run keeps its dtype.
        with torch.autocast(device, enabled=self.training and torch.is_autocast_enabled(device)):
            seen = functional.layer_norm(hidden, hidden.shape[-1:])
            mixed: Tensor = self.layers(self.states_fc(seen) + self.positions)
            return super().forward(mixed)
