"""Denoisers: flow matching on cached latents, the caption encoder trained with the UNet. Only what
is drawn differs by medium (`picture_denoiser`, `sound_denoiser`).

A folder of parts holds ``latents.npy`` (float16 ``[N, c, h, w]``, of clips ``[N, c, T, h, w]``, of
unit spread) and ``captions.jsonl`` (a list of captions per row); training adds ``tokenizer/``,
``unet/``, ``text_encoder/`` and ``scheduler/`` in the diffusers layout.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from anyweave.decoders.captions import caption_ids, embed_caption_ids
from anyweave.decoders.folder import DEFAULTS_FILE, DecoderDefaults
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.files import whole_file, write_json
from anyweave.messages import Modality
from emoji_mini.emoji_world.captions import describe
from emoji_mini.emoji_world.scenes import Scene
from emoji_mini.parts.fit import FitOptions, fit

TEXT_WIDTH = 192
TEXT_LENGTH = 24
CAPTION_DROPOUT = 0.1
STEPS, GUIDANCE = 12, 3.0  # of sampling
_PAD, _BOS, _EOS = "<pad>", "<|startoftext|>", "<|endoftext|>"
_CHUNK = 64  # scenes rendered and encoded together

BuildUNet = Callable[[int], Any]
"""An untrained UNet for latents of that many channels."""


def unet_settings(channels: int, widths: tuple[int, int], heads: int) -> dict[str, Any]:
    """What the UNets of all media have in common: attention where the latent is half as wide."""
    return {
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": 1,
        "block_out_channels": widths,
        "norm_num_groups": 16,
        "attention_head_dim": heads,  # diffusers reads this as the number of heads
        "cross_attention_dim": TEXT_WIDTH,
    }


def encode_scenes(
    parts: Path,
    size: int,
    draw: Callable[[np.random.Generator], Scene],
    latents_of: Callable[[list[Scene]], Tensor],
    seed: int = 0,
) -> None:
    """Save the latents of `size` random scenes, and a few captions of each."""
    parts.mkdir(parents=True, exist_ok=True)
    latents = []
    with whole_file(parts / "captions.jsonl") as file:
        for start in range(0, size, _CHUNK):
            rng = np.random.default_rng((seed, start))
            scenes = [draw(rng) for _ in range(min(_CHUNK, size - start))]
            latents.append(latents_of(scenes).half())
            for scene in scenes:
                words = [scene.caption, *(describe(rng, scene) for _ in range(4))]
                file.write((json.dumps(words) + "\n").encode())
    with whole_file(parts / "latents.npy") as file:
        np.save(file, torch.cat(latents).numpy())


def build_tokenizer(folder: Path, words: Sequence[str], vocab_size: int = 8000) -> CLIPTokenizer:
    """A byte-pair `CLIPTokenizer` in which each of `words` is one token, as far as `vocab_size`
    allows; other words are split.
    """
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=_EOS))
    trained.normalizer = normalizers.Lowercase()
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=0,
        end_of_word_suffix="</w>",
        initial_alphabet=letters,
        special_tokens=[_PAD, _BOS, _EOS],
        show_progress=False,
    )
    trained.train_from_iterator([*words, *letters], trainer)
    model = json.loads(trained.to_str())["model"]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer(
        vocab=model["vocab"],
        merges=[tuple(m) if isinstance(m, list) else tuple(m.split()) for m in model["merges"]],
        bos_token=_BOS,
        eos_token=_EOS,
        unk_token=_EOS,
        pad_token=_PAD,
        model_max_length=TEXT_LENGTH,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


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


def flow_loss(
    unet: nn.Module,
    clean: Float[Tensor, "B c *size"],
    conditioning: Float[Tensor, "B Q C"],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Squared error of the velocity ``noise - clean`` at ``(1 - s) clean + s noise``; s is
    logit-normal (Esser et al., 2024, section 3.1).
    """
    noise = torch.randn(clean.shape, generator=generator)
    s = torch.sigmoid(torch.randn(len(clean), generator=generator) + 0.3)
    s_ = s.view(-1, *[1] * (clean.ndim - 1))
    noisy = (1 - s_) * clean + s_ * noise
    if noisy.ndim == 4:
        noisy = noisy.contiguous(memory_format=torch.channels_last)
    prediction = unet(noisy, s * 1000, encoder_hidden_states=conditioning).sample
    return (prediction.float() - (noise - clean)).square().mean()


