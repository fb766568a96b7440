"""The few trained rows of embedding and head, kept beside the frozen matrices, never inside them.

Resizing the base matrices would make all their rows trainable or need gradient masks. Separate
parameters keep the base model bit-identical and checkpoints small. S signal tokens, D hidden size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SignalRows(nn.Module):
    """`input_rows` embed signal tokens as input; `output_rows` score them as output.

    Both are ``[num_rows, hidden]`` and float32 whatever the base model's dtype, so that small
    updates are not lost.
    """

    def __init__(self, num_rows: int, hidden: int) -> None:
        super().__init__()
        self.input_rows = nn.Parameter(torch.zeros(num_rows, hidden))
        self.output_rows = nn.Parameter(torch.zeros(num_rows, hidden))

    @torch.no_grad()
    def initialise(
        self,
        embeddings: Float[Tensor, "V D"],
        head: Float[Tensor, "V D"],
        *,
        noise: float = 0.1,
        seed: int = 0,
    ) -> None:
        """Set every row to the mean row of its base matrix, plus noise of `noise` times that
        matrix's standard deviation.

        The mean makes a new signal token as likely as an average word; the noise makes the tokens
        distinct.
        """
        generator = torch.Generator().manual_seed(seed)
        for rows, base in ((self.input_rows, embeddings), (self.output_rows, head)):
            values = base.detach().float()
            random = torch.randn(rows.shape, generator=generator).to(rows.device)
            rows.copy_(values.mean(dim=0) + noise * values.std() * random)
