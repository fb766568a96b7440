"""The autoencoders of the world's decoders: pictures and frames share one, log-mel spectrograms
have another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Tensor

from anyweave.decoders.codecs.mel import MelConfig, log_mel
from anyweave.messages import Modality
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.rendered import rendered_scenes

LATENT_CHANNELS = 4
CROP = 32  # pixels: an autoencoder is convolutional, so pieces teach it as much as wholes
KL_WEIGHT = 1e-5
EDGE_WEIGHT = 0.5


def build_autoencoder(in_channels: int, channels: tuple[int, ...]) -> AutoencoderKL:
    """A small `AutoencoderKL` that shrinks each side 4 times."""
    depth = len(channels)
    return AutoencoderKL(
        in_channels=in_channels,
        out_channels=in_channels,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=channels,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * depth,
        up_block_types=("UpDecoderBlock2D",) * depth,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=64,
    )


def reconstruction_losses(
    vae: AutoencoderKL, x: Float[Tensor, "B C H W"]
) -> dict[str, Float[Tensor, ""]]:
    """L1 on pixels and on their differences (edges are what blur destroys), and a light KL term."""
    posterior = vae.encode(x).latent_dist
    y = vae.decode(posterior.sample()).sample
    edges = sum((torch.diff(y, dim=d) - torch.diff(x, dim=d)).abs().mean() for d in (2, 3))
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return {"l1": F.l1_loss(y, x), "edges": EDGE_WEIGHT * edges, "kl": KL_WEIGHT * kl}


def pictures(cache: Path, size: int, seed: int) -> Float[Tensor, "N 3 64 64"]:
    """Training pictures and single frames as uint8 ``[N, 3, 64, 64]``, a quarter of them from
    clips.
    """
    _, images = rendered_scenes("image", "train", size, seed, cache)
    _, clips = rendered_scenes("video", "train", max(8, size // 4), seed, cache)
    frames = clips[:, ::4].reshape(-1, *clips.shape[2:])
    return torch.from_numpy(np.concatenate([images, frames])).permute(0, 3, 1, 2)


def mels(cache: Path, size: int, seed: int, config: MelConfig) -> Float[Tensor, "N 1 T M"]:
    """Training sounds as standardised log-mel spectrograms ``[N, 1, 128, 64]``."""
    _, waves = rendered_scenes("audio", "train", size, seed, cache)
    parts = [
        log_mel(torch.from_numpy(np.asarray(waves[i : i + 64], np.float32)), config)
        for i in range(0, size, 64)
    ]
    return torch.cat(parts)


def train_autoencoder(
    modality: Modality, output: Path, cache: Path, options: FitOptions, size: int
) -> dict[str, float]:
    """Train the autoencoder of pictures ("image") or of sounds ("audio") and save it to
    ``output/vae``.

    The scaling factor saved in its config gives latents unit standard deviation over the training
    data.
    """
    torch.manual_seed(options.seed)
    if modality == "audio":
        raw = mels(cache, size, options.seed, MelConfig())
        config = MelConfig(mean=float(raw.mean()), std=float(raw.std()))
        data = (raw - config.mean) / config.std
        vae = build_autoencoder(1, (24, 48, 72))
    else:
        data = pictures(cache, size, options.seed)
        vae = build_autoencoder(3, (24, 48, 72))
    vae.to(options.device, memory_format=torch.channels_last)

    def batch(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(data), (options.batch_size,), generator=generator)
        top, left = (
            int(torch.randint(data.shape[d] - CROP + 1, (), generator=generator)) for d in (2, 3)
        )
        x = data[rows, :, top : top + CROP, left : left + CROP]
        x = x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x
        return x.to(options.device).contiguous(memory_format=torch.channels_last)

    losses = fit(vae, lambda g: reconstruction_losses(vae, batch(g)), options, output / "fit-vae")
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        means = torch.cat([vae.encode(batch(generator)).latent_dist.mean for _ in range(8)])
    vae.register_to_config(scaling_factor=round(1 / float(means.float().std()), 5))
    vae.to(memory_format=torch.contiguous_format).save_pretrained(output / "vae")
    if modality == "audio":
        config.save(output / "mel_config.json")
    return losses
