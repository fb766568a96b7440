"""A whole any-to-any model of tiny random parts: all the real code in well under two seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import build
from anyweave.model.spec import (
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
)
from anyweave.testing.decoders import MAX_TOKENS, WIDTH, write_tiny_decoder
from anyweave.testing.encoders import tiny_imagebind
from anyweave.testing.language import write_tiny_language_model

TINY_SIGNALS: Mapping[Modality, int] = {"image": 4, "video": 5, "audio": 3}
_OUTPUT = {
    "hidden_dim": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "ffn_dim": 32,
}
_INPUT = {"dim": 16, "tokens": [6, 3], "depths": [1, 1], "num_heads": 2}


def tiny_spec(folder: str | Path, **changes: Any) -> ModelSpec:
    """Write tiny frozen parts below `folder` (unless they exist) and return a spec of them.

    Sources are relative: build it with ``root=folder``. `changes` replace fields of the spec.
    Pictures are 16 x 16, clips 4 such frames, sounds 0.32 s; two denoising steps.
    """
    folder = Path(folder)
    if not (folder / "language").is_dir():
        write_tiny_language_model(folder / "language")
    if not (folder / "encoders" / "imagebind").is_dir():
        tiny_imagebind(towers=("vision", "audio")).save_pretrained(
            folder / "encoders" / "imagebind"
        )
    decoders: dict[Modality, DecoderSpec] = {}
    for modality in PAPER_MODALITIES:
        place = folder / "decoders" / modality
        if not place.is_dir():
            write_tiny_decoder(place, modality)
        decoders[modality] = DecoderSpec(
            source=f"./decoders/{modality}",
            conditioning_tokens=1 if modality == "audio" else MAX_TOKENS,
            conditioning_dim=WIDTH,
            num_inference_steps=2,
        )
    fields: dict[str, Any] = {
        "name": "tiny",
        "language": LanguageSpec(source="./language"),
        "template": "chatml",
        "lora": LoraSpec(r=2, alpha=4.0, target_modules=("q_proj", "v_proj")),
        "encoders": (
            EncoderSpec(
                type="imagebind", source="./encoders/imagebind", modalities=PAPER_MODALITIES
            ),
        ),
        "input_projector": ProjectorSpec(type="grouping", args=_INPUT, shared=True),
        "output_projectors": {
            m: ProjectorSpec(type="transformer", args=_OUTPUT) for m in PAPER_MODALITIES
        },
        "decoders": decoders,
        "signal_tokens": dict(TINY_SIGNALS),
    }
    return ModelSpec(**{**fields, **changes})


def tiny_model(folder: str | Path | None = None, *, seed: int = 0, **changes: Any) -> NextGPT:
    """`tiny_spec` built: a model that reads and generates everything, though only nonsense.

    Without `folder` the parts are in a temporary one that is removed at the end of the process.
    """
    if folder is None:
        folder = _temporary_parts()
    return build(tiny_spec(folder, **changes), root=folder, seed=seed)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _temporary_parts() -> Path:
    # Written once per process: decoders load on first use, so the folder must outlive the call.
    if not _kept:
        _kept.append(tempfile.TemporaryDirectory(prefix="anyweave-tiny-"))
    return Path(_kept[0].name)
