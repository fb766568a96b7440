"""Tables from the words a reply says before their signal tokens. Nothing is learnt for this."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyweave.decoders.codecs.sizes import Rates
from anyweave.decoders.sampling import Step, Steps
from anyweave.media.table import SAID, of_words
from anyweave.messages import Modality

logger = logging.getLogger(__name__)


class TableDecoder(nn.Module):
    """Conditioned on the bytes of words, ``[B, 4096, 1]``, 0 after their end."""

    modality: Modality = "table"
    gradient_checkpointing = False
    rate = None
    conditioning_shape = (SAID, 1)
    num_timesteps = 1

    def encode_captions(self, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        """Words as UTF-8 bytes. Longer ones keep only their end, with a warning."""
        rows = torch.zeros(len(captions), *self.conditioning_shape)
        for row, caption in zip(rows, captions, strict=True):
            said = caption.encode()
            if len(said) > SAID:
                logger.warning("a table is made of the last %d of %d bytes", SAID, len(said))
            row[: min(len(said), SAID), 0] = torch.tensor(list(said[-SAID:]), dtype=row.dtype)
        return rows

    def generate_steps(
        self, conditioning: Float[Tensor, "B Q C"], *, seeds: Sequence[int], **arguments: Any
    ) -> Steps[list[np.ndarray]]:
        """The tables in the words. Rows that do not fit the header are padded or cut, with a
        warning.
        """
        yield Step(1, 1)
        made = []
        for row in conditioning[..., 0].round().to(torch.uint8).tolist():
            table, changed = of_words(bytes(row).rstrip(b"\0").decode(errors="replace"))
            if changed:
                logger.warning("a table of the reply was corrected: %s", changed)
            made.append(table)
        return made

    def encode_media(
        self, media: Sequence[np.ndarray], *, rates: Rates | None = None, **size: Any
    ) -> Tensor:
        raise ValueError("tables are said in words: there is nothing to denoise")

    def denoising_loss(self, conditioning: Tensor, latents: Tensor, **how: Any) -> Tensor:
        raise ValueError("tables are said in words: there is nothing to denoise")

    @classmethod
    def from_pretrained(cls, modality: Modality, path: str | Path, **defaults: Any) -> Self:
        """There are no weights, so `path` is ignored."""
        return cls()
