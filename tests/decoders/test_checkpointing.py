from __future__ import annotations

import pytest
import torch

from anyweave.messages import Modality
from anyweave.testing.decoders import tiny_decoder


@pytest.mark.parametrize("modality", ["image", "video", "audio"])
def test_checkpointing_gives_the_same_loss_and_gradients(modality: Modality) -> None:
    decoder = tiny_decoder(modality)
    shape = decoder.codec.latent_shape(decoder.defaults.size)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, *shape, generator=generator)
    start = torch.randn(2, *decoder.conditioning_shape, generator=generator)
    found = []
    for enabled in (False, True, True):  # twice: asking again must not wrap again
        decoder.gradient_checkpointing = enabled
        conditioning = start.clone().requires_grad_()
        loss = decoder.denoising_loss(
            conditioning, latents, generator=torch.Generator().manual_seed(1)
        )
        loss.sum().backward()
        found.append((loss.detach(), conditioning.grad))
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0])
        torch.testing.assert_close(gradient, found[0][1])
        assert gradient is not None and gradient.abs().sum() > 0
