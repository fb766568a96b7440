"""LoRA adapters on the frozen language model (paper section 5: tuned in instruction tuning only),
through peft.

Adapters are float32 beside base weights of any type: peft casts activations to the adapter's type
and the sum back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn

from anyweave.language.causal_lm import CausalLM

DEFAULT_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
_ADAPTER = "default"


def attach(
    lm: CausalLM,
    r: int = 32,
    alpha: float = 32.0,
    dropout: float = 0.1,
    target_modules: Sequence[str] = DEFAULT_TARGETS,
    seed: int = 0,
    blank: bool = False,
) -> None:
    """Add adapters, frozen for now, to every linear layer whose name ends in one of
    `target_modules`.

    A is drawn with `seed`; B starts at zero, so outputs are unchanged until training. `blank`
    leaves both to be read. Raises `ValueError` when adapters are already there, a target names no
    layer or `r` is not positive.
    """
    if has_lora(lm):
        raise ValueError("this language model already has LoRA adapters; attach them once")
    if r < 1:
        raise ValueError(f"LoRA rank r is {r}; it is at least 1")
    names = {
        name.rsplit(".", 1)[-1] for name, m in lm.model.named_modules() if isinstance(m, nn.Linear)
    }
    for target in target_modules:
        if target not in names:
            raise ValueError(
                f"LoRA target {target!r} names no linear layer; there are "
                f"{', '.join(sorted(names))}"
            )
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(target_modules),
        bias="none",
        init_lora_weights=not blank,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, lm.model, adapter_name=_ADAPTER)
    for parameter in lora_parameters(lm).values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(False)
    lm.train(lm.training)


def has_lora(lm: CausalLM) -> bool:
    return any(True for _ in lora_layers(lm))


def lora_parameters(lm: CausalLM) -> dict[str, nn.Parameter]:
    """Adapter parameters by name, like ``model.layers.0.self_attn.q_proj.lora_A``; empty before
    `attach`.
    """
    return {
        f"{name}.{matrix}": getattr(module, matrix)[_ADAPTER].weight
        for name, module in lm.model.named_modules()
        if isinstance(module, LoraLayer)
        for matrix in ("lora_A", "lora_B")
    }


def set_enabled(lm: CausalLM, enabled: bool) -> None:
    """Let adapters take part, or make the model its base self. What trains does not change."""
    trains = {name: p.requires_grad for name, p in lora_parameters(lm).items()}
    for layer in lora_layers(lm):
        layer.enable_adapters(enabled)
    # peft ties "enabled" to requires_grad; here stages alone decide what trains.
    for name, parameter in lora_parameters(lm).items():
        parameter.requires_grad_(trains[name])


@contextmanager
def adapters_disabled(lm: CausalLM) -> Iterator[None]:
    """Within the block the language model is its base self."""
    set_enabled(lm, False)
    try:
        yield
    finally:
        set_enabled(lm, True)


def lora_layers(lm: CausalLM) -> Iterator[LoraLayer]:
    """The adapted layers, in the model's order."""
    return (module for module in lm.model.modules() if isinstance(module, LoraLayer))
