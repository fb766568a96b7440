"""The denoiser of sounds and its caption encoder, trained together by flow matching on latents.

    python -m emoji_mini.parts.sound_denoiser encode PARTS    # scenes -> latents and captions
    python -m emoji_mini.parts.sound_denoiser train PARTS     # resumable
    python -m emoji_mini.parts.sound_denoiser sheet PARTS     # held-out captions, made
    python -m emoji_mini.parts.sound_denoiser measure PARTS   # does the verifier hear them right?
    python -m emoji_mini.parts.sound_denoiser ship PARTS      # into the project, in float16

PARTS holds what `sound_autoencoder` leaves; with a ``vocoder/`` in it (`sound_vocoder`), sounds
come from that instead of Griffin-Lim. `sheet` and `measure` use the moving average of the last
checkpoint and make PARTS a decoder's folder, which `LatentDiffusion` opens.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor

from anyweave.decoders.codecs.mel import MEL_CONFIG_FILE
from anyweave.decoders.latent_diffusion import LatentDiffusion
from emoji_mini.emoji_world.captions import describe
from emoji_mini.emoji_world.render import render_sound
from emoji_mini.emoji_world.sampling import sample_sound
from emoji_mini.emoji_world.scenes import Scene, SoundScene
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES
from emoji_mini.parts import flow
from emoji_mini.parts.fit import FitOptions
from emoji_mini.parts.picture_autoencoder import autoencoder_of, load_autoencoder
from emoji_mini.parts.sound_autoencoder import (
    TRAINED,
    load_mel,
    mels_of,
    sheet_of,
)
from emoji_mini.parts.sound_verifier import load_verifier, score

CHANNELS = (64, 128)
PAIR_SHARE = 0.5  # of training sounds: two in order


def encode(parts: Path, size: int, seed: int = 0) -> None:
    """Render `size` training sounds, keep their latents (float16 ``[N, c, 16, 4]``) and a few
    captions each.
    """
    vae = load_autoencoder(parts, TRAINED / "vae")
    config = load_mel(parts)

    @torch.no_grad()
    def latents_of(scenes: list[Scene]) -> Tensor:
        waves = np.stack([render_sound(s) for s in scenes if isinstance(s, SoundScene)])
        latents: Tensor = vae.encode(mels_of(waves, config)).latent * vae.config.scaling_factor
        return latents

    def draw(rng: np.random.Generator) -> Scene:
        return sample_sound(rng, "train", pair_share=PAIR_SHARE)

    flow.encode_scenes(parts, size, draw, latents_of, seed)


def build_unet(channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=(16, 4),
        **flow.unet_settings(channels, CHANNELS, heads=4),
        use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def assemble(parts: Path) -> LatentDiffusion:
    """The decoder of the last checkpoint."""
    vae = autoencoder_of(parts, TRAINED / "vae")
    if not (parts / MEL_CONFIG_FILE).is_file():
        load_mel(parts).save(parts / MEL_CONFIG_FILE)
    length = SAMPLES / SAMPLE_RATE
    return flow.assemble(parts, build_unet, "audio", vae, audio_length=length)


def held_out(number: int, seed: int = 7) -> tuple[list[SoundScene], list[str]]:
    """Test scenes, half of them with two sounds, and a caption of each in someone's words."""
    rng = np.random.default_rng(seed)
    scenes = [sample_sound(rng, "test", pair_share=0.5) for _ in range(number)]
    return scenes, [describe(rng, scene) for scene in scenes]


def sheet(parts: Path, number: int = 12, **sampling: Any) -> list[str]:
    """Make sounds of held-out captions: ``sheet-sounds/*.wav``, and their spectrograms under those
    of real ones in ``sheet-sounds.png``. Returns the captions.
    """
    scenes, captions = held_out(number)
    decoder = assemble(parts)
    waves = flow.make(decoder, captions, **sampling)
    folder = parts / "sheet-sounds"
    folder.mkdir(exist_ok=True)
    for row, wave in enumerate(waves):
        soundfile.write(folder / f"{row:02}.wav", wave, SAMPLE_RATE)
    assert decoder.mel is not None
    real = mels_of(np.stack([render_sound(scene) for scene in scenes]), decoder.mel)
    made = mels_of(waves, decoder.mel)
    picture: Image.Image = sheet_of(list(real[:, 0]), list(made[:, 0]))
    picture.save(parts / "sheet-sounds.png")
    return captions


def measure(parts: Path, number: int = 200, **sampling: Any) -> dict[str, Any]:
    """The share of held-out captions whose sound the verifier names right, with its 95% interval,
    of all, of single sounds and of pairs.
    """
    scenes, captions = held_out(number)
    waves = flow.make(assemble(parts), captions, **sampling)
    return score(scenes, load_verifier(parts).names(waves))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["encode", "train", "sheet", "measure", "ship"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("--size", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--guidance", type=float, default=flow.GUIDANCE)
    parser.add_argument("--sampling-steps", type=int, default=flow.STEPS)
    args = parser.parse_args()
    sampling = {"guidance_scale": args.guidance, "num_inference_steps": args.sampling_steps}
    if args.verb == "encode":
        encode(args.parts, args.size)
    elif args.verb == "train":
        options = FitOptions(
            steps=args.steps,
            batch_size=args.batch_size,
            learning_rate=args.rate,
            ema_decay=0.998,
            checkpoint_every=100,
        )
        flow.train(args.parts, build_unet, options)
    elif args.verb == "sheet":
        sys.stdout.write("\n".join(sheet(args.parts, **sampling)) + "\n")
    elif args.verb == "ship":
        assemble(args.parts)
        LatentDiffusion.from_pretrained("audio", args.parts, dtype="float16").save_pretrained(
            TRAINED
        )
    else:
        found = measure(args.parts, args.number, **sampling)
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
