"""Adapters in the decoders' denoisers: the role `decoder_lora`, which is opt-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from anyweave.adapters import adapter_layers, adapter_parameters, attach_adapters, put_adapters
from anyweave.errors import nearest
from anyweave.messages import Modality
from anyweave.model.roles import adapters_file
from anyweave.model.spec import DecoderLoraSpec, ModelSpec, read_decoder_lora
from anyweave.tensors import load_tensors

if TYPE_CHECKING:
    from anyweave.model.any_to_any import NextGPT


class DecoderAdapters:
    """The adapters of one denoiser. Their parameters stay the same objects when the denoiser is
    loaded, moved or unloaded.

    Names are those of diffusers' files: ``unet.down_blocks.0. ... .to_q.lora_A.weight``. Empty
    until the weights (`take`) or the denoiser (`join`) are read.
    """

    def __init__(self, modality: Modality, part: DecoderLoraSpec, seed: int = 0) -> None:
        self.modality, self.part, self.seed = modality, part, seed
        self.parameters: dict[str, nn.Parameter] = {}

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace the values. Raises `ValueError` if names or shapes differ from existing ones."""
        given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        held = {name: tuple(parameter.shape) for name, parameter in self.parameters.items()}
        if held and held != given:
            odd = sorted(dict(held.items() ^ given.items()))[0]
            raise ValueError(f"the {self.modality} decoder's adapters are others: {odd} differs")
        for name, tensor in tensors.items():
            if name not in self.parameters:
                self.parameters[name] = nn.Parameter(tensor.float().clone(), requires_grad=False)
            self.parameters[name].copy_(tensor)

    def join(self, name: str, denoiser: nn.Module) -> None:
        """Attach the adapters to the denoiser, which diffusers calls `name`. Raises `ValueError` if
        they do not fit it.
        """
        if not any(True for _ in adapter_layers(denoiser)):
            attach_adapters(
                denoiser,
                r=self.part.r,
                alpha=self.part.r,
                target_modules=self.part.target_modules,
                seed=self.seed,
                blank=bool(self.parameters),
            )
        if not self.parameters:
            own = adapter_parameters(denoiser)
            self.parameters = {f"{name}.{key}.weight": value for key, value in own.items()}
            return
        given = {
            key.removeprefix(f"{name}.").removesuffix(".weight"): parameter
            for key, parameter in self.parameters.items()
        }
        try:
            put_adapters(denoiser, given)
        except ValueError as error:
            raise ValueError(
                f"the adapters do not fit the {self.modality} decoder: {error}. They belong to "
                "another decoder; load the model with the one that it was trained with"
            ) from error


def read_adapters(found: Mapping[Modality, DecoderAdapters], folder: str | Path) -> None:
    """Read a checkpoint's adapter weights. Raises `ValueError` for a missing or damaged file."""
    for modality, adapters in found.items():
        path = Path(folder) / adapters_file(modality)
        if not path.is_file():
            raise ValueError(
                f"{folder} lacks {path.name}: its spec has adapters in the {modality} decoder"
            )
        adapters.take(load_tensors(path))


def with_lora(
    spec: ModelSpec, wanted: Mapping[Modality, DecoderLoraSpec | Mapping[str, Any]]
) -> ModelSpec:
    """The spec with adapters in these decoders; existing adapters are kept.

    Raises `ValueError` for a decoder that the model does not have.
    """
    parts = dict(spec.decoders)
    for modality, given in wanted.items():
        if modality not in parts:
            raise ValueError(
                f"{spec.name} has no {modality} decoder to adapt; {nearest(modality, list(parts))}"
            )
        lora = parts[modality].lora or read_decoder_lora(given)
        parts[modality] = replace(parts[modality], lora=lora)
    return replace(spec, decoders=parts)


def add_adapters(
    model: NextGPT, wanted: Mapping[Modality, DecoderLoraSpec | Mapping[str, Any]]
) -> None:
    """Give a model's decoders new adapters, which have no effect until trained; `wanted` and
    `ValueError` as for `with_lora`.
    """
    before = model.decoders.adapters
    model.spec = with_lora(model.spec, wanted)
    found = adapters_of(model.spec)
    model.decoders.adapt({m: new for m, new in found.items() if m not in before})


def adapters_of(spec: ModelSpec, seed: int = 0) -> dict[Modality, DecoderAdapters]:
    """New adapters for every decoder whose spec has `lora`."""
    return {
        modality: DecoderAdapters(modality, part.lora, seed)
        for modality, part in spec.decoders.items()
        if part.lora is not None
    }
