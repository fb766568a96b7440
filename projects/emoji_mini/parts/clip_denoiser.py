"""The denoiser of clips: the picture denoiser with layers that look along time, and a caption
encoder that starts from the pictures'.

    python -m emoji_mini.parts.clip_denoiser encode PARTS    # clips -> latents
    python -m emoji_mini.parts.clip_denoiser train PARTS     # resumable
    python -m emoji_mini.parts.clip_denoiser sheet PARTS     # held-out captions, drawn
    python -m emoji_mini.parts.clip_denoiser measure PARTS   # how many show what was asked for
    python -m emoji_mini.parts.clip_denoiser ship PARTS      # into the project, in float16

It starts from the project's trained picture denoiser, or from a folder PICTURES that holds another
denoiser of pictures or clips (``unet/``, ``text_encoder/``, ``tokenizer/``). ``--keep-captions``
leaves the caption encoder as it is, and so the output projectors' target.
"""

from __future__ import annotations

import argparse
import shutil
import sys
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
from emoji_mini.parts.picture_denoiser import TRAINED as PICTURES
from emoji_mini.parts.seeing import Facts, Judge, facts_table

TRAINED = Path(__file__).parents[1] / "trained" / "clip_denoiser"  # without the autoencoder
_SIDE = CLIP_SIZE // 8
_SHOWN = (0, 5, 10, 15)  # frames in a sheet


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
    shutil.copytree(pictures / "tokenizer", parts / "tokenizer", dirs_exist_ok=True)
    build = partial(build_unet, pictures=pictures)
    text = pictures / "text_encoder"
    flow.train(parts, build, options, text_from=text, keep_captions=keep_captions)


def assemble(parts: Path, pictures: Path) -> LatentDiffusion:
    """The decoder of the last checkpoint."""
    build = partial(build_unet, pictures=pictures)
    size = {"fps": FRAME_RATE, "num_frames": FRAMES, "height": CLIP_SIZE, "width": CLIP_SIZE}
    return flow.assemble(parts, build, "video", autoencoder_of(parts), **size)


def measure(decoder: LatentDiffusion, number: int, seed: int = 5, **sampling: Any) -> str:
    """How many clips of held-out captions show what was asked for: a Markdown table."""
    judge, motions = Judge(), MotionJudge()
    rng = np.random.default_rng(seed)
    scenes = [sample_clip(rng, "test") for _ in range(number)]
    clips = flow.make(decoder, [scene.caption for scene in scenes], batch=4, **sampling)
    facts: Facts = {}
    for scene, clip in zip(scenes, clips, strict=True):
        for name, right in clip_facts(judge, motions, clip, scene).items():
            facts.setdefault(name, []).append(right)
    return facts_table("drawn from held-out captions", {f"{number} clips": facts})


def ship(parts: Path) -> None:
    """Write the last checkpoint into the project in float16; its autoencoder is already there."""
    LatentDiffusion.from_pretrained("video", parts, dtype="float16").save_pretrained(TRAINED)
    shutil.rmtree(TRAINED / "vae")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["encode", "train", "sheet", "measure", "ship"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("pictures", type=Path, nargs="?", default=PICTURES)
    parser.add_argument("--size", type=int, default=12_000)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--keep-captions", action="store_true", help="train the UNet alone")
    parser.add_argument("--guidance", type=float, default=flow.GUIDANCE)
    parser.add_argument("--number", type=int, default=128, help="clips that are measured")
    args = parser.parse_args()
    if args.verb == "encode":
        encode(args.parts, args.size)
        return
    if args.verb == "train":
        options = FitOptions(
            steps=args.steps,
            batch_size=args.batch_size,
            learning_rate=args.rate,
            ema_decay=0.998,
            warmup_steps=100,
            checkpoint_every=250,
        )
        train(args.parts, args.pictures, options, keep_captions=args.keep_captions)
        return
    decoder = assemble(args.parts, args.pictures)
    if args.verb == "ship":
        ship(args.parts)
    elif args.verb == "measure":
        sys.stdout.write(measure(decoder, args.number, guidance_scale=args.guidance))
    else:
        rng = np.random.default_rng(7)
        captions = [sample_clip(rng, "test").caption for _ in range(12)]
        sys.stdout.write("\n".join(captions) + "\n")
        clips = flow.make(decoder, captions, batch=4, guidance_scale=args.guidance)
        shown = [clip[number] for clip in clips for number in _SHOWN]
        contact_sheet(shown, 2 * len(_SHOWN)).save(args.parts / "sheet-denoiser.png")


if __name__ == "__main__":
    main()
