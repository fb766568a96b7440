"""The denoiser of pictures and its caption encoder, trained together by flow matching on latents.

    python -m emoji_mini.parts.picture_denoiser encode PARTS   # scenes -> latents and captions
    python -m emoji_mini.parts.picture_denoiser train PARTS    # resumable
    python -m emoji_mini.parts.picture_denoiser sheet PARTS    # held-out captions, drawn
    python -m emoji_mini.parts.picture_denoiser measure PARTS  # how many show what was asked for
    python -m emoji_mini.parts.picture_denoiser ship PARTS     # into the project, in float16

PARTS may hold an autoencoder of its own (`picture_autoencoder`). Pictures are drawn with the moving
average of the last checkpoint.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

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
from emoji_mini.parts.seeing import measure_drawing

CHANNELS = (96, 192)
TRAINED = Path(__file__).parents[1] / "trained" / "picture_denoiser"  # without the autoencoder


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


def ship(parts: Path) -> None:
    """Write the last checkpoint into the project in float16; its autoencoder is already there."""
    assemble(parts)
    decoder = LatentDiffusion.from_pretrained("image", parts, dtype="float16")
    decoder.save_pretrained(TRAINED)
    shutil.rmtree(TRAINED / "vae")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["encode", "train", "sheet", "measure", "ship"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("--size", type=int, default=60_000)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--guidance", type=float, default=flow.GUIDANCE)
    parser.add_argument("--number", type=int, default=256, help="pictures that are measured")
    args = parser.parse_args()
    if args.verb == "encode":
        encode(args.parts, args.size)
    elif args.verb == "train":
        options = FitOptions(
            steps=args.steps,
            batch_size=args.batch_size,
            learning_rate=args.rate,
            ema_decay=0.999,
            warmup_steps=200,
        )
        train(args.parts, options)
    elif args.verb == "ship":
        ship(args.parts)
    elif args.verb == "measure":
        decoder = assemble(args.parts)
        drawing = partial(flow.make, decoder, guidance_scale=args.guidance)
        sys.stdout.write(measure_drawing(drawing, args.number))
    else:
        rng = np.random.default_rng(7)
        captions = [sample_picture(rng, "test").caption for _ in range(32)]
        sys.stdout.write("\n".join(captions) + "\n")
        pictures = flow.make(assemble(args.parts), captions, guidance_scale=args.guidance)
        contact_sheet(list(pictures), 8).save(args.parts / "sheet-denoiser.png")


if __name__ == "__main__":
    main()
