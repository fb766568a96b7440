"""The denoiser of clips: the picture denoiser with layers that look along time, and a caption
encoder that starts from the pictures'.

`pictures` is the folder of a denoiser of pictures or clips to start from (``unet/``,
``text_encoder/``, ``tokenizer/``).
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet3DConditionModel
from torch import Tensor, nn

from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.tensors import load_tensors
from emoji_mini.emoji_world.render import CLIP_SIZE, FRAME_RATE, FRAMES, contact_sheet, render
from emoji_mini.emoji_world.sampling import sample_clip
from emoji_mini.emoji_world.scenes import Scene
from emoji_mini.parts import flow
from emoji_mini.parts.clip_judge import MotionJudge, clip_facts
from emoji_mini.parts.fit import FitOptions
from emoji_mini.parts.picture_autoencoder import autoencoder_of, encode_pixels, load_autoencoder
from emoji_mini.parts.picture_denoiser import CHANNELS
from emoji_mini.parts.seeing import Judge, facts_table

TRAINED = Path(__file__).parents[1] / "trained" / "clip_denoiser"  # without the autoencoder
_SIDE = CLIP_SIZE // 8
_SHOWN, _SHOWN_FRAMES = 12, (0, 5, 10, 15)  # clips in a sheet, frames of each


def encode(parts: Path, size: int, seed: int = 0) -> None:
    """Render `size` training clips, keep their latents (float16 ``[N, c, 16, 8, 8]``) and a few
    captions each.
    """
    vae = load_autoencoder(parts)

    def latents_of(scenes: list[Scene]) -> Tensor:
        z = encode_pixels(vae, np.concatenate([render(scene) for scene in scenes]))
        return z.unflatten(0, (len(scenes), FRAMES)).transpose(1, 2)

    flow.encode_scenes(parts, size, lambda rng: sample_clip(rng, "train"), latents_of, seed)


def build_unet(channels: int, pictures: Path) -> UNet3DConditionModel:
    """A clip UNet with the picture UNet's spatial weights; along time it starts as identity."""
    unet = UNet3DConditionModel(
        sample_size=_SIDE,
        **flow.unet_settings(channels, CHANNELS, heads=6),
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
    )
    inflate(unet, load_tensors(pictures / "unet" / "diffusion_pytorch_model.safetensors"))
    return unet


def inflate(video: nn.Module, image_weights: dict[str, Tensor]) -> int:
    """Copy a picture UNet's weights into a clip UNet, whose temporal layers start as identity.

    Returns how many tensors were copied. Raises `ValueError` if the two do not share their spatial
    layers.
    """
    state = video.state_dict()
    shared = [k for k, v in image_weights.items() if k in state and state[k].shape == v.shape]
    if len(shared) != len(image_weights):
        missing = sorted(set(image_weights) - set(shared))
        raise ValueError(
            f"the clip UNet lacks {len(missing)} of the picture UNet's weights: {missing[:3]}"
        )
    video.load_state_dict({k: image_weights[k] for k in shared}, strict=False)
    with torch.no_grad():
        for name, parameter in video.named_parameters():
            temporal = "temp_attentions" in name or name.startswith("transformer_in")
            if name not in image_weights and temporal and ".proj_out." in f".{name}":
                parameter.zero_()
    return len(shared)


def train(parts: Path, pictures: Path, options: FitOptions, *, keep_captions: bool = False) -> None:
    """With `keep_captions` the caption encoder, the output projectors' target, stays as it is."""
    shutil.copytree(pictures / "tokenizer", parts / "tokenizer", dirs_exist_ok=True)
    build = partial(build_unet, pictures=pictures)
    text = pictures / "text_encoder"
    flow.train(parts, build, options, text_from=text, keep_captions=keep_captions)


def assemble(parts: Path, pictures: Path) -> LatentDiffusion:
    """The decoder of the last checkpoint."""
    build = partial(build_unet, pictures=pictures)
    size = {"fps": FRAME_RATE, "num_frames": FRAMES, "height": CLIP_SIZE, "width": CLIP_SIZE}
    return flow.assemble(parts, build, "video", autoencoder_of(parts), **size)


def measure(parts: Path, pictures: Path, number: int, seed: int = 5, **sampling: Any) -> str:
    """How many clips of held-out captions show what was asked for: a Markdown table, and below it
    the captions of the first ones, which ``sheet-denoiser.png`` shows.
    """
    rng = np.random.default_rng(seed)
    scenes = [sample_clip(rng, "test") for _ in range(number)]
    captions = [scene.caption for scene in scenes]
    clips = flow.make(assemble(parts, pictures), captions, batch=4, **sampling)
    shown = [clip[frame] for clip in clips[:_SHOWN] for frame in _SHOWN_FRAMES]
    contact_sheet(shown).save(parts / "sheet-denoiser.png")
    judge, motions = Judge(), MotionJudge()
    facts = [clip_facts(judge, motions, c, s) for c, s in zip(clips, scenes, strict=True)]
    table = facts_table("drawn from held-out captions", {f"{number} clips": facts})
    return "\n".join((table, *captions[:_SHOWN], ""))
