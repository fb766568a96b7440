"""LoRA on the frozen language model (paper section 5: trained only in instruction tuning)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from peft.tuners.lora import LoraLayer
from torch import nn

from anyweave.adapters import adapter_layers, adapter_parameters, attach_adapters
from anyweave.language.causal_lm import CausalLM

DEFAULT_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


def attach(
    lm: CausalLM,
    r: int = 32,
    alpha: float = 32.0,
    dropout: float = 0.1,
    target_modules: Sequence[str] = DEFAULT_TARGETS,
    seed: int = 0,
    blank: bool = False,
) -> None:
    """Add adapters to linear layers; see `attach_adapters`. Also raises `ValueError` if the model
    already has adapters.
    """
    if has_lora(lm):
        raise ValueError("this language model already has LoRA adapters; attach them once")
    attach_adapters(
        lm.model,
        r=r,
        alpha=alpha,
        dropout=dropout,
        target_modules=target_modules,
        seed=seed,
        blank=blank,
        kinds=(nn.Linear,),
    )
    lm.train(lm.training)


def has_lora(lm: CausalLM) -> bool:
    return any(True for _ in lora_layers(lm))


def lora_parameters(lm: CausalLM) -> dict[str, nn.Parameter]:
    """The language model's `adapter_parameters`."""
    return adapter_parameters(lm.model)


def lora_layers(lm: CausalLM) -> Iterator[LoraLayer]:
    """The adapted layers, in the model's order."""
    return adapter_layers(lm.model)
