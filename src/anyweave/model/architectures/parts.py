"""Builds a spec's frozen parts from their architectures alone: the real classes, random weights.

For counting (on the meta device) and for benchmarks (on any device). Anything that needs files,
mainly tokenizers, is omitted: a decoder built here samples and learns, but cannot read captions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anyweave import decoders, encoders
from anyweave.decoders.families import FAMILIES
from anyweave.decoders.folder import DecoderDefaults
from anyweave.decoders.pipeline_decoder import PipelineDecoder
from anyweave.decoders.pipeline_parts import PipelineParts, is_captioning
from anyweave.messages import Modality
from anyweave.model.architectures.lookup import ARCHITECTURES, Architecture, architecture
from anyweave.model.spec import DecoderSpec, EncoderSpec, LanguageSpec

NETWORKS_FOR_REPLIES = ("unet", "vae", "scheduler", "vocoder")


def known_architecture(source: str | Path) -> Architecture:
    """Like `architecture`, but raises `ValueError` for an unknown source, listing known ones."""
    found = architecture(source)
    if found is None:
        raise ValueError(
            f"the architecture of {str(source)!r} is not known here: it is no folder with config "
            f"files, and none of {', '.join(ARCHITECTURES)}"
        )
    return found


def build_language_model(
    part: LanguageSpec,
    *,
    device: torch.device | str = "meta",
    dtype: torch.dtype = torch.float32,
    of: Architecture | None = None,
) -> Any:
    """The spec's causal language model, as transformers' own class, with random weights. Here and
    below, `of` replaces the architecture of the spec's source.
    """
    found = of or known_architecture(part.source)
    return found.build(device=device, dtype=dtype)["model"]


def build_encoder(
    part: EncoderSpec,
    *,
    device: torch.device | str = "meta",
    dtype: torch.dtype = torch.float32,
    of: Architecture | None = None,
) -> nn.Module:
    """The spec's encoder, behind the `Encoder` protocol, with random weights.

    Raises `ValueError` for encoder types other than imagebind and transformers.
    """
    found = of or known_architecture(part.source)
    kind: Any = encoders.resolve(part.type)
    if part.type == "imagebind":
        sizes = {name: value for name, value in part.args.items() if name != "dtype"}
        model = found.components["model"]
        model = replace(model, config={**model.config, **sizes})
        encoder: nn.Module = model.build(device=device, dtype=dtype)
    elif part.type == "transformers":
        made = found.build(device=device, dtype=dtype)
        encoder = kind(made["model"], made["processor"], **part.args)
    else:
        raise ValueError(f"only imagebind and transformers encoders can be built so: {part.type!r}")
    return encoder.requires_grad_(False).eval()


def build_decoder(
    modality: Modality,
    part: DecoderSpec,
    *,
    device: torch.device | str = "meta",
    dtype: torch.dtype = torch.float32,
    only: Iterable[str] = NETWORKS_FOR_REPLIES,
    of: Architecture | None = None,
) -> Any:
    """The spec's decoder with random weights and a zero unconditional embedding, without its text
    encoder unless `only` names it.
    """
    found = of or known_architecture(part.source)
    family = FAMILIES.get(found.pipeline or "")
    if family is not None:
        only = [name for name in found.components if not is_captioning(name)]
    made = found.build(device=device, dtype=dtype, only=[n for n in only if n in found.components])
    shape = (1, part.conditioning_tokens, part.conditioning_dim)
    unconditional = torch.zeros(shape, device=device, dtype=dtype)
    defaults = DecoderDefaults(**part.defaults)
    if family is not None:
        scheduler = made.pop("scheduler")
        parts = PipelineParts(networks=made, small={"scheduler": lambda: scheduler})
        return PipelineDecoder(family, parts, unconditional=unconditional, defaults=defaults)
    kind = decoders.resolve(part.type)
    return kind(modality, **made, unconditional=unconditional, defaults=defaults)
