"""Linear layers with 8-bit integer weights. A step of one token takes as long as reading the
weights, and these are half the size of bfloat16.

Only weights are rounded, with one scale per output (PyTorch's own CPU kernel). Activations keep 16
bits: quantising them too changes what a language model of this size says.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOST_ROWS = 4
"""The most tokens at once for which the kernel is faster; prefills and longer signal runs use the
original weights. Measured speed-up: 2.6 at 1, 1.3 to 1.6 at 4, 0.9 at 8, 0.3 at 128 (AVX-512,
bfloat16).
"""


class Int8Linear(nn.Module):
    """`linear`, plus an 8-bit copy of its matrix for few rows. Takes half as much memory again."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        weight_OI = linear.weight.detach().float()
        scales_O = weight_OI.abs().amax(dim=1).clamp(min=1e-8) / 127
        self.register_buffer("integers", (weight_OI / scales_O[:, None]).round().to(torch.int8))
        self.register_buffer("scales", scales_O.to(torch.bfloat16))

    @property
    def weight(self) -> Tensor:
        """The original matrix."""
        return self.linear.weight

    def forward(self, inputs: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        rows_NI = inputs.reshape(-1, inputs.shape[-1])
        if len(rows_NI) > MOST_ROWS:
            plain: Tensor = self.linear(inputs)
            return plain
        rows_NI = rows_NI.to(torch.bfloat16).contiguous()
        # The kernel is slow for dtypes other than bfloat16.
        made: Tensor = torch.ops.aten._weight_int8pack_mm(rows_NI, self.integers, self.scales)
        made = made.view(*inputs.shape[:-1], -1).to(inputs.dtype)
        return made if self.linear.bias is None else made + self.linear.bias
