"""A narrower spec: the same layers, tokens and steps but fewer channels, so that a small machine
can run all of the code.

A narrow model's speed says nothing about the full one; reports name the scale.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from anyweave import projectors
from anyweave.model.architectures import Architecture, Component
from anyweave.model.spec import ModelSpec, ProjectorSpec

STEP = 32
"""Widths are multiples of this: group norms have 32 groups."""
_WIDTHS = ("block_out_channels", "upsample_initial_channel")
# Width, heads and what scales with them, as transformers and ImageBind name them.
_ATTENTION = (
    ("hidden_size", "num_attention_heads", ("intermediate_size",), "num_key_value_heads"),
    ("d_model", "encoder_attention_heads", ("encoder_ffn_dim",), None),
    ("vision_width", "vision_heads", (), None),
    ("audio_width", "audio_heads", (), None),
)
_PROJECTOR_WIDTHS = ("dim", "hidden_dim", "ffn_dim")


def narrow_architecture(found: Architecture, scale: float) -> Architecture:
    """The architecture with every width times `scale`; depths, vocabularies and the interfaces
    between parts (conditioning, latents) stay.
    """
    components = {
        name: Component(part.kind, narrow_config(_defaults(part) | dict(part.config), scale))
        if part.is_module
        else part
        for name, part in found.components.items()
    }
    return replace(found, components=components)


def narrow_config(config: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """A configuration with its widths times `scale`, rounded to what its layers need."""
    made = dict(config)
    for name in _WIDTHS:
        if name in made:
            made[name] = _narrow(made[name], scale)
    # A list here repeats the channels (self-attention of AudioLDM's latents); a number is the
    # conditioning width, which the spec states.
    if isinstance(made.get("cross_attention_dim"), (list, tuple)):
        made["cross_attention_dim"] = _narrow(made["cross_attention_dim"], scale)
    if "block_out_channels" in made and isinstance(made.get("attention_head_dim"), int):
        made["attention_head_dim"] = min(made["attention_head_dim"], *made["block_out_channels"])
    for width, heads, others, shared_heads in _ATTENTION:
        if width not in made or heads not in made:
            continue
        groups = made[heads] // (made.get(shared_heads or "") or made[heads])
        count = max(1, round(made[heads] * scale / groups)) * groups
        made[width] = count * (made[width] // made[heads])
        made[heads] = count
        if shared_heads in made:
            made[shared_heads] = count // groups
        made |= {name: _narrow(made[name], scale) for name in others if name in made}
    return made


def narrow_spec(spec: ModelSpec, scale: float) -> ModelSpec:
    """The spec with narrower projectors; its frozen parts keep their names."""
    given = spec.input_projector
    return replace(
        spec,
        input_projector=_narrow_projector("input", given, scale)
        if isinstance(given, ProjectorSpec)
        else {m: _narrow_projector("input", part, scale) for m, part in given.items()},
        output_projectors={
            m: _narrow_projector("output", part, scale)
            for m, part in spec.output_projectors.items()
        },
    )


def _narrow_projector(
    side: Literal["input", "output"], part: ProjectorSpec, scale: float
) -> ProjectorSpec:
    known = inspect.signature(projectors.resolve(side, part.type)).parameters
    widths = {
        name: _narrow(part.args.get(name, known[name].default), scale)
        for name in _PROJECTOR_WIDTHS
        if name in known
    }
    return replace(part, args={**part.args, **widths})


def _narrow(width: Any, scale: float) -> Any:
    if isinstance(width, (list, tuple)):
        return [_narrow(one, scale) for one in width]
    return max(STEP, round(width * scale / STEP) * STEP)


def _defaults(part: Component) -> dict[str, Any]:
    """The default arguments of a class built from flat arguments (ImageBind)."""
    if hasattr(part.type, "config_class") or hasattr(part.type, "from_config"):
        return {}
    return asdict(part.build().config)
