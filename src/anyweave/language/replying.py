"""The language model as replies use it, with its adapters folded into copies of the matrices they
adapt and, on request, 8-bit weights.

A view shares every module and parameter that it does not replace, and replaces modules only in its
own tree. Training and saving see the model unchanged, whatever replies do meanwhile.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from anyweave.adapters import foldable, folded, shadow
from anyweave.language.attention import GROUPED, attend_with, takes_grouped
from anyweave.language.causal_lm import CausalLM
from anyweave.language.int8 import Int8Linear
from anyweave.language.lora import lora_layers, lora_parameters
from anyweave.language.quantization import is_quantized

ReplyQuantization = Literal["int8"]


def for_replies(
    lm: CausalLM, *, merge: bool = True, quantization: ReplyQuantization | None = None
) -> CausalLM:
    """An equivalent, faster view of `lm`. It is kept on `lm` and rebuilt when adapters or base
    matrices have changed since; if there is nothing to replace, it is `lm` itself.

    Args:
        merge: fold adapters in. Takes one more copy of each adapted matrix.
        quantization: "int8" adds 8-bit copies of the linear layers, for steps of a few tokens on a
            CPU (`int8.Int8Linear`). Folds adapters in too.

    Raises:
        ValueError: 8-bit weights on a device other than a CPU, or of a 4-bit model.
    """
    if quantization is not None:
        _check_int8(lm)
    layers = list(lora_layers(lm))
    fold = bool(layers) and all(map(foldable, layers))
    fold = fold and (merge or quantization is not None)
    if not fold and quantization is None:
        return lm
    kept: _View | None = lm.view_for_replies
    if kept is None or not kept.is_of(lm, fold, quantization):
        lm.view_for_replies = None  # free the old copies before making new ones
        kept = lm.view_for_replies = _View(lm, fold, quantization)
    return kept.language


class _View:
    """A view, and what it was made from, to detect when it is out of date.

    Adapters are compared by value: optimizers and `.data` may write without bumping a version
    counter.
    """

    def __init__(self, lm: CausalLM, fold: bool, quantization: ReplyQuantization | None) -> None:
        self.choices = (fold, quantization)
        self.base = _base_state(lm)
        self.adapters = {n: p.detach().clone() for n, p in lora_parameters(lm).items()}

        def replace(module: nn.Module) -> nn.Module | None:
            linear: nn.Module | None = module
            if isinstance(module, LoraLayer):
                linear = folded(module) if fold else None
            if quantization == "int8" and type(linear) is nn.Linear:
                return Int8Linear(linear)
            return None if linear is module else linear

        with torch.no_grad(), torch.inference_mode(False):
            self.language: CausalLM = shadow(lm, replace)
        if takes_grouped(lm.model):
            attend_with(self.language, GROUPED)
        self.language.view_for_replies = None

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """Not copied: a copy of the language model makes its own view when it replies."""

    def is_of(self, lm: CausalLM, fold: bool, quantization: ReplyQuantization | None) -> bool:
        now = lora_parameters(lm)
        return (
            self.choices == (fold, quantization)
            and self.base == _base_state(lm)
            and self.adapters.keys() == now.keys()
            and all(_equal(self.adapters[name], parameter) for name, parameter in now.items())
        )


def _base_state(lm: CausalLM) -> list[Any]:
    """What the replaced modules take from the frozen model: which tensors, and which adapters are
    active.
    """
    weights = [m.weight for m in lm.model.modules() if isinstance(m, nn.Linear)]
    versions = [0 if w.is_inference() else w._version for w in weights]
    seen = [(w.data_ptr(), w.dtype, v) for w, v in zip(weights, versions, strict=True)]
    switches = [(m.disable_adapters, bool(m.merged), *m.active_adapters) for m in lora_layers(lm)]
    return [lm.device, seen, switches]


def _equal(kept: Tensor, now: Tensor) -> bool:
    return kept.device == now.device and torch.equal(kept, now.detach())


def _check_int8(lm: CausalLM) -> None:
    if lm.device.type != "cpu":
        raise ValueError(
            f"quantization='int8' is for CPUs, the language model is on {lm.device}; leave it out, "
            "or load the model with quantization='nf4' to save memory"
        )
    if is_quantized(lm.model):
        raise ValueError(
            "quantization='int8' needs the plain weights, this language model was loaded in 4 "
            "bits; load it without quantization"
        )
