"""The denoiser of pictures and its caption encoder, trained together by flow matching on latents.

A folder of parts may hold an autoencoder of its own (`picture_autoencoder`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from diffusers import UNet2DConditionModel
from torch import Tensor

from anyweave.decoders.latent_diffusion import LatentDiffusion
from emoji_mini.emoji_world.render import contact_sheet, render
from emoji_mini.emoji_world.sampling import sample_picture
from emoji_mini.emoji_world.scenes import Scene
from emoji_mini.parts import flow
from emoji_mini.parts.fit import FitOptions
from emoji_mini.parts.flow import encode_scenes
from emoji_mini.parts.picture_autoencoder import autoencoder_of, encode_pixels, load_autoencoder
from emoji_mini.parts.seeing import Judge, facts_table

CHANNELS = (96, 192)
TRAINED = Path(__file__).parents[1] / "trained" / "picture_denoiser"  # without the autoencoder
_SHOWN = 32  # pictures in a sheet


def encode(parts: Path, size: int, seed: int = 0) -> None:
    """Render `size` training scenes, keep their latents (float16 ``[N, c, 16, 16]``) and a few
    captions each.
    """
    vae = load_autoencoder(parts)

    def latents_of(scenes: list[Scene]) -> Tensor:
        return encode_pixels(vae, np.stack([render(scene) for scene in scenes]))

    encode_scenes(parts, size, lambda rng: sample_picture(rng, "train"), latents_of, seed)


def build_unet(channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        **flow.unet_settings(channels, CHANNELS, heads=6),
        use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def train(parts: Path, options: FitOptions) -> None:
    flow.train(parts, build_unet, options)


def assemble(parts: Path) -> LatentDiffusion:
    """The decoder of the last checkpoint."""
    return flow.assemble(parts, build_unet, "image", autoencoder_of(parts))


def measure(parts: Path, number: int, seed: int = 5, **sampling: Any) -> str:
    """How many pictures of held-out captions show what was asked for: a Markdown table, and below
    it the captions of the first ones, which ``sheet-denoiser.png`` shows.
    """
    rng = np.random.default_rng(seed)
    scenes = [sample_picture(rng, "test") for _ in range(number)]
    captions = [scene.caption for scene in scenes]
    pictures = flow.make(assemble(parts), captions, **sampling)
    contact_sheet(list(pictures[:_SHOWN])).save(parts / "sheet-denoiser.png")
    judge = Judge()
    facts = [judge.look([p])[0].facts(s) for p, s in zip(pictures, scenes, strict=True)]
    table = facts_table("drawn from held-out captions", {f"{number} pictures": facts})
    return "\n".join((table, *captions[:_SHOWN], ""))
