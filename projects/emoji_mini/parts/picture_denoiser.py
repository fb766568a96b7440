"""The denoiser of pictures and its caption encoder, trained together by flow matching on latents.

    python -m emoji_mini.parts.picture_denoiser encode PARTS   # scenes -> latents and captions
    python -m emoji_mini.parts.picture_denoiser train PARTS    # resumable
    python -m emoji_mini.parts.picture_denoiser sheet PARTS    # held-out captions, drawn

PARTS may hold an autoencoder of its own (`picture_autoencoder`). Pictures are drawn with the moving
average of the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from anyweave.decoders.captions import caption_ids, embed_caption_ids
from emoji_mini.emoji_world.captions import describe
from emoji_mini.emoji_world.render import contact_sheet, render_picture
from emoji_mini.emoji_world.sampling import sample_picture
from emoji_mini.parts.diffusion import build_tokenizer
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.picture_autoencoder import TRAINED

TEXT_WIDTH = 192
TEXT_LENGTH = 24
CHANNELS = (96, 192)
CAPTION_DROPOUT = 0.1


def load_autoencoder(parts: Path) -> AutoencoderDC:
    """The autoencoder in `parts`, else the one that stands trained in the project; frozen, in
    float32.
    """
    folder = parts / "vae" if (parts / "vae").is_dir() else TRAINED
    vae: AutoencoderDC = AutoencoderDC.from_pretrained(folder, torch_dtype=torch.float32)
    return vae.eval().requires_grad_(False)


def encode(parts: Path, size: int, seed: int = 0) -> None:
    """Render `size` training scenes, keep their latents (float16 ``[N, c, 16, 16]``, of unit
    spread) and a few captions each.
    """
    vae = load_autoencoder(parts)
    parts.mkdir(parents=True, exist_ok=True)
    latents = np.lib.format.open_memmap(
        parts / "latents.tmp.npy",
        mode="w+",
        dtype=np.float16,
        shape=(size, int(vae.config.latent_channels), 16, 16),
    )
    with (parts / "captions.jsonl").open("w") as file:
        for start in range(0, size, 64):
            rng = np.random.default_rng((seed, start))
            scenes = [sample_picture(rng, "train") for _ in range(min(64, size - start))]
            pixels = np.stack([render_picture(scene) for scene in scenes])
            x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                z = vae.encode(x).latent.float() * vae.config.scaling_factor
            latents[start : start + len(scenes)] = z.numpy()
            for scene in scenes:
                words = [scene.caption, *(describe(rng, scene) for _ in range(4))]
                file.write(json.dumps(words) + "\n")
    latents.flush()
    (parts / "latents.tmp.npy").rename(parts / "latents.npy")


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=6,
            projection_dim=TEXT_WIDTH,
            max_position_embeddings=TEXT_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=CHANNELS,
        norm_num_groups=16,
        attention_head_dim=6,  # diffusers reads this as the number of heads
        cross_attention_dim=TEXT_WIDTH,
        use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def flow_loss(
    unet: nn.Module,
    clean: Float[Tensor, "B c 16 16"],
    conditioning: Float[Tensor, "B Q C"],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Squared error of the velocity ``noise - clean`` at ``(1 - s) clean + s noise``; s is
    logit-normal (Esser et al., 2024, section 3.1).
    """
    noise = torch.randn(clean.shape, generator=generator)
    s = torch.sigmoid(torch.randn(len(clean), generator=generator) + 0.3)
    s_ = s.view(-1, 1, 1, 1)
    noisy = ((1 - s_) * clean + s_ * noise).contiguous(memory_format=torch.channels_last)
    prediction = unet(noisy, s * 1000, encoder_hidden_states=conditioning).sample
    return (prediction.float() - (noise - clean)).square().mean()