def _untrained(
    parts: Path, build_unet: BuildUNet, text_from: Path | None = None
) -> tuple[nn.ModuleDict, CLIPTokenizer, list[list[str]]]:
    texts = [json.loads(line) for line in (parts / "captions.jsonl").open()]
    folder = parts / "tokenizer"
    if folder.is_dir():
        tokenizer = CLIPTokenizer.from_pretrained(folder)
    else:
        words = sorted({word for row in texts for text in row for word in text.lower().split()})
        tokenizer = build_tokenizer(folder, words)
    torch.manual_seed(0)
    channels = int(np.load(parts / "latents.npy", mmap_mode="r").shape[1])
    unet = build_unet(channels)
    if all(parameter.ndim < 5 for parameter in unet.parameters()):
        unet = unet.to(memory_format=torch.channels_last)
    text = build_text_encoder(tokenizer)
    if text_from is not None:
        _take_captions(text, text_from)
    return nn.ModuleDict({"unet": unet, "text": text}), tokenizer, texts


def _take_captions(text: nn.Module, folder: Path) -> None:
    """Load the weights of the caption encoder in `folder`."""
    text.load_state_dict(CLIPTextModel.from_pretrained(folder).state_dict())


def train(
    parts: Path,
    build_unet: BuildUNet,
    options: FitOptions,
    *,
    text_from: Path | None = None,
    keep_captions: bool = False,
) -> None:
    """Train UNet and caption encoder, and write them in the diffusers layout. Resumable.

    The caption encoder starts from `text_from` if given; ``tokenizer/`` is then its tokenizer. With
    `keep_captions` it is not trained.
    """
    module, tokenizer, texts = _untrained(parts, build_unet, text_from)
    if keep_captions:
        text: Any = module["text"]
        text.requires_grad_(False)
        text.save_pretrained(parts / "text_encoder")
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
    _write(parts, module)


def _write(parts: Path, module: nn.ModuleDict) -> None:
    trained: dict[str, Any] = dict(module.items())
    trained["unet"].to(memory_format=torch.contiguous_format).save_pretrained(parts / "unet")
    trained["text"].save_pretrained(parts / "text_encoder")
    FlowMatchEulerDiscreteScheduler().save_pretrained(parts / "scheduler")


@torch.no_grad()
def _averaged(parts: Path, build_unet: BuildUNet) -> nn.ModuleDict:
    average = torch.load(parts / "fit-denoiser" / "fit.pt", weights_only=True)["average"]
    module, *_ = _untrained(parts, build_unet)
    learnt = list(module.parameters())
    if len(average) == len(list(module["unet"].parameters())):  # the caption encoder was kept
        _take_captions(module["text"], parts / "text_encoder")
        learnt = list(module["unet"].parameters())
    for parameter, value in zip(learnt, average, strict=True):
        parameter.copy_(value)
    return module.eval()


def assemble(
    parts: Path, build_unet: BuildUNet, modality: Modality, vae: Path, **defaults: Any
) -> LatentDiffusion:
    """The decoder of the last checkpoint's moving average, during training or after it, as the
    library loads it; `vae` is the folder of its autoencoder, `defaults` are those of
    `DecoderDefaults`.
    """
    _write(parts, _averaged(parts, build_unet))
    if vae != parts / "vae":
        shutil.copytree(vae, parts / "vae", dirs_exist_ok=True)
    settings = DecoderDefaults(guidance_scale=GUIDANCE, num_inference_steps=STEPS, **defaults)
    write_json(
        parts / DEFAULTS_FILE, {"format_version": 1, "modality": modality, **asdict(settings)}
    )
    return LatentDiffusion.from_pretrained(modality, parts)


def make(
    decoder: LatentDiffusion, captions: Sequence[str], batch: int = 16, **sampling: Any
) -> NDArray[Any]:
    """Media of captions ``[N, ...]``; the seed of each is its index."""
    made: list[NDArray[Any]] = []
    for start in range(0, len(captions), batch):
        conditioning = decoder.encode_captions(list(captions[start : start + batch]))
        seeds = list(range(start, start + len(conditioning)))
        made += decoder.generate(conditioning, seeds=seeds, **sampling)
    return np.stack(made)
