"""How diffusers' pipelines differ, beyond what their signatures and configs say.

`PipelineDecoder` drives the pipelines named here. To add one, add a row here and a small pipeline
to the tests' table.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import diffusers

from anyweave.messages import Modality

_MASKS = ("prompt_attention_mask", "attention_mask", "prompt_embeds_mask")
_BOTH = ("prompt_embeds", "negative_prompt_embeds")
_MASKED = (
    "prompt_embeds",
    "prompt_attention_mask",
    "negative_prompt_embeds",
    "negative_prompt_attention_mask",
)
_POOLED = (*_BOTH, "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
# What the pipelines call the length of a sound in seconds.
_LENGTHS = ("audio_end_in_s", "audio_length_in_s", "audio_duration")


@dataclass(frozen=True, kw_only=True)
class Family:
    """One pipeline class of diffusers."""

    name: str
    modality: Modality
    encoded: tuple[str, ...] = ()
    """What `encode_prompt` returns, by the names of the call's arguments; "" is unused. If empty,
    it returns nothing usable, so we call the text encoder directly.
    """
    tokens: int = 0
    """Rows of an encoded caption beyond the signature's `max_sequence_length`, capped at the
    tokenizer's limit.
    """
    unguided: float = 1.0
    """Guidance scales up to this mean no guidance."""
    own_unconditional: bool = False
    """Guidance needs no embedding of the empty caption: the pipeline has its own."""
    constant: str | None = None
    """An output of `encode_prompt` beside the sequence; every reply uses its value for the empty
    caption. Only for pipelines whose call takes no embeddings.
    """
    guides: bool = True
    """Whether guidance exists at all; if not, the scale is an input of the denoiser."""
    distilled: bool = False
    """Supported only without guidance, with a distilled denoiser."""
    zero_padded: bool = False
    """Captions are padded to full length with zeros that the denoiser sees."""
    fps: float | None = None

    @property
    def type(self) -> Any:
        return getattr(diffusers, self.name)

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """The call's arguments with their defaults."""
        parameters = inspect.signature(inspect.unwrap(self.type.__call__)).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

    def argument(self, *names: str) -> str | None:
        """The first of `names` that the call accepts."""
        return next((name for name in names if name in self.arguments), None)

    @property
    def mask(self) -> str | None:
        """The argument that says which rows count; None if all do."""
        return self.argument(*_MASKS) or next((n for n in self.encoded if n == "mask"), None)

    @property
    def length(self) -> str | None:
        return self.argument(*_LENGTHS)

    @property
    def guidance(self) -> str:
        return self.argument("true_cfg_scale") or "guidance_scale"

    def encoding_options(self, count: int) -> dict[str, Any]:
        """The arguments that the call itself would pass to `encode_prompt`."""
        taken = inspect.signature(inspect.unwrap(self.type.encode_prompt)).parameters
        options = {
            name: self.arguments[name]
            for name in taken
            if self.arguments.get(name) not in (None, inspect.Parameter.empty)
            and name not in ("negative_prompt", "guidance_scale")
        }
        return options | ({"lyrics": [""] * count} if "lyrics" in taken else {})


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(name="StableDiffusionXLPipeline", modality="image", encoded=_POOLED, tokens=77),
        # CLIP's 77 rows, and T5's.
        Family(name="StableDiffusion3Pipeline", modality="image", encoded=_POOLED, tokens=77),
        Family(
            name="FluxPipeline",
            modality="image",
            encoded=("prompt_embeds", "pooled_prompt_embeds", ""),
        ),
        Family(name="SanaPipeline", modality="image", encoded=_MASKED),
        Family(
            name="SanaSprintPipeline",
            modality="image",
            encoded=_MASKED[:2],
            guides=False,
        ),
        Family(name="PixArtSigmaPipeline", modality="image", encoded=_MASKED),
        Family(name="Lumina2Pipeline", modality="image", encoded=_MASKED),
        Family(name="ZImagePipeline", modality="image", encoded=_BOTH, unguided=0.0),
        Family(
            name="QwenImagePipeline",
            modality="image",
            encoded=("prompt_embeds", "prompt_embeds_mask"),
        ),
        Family(name="WanPipeline", modality="video", encoded=_BOTH, zero_padded=True, fps=16.0),
        Family(name="LTXPipeline", modality="video", encoded=_MASKED),
        Family(name="StableAudioPipeline", modality="audio", tokens=128, own_unconditional=True),
        Family(
            name="AudioLDM2Pipeline",
            modality="audio",
            encoded=("prompt_embeds", "attention_mask", "generated_prompt_embeds"),
            tokens=512,
        ),
        Family(
            name="AceStepPipeline",
            modality="audio",
            encoded=("prompt_embeds", "mask", "lyrics", "constant_mask"),
            constant="lyrics",
            tokens=256,
            distilled=True,  # guidance of the other variants depends on earlier steps
        ),
    )
}
