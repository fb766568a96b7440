"""Adds a modality to a model: it keeps all its parts and gets bridges for the new ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from anyweave import decoders
from anyweave.messages import MediaKind, Modality, kind_of
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import Reading, assemble, build_encoders, decoder_pool
from anyweave.model.spec import DecoderSpec, EncoderSpec, ModelSpec, ProjectorSpec
from anyweave.processing import SignalTokens

logger = logging.getLogger(__name__)


def with_modality(
    model: NextGPT,
    modality: Modality,
    *,
    encoder: EncoderSpec | None = None,
    decoder: DecoderSpec | None = None,
    input_projector: ProjectorSpec | None = None,
    output_projector: ProjectorSpec | None = None,
    signal_tokens: int | None = None,
    seed: int = 0,
) -> NextGPT:
    """The model with an encoder, a decoder or both for a new modality; by default those that the
    media kind provides.

    All other parts are shared with `model`, whose behaviour does not change. New are the
    projectors, by default of the type used for other modalities, and the rows of `signal_tokens`
    signal tokens (None: the kind's default). They are initialised at random and learn in stages 1
    to 3; a warning says so.

    Raises `ValueError` for a modality that the model already has, and for parts that do not fit.
    """
    kind = kind_of(modality)
    if encoder is None and decoder is None:
        encoder, decoder = _brought(kind)
    spec = model.spec
    if encoder is not None:
        spec = _reading(spec, modality, encoder, input_projector)
    if decoder is not None:
        count = kind.signal_tokens if signal_tokens is None else signal_tokens
        spec = _making(spec, modality, decoder, output_projector, count)
    how = Reading(root=model.root)
    old, base = model.processor.signals, model.language.base_vocab_size
    new = SignalTokens(spec.signal_tokens, base)
    origins = [
        i - base if m in old.modalities else None
        for m in new.modalities
        for i in (old.ids(m) if m in old.modalities else new.ids(m))
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        perception: dict[Any, Any] = dict(model.encoders.items())
        if encoder is not None:
            perception |= build_encoders((encoder,), how, lazy=False)
        made = assemble(
            spec,
            model.language.with_signals(origins, seed=seed),
            perception,
            model.decoders.joined(decoder_pool(spec, how)),
            root=model.root,
        )
    for role in ("input_projectors", "output_projectors"):
        for name, projector in getattr(model, role).items():
            getattr(made, role)[name].load_state_dict(projector.state_dict())
    new_parts = ["projectors"] * (kind.said is None or encoder is not None)
    new_parts += ["signal tokens"] * (decoder is not None)
    told = "%s has %s now: its %s are untrained until stages 1 to 3"
    logger.warning(told, spec.name, modality, " and ".join(new_parts))
    return made.to(model.device)


def _brought(kind: MediaKind) -> tuple[EncoderSpec | None, DecoderSpec | None]:
    """The parts that a kind provides, as specs of a type of its name. They load their weights."""
    encoder = decoder = None
    if kind.encoder is not None:
        encoder = EncoderSpec(type=kind.name, source=kind.name, modalities=(kind.name,))
    if kind.decoder is not None:
        made = decoders.resolve(kind.name).from_pretrained(kind.name, kind.name)
        tokens, width = made.conditioning_shape
        decoder = DecoderSpec(
            type=kind.name,
            source=kind.name,
            conditioning_tokens=tokens,
            conditioning_dim=width,
        )
    if encoder is None and decoder is None:
        raise ValueError(
            f"with_modality needs an encoder or a decoder of {kind.name}: the kind brings none"
        )
    return encoder, decoder


def _reading(
    spec: ModelSpec, modality: Modality, encoder: EncoderSpec, projector: ProjectorSpec | None
) -> ModelSpec:
    if tuple(encoder.modalities) != (modality,):
        raise ValueError(f"the encoder of {modality} reads {', '.join(encoder.modalities)}")
    projectors = {m: spec.input_projector_for(m) for m in spec.input_modalities}
    one = next(iter(projectors.values()), ProjectorSpec(type="grouping"))
    # The new modality gets its own projector: its features may have another width.
    projectors[modality] = projector or replace(one, shared=False)
    return replace(spec, encoders=(*spec.encoders, encoder), input_projector=projectors)


def _making(
    spec: ModelSpec,
    modality: Modality,
    decoder: DecoderSpec,
    projector: ProjectorSpec | None,
    count: int,
) -> ModelSpec:
    if modality in spec.decoders:
        raise ValueError(
            f"{spec.name} makes {modality} already; load it with decoders={{{modality!r}: ...}}"
        )
    projectors: Mapping[Modality, ProjectorSpec] = spec.output_projectors
    if kind_of(modality).said is None:
        one = next(iter(projectors.values()), ProjectorSpec(type="transformer"))
        projectors = {**projectors, modality: projector or replace(one, normalize=False)}
    return replace(
        spec,
        decoders={**spec.decoders, modality: decoder},
        output_projectors=projectors,
        signal_tokens={**spec.signal_tokens, modality: count},
    )
