"""Put the trained parts of `emoji-mini` together: half-precision copies and the spec that names
them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from anyweave.decoders.folder import forget_origin
from anyweave.files import replaced_folder, write_json
from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.model.build import build
from anyweave.model.checkpoint import SPEC_FILE, check_target, load_role
from anyweave.model.hashing import folder_sha256
from anyweave.model.roles import ROLES
from anyweave.model.spec import (
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
)
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.parts.diffusion import TEXT_LENGTH, TEXT_WIDTH
from emoji_mini.parts.encoder import FRAME_POOLING, VIDEO_FRAMES

LANGUAGE_MODEL = "smollm2-135m-instruct"


def emoji_mini_spec() -> ModelSpec:
    """The shape of `emoji-mini`, before hashes: everything small enough to ship and to answer on a
    laptop's CPU.
    """
    projector = ProjectorSpec(
        type="transformer",
        args={"hidden_dim": 192, "ffn_dim": 384, "num_encoder_layers": 1, "num_decoder_layers": 2},
    )
    tokens: dict[Modality, int] = {"image": TEXT_LENGTH, "video": TEXT_LENGTH, "audio": 1}
    return ModelSpec(
        name="emoji-mini",
        language=LanguageSpec(source=LANGUAGE_MODEL, dtype="bfloat16"),
        template="chatml",
        lora=LoraSpec(r=16, alpha=32.0, dropout=0.0),
        encoders=(
            EncoderSpec(
                type="transformers",
                source="./encoders/image",
                modalities=("image", "video"),
                args={"video_frames": VIDEO_FRAMES, "frame_pooling": FRAME_POOLING},
            ),
            EncoderSpec(type="imagebind", source="./encoders/audio", modalities=("audio",)),
        ),
        input_projector=ProjectorSpec(
            type="grouping",
            args={
                "dim": 256,
                "tokens": [16, 10],
                "depths": [1, 1],
                "layer_mlp_ratio": 4,
                "gumbel_scale": 0.1,
                "initial_temperature": 0.1,
                "positions": 80,
            },
            shared=True,
        ),
        # CLAP's embeddings have norm 1, so what stands in for them has too.
        output_projectors={
            modality: replace(projector, normalize=modality == "audio")
            for modality in PAPER_MODALITIES
        },
        decoders={
            modality: DecoderSpec(
                source=f"./decoders/{modality}",
                conditioning_tokens=tokens[modality],
                conditioning_dim=TEXT_WIDTH,
                num_inference_steps=20,
            )
            for modality in PAPER_MODALITIES
        },
        signal_tokens={"image": 4, "video": 6, "audio": 4},
        # The signal path is trained too (``--bridge signal``); version 0 draws better from words.
        bridge="caption",
    )


def halve(source: Path, target: Path) -> None:
    """Copy a part's folder, weights as float16; training leftovers (``fit-*``) stay behind."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(target) as fresh:
        ignored = shutil.ignore_patterns("fit-*")
        shutil.copytree(source, fresh, ignore=ignored, dirs_exist_ok=True)
        for file in fresh.rglob("*.safetensors"):
            tensors = load_tensors(file)
            halved = {k: v.half() if v.dtype == torch.float32 else v for k, v in tensors.items()}
            save_tensors(halved, file, {"format": "pt"})
        forget_origin(fresh)


def assemble(
    parts: Path, output: Path, trained: Path | None = None, *, spec: ModelSpec | None = None
) -> ModelSpec:
    """Write a checkpoint to `output`: frozen parts in half precision, and around them what was
    trained.

    `parts` holds ``image-encoder/``, ``audio-encoder/`` and a decoder folder per modality. The
    roles' weights come from the checkpoint `trained` (half precision too), or are fresh.
    Raises `ValueError` for a missing part.
    """
    spec = spec or emoji_mini_spec()
    encoders = {name: f"{name}-encoder" for name in ("image", "audio")}
    for name in (*encoders.values(), *spec.decoders):
        if not (parts / name).is_dir():
            raise ValueError(
                f"{parts} lacks {name}/; train it first (projects/emoji_mini/README.md says how)"
            )
    check_target(output)
    for name, part in encoders.items():
        halve(parts / part, output / "encoders" / name)
    for modality in spec.decoders:
        halve(parts / modality, output / "decoders" / modality)
    hashed = tuple(replace(e, sha256=folder_sha256(output / e.source)) for e in spec.encoders)
    decoders = {
        m: replace(d, sha256=folder_sha256(output / d.source)) for m, d in spec.decoders.items()
    }
    spec = replace(spec, encoders=hashed, decoders=decoders)
    model = build(spec, root=output)
    if trained is not None:
        for role in ROLES:
            load_role(model, role, trained)
    write_json(output / SPEC_FILE, spec.to_dict())
    model.save_pretrained(output, dtype="float16" if trained is not None else None)
    return spec
