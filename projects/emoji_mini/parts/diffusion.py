"""The world's diffusion decoders: a small text encoder and a UNet per modality, in the `diffusers`
layout.

The text encoder is trained together with its UNet on the world's captions, then both are frozen, as
SD-1.5, Zeroscope and AudioLDM are frozen in the paper. The clip's UNet starts from the picture's:
same spatial weights, temporal layers that start as identity.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel, UNet3DConditionModel
from jaxtyping import Int
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    ClapTextConfig,
    ClapTextModelWithProjection,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

from anyweave.decoders.captions import caption_ids, embed_caption_ids
from anyweave.decoders.folder import DEFAULTS_FILE, DecoderDefaults
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.files import write_json
from anyweave.messages import Modality
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.rendered import rendered_scenes
from emoji_mini.world.catalogue import (
    AUDIO_SAMPLES,
    BACKGROUNDS,
    FRAME_RATE,
    MOTIONS,
    NUM_FRAMES,
    NUMBER_WORDS,
    OBJECTS,
    RELATIONS,
    SAMPLE_RATE,
    SOUNDS,
)

TEXT_WIDTH = 128
TEXT_LENGTH = 16
CHANNELS = (64, 128)
CLIP_SIZE = 48  # pixels: eight frames of 64 would cost a CPU eight pictures each
CAPTION_DROPOUT = 0.1
MAX_ENCODED = 24_000  # scenes whose latents are kept
_PAD, _BOS, _EOS = "<pad>", "<|startoftext|>", "<|endoftext|>"


def world_words() -> list[str]:
    """Every word a caption of the world can hold, sorted."""
    phrases = [*BACKGROUNDS.values(), *MOTIONS, *NUMBER_WORDS, *RELATIONS, "a an then"]
    for kind in OBJECTS.values():
        phrases += [kind.name, kind.plural]
    phrases += [sound.phrase for sound in SOUNDS.values()]
    return sorted({word for phrase in phrases for word in phrase.split()})


def build_tokenizer(
    folder: Path, words: Sequence[str], *, length: int = TEXT_LENGTH, vocab_size: int = 4000
) -> CLIPTokenizer:
    """A byte-pair `CLIPTokenizer` in which every one of `words` is one token, as far as
    `vocab_size` lasts; other words fall into pieces.
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
        model_max_length=length,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def build_text_encoder(modality: Modality, tokenizer: CLIPTokenizer) -> nn.Module:
    """A two-layer CLIP text encoder (pictures, clips), or a CLAP text tower with projection
    (sounds).
    """
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    size: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": TEXT_WIDTH,
    }
    if modality == "audio":
        # Roberta-style position ids start after the padding id.
        length = TEXT_LENGTH + 2 + int(tokenizer.pad_token_id)
        dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = ClapTextConfig(**size, **ids, **dropout, max_position_embeddings=length)
        return ClapTextModelWithProjection(config)
    return CLIPTextModel(CLIPTextConfig(**size, **ids, max_position_embeddings=TEXT_LENGTH))


def build_unet(modality: Modality, latent_shape: tuple[int, ...]) -> nn.Module:
    """The UNet of a modality for latents of `latent_shape` (without batch axis)."""
    channels = latent_shape[0]
    common: dict[str, Any] = {
        "sample_size": latent_shape[-2:],
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "attention_head_dim": 4,  # diffusers reads this as the number of heads
    }
    crossing: dict[str, Any] = {
        "cross_attention_dim": TEXT_WIDTH,
        "block_out_channels": CHANNELS,
    }
    if modality == "image":
        return UNet2DConditionModel(
            **common,
            **crossing,
            use_linear_projection=True,  # as the clip UNet always has it: weights are copied
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )
    if modality == "video":
        common["sample_size"] = latent_shape[-1]
        return UNet3DConditionModel(
            **common,
            **crossing,
            down_block_types=("DownBlock3D", "CrossAttnDownBlock3D"),
            up_block_types=("CrossAttnUpBlock3D", "UpBlock3D"),
        )
    widths = (64, 128)
    return UNet2DConditionModel(
        **common,
        block_out_channels=widths,
        cross_attention_dim=widths,  # AudioLDM: attention blocks without a text sequence
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=TEXT_WIDTH,
        class_embeddings_concat=True,
    )


def build_scheduler() -> DDIMScheduler:
    """v-prediction with zero terminal signal, so that plain backgrounds come out in their true
    colour.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def inflate(video: nn.Module, image_weights: dict[str, Tensor]) -> int:
    """Copy a picture UNet's weights into a clip UNet and make its temporal layers start as
    identity.

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
            if temporal and ".proj_out." in f".{name}":
                parameter.zero_()
    return len(shared)


