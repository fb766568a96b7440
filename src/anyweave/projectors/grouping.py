"""Input projection by multi-stage grouping: patches become a few concept tokens (paper, App. C.1).

With X^1 the patches in the projector's width, each stage l = 1..L computes

    C_hat, X_hat = Transformer([C^l ; X^l])                  C^l: M_l learnable concept tokens
    A     = softmax_groups((Norm(C_hat) Norm(X_hat)^T + G) / tau)        G ~ Gumbel(0, 1)
    A_hat = onehot(argmax_groups A) + A - sg(A)              straight-through
    X^{l+1} = C_hat + MLP(A_hat X_hat)

and X^{L+1}, M_L tokens, goes through a LayerNorm and a linear layer into the language model.

The paper leaves some of this open. Here: Norm is L2, so the similarity is a cosine; G is drawn only
in training, so evaluation is deterministic; tau is one learned number per stage, kept positive by
learning its logarithm; A_hat X_hat is divided by the number of patches in the group (at least 1),
which makes it their mean and keeps a group of 200 patches in the range of a group of two. The paper
gives 28M parameters but not L, M_l, depths or widths of the inner layers. Two stages of two layers
at width 512 reach that figure with inner layers 8 times as wide (27.9M); so do three stages of two
layers with the usual 4 times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyweave.projectors.positions import learned_positions, place


class GroupingProjector(nn.Module):
    """Patch features ``[B, N, in_dim]`` -> concept tokens ``[B, tokens[-1], out_dim]``, for any N.

    `tokens` and `depths` give each stage's concept tokens M_l and transformer layers.
    `gumbel_scale` multiplies G (paper: 1; a cosine never exceeds 1, so smaller noise lets the
    similarity decide more often). `positions` > 0 adds that many learned position vectors to the
    patches, which grouping otherwise treats as a set (paper: none); more patches than positions
    are an error.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        dim: int = 512,
        tokens: Sequence[int] = (64, 8),
        depths: Sequence[int] = (2, 2),
        num_heads: int = 8,
        layer_mlp_ratio: int = 8,
        group_mlp_ratio: int = 4,
        dropout: float = 0.0,
        initial_temperature: float = 1.0,
        gumbel_scale: float = 1.0,
        positions: int = 0,
    ) -> None:
        super().__init__()
        if not tokens or len(tokens) != len(depths):
            raise ValueError(
                f"grouping needs as many depths as token counts and at least one of each, "
                f"got tokens={tuple(tokens)} depths={tuple(depths)}"
            )
        if dim % num_heads:
            raise ValueError(f"grouping dim {dim} does not divide by num_heads {num_heads}")
        self.tokens = tuple(tokens)
        self.in_fc = nn.Linear(in_dim, dim)
        self.positions = learned_positions(positions, dim)
        self.stages = nn.ModuleList(
            GroupingStage(
                dim,
                count,
                depth,
                num_heads=num_heads,
                layer_mlp_ratio=layer_mlp_ratio,
                group_mlp_ratio=group_mlp_ratio,
                dropout=dropout,
                initial_temperature=initial_temperature,
                gumbel_scale=gumbel_scale,
            )
            for count, depth in zip(tokens, depths, strict=True)
        )
        self.norm = nn.LayerNorm(dim)
        self.out_fc = nn.Linear(dim, out_dim)

    def num_tokens(self, num_patches: int) -> int:
        """How many tokens the language model reads for a medium of `num_patches` patches."""
        return self.tokens[-1]

    def forward(self, features: Float[Tensor, "B N Din"]) -> Float[Tensor, "B T Dout"]:
        x = place(self.in_fc(features), self.positions)
        for stage in self.stages:
            x = stage(x)
        return self.out_fc(self.norm(x))


class GroupingStage(nn.Module):
    """One stage of the module's equations: N tokens -> M concept tokens, width unchanged."""

    def __init__(
        self,
        dim: int,
        num_tokens: int,
        depth: int,
        *,
        num_heads: int,
        layer_mlp_ratio: int,
        group_mlp_ratio: int,
        dropout: float,
        initial_temperature: float,
        gumbel_scale: float,
    ) -> None:
        super().__init__()
        self.gumbel_scale = gumbel_scale
        self.concept_tokens = nn.Parameter(torch.randn(num_tokens, dim) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim,
                num_heads,
                dim_feedforward=layer_mlp_ratio * dim,
                dropout=dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(initial_temperature)))
        self.mlp = nn.Sequential(
            nn.Linear(dim, group_mlp_ratio * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(group_mlp_ratio * dim, dim),
        )

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B M D"]:
        groups = len(self.concept_tokens)
        both = torch.cat([self.concept_tokens.expand(len(x), -1, -1), x], dim=1)
        for layer in self.layers:
            both = layer(both)
        concepts, patches = self.norm(both).split([groups, x.shape[1]], dim=1)
        assignment = self.assign(concepts, patches)
        gathered = assignment @ patches
        counts = assignment.detach().sum(dim=2, keepdim=True).clamp_min(1.0)
        return concepts + self.mlp(gathered / counts)

    def assign(
        self, concepts: Float[Tensor, "B M D"], patches: Float[Tensor, "B N D"]
    ) -> Float[Tensor, "B M N"]:
        """A_hat: each patch (column) belongs to exactly one group; gradients are the softmax's."""
        similarity = functional.normalize(concepts, dim=-1) @ functional.normalize(
            patches, dim=-1
        ).transpose(1, 2)
        if self.training and self.gumbel_scale > 0:
            waits = torch.empty_like(similarity, dtype=torch.float32).exponential_()
            noise = -waits.clamp_min(torch.finfo(torch.float32).tiny).log()  # Gumbel(0, 1)
            similarity = similarity + self.gumbel_scale * noise.to(similarity.dtype)
        soft = (similarity / self.log_temperature.exp()).softmax(dim=1)
        hard = torch.zeros_like(soft).scatter_(1, soft.argmax(dim=1, keepdim=True), 1.0)
        return hard + (soft - soft.detach())  # exactly one-hot in value
