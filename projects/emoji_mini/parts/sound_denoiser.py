"""The denoiser of sounds and its caption encoder, trained together by flow matching on latents.

The folder of parts holds what `sound_autoencoder` leaves. `assemble` makes it a decoder's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from anyweave.decoders.codecs.mel import MEL_CONFIG_FILE
from anyweave.decoders.latent_diffusion import LatentDiffusion
from emoji_mini.emoji_world.captions import describe
from emoji_mini.emoji_world.render import render_sound
from emoji_mini.emoji_world.sampling import sample_sound
from emoji_mini.emoji_world.scenes import Scene, SoundScene
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES
from emoji_mini.parts import flow
from emoji_mini.parts.picture_autoencoder import autoencoder_of, load_autoencoder
from emoji_mini.parts.seeing import facts_table
from emoji_mini.parts.sound_autoencoder import TRAINED, load_mel, mels_of, sheet_of
from emoji_mini.parts.sound_verifier import load_verifier, score

CHANNELS = (64, 128)
PAIR_SHARE = 0.5  # of training sounds: two in order
_SHOWN = 12  # sounds to hear and to look at


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


def measure(parts: Path, number: int, **sampling: Any) -> str:
    """How many sounds of held-out captions the verifier names right: a Markdown table, and below it
    the captions of the first ones. ``sheet-sounds/*.wav`` are those, ``sheet-sounds.png`` shows
    their spectrograms under those of real ones.
    """
    scenes, captions = held_out(number)
    decoder = assemble(parts)
    waves = flow.make(decoder, captions, **sampling)
    folder = parts / "sheet-sounds"
    folder.mkdir(exist_ok=True)
    for row, wave in enumerate(waves[:_SHOWN]):
        soundfile.write(folder / f"{row:02}.wav", wave, SAMPLE_RATE)
    assert decoder.mel is not None
    real = mels_of(np.stack([render_sound(scene) for scene in scenes[:_SHOWN]]), decoder.mel)
    made = mels_of(waves[:_SHOWN], decoder.mel)
    sheet_of(list(real[:, 0]), list(made[:, 0])).save(parts / "sheet-sounds.png")
    facts = score(scenes, load_verifier(parts).names(waves))
    table = facts_table("named right by the verifier", {f"{number} sounds": facts})
    return "\n".join((table, *captions[:_SHOWN], ""))
