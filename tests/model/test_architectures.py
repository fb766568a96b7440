"""Architectures as data give the real classes with the published sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.model.architectures import ARCHITECTURES, architecture, build_decoder, build_encoder
from anyweave.model.architectures.parts import known_architecture
from anyweave.model.catalogue import named_spec
from anyweave.testing.model import tiny_model

# What their authors publish, to the digit where they do: Vicuna, SD-1.5's UNet, VAE and CLIP-L;
# AudioLDM-L-Full 739 M in the UNet and 975 M (paper, Table 1) in all; Zeroscope 1.8 B; LDM 1.45 B.
PUBLISHED: dict[str, dict[str, int]] = {
    "lmsys/vicuna-7b-v1.5": {"model": 6_738_415_616},
    "Qwen/Qwen3-4B-Instruct-2507": {"model": 4_022_468_096},
    "Qwen/Qwen2.5-1.5B-Instruct": {"model": 1_543_714_304},
    "smollm2-135m-instruct": {"model": 134_515_008},
    "google/siglip2-so400m-patch14-384": {"model": 428_225_600},
    "google/siglip2-base-patch16-256": {"model": 92_930_304},
    "openai/whisper-large-v3-turbo": {"model": 636_968_960},
    "openai/whisper-small": {"model": 241_734_912},  # with its decoder
    "Qwen/Qwen2-VL-2B-Instruct": {"model": 2_208_985_600},
    "MIT/ast-finetuned-audioset-10-10-0.4593": {"model": 86_187_264},
    "imagebind_huge.pth": {"model": 1_073_097_729},  # vision, audio and text
    "stable-diffusion-v1-5/stable-diffusion-v1-5": {
        "unet": 859_520_964,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
    },
    "CompVis/ldm-text2im-large-256": {
        "unet": 872_300_484,
        "vae": 83_653_863,
        "text_encoder": 581_994_042,
    },
    "cerspense/zeroscope_v2_576w": {
        "unet": 1_411_233_860,
        "vae": 83_653_863,
        "text_encoder": 340_387_840,
    },
    "cvssp/audioldm-l-full": {
        "unet": 739_139_080,
        "vae": 55_376_873,
        "text_encoder": 125_302_016,
        "vocoder": 55_264_897,
    },
    # Z-Image 6.15 B; Wan 1.3B 1.42 B and UMT5-XXL 5.68 B; ACE-Step XL "4B" and a condition
    # encoder of 1.22 GB in half precision; Sana-Sprint 0.6 B, DC-AE 312 M, Gemma 2 2.61 B;
    # AudioLDM-S 421 M in all.
    "Qwen/Qwen3-1.7B": {"model": 1_720_574_976},
    "Qwen/Qwen3-0.6B": {"model": 596_049_920},
    "Tongyi-MAI/Z-Image-Turbo": {
        "transformer": 6_154_908_736,
        "vae": 83_819_683,
        "text_encoder": 4_022_468_096,
    },
    "Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers": {
        "transformer": 593_501_216,
        "vae": 312_250_275,
        "text_encoder": 2_614_341_888,
    },
    "stabilityai/sd-turbo": {
        "unet": 865_910_724,
        "vae": 83_653_863,
        "text_encoder": 340_387_840,
    },
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": {
        "transformer": 1_418_996_800,
        "vae": 126_892_531,
        "text_encoder": 5_680_910_336,
    },
    "ACE-Step/acestep-v15-xl-turbo-diffusers": {
        "transformer": 4_168_897_088,
        "condition_encoder": 608_369_664,
        "vae": 168_695_426,
        "text_encoder": 595_776_512,
    },
    "cvssp/audioldm-s-full-v2": {
        "unet": 185_036_552,
        "vae": 55_376_873,
        "text_encoder": 125_302_016,
        "vocoder": 55_264_897,
    },
}


def test_every_architecture_is_counted_here() -> None:
    assert PUBLISHED.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("source", PUBLISHED)
def test_parameters(source: str) -> None:
    assert ARCHITECTURES[source].parameters == PUBLISHED[source]


def test_a_component_is_built_where_and_how_it_is_asked_for() -> None:
    sd = known_architecture("stable-diffusion-v1-5/stable-diffusion-v1-5")
    made = sd.build(only=["vae", "scheduler"], dtype=torch.bfloat16)
    weight = next(made["vae"].parameters())
    assert (weight.device.type, weight.dtype) == ("meta", torch.bfloat16)
    assert not weight.requires_grad and not made["vae"].training
    assert made["scheduler"].alphas_cumprod.device.type == "cpu"
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("modality", ["image", "video", "audio"])
def test_decoders_of_the_paper(modality: str) -> None:
    part = named_spec("paper-7b").decoders[modality]
    decoder = build_decoder(modality, part)
    assert decoder.conditioning_shape == (part.conditioning_tokens, part.conditioning_dim)
    latents = {"image": (4, 64, 64), "video": (4, 24, 40, 72), "audio": (8, 250, 16)}
    assert decoder.codec.latent_shape(MediaSize()) == latents[modality]
    assert decoder.rate == {"image": None, "video": 8.0, "audio": 16000.0}[modality]


def test_encoders_read_what_their_spec_says() -> None:
    for name, patches in {
        "paper-7b": {"image": 256, "video": 256, "audio": 228},
        "permissive-3b": {"image": 256, "video": 8 * 256, "audio": 12 * 101},
    }.items():
        for part in named_spec(name).encoders:
            encoder = build_encoder(part)
            assert encoder.feature_dim == part.feature_dim
            assert {m: encoder.num_patches(m) for m in part.modalities} == {  # type: ignore[operator]
                m: patches[m] for m in part.modalities
            }


def test_folders_are_read_by_their_configs(tmp_path: Path) -> None:
    model = tiny_model(tmp_path, lora=None)
    for part, module in {
        "language": model.language.model,
        "encoders/imagebind": model.encoders["image"],
    }.items():
        assert known_architecture(tmp_path / part).parameters == {"model": _count(module)}
    decoder = model.decoders["image"]
    found = known_architecture(tmp_path / "decoders/image")
    assert found.parameters == {
        name: _count(getattr(decoder, name)) for name in ("unet", "vae", "text_encoder")
    }
    assert found.licence is None


def test_what_is_not_known(tmp_path: Path) -> None:
    assert architecture("nobody/nothing") is None
    assert architecture(tmp_path) is None
    with pytest.raises(ValueError, match="'nobody/nothing' is not known here: .* lmsys/vicuna"):
        known_architecture("nobody/nothing")


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
