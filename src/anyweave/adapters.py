"""Low-rank adapters on any frozen network (LoRA, Hu et al., 2021), through peft.

Adapters are float32 beside base weights of any type: peft casts activations to the adapter's type
and the sum back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

ADAPTER = "default"
_ADAPTABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def attach_adapters(
    network: nn.Module,
    *,
    r: int,
    alpha: float,
    target_modules: Sequence[str],
    dropout: float = 0.0,
    seed: int = 0,
    blank: bool = False,
    kinds: tuple[type[nn.Module], ...] = _ADAPTABLE,
) -> None:
    """Add adapters, frozen for now, to every layer of `kinds` whose name is, or ends in, one of
    `target_modules`; empty means all of them.

    A is drawn with `seed`; B starts at zero, so outputs are unchanged until training. `blank`
    leaves both to be loaded. Raises `ValueError` if a target names no layer or `r` is not positive.
    """
    if r < 1:
        raise ValueError(f"LoRA rank r is {r}; it is at least 1")
    names = [name for name, module in network.named_modules() if isinstance(module, kinds)]
    chosen: list[str] = [] if target_modules else names
    for target in target_modules:
        found = [name for name in names if f".{name}".endswith(f".{target}")]
        if not found:
            layer = "linear layer" if kinds == (nn.Linear,) else "layer that can be adapted"
            there = sorted({name.rsplit(".", 1)[-1] for name in names})
            raise ValueError(
                f"LoRA target {target!r} names no {layer}; there are {', '.join(there)}"
            )
        chosen += found
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(dict.fromkeys(chosen)),
        bias="none",
        init_lora_weights=not blank,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    for parameter in adapter_parameters(network).values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(False)


def adapter_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Adapter parameters by name, like ``model.layers.0.self_attn.q_proj.lora_A``; empty before
    `attach_adapters`.
    """
    return {
        f"{name}.{matrix}": getattr(module, matrix)[ADAPTER].weight
        for name, module in network.named_modules()
        if isinstance(module, LoraLayer)
        for matrix in ("lora_A", "lora_B")
    }


def put_adapters(network: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    """Make the adapters of `network` use these very parameters, moved to its devices.

    Raises `ValueError` if names or shapes are not the network's.
    """
    own = adapter_parameters(network)
    for name in sorted(own.keys() ^ parameters.keys()):
        there, here = ("has", "lack it") if name in own else ("has no", "have it")
        raise ValueError(f"the network {there} {name}, and the adapters {here}")
    for name, parameter in own.items():
        if parameter.shape != parameters[name].shape:
            given, wanted = list(parameters[name].shape), list(parameter.shape)
            raise ValueError(f"{name} has shape {given}, the network needs {wanted}")
    for name, layer in network.named_modules():
        if isinstance(layer, LoraLayer):
            for matrix in ("lora_A", "lora_B"):
                put = parameters[f"{name}.{matrix}"]
                put.data = put.data.to(layer.get_base_layer().weight.device)
                getattr(layer, matrix)[ADAPTER].weight = put


def adapter_layers(network: nn.Module) -> Iterator[LoraLayer]:
    """The adapted layers, in the network's order."""
    return (module for module in network.modules() if isinstance(module, LoraLayer))


def shadow(module: Any, replace: Callable[[nn.Module], nn.Module | None]) -> Any:
    """A separate tree over the same parameters, buffers and hooks, with some modules replaced."""
    twins: dict[int, nn.Module] = {}  # a module in two places stays one

    def twin(old: nn.Module) -> nn.Module:
        if id(old) not in twins:
            new = replace(old)
            if new is None:
                new = copy.copy(old)
                new._modules = {n: None if c is None else twin(c) for n, c in old._modules.items()}
            twins[id(old)] = new
        return twins[id(old)]

    return twin(module)


def foldable(layer: LoraLayer) -> bool:
    """Whether a layer has plain weights: neither 4-bit nor sharded over devices."""
    base = layer.get_base_layer()
    return type(base) in _ADAPTABLE and type(base.weight.data) is Tensor


def folded(layer: LoraLayer) -> nn.Module:
    """The base layer with the adapters' product in its weight: added in float32, rounded once."""
    base = layer.get_base_layer()
    if layer.disable_adapters or layer.merged:
        return base
    weight = base.weight.detach().float()
    for name in layer.active_adapters:
        weight = weight + layer.get_delta_weight(name).float()
    twin = copy.copy(base)
    twin._parameters = dict(base._parameters)
    twin._parameters["weight"] = nn.Parameter(weight.to(base.weight.dtype), requires_grad=False)
    return twin


def without_adapter_layers(network: nn.Module) -> nn.Module:
    """A view of `network` with its adapters folded into copies of what they adapt: the same
    outputs, faster; `network` itself if it has none or not all are `foldable`.
    """
    layers = list(adapter_layers(network))
    if not layers or not all(map(foldable, layers)):
        return network
    with torch.no_grad(), torch.inference_mode(False):
        view: nn.Module = shadow(
            network, lambda module: folded(module) if isinstance(module, LoraLayer) else None
        )
    return view
