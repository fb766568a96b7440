"""Input projection by one linear layer, as in the paper's ablation and the released checkpoint."""

from __future__ import annotations

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
