"""Specs by name: the paper's system, systems of current parts for common hardware, and two
cascades, which need no training.

A named spec is an untrained model: frozen parts by their public names, and projectors, signal rows
and adapters still to be trained. `anyweave inspect NAME` shows its parts without needing weights;
``NextGPT.from_pretrained(NAME)`` loads the frozen parts and initialises the rest at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from anyweave.errors import nearest
from anyweave.messages import PAPER_MODALITIES, Modality, kind_of
from anyweave.model.spec import (
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
)

# Half precision set by the spec; bfloat16 has float32's range, so no VAE overflows.
_HALF = {"dtype": "bfloat16"}

_STABLE_DIFFUSION_1_5 = DecoderSpec(
    source="stable-diffusion-v1-5/stable-diffusion-v1-5",
    conditioning_tokens=77,
    conditioning_dim=768,
    args=_HALF,
)
_ZEROSCOPE_576W = DecoderSpec(
    source="cerspense/zeroscope_v2_576w",
    conditioning_tokens=77,
    conditioning_dim=1024,
    args=_HALF,
    generate={"height": 320, "width": 576, "num_frames": 24},  # what it was trained on
)
_AUDIOLDM_L_FULL = DecoderSpec(
    source="cvssp/audioldm-l-full",
    conditioning_tokens=1,
    conditioning_dim=512,
    args=_HALF,
    generate={"audio_length": 10.0},
)
# 256 px pictures and its own text encoder, in folders with non-standard names.
_LDM_TEXT2IM_LARGE = DecoderSpec(
    source="CompVis/ldm-text2im-large-256",
    conditioning_tokens=77,
    conditioning_dim=1280,
    guidance_scale=6.0,
    args={**_HALF, "subfolders": {"vae": "vqvae", "text_encoder": "bert"}},
)
_OUTPUT_PROJECTORS: Mapping[Modality, ProjectorSpec] = {
    "image": ProjectorSpec(type="transformer"),
    "video": ProjectorSpec(type="transformer"),
    # AudioLDM is conditioned by text embeddings of length 1.
    "audio": ProjectorSpec(type="transformer", normalize=True),
}
_SIGNAL_TOKENS = {modality: kind_of(modality).signal_tokens for modality in PAPER_MODALITIES}

PAPER_7B = ModelSpec(
    name="paper-7b",
    language=LanguageSpec(source="lmsys/vicuna-7b-v1.5", dtype="bfloat16"),
    template="vicuna",
    lora=LoraSpec(),
    encoders=(
        EncoderSpec(
            type="imagebind",
            source="imagebind_huge.pth",
            modalities=PAPER_MODALITIES,
            feature_dim=1024,
            # The text, depth, thermal and motion towers are not used.
            args={"towers": ["vision", "audio"]},
        ),
    ),
    input_projector=ProjectorSpec(type="grouping", shared=True),
    output_projectors=_OUTPUT_PROJECTORS,
    decoders={
        "image": _STABLE_DIFFUSION_1_5,
        "video": _ZEROSCOPE_576W,
        "audio": _AUDIOLDM_L_FULL,
    },
    signal_tokens=_SIGNAL_TOKENS,
)

QWEN3_4B = ModelSpec(
    name="qwen3-4b",
    language=LanguageSpec(source="Qwen/Qwen3-4B-Instruct-2507", dtype="bfloat16"),
    template="chatml",
    lora=LoraSpec(),
    encoders=(
        EncoderSpec(
            type="transformers",
            source="google/siglip2-so400m-patch14-384",
            modalities=("image", "video"),
            feature_dim=1152,
            args={"reads": "image", "video_frames": 8},
        ),
        EncoderSpec(
            type="transformers",
            source="openai/whisper-large-v3-turbo",
            modalities=("audio",),
            feature_dim=1280,
            args={"reads": "audio", "audio_seconds": 30.0},
        ),
    ),
    input_projector=ProjectorSpec(type="grouping"),
    output_projectors=_OUTPUT_PROJECTORS,
    decoders=PAPER_7B.decoders,
    signal_tokens=_SIGNAL_TOKENS,
)

PERMISSIVE_3B = ModelSpec(
    name="permissive-3b",
    language=LanguageSpec(source="Qwen/Qwen2.5-1.5B-Instruct", dtype="bfloat16"),
    template="chatml",
    lora=LoraSpec(),
    encoders=(
        EncoderSpec(
            type="transformers",
            source="google/siglip2-base-patch16-256",
            modalities=("image", "video"),
            feature_dim=768,
            args={"reads": "image", "video_frames": 8},
        ),
        EncoderSpec(
            type="transformers",
            source="MIT/ast-finetuned-audioset-10-10-0.4593",
            modalities=("audio",),
            feature_dim=768,
            # 1024 frames of 10 ms; a class and a distillation token precede the patches.
            args={"reads": "audio", "audio_seconds": 10.24, "skip_tokens": 2},
        ),
    ),
    input_projector=ProjectorSpec(type="grouping", shared=True),
    output_projectors={"image": ProjectorSpec(type="transformer")},
    decoders={"image": _LDM_TEXT2IM_LARGE},
    signal_tokens={"image": 4},
)

# Networks are on the device only while they run: peak memory is the largest, not the sum.
_VISITING = {**_HALF, "offload": True}
_Z_IMAGE_TURBO = DecoderSpec(
    source="Tongyi-MAI/Z-Image-Turbo",
    conditioning_tokens=64,
    conditioning_dim=2560,
    guidance_scale=0.0,
    num_inference_steps=8,
    args=_VISITING,
)
_WAN_1_3B = DecoderSpec(
    source="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    conditioning_tokens=64,
    conditioning_dim=4096,
    num_inference_steps=30,
    args=_VISITING,
    generate={"height": 480, "width": 832, "num_frames": 33},
)
_ACE_STEP_XL_TURBO = DecoderSpec(
    source="ACE-Step/acestep-v15-xl-turbo-diffusers",
    conditioning_tokens=64,
    conditioning_dim=1024,
    num_inference_steps=8,
    args=_VISITING,
    generate={"audio_length": 10.0},
)
_SANA_SPRINT = DecoderSpec(
    source="Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers",
    conditioning_tokens=64,
    conditioning_dim=2304,
    num_inference_steps=2,
    args=_VISITING,
)
_SD_TURBO = DecoderSpec(
    source="stabilityai/sd-turbo",
    conditioning_tokens=77,
    conditioning_dim=1024,
    guidance_scale=1.0,
    num_inference_steps=1,
    generate={"scheduler": "own", "height": 512, "width": 512},
)
_PROJECTORS: Mapping[Modality, ProjectorSpec] = {
    modality: ProjectorSpec(type="transformer") for modality in PAPER_MODALITIES
}

STUDIO_24GB = replace(
    QWEN3_4B,
    name="studio-24gb",
    output_projectors=_PROJECTORS,
    decoders={"image": _Z_IMAGE_TURBO, "video": _WAN_1_3B, "audio": _ACE_STEP_XL_TURBO},
)
LAPTOP_8GB = replace(
    PERMISSIVE_3B,
    name="laptop-8gb",
    language=LanguageSpec(source="Qwen/Qwen3-1.7B", dtype="bfloat16"),
    output_projectors=_OUTPUT_PROJECTORS,
    decoders={
        "image": _SANA_SPRINT,
        "video": replace(_WAN_1_3B, generate={"height": 480, "width": 832, "num_frames": 17}),
        "audio": replace(_AUDIOLDM_L_FULL, args=_VISITING),
    },
    signal_tokens=_SIGNAL_TOKENS,
)
CPU = replace(
    PERMISSIVE_3B,
    name="cpu",
    language=LanguageSpec(source="Qwen/Qwen3-0.6B"),
    output_projectors={m: _OUTPUT_PROJECTORS[m] for m in ("image", "audio")},
    decoders={
        "image": _SD_TURBO,
        "audio": replace(
            _AUDIOLDM_L_FULL,
            source="cvssp/audioldm-s-full-v2",
            num_inference_steps=10,
            args={},
            generate={"audio_length": 5.0},
        ),
    },
    signal_tokens={"image": 4, "audio": 8},
)

# The cascade that the paper compares with (section 6.2): captioners read, the language model is
# prompted to make calls, decoders read its words. Nothing in it trains.
CASCADE_24GB = ModelSpec(
    name="cascade-24gb",
    language=LanguageSpec(source="Qwen/Qwen3-4B-Instruct-2507", dtype="bfloat16"),
    encoders=(
        EncoderSpec(
            type="captioner",
            source="Qwen/Qwen2-VL-2B-Instruct",
            modalities=("image", "video"),
            args=_HALF,
        ),
        EncoderSpec(
            type="captioner", source="openai/whisper-small", modalities=("audio",), args=_HALF
        ),
    ),
    decoders=PAPER_7B.decoders,
    signal_tokens=dict.fromkeys(PAPER_MODALITIES, 1),
    bridge="caption",
    calls="words",
)

# Clips use the pictures' latents, so both share one autoencoder on disk.
_SHARED_VAE = {"subfolders": {"vae": "../image/vae"}}
# emoji-mini's parts as a cascade: they were not trained to work together.
CASCADE_MINI = ModelSpec(
    name="cascade-mini",
    language=LanguageSpec(source="smollm2-135m-instruct", dtype="bfloat16"),
    decoders={
        modality: DecoderSpec(
            source=f"emoji-mini/decoders/{modality}",
            conditioning_tokens=24,
            conditioning_dim=192,
            num_inference_steps=12,
            args=_SHARED_VAE if modality == "video" else {},
        )
        for modality in PAPER_MODALITIES
    },
    signal_tokens=dict.fromkeys(PAPER_MODALITIES, 1),
    bridge="caption",
    calls="words",
)

_SPECS = (PAPER_7B, QWEN3_4B, PERMISSIVE_3B, STUDIO_24GB, LAPTOP_8GB, CPU)
SPECS: Mapping[str, ModelSpec] = {spec.name: spec for spec in (*_SPECS, CASCADE_24GB, CASCADE_MINI)}

# Table 1 of the paper, keyed by our part names.
PAPER_TABLE_1: Mapping[str, str] = {
    "language model": "7B",
    "encoder imagebind (image, video, audio)": "1.2B",
    "image decoder": "1.3B",
    "video decoder": "1.8B",
    "audio decoder": "975M",
    "input projector": "28M",
    "image output projector": "31M",
    "video output projector": "32M",
    "audio output projector": "31M",
    "lora": "33M",
}
PAPER_TRAINED_SHARE = "1 %"
PAPER_NOTES = (
    "ImageBind: the public file holds 1.2 B in six towers; only vision and audio are read here.",
    "Stable Diffusion: the paper's 1.3 B fits the parts here plus the safety checker (304 M).",
    "Grouping: the paper gives neither depths nor widths; these are the ones that come to 28 M.",
    "Signal rows: not in the paper's table, though stage 2 cannot do without them.",
)


def named_spec(name: str) -> ModelSpec:
    """The spec called `name`. Raises `ValueError` for an unknown name, listing the known ones."""
    if name not in SPECS:
        raise ValueError(f"unknown spec {name!r}; {nearest(name, SPECS)}")
    return SPECS[name]


def is_spec_name(source: str | Path) -> bool:
    """Whether `source` names a spec. A folder of that name takes precedence."""
    return str(source) in SPECS and not Path(source).is_dir()
