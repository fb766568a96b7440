"""Replaces a model's decoder: the new one's sizes are read from its own files, and its output
projector is reinitialised.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from anyweave.decoders.opening import open_decoder
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import Reading, assemble, decoder_pool, resolve_source
from anyweave.model.decoder_pool import DecoderPool
from anyweave.model.sources import missing_weights_explained
from anyweave.model.spec import DecoderSpec, ModelSpec

logger = logging.getLogger(__name__)

Replacements = Mapping[Modality, str | Path | DecoderSpec]
_DEFAULT_STEPS = 20
# Options for how a decoder is held in memory, inherited by its replacement.
_KEPT = ("dtype", "offload", "vae_slicing", "vae_tiling")


def with_decoders(
    model: NextGPT,
    replacements: Replacements,
    how: Reading,
    *,
    seed: int = 0,
) -> NextGPT:
    """The model with other decoders, each a folder, a hub id or a `DecoderSpec`.

    All other parts are shared with `model`. The output projectors of replaced decoders are
    reinitialised; a warning says so.

    Raises `ValueError` for a modality that the model does not make, and for anything that is not a
    decoder.
    """
    found = {
        modality: _decoder_spec(modality, model.spec, given, how)
        for modality, given in replacements.items()
    }
    projectors = {
        modality: replace(part, normalize=found[modality].conditioning_tokens == 1)
        if modality in found
        else part
        for modality, part in model.spec.output_projectors.items()
    }
    spec = replace(
        model.spec, decoders={**model.spec.decoders, **found}, output_projectors=projectors
    )
    pool = decoder_pool(spec, replace(how, root=model.root))
    pool.adapt({m: held for m, held in model.decoders.adapters.items() if m not in found})
    spec = _with_old_adapters(spec, model, pool, replacements)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        perception: dict[Any, Any] = dict(model.encoders.items())
        swapped = assemble(spec, model.language, perception, pool, root=model.root)
    swapped.input_projectors.load_state_dict(model.input_projectors.state_dict())
    for modality, projector in model.output_projectors.items():
        if modality not in found:
            swapped.output_projectors[modality].load_state_dict(projector.state_dict())
    swapped.to(model.device)
    for modality, part in found.items():
        _tell(modality, part, spec)
    return swapped


def _with_old_adapters(
    spec: ModelSpec, model: NextGPT, pool: DecoderPool, replacements: Replacements
) -> ModelSpec:
    """Carry the adapters of replaced decoders over where they fit; otherwise warn and drop them."""
    parts = dict(spec.decoders)
    for modality, held in model.decoders.adapters.items():
        if modality not in replacements or isinstance(replacements[modality], DecoderSpec):
            continue
        try:
            pool.adapt({modality: held})
            pool[modality].denoiser  # noqa: B018  (loading it attaches them)
        except ValueError as error:
            pool.adapters.pop(modality)
            pool.unload(modality)
            logger.warning("%s, so they are left out", error)
        else:
            parts[modality] = replace(parts[modality], lora=held.part)
    return replace(spec, decoders=parts)


def _decoder_spec(
    modality: Modality,
    spec: ModelSpec,
    given: str | Path | DecoderSpec,
    how: Reading,
) -> DecoderSpec:
    """The spec of a decoder, from its files. Reads its configs, no weights."""
    if modality not in spec.decoders:
        raise ValueError(
            f"decoders names {modality!r}, which {spec.name} does not make; it makes "
            f"{', '.join(spec.decoders) or 'text only'}"
        )
    if isinstance(given, DecoderSpec):
        return given
    folder = Path(given).expanduser()
    # A spec's "./x" is relative to the checkpoint; a caller's path is not.
    source = str(folder.resolve()) if folder.is_dir() else str(given)
    old = spec.decoders[modality]
    args = {name: old.args[name] for name in _KEPT if name in old.args}
    options = args if how.dtype is None else {**args, "dtype": how.dtype}
    where = resolve_source(source, None)
    with missing_weights_explained(f"{modality} decoder", where):
        decoder = open_decoder(old.type, modality, where, options, how.hub)
    tokens, width = decoder.conditioning_shape
    # Guidance, sizes and rates stay the decoder's own: a spec holds only overrides.
    return DecoderSpec(
        source=source,
        conditioning_tokens=tokens,
        conditioning_dim=width,
        type=old.type,
        num_inference_steps=decoder.defaults.num_inference_steps or _DEFAULT_STEPS,
        args=args,
    )


def _tell(modality: Modality, part: DecoderSpec, spec: ModelSpec) -> None:
    what = (
        f"{part.source} is the {modality} decoder of {spec.name} now: "
        f"{part.conditioning_tokens} conditioning tokens of width {part.conditioning_dim}."
    )
    if spec.bridge == "caption":
        logger.warning(
            "%s The bridge is the caption, which works at once. The %s output projector is "
            "untrained: bridge='signal' needs stage 2 first",
            what,
            modality,
        )
    else:
        logger.warning(
            "%s The bridge of %s is untrained until stage 2 (anyweave train stage2): its output "
            "projector is new. bridge='caption' works at once",
            what,
            modality,
        )
