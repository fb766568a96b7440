"""Output projection: states of the signal tokens -> a diffusion decoder's text conditioning.

An encoder-decoder transformer with learned queries, one query per conditioning token (paper section
3 and App. C.2: hidden size 512, 4 heads, 4 encoder and 4 decoder layers, dropout 0.1).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TransformerOutputProjector(nn.Module):
    """Signal states ``[B, S, in_dim]`` -> conditioning ``[B, num_queries, out_dim]``, for any S.

    The queries start as unit normal noise, not as zeros: equal queries would give equal outputs,
    and only the targets could make them differ.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        num_queries: int,
        *,
        hidden_dim: int = 512,
        num_heads: int = 4,
        num_encoder_layers: int = 4,
        num_decoder_layers: int = 4,
        dropout: float = 0.1,
        ffn_dim: int = 2048,
    ) -> None:
        super().__init__()
        if num_queries < 1:
            raise ValueError(f"an output projector needs at least 1 query, got {num_queries}")
        if hidden_dim % num_heads:
            raise ValueError(f"hidden_dim {hidden_dim} does not divide by num_heads {num_heads}")
        self.in_fc = nn.Linear(in_dim, hidden_dim)
        encoder_layer = nn.TransformerEncoderLayer(
            hidden_dim, num_heads, ffn_dim, dropout, batch_first=True, norm_first=True
        )
        # built here because nn.Transformer's own warns about nested tensors with norm_first
        encoder = nn.TransformerEncoder(
            encoder_layer,
            num_encoder_layers,
            nn.LayerNorm(hidden_dim),
            enable_nested_tensor=False,
        )
        self.tfm = nn.Transformer(
            d_model=hidden_dim,
            nhead=num_heads,
            custom_encoder=encoder,
            num_decoder_layers=num_decoder_layers,
            dim_feedforward=ffn_dim,
            dropout=dropout,
            batch_first=True,
            norm_first=True,
        )
        self.out_fc = nn.Linear(hidden_dim, out_dim)
        self.query_embs = nn.Parameter(torch.randn(1, num_queries, hidden_dim))

    def forward(self, hidden: Float[Tensor, "B S D"]) -> Float[Tensor, "B Q C"]:
        queries = self.query_embs.expand(len(hidden), -1, -1)
        # PyTorch's fused eval-mode layers do not support CPU autocast: a frozen projector in a
        # training run keeps its own dtype.
        device = hidden.device.type
        with torch.autocast(device, enabled=self.training and torch.is_autocast_enabled(device)):
            return self.out_fc(self.tfm(self.in_fc(hidden), queries))
