"""Tiny random decoders in the real diffusers layout: they run the real loading and sampling code in
milliseconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    UNet2DConditionModel,
    UNet3DConditionModel,
)
from transformers import (
    ClapTextConfig,
    ClapTextModelWithProjection,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    RobertaTokenizer,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)

from anyweave.decoders.codecs.mel import MelConfig
from anyweave.decoders.folder import DecoderDefaults
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.messages import Modality

WIDTH = 32  # of the conditioning and of the text encoders
MAX_TOKENS = 8
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def _byte_alphabet() -> list[str]:
    """The 256 printable characters that stand for bytes in byte-level BPE vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def clip_tokenizer() -> CLIPTokenizer:
    """A byte-level tokenizer of at most `MAX_TOKENS` tokens."""
    letters = _byte_alphabet()
    tokens = [
        *letters,
        *(letter + "</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    vocab = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=MAX_TOKENS)


def _clap_tokenizer() -> RobertaTokenizer:
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *_byte_alphabet(), "<mask>"]
    vocab = {token: index for index, token in enumerate(tokens)}
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=MAX_TOKENS)


def _clip_text() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        projection_dim=WIDTH,
    )
    return CLIPTextModel(config)


def _clap_text() -> ClapTextModelWithProjection:
    config = ClapTextConfig(
        vocab_size=261,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=WIDTH + 8,
        projection_dim=WIDTH,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    return ClapTextModelWithProjection(config)


def _vae(channels: int, latent_channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        latent_channels=latent_channels,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        scaling_factor=0.3,
    )


def _pixel_parts(kind: type[Any], down: tuple[str, str], up: tuple[str, str]) -> dict[str, Any]:
    """Parts of a picture or clip decoder, which differ only in the UNet and its blocks."""
    unet = kind(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=down,
        up_block_types=up,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return {
        "unet": unet,
        "vae": _vae(3, 4),
        "text_encoder": _clip_text(),
        "tokenizer": clip_tokenizer(),
    }


def _image_parts() -> dict[str, Any]:
    return _pixel_parts(
        UNet2DConditionModel,
        down=("DownBlock2D", "CrossAttnDownBlock2D"),
        up=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def _video_parts() -> dict[str, Any]:
    return _pixel_parts(
        UNet3DConditionModel,
        down=("CrossAttnDownBlock3D", "DownBlock3D"),
        up=("UpBlock3D", "CrossAttnUpBlock3D"),
    )


def _audio_parts(*, vocoder: bool, sample_rate: int = 16000) -> dict[str, Any]:
    unet = UNet2DConditionModel(
        sample_size=(16, 8),  # spectrograms are not square
        in_channels=8,
        out_channels=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=(8, 16),
        attention_head_dim=4,
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=WIDTH,
        class_embeddings_concat=True,
        norm_num_groups=4,
    )
    parts: dict[str, Any] = {"unet": unet, "vae": _vae(1, 8)}
    parts |= {"text_encoder": _clap_text(), "tokenizer": _clap_tokenizer()}
    if vocoder:
        config = SpeechT5HifiGanConfig(
            model_in_dim=16,
            sampling_rate=sample_rate,
            upsample_initial_channel=64,
            upsample_rates=[5, 4, 2, 2, 2],
            upsample_kernel_sizes=[10, 8, 4, 4, 4],
            resblock_kernel_sizes=[3],
            resblock_dilation_sizes=[[1]],
            normalize_before=False,
        )
        parts["vocoder"] = SpeechT5HifiGan(config)
    else:
        parts["mel"] = MelConfig(
            sample_rate=sample_rate, n_fft=512, hop_length=160, num_mels=16, fmax=sample_rate / 2
        )
    return parts


def tiny_decoder(
    modality: Modality,
    *,
    seed: int = 0,
    prediction_type: str = "epsilon",
    vocoder: bool = False,
    sample_rate: int | None = None,
) -> LatentDiffusion:
    """A random decoder of a few 10k parameters: 16x16 pictures, clips of 4 such frames, sounds of
    0.32 s.

    Conditioning is [B, 8, 32] (audio [B, 1, 32]). `vocoder` gives the audio decoder a random
    HiFi-GAN instead of Griffin-Lim; another `sample_rate` gives its sounds another length. The
    caller's random state is unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rate = {} if sample_rate is None else {"sample_rate": sample_rate}
        builders = {
            "image": _image_parts,
            "video": _video_parts,
            "audio": lambda: _audio_parts(vocoder=vocoder, **rate),
        }
        if modality not in builders:
            raise ValueError(f"no tiny decoder for {modality!r}; there is {', '.join(builders)}")
        parts = builders[modality]()
    scheduler = DDIMScheduler(**SCHEDULE, prediction_type=prediction_type)
    defaults = DecoderDefaults(num_frames=4, fps=8.0) if modality == "video" else DecoderDefaults()
    return LatentDiffusion(modality, scheduler=scheduler, defaults=defaults, **parts)


def write_tiny_decoder(path: str | Path, modality: Modality, **options: Any) -> Path:
    """Save `tiny_decoder(modality, **options)` as a folder and return its path."""
    tiny_decoder(modality, **options).save_pretrained(path)
    assert json.loads((Path(path) / "model_index.json").read_text())["unet"]
    return Path(path)
