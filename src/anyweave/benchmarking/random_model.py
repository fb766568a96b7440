"""A system of the real classes with random weights: nothing is read or downloaded, and text is
tokenised as bytes.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import torch

from anyweave.benchmarking.scaling import narrow_architecture, narrow_spec
from anyweave.language import CausalLM, lora
from anyweave.language.byte_tokenizer import byte_tokenizer
from anyweave.messages import Modality
from anyweave.model import NextGPT
from anyweave.model.architectures import (
    Architecture,
    architecture,
    build_decoder,
    build_encoder,
    build_language_model,
)
from anyweave.model.build import assemble
from anyweave.model.decoder_pool import DecoderPool
from anyweave.model.lazy_encoder import LazyEncoder
from anyweave.model.spec import ModelSpec
from anyweave.processing.native import NATIVE


def random_model(
    spec: ModelSpec,
    *,
    scale: float = 1.0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> NextGPT:
    """The model of `spec` with random weights, created directly on `device`: frozen parts in
    `dtype`, encoders and decoders on first use.

    `scale` below 1 makes every part narrower. Raises `ValueError` for a part of unknown
    architecture, or a scale outside (0, 1].
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale is a share of the widths, above 0 and at most 1, got {scale}")
    if spec.calls == "words":
        raise ValueError(
            f"{spec.name} is a cascade, whose captions need real tokenizers: it cannot be timed "
            "with random weights; load it, and see the seconds in the usage of its replies"
        )
    spec = narrow_spec(spec, scale) if scale < 1 else spec
    if spec.template == NATIVE:  # belongs to a tokenizer we do not have
        spec = replace(spec, template="chatml")
    torch.manual_seed(seed)
    language = CausalLM(
        build_language_model(
            spec.language, device=device, dtype=dtype, of=_narrow(spec.language.source, scale)
        ),
        byte_tokenizer(),
        num_signals=sum(spec.signal_tokens.values()),
        seed=seed,
    )
    if spec.lora is not None:
        lora.attach(language, **asdict(spec.lora))
    perception: dict[Modality, torch.nn.Module] = {}
    for part in spec.encoders:
        build = partial(build_encoder, part, of=_narrow(part.source, scale))
        encoder = LazyEncoder(build(device="meta"), partial(build, device=device, dtype=dtype))
        perception |= dict.fromkeys(part.modalities, encoder)
    loaders = {
        modality: partial(
            build_decoder,
            modality,
            part,
            device=device,
            dtype=dtype,
            of=_narrow(part.source, scale),
        )
        for modality, part in spec.decoders.items()
    }
    model = assemble(spec, language, perception, DecoderPool(loaders))
    return model.to(device)


def _narrow(source: str, scale: float) -> Architecture | None:
    found = architecture(source) if scale < 1 else None
    return found and narrow_architecture(found, scale)