def _trained(parts: Path) -> tuple[nn.ModuleDict, CLIPTokenizer, list[list[str]]]:
    texts = [json.loads(line) for line in (parts / "captions.jsonl").open()]
    folder = parts / "tokenizer"
    if folder.is_dir():
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    else:
        words = sorted({word for row in texts for text in row for word in text.lower().split()})
        tokenizer = build_tokenizer(folder, words, length=TEXT_LENGTH, vocab_size=8000)
    torch.manual_seed(0)
    channels = int(np.load(parts / "latents.npy", mmap_mode="r").shape[1])
    unet = build_unet(channels).to(memory_format=torch.channels_last)
    return nn.ModuleDict({"unet": unet, "text": build_text_encoder(tokenizer)}), tokenizer, texts


def train(parts: Path, options: FitOptions) -> None:
    module, tokenizer, texts = _trained(parts)
    latents = np.load(parts / "latents.npy", mmap_mode="r")
    flat = ["", *[text for row in texts for text in row]]
    unique = {text: row for row, text in enumerate(dict.fromkeys(flat))}
    ids, masks = caption_ids(list(unique), tokenizer, module["text"])
    place = [[unique[text] for text in row] for row in texts]

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(latents), (options.batch_size,), generator=generator).tolist()
        chosen = torch.rand(options.batch_size, 2, generator=generator).tolist()
        text = torch.tensor(
            [
                0 if drop < CAPTION_DROPOUT else place[row][int(which * len(place[row]))]
                for row, (drop, which) in zip(rows, chosen, strict=True)
            ]
        )
        conditioning = embed_caption_ids(ids[text], masks[text], module["text"], as_vector=False)
        clean = torch.from_numpy(np.stack([latents[row] for row in rows])).float()
        return {"flow": flow_loss(module["unet"], clean, conditioning, generator)}

    fit(module, losses, options, parts / "fit-denoiser")
    trained: dict[str, Any] = dict(module.items())
    trained["unet"].to(memory_format=torch.contiguous_format).save_pretrained(parts / "unet")
    trained["text"].save_pretrained(parts / "text_encoder")
    FlowMatchEulerDiscreteScheduler().save_pretrained(parts / "scheduler")


@torch.no_grad()
def sheet(parts: Path, captions: list[str], steps: int, guidance: float, seed: int = 0) -> None:
    """Draw `captions` into ``sheet-denoiser.png``."""
    module, tokenizer, _ = _trained(parts)
    state: dict[str, Any] = torch.load(parts / "fit-denoiser" / "fit.pt", weights_only=True)
    for parameter, value in zip(module.parameters(), state["average"], strict=True):
        parameter.copy_(value)
    module.eval()
    vae = load_autoencoder(parts)
    ids, masks = caption_ids([*[""] * len(captions), *captions], tokenizer, module["text"])
    both = embed_caption_ids(ids, masks, module["text"], as_vector=False)
    x = torch.randn(
        (len(captions), int(vae.config.latent_channels), 16, 16),
        generator=torch.Generator().manual_seed(seed),
    )
    sigmas = torch.linspace(1, 0, steps + 1)
    for now, then in zip(sigmas[:-1], sigmas[1:], strict=True):
        t = now.repeat(2 * len(x)) * 1000
        without, with_ = module["unet"](torch.cat([x, x]), t, both).sample.chunk(2)
        x = x + (then - now) * (without + guidance * (with_ - without))
    y = vae.decode(x / vae.config.scaling_factor).sample.clamp(-1, 1)
    pixels = ((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    contact_sheet(list(pixels), 8).save(parts / "sheet-denoiser.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["encode", "train", "sheet"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("--size", type=int, default=60_000)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--guidance", type=float, default=3.0)
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
    else:
        rng = np.random.default_rng(7)
        captions = [sample_picture(rng, "test").caption for _ in range(32)]
        sys.stdout.write("\n".join(captions) + "\n")
        sheet(args.parts, captions, 12, args.guidance)


if __name__ == "__main__":
    main()
