"""Sizes of a spec's frozen parts without their weights: from architectures on the meta device, or
from safetensors headers where only another package can build the part.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from anyweave import encoders
from anyweave.model.architectures import (
    ARCHITECTURES,
    Architecture,
    architecture,
    build_encoder,
    parameter_count,
)
from anyweave.model.build import describes, resolve_source
from anyweave.model.spec import EncoderSpec, ModelSpec
from anyweave.tensors import explained


def _architecture(source: str, root: Path | None) -> Architecture | None:
    # By name first: a public part in the models folder is still the public part.
    return ARCHITECTURES.get(source) or architecture(resolve_source(source, root))


def meta_language(spec: ModelSpec, root: Path | None) -> Any:
    """The language model on the meta device; None if its configuration is not available."""
    found = _architecture(spec.language.source, root)
    if found is not None:
        return found.build()["model"]
    source = resolve_source(spec.language.source, root)
    try:
        config = AutoConfig.from_pretrained(
            str(source), revision=spec.language.revision, trust_remote_code=False
        )
    except (OSError, ValueError):
        return None
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def encoder_shape(part: EncoderSpec, root: Path | None) -> tuple[int | None, int | None]:
    """Parameter count and feature width; None where only the weights would tell."""
    known = ARCHITECTURES.get(part.source)
    counted = part.type == "transformers" and part.feature_dim is not None
    if known is not None and (counted or describes(part)):
        return sum(known.parameters.values()), part.feature_dim
    encoder: Any = None
    source = resolve_source(part.source, root)
    if known is not None:
        encoder = build_encoder(part)
    elif isinstance(source, Path):
        skeleton = getattr(encoders.resolve(part.type), "skeleton", None)
        encoder = None if skeleton is None else skeleton(source, **part.args)
    if encoder is None:
        return stored_parameters(source), part.feature_dim
    return parameter_count(encoder), part.feature_dim or int(encoder.feature_dim)


def network_parameters(source: str, root: Path | None) -> dict[str, int]:
    """A decoder's parameter count by network; empty if its architecture is not known."""
    found = _architecture(source, root)
    return {} if found is None else found.parameters


def quantizable_parameters(language: Any) -> int:
    """Number of weights in the language model's linear layers, except its head."""
    head = language.get_output_embeddings()
    linear = [m for m in language.modules() if isinstance(m, nn.Linear) and m is not head]
    return sum(module.weight.numel() for module in linear)


def stored_parameters(source: str | Path) -> int | None:
    """Number of weights in a safetensors file or a folder of them, from the headers alone. Integer
    buffers are not counted; the few floating-point ones are.
    """
    given = Path(source)
    files = [given] if given.is_file() else sorted(given.rglob("*.safetensors"))
    files = [path for path in files if path.name != "unconditional.safetensors"]
    if not files:
        return None
    total = 0
    for path in files:
        with explained(str(path)), safe_open(path, framework="pt") as stored:
            slices = [stored.get_slice(key) for key in stored.keys()]  # noqa: SIM118
        total += sum(math.prod(s.get_shape()) for s in slices if "F" in s.get_dtype())
    return total