def encode_data(
    modality: Modality, folder: Path, cache: Path, size: int, seed: int
) -> tuple[list[str], Tensor]:
    """Captions and latents ``[N, ...]`` (float16) of training scenes, through the folder's
    autoencoder, cached.
    """
    scenes, arrays = rendered_scenes(modality, "train", size, seed, cache)
    size = min(size, MAX_ENCODED)
    file = folder / f"fit-latents-{modality}-{size}.safetensors"
    if not file.is_file():
        model = LatentDiffusion.from_pretrained(modality, folder, load_text_encoder=False)
        parts = []
        for start in range(0, size, 32):
            batch = [
                np.asarray(a, np.float32 if modality == "audio" else a.dtype)
                for a in arrays[start : start + 32]
            ]
            with torch.no_grad():
                parts.append(model.encode_media(batch).half())
        save_tensors({"latents": torch.cat(parts)}, file)
    return [scene.caption for scene in scenes[:size]], load_tensors(file)["latents"]


def prepare(modality: Modality, output: Path, image_folder: Path | None) -> None:
    """Write a complete untrained decoder folder beside an already trained ``vae/``.

    A clip decoder takes autoencoder, text encoder and spatial weights from the trained picture
    decoder.
    """
    if image_folder is not None and not (output / "vae").is_dir():
        shutil.copytree(image_folder / "vae", output / "vae")
    vae = AutoencoderKL.from_pretrained(output / "vae")
    side = CLIP_SIZE // 4
    rows = {"image": (16, 16), "video": (NUM_FRAMES, side, side), "audio": (32, 16)}[modality]
    unet: Any = build_unet(modality, (vae.config.latent_channels, *rows))
    if modality == "audio":
        # It reads one vector of norm 1, 128 numbers of size 0.09: as initialised, it would not hear
        # it beside the timestep.
        with torch.no_grad():
            unet.class_embedding.weight.mul_(TEXT_WIDTH**0.5)
    if image_folder is not None:
        weights = load_tensors(image_folder / "unet" / "diffusion_pytorch_model.safetensors")
        inflate(unet, weights)
        for part in ("text_encoder", "tokenizer"):
            shutil.copytree(image_folder / part, output / part, dirs_exist_ok=True)
    else:
        tokenizer = build_tokenizer(output / "tokenizer", world_words())
        text_encoder: Any = build_text_encoder(modality, tokenizer)
        text_encoder.save_pretrained(output / "text_encoder")
    unet.save_pretrained(output / "unet")
    build_scheduler().save_pretrained(output / "scheduler")
    write_json(output / DEFAULTS_FILE, asdict(_DEFAULTS[modality]))


_DEFAULTS: dict[Modality, DecoderDefaults] = {
    "image": DecoderDefaults(guidance_scale=3.0),
    "video": DecoderDefaults(
        guidance_scale=3.0,
        fps=FRAME_RATE,
        num_frames=NUM_FRAMES,
        height=CLIP_SIZE,
        width=CLIP_SIZE,
    ),
    "audio": DecoderDefaults(guidance_scale=2.0, audio_length=AUDIO_SAMPLES / SAMPLE_RATE),
}


def train_diffusion(
    modality: Modality,
    output: Path,
    cache: Path,
    options: FitOptions,
    size: int,
    image_folder: Path | None = None,
    refine: bool = False,
) -> dict[str, float]:
    """Train text encoder and UNet of `modality` in `output` (which holds a trained ``vae/``) and
    save them.

    `image_folder` is the trained picture decoder that a clip decoder starts from (its text encoder
    stays frozen). `refine` trains the UNet alone: the text encoder has been trained before, and
    caption embeddings, which the stages align with, stay as they are.
    """
    torch.manual_seed(options.seed)
    if not (output / "unet").is_dir():
        prepare(modality, output, image_folder)
    captions, latents = encode_data(modality, output, cache, size, options.seed)
    model = LatentDiffusion.from_pretrained(modality, output, load_text_encoder=True).to(
        options.device
    )
    unet: Any = model.unet
    text_encoder: Any = model.text_encoder
    trained = nn.ModuleDict({"unet": unet})
    if image_folder is None and not refine:
        trained["text_encoder"] = text_encoder
    trained.requires_grad_(True)
    ids, masks = tokenise(model, ["", *captions])

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(latents), (options.batch_size,), generator=generator)
        dropped = torch.rand(options.batch_size, generator=generator) < CAPTION_DROPOUT
        text = torch.where(dropped, 0, rows + 1)
        conditioning = embed_caption_ids(
            ids[text], masks[text], text_encoder, as_vector=modality == "audio"
        )
        x = latents[rows].float().to(options.device)
        return {"denoising": model.denoising_loss(conditioning, x, generator=generator).mean()}

    means = fit(trained, losses, options, output / ("fit-refined" if refine else "fit-unet"))
    unet.save_pretrained(output / "unet")
    if text_encoder is not None:
        text_encoder.save_pretrained(output / "text_encoder")
    return means


def tokenise(
    model: LatentDiffusion, captions: list[str]
) -> tuple[Int[Tensor, "N Q"], Int[Tensor, "N Q"]]:
    """Padded ids and masks of many captions; equal captions are tokenised once."""
    unique = sorted(set(captions))
    ids, masks = caption_ids(unique, model.tokenizer, model.text_encoder)
    place = {caption: row for row, caption in enumerate(unique)}
    rows = torch.tensor([place[caption] for caption in captions])
    return ids[rows], masks[rows]
