"""Colours of a preview, learnt from the autoencoder itself."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import torch
from diffusers.configuration_utils import FrozenDict
from torch import Tensor, nn

from anyweave.decoders.codecs.vae import PictureVae


class Patches(nn.Module):
    """Every latent cell is a patch of one colour, with a chequered pattern on it."""

    def __init__(self) -> None:
        super().__init__()
        self.config = FrozenDict(scaling_factor=0.5, shift_factor=0.1)
        self.weight = nn.Parameter(torch.randn(3, 5, generator=torch.Generator().manual_seed(1)))

    def decode(self, latents: Tensor) -> SimpleNamespace:
        colours = torch.einsum("kc,bchw->bkhw", self.weight, latents) * 0.02 + 0.1
        pixels = colours.repeat_interleave(4, 2).repeat_interleave(4, 3)
        return SimpleNamespace(
            sample=pixels + torch.tensor([0.1, -0.1]).repeat(pixels.shape[3] // 2)
        )


def test_a_preview_has_the_mean_colours_of_the_picture() -> None:
    vae = Patches()
    config = FrozenDict(latent_channels=5, block_out_channels=(1, 2, 4))
    pictures = PictureVae(config, lambda: nullcontext(vae))
    latents = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(2))
    seen = torch.nn.functional.avg_pool2d(pictures.decode(latents), 4)
    torch.testing.assert_close(pictures.preview(latents), seen, atol=1e-4, rtol=1e-3)
