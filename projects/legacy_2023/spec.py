"""The spec of a converted checkpoint: the parts that it was trained with, as it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.model.catalogue import PAPER_7B
from anyweave.model.spec import LanguageSpec, LoraSpec, ModelSpec, ProjectorSpec
from legacy_2023.layout import ADAPTED_LAYERS, Layout

TEMPLATE = "nextgpt-legacy"
# How the 2023 demonstration called its decoders, besides guidance 7.5 and 50 steps for all three.
_SIZES: Mapping[Modality, Mapping[str, Any]] = {
    "video": {"height": 320, "width": 576, "num_frames": 24},
    "audio": {"audio_length": 9.0},
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Where the frozen ends come from: folders, files or public names. By default those of
    ``paper-7b``. They are not converted, and not read here.
    """

    encoder: str = PAPER_7B.encoders[0].source
    decoders: Mapping[Modality, str] = field(
        default_factory=lambda: {m: part.source for m, part in PAPER_7B.decoders.items()}
    )


def legacy_spec(
    layout: Layout, parts: Parts, *, adapted: bool, reads_media: bool, language_sha256: str
) -> ModelSpec:
    """A converted checkpoint as a `ModelSpec`; its language model travels with it.

    `adapted`: it has LoRA adapters. `reads_media`: it has an input projection.
    """
    paper = PAPER_7B.encoders[0]
    encoder = replace(
        paper,
        source=_placed(parts.encoder),
        feature_dim=layout.features,
        # It was trained on what pytorchvideo 0.1.5 cut, in which clips stop short of the end.
        args={**paper.args, "features": "pooled", "clips_reach_end": False},
    )
    decoders = {
        modality: replace(
            PAPER_7B.decoders[modality],
            source=_placed(source),
            conditioning_tokens=layout.conditioning[modality][0],
            conditioning_dim=layout.conditioning[modality][1],
            guidance_scale=7.5,
            num_inference_steps=50,
            generate=_SIZES.get(modality, {}),
        )
        for modality, source in parts.decoders.items()
    }
    projector = ProjectorSpec(
        type="transformer",
        args={
            "hidden_dim": layout.width,
            "num_heads": layout.heads,
            "num_encoder_layers": layout.blocks,
            "num_decoder_layers": layout.blocks,
            "ffn_dim": layout.ffn,
            "dropout": 0.0,
        },
        # Not even for sound, though the text embeddings it was trained towards are of length 1.
        normalize=False,
    )
    # alpha is not in the file; it was always r, which scales the adapters by 1
    rank = layout.lora_rank
    lora = LoraSpec(r=rank, alpha=float(rank), target_modules=ADAPTED_LAYERS)
    return ModelSpec(
        name="nextgpt-legacy",
        language=LanguageSpec(source="./language", sha256=language_sha256, dtype="float16"),
        template=TEMPLATE,
        lora=lora if adapted else None,
        encoders=(encoder,) if reads_media else (),
        input_projector=ProjectorSpec(type="linear", args={"tokens": 1}, shared=True),
        output_projectors=dict.fromkeys(PAPER_MODALITIES, projector),
        decoders=decoders,
        signal_tokens=dict(layout.signals),
    )


def _placed(source: str) -> str:
    """The full path of what is on this machine, so that the checkpoint can be loaded from anywhere;
    a public name unchanged.
    """
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source
