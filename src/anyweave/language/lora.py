"""LoRA adapters on the frozen language model (Hu et al., 2022; paper section 5: tuned in
instruction tuning only).

Adapters are float32 beside base weights of any type: activations are cast to the adapters' type and
the sum back. Legend: I inputs and O outputs of a layer, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from anyweave.language.causal_lm import CausalLM

DEFAULT_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


class LoraLinear(nn.Module):
    """``base(x) + alpha / r * B A dropout(x)``: a frozen linear layer, 4-bit ones too, and its
    adapter.

    A begins as a linear layer's matrix does, B at zero; `blank` leaves both to be read.
    """

    def __init__(
        self, base: nn.Linear, *, r: int, alpha: float, dropout: float, blank: bool = False
    ) -> None:
        super().__init__()
        self.base_layer = base
        self.scaling = alpha / r
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        self.enabled = True
        like = base.weight
        down, up = torch.empty(r, base.in_features), torch.empty(base.out_features, r)
        if not blank:
            # Three draws as peft makes them, rounded as peft rounds: a seed means the same there.
            for matrix in (down, up, down):
                nn.init.kaiming_uniform_(matrix, a=math.sqrt(5))
            down = down.to(like.dtype) if like.is_floating_point() else down
            up = up.zero_()
        self.lora_A = nn.Parameter(down.to(like.device).float(), requires_grad=False)
        self.lora_B = nn.Parameter(up.to(like.device).float(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The frozen matrix; some families look at its type."""
        return self.base_layer.weight

    def forward(self, inputs: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        base: Tensor = self.base_layer(inputs)
        if not self.enabled:
            return base
        low = functional.linear(self.dropout(inputs.to(self.lora_A.dtype)), self.lora_A)
        return (base + functional.linear(low, self.lora_B) * self.scaling).to(base.dtype)

    def folded(self) -> Float[Tensor, "O I"]:
        """The one matrix that says the same, in the base's type: added in float32, rounded once."""
        weight = self.weight.detach()
        if not self.enabled:
            return weight
        change = self.lora_B.detach().float() @ self.lora_A.detach().float() * self.scaling
        return (weight.float() + change).to(weight.dtype)


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
    linear = [
        (*name.rpartition(".")[::2], module)
        for name, module in lm.model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    for target in target_modules:
        if target not in (known := {own for _, own, _ in linear}):
            raise ValueError(
                f"LoRA target {target!r} names no linear layer; there are "
                f"{', '.join(sorted(known))}"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parent, own, module in linear:
            if own in target_modules:
                layer = LoraLinear(module, r=r, alpha=alpha, dropout=dropout, blank=blank)
                setattr(lm.model.get_submodule(parent), own, layer)
    lm.train(lm.training)


def has_lora(lm: CausalLM) -> bool:
    return any(True for _ in lora_layers(lm))


def lora_parameters(lm: CausalLM) -> dict[str, nn.Parameter]:
    """Adapter parameters by name, like ``model.layers.0.self_attn.q_proj.lora_A``; empty before
    `attach`.
    """
    return {
        f"{name}.{matrix}": getattr(module, matrix)
        for name, module in lm.model.named_modules()
        if isinstance(module, LoraLinear)
        for matrix in ("lora_A", "lora_B")
    }


def set_enabled(lm: CausalLM, enabled: bool) -> None:
    """Let adapters take part, or make the model its base self. What trains does not change."""
    for layer in lora_layers(lm):
        layer.enabled = enabled


@contextmanager
def adapters_disabled(lm: CausalLM) -> Iterator[None]:
    """Within the block the language model is its base self."""
    set_enabled(lm, False)
    try:
        yield
    finally:
        set_enabled(lm, True)


def lora_layers(lm: CausalLM) -> Iterator[LoraLinear]:
    """The adapted layers, in the model's order."""
    return (module for module in lm.model.modules() if isinstance(module, LoraLinear))
