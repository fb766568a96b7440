"""Put the trained parts of `emoji-mini` together: half-precision copies and the spec that names them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from anyweave.language.fetch import ensure_language_model
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.model.build import build
from anyweave.model.hashing import folder_sha256
from anyweave.model.spec import (
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
)
from anyweave.training.parts.diffusion import TEXT_LENGTH, TEXT_WIDTH

LANGUAGE_MODEL = "smollm2-135m-instruct"


def emoji_mini_spec() -> ModelSpec:
    """The shape of `emoji-mini`, before hashes: everything small enough to ship and to answer on a laptop's CPU."""
    projector = ProjectorSpec(
        type="transformer",
        args={"hidden_dim": 256, "ffn_dim": 512, "num_encoder_layers": 1, "num_decoder_layers": 2},
    )
    tokens: dict[Modality, int] = {"image": TEXT_LENGTH, "video": TEXT_LENGTH, "audio": 1}
    return ModelSpec(
        name="emoji-mini",
        language=LanguageSpec(source=LANGUAGE_MODEL, dtype="bfloat16"),
        template="chatml",
        lora=LoraSpec(r=16, alpha=32.0, dropout=0.0),
        encoders=(
            EncoderSpec(type="imagebind", source="./encoder", modalities=("image", "video", "audio")),
        ),
        input_projector=ProjectorSpec(
            type="grouping",
            args={
                "dim": 256,
                "tokens": [16, 6],
                "depths": [1, 1],
                "layer_mlp_ratio": 4,
                "gumbel_scale": 0.3,
                "initial_temperature": 0.3,
            },
            shared=True,
        ),
        output_projectors={modality: projector for modality in MEDIA_MODALITIES},
        decoders={
            modality: DecoderSpec(
                source=f"./decoders/{modality}",
                conditioning_tokens=tokens[modality],
                conditioning_dim=TEXT_WIDTH,
                num_inference_steps=20,
            )
            for modality in MEDIA_MODALITIES
        },
        signal_tokens={"image": 4, "video": 6, "audio": 4},
    )


def halve(source: Path, target: Path) -> None:
    """Copy a part's folder, weights as float16; training leftovers (``fit-*``) stay behind."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("fit-*"))
    for file in target.rglob("*.safetensors"):
        tensors = load_file(file)
        halved = {k: v.half() if v.dtype == torch.float32 else v for k, v in tensors.items()}
        save_file(halved, file, {"format": "pt"})


def assemble(parts: Path, output: Path, *, modalities: tuple[Modality, ...] = MEDIA_MODALITIES) -> ModelSpec:
    """Write `output`: the parts of `modalities` in half precision and an untrained checkpoint around them.

    `parts` holds ``encoder/`` and one trained decoder folder per modality. Raises `ValueError` for a missing part.
    """
    spec = emoji_mini_spec()
    for name in ("encoder", *modalities):
        if not (parts / name).is_dir():
            raise ValueError(f"{parts} lacks {name}/; train it first with: anyweave train part {name}")
    halve(parts / "encoder", output / "encoder")
    for modality in modalities:
        halve(parts / modality, output / "decoders" / modality)
    spec = with_hashes(spec, output, modalities)
    build(spec, root=output, verify=False).save_pretrained(output / "untrained")
    for file in (output / "untrained").iterdir():
        shutil.move(file, output / file.name)
    (output / "untrained").rmdir()
    (output / "spec.json").write_text(json.dumps(spec.to_dict(), indent=1) + "\n")
    return spec


def with_hashes(spec: ModelSpec, root: Path, modalities: tuple[Modality, ...] = MEDIA_MODALITIES) -> ModelSpec:
    """The spec with the hash of every frozen part that is there."""
    encoders = tuple(replace(e, sha256=folder_sha256(root / e.source)) for e in spec.encoders)
    decoders = {
        m: replace(d, sha256=folder_sha256(root / d.source)) if m in modalities else d
        for m, d in spec.decoders.items()
    }
    language = replace(spec.language, sha256=folder_sha256(ensure_language_model(LANGUAGE_MODEL)))
    return replace(spec, language=language, encoders=encoders, decoders=decoders)
