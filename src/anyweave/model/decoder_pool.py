"""The frozen decoders, loaded on first use: stage 1 needs none, a chat may need one of three."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from anyweave.messages import Modality
from anyweave.model.decoder_adapters import DecoderAdapters

Loader = Callable[[], Any]


class DecoderPool(Mapping[Modality, Any]):
    """Modality -> decoder. Holds loaders; `pool[modality]` loads once, `unload` frees memory."""

    elsewhere = False
    """True for decoders that run in another process: waiting for them costs no work here."""

    def __init__(
        self,
        loaders: Mapping[Modality, Loader],
        adapters: Mapping[Modality, DecoderAdapters] | None = None,
    ) -> None:
        self._loaders = dict(loaders)
        self.adapters = dict(adapters or {})
        """What trains inside the denoisers: in most models, nothing."""
        self._loaded: dict[Modality, Any] = {}
        self._rates: dict[Modality, float | None] = {}
        self._device: torch.device | None = None
        self._checkpointing = False

    @classmethod
    def of(cls, decoders: Mapping[Modality, Any]) -> DecoderPool:
        """A pool of decoders that are in memory already."""
        return cls({modality: _constant(decoder) for modality, decoder in decoders.items()})

    def joined(self, more: DecoderPool) -> DecoderPool:
        """These decoders, read as before and with the same adapters, and those of `more` for other
        modalities.
        """
        return DecoderPool({**more._loaders, **self._loaders}, {**more.adapters, **self.adapters})

    def __getitem__(self, modality: Modality) -> Any:
        if modality not in self._loaded:
            if modality not in self._loaders:
                raise KeyError(
                    f"no decoder for {modality}; this model generates "
                    f"{', '.join(self._loaders) or 'text only'}"
                )
            decoder = self._loaders[modality]()
            decoder.requires_grad_(False).eval()
            if self._checkpointing:
                decoder.gradient_checkpointing = True
            self._adapt(modality, decoder)
            self._loaded[modality] = decoder if self._device is None else decoder.to(self._device)
        return self._loaded[modality]

    def __iter__(self) -> Iterator[Modality]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __contains__(self, modality: object) -> bool:
        return modality in self._loaders

    @property
    def loaded(self) -> tuple[Modality, ...]:
        """The modalities whose decoder is in memory."""
        return tuple(self._loaded)

    def rate(self, modality: Modality) -> float | None:
        """Hz or frames/s of the output of the decoder of `modality`; None for pictures, and where
        there is no decoder. The decoder is not kept or placed for this: data workers ask too.
        """
        if modality not in self._loaders:
            return None
        if modality not in self._rates:
            found = self._loaded.get(modality)
            decoder = self._loaders[modality]() if found is None else found
            self._rates[modality] = decoder.rate
        return self._rates[modality]

    def adapt(self, adapters: Mapping[Modality, DecoderAdapters]) -> None:
        """Give adapters to decoders, whether in memory or loaded later."""
        self.adapters |= adapters
        for modality in adapters.keys() & self._loaded.keys():
            self._adapt(modality, self._loaded[modality])

    def adapter_parameters(self, modality: Modality) -> dict[str, nn.Parameter]:
        """What trains inside one denoiser, by diffusers' names. New adapters take their shapes from
        the denoiser, which is then loaded.
        """
        adapters = self.adapters[modality]
        if not adapters.parameters:
            assert self[modality].denoiser is not None  # `join` fills them
        return adapters.parameters

    def _adapt(self, modality: Modality, decoder: Any) -> None:
        if modality in self.adapters:
            name = getattr(decoder, "denoiser_name", None)
            if name is None:
                raise ValueError(f"the {modality} decoder has no denoiser to put adapters into")
            decoder.on_reading(name, partial(self.adapters[modality].join, name))

    def to(self, device: torch.device) -> DecoderPool:
        """Place loaded decoders, and those loaded later, on `device`."""
        self._device = device
        for modality in self.adapters.keys() - self._loaded.keys():
            for parameter in self.adapters[modality].parameters.values():
                parameter.data = parameter.data.to(device)
        for modality, decoder in self._loaded.items():
            self._loaded[modality] = decoder.to(device)
        return self

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the denoising loss's activations in backward, for decoders in memory and those
        loaded later.
        """
        self._checkpointing = True
        for decoder in self._loaded.values():
            decoder.gradient_checkpointing = True

    def unload(self, modality: Modality | None = None) -> None:
        """Unload one decoder, or all; the next use loads it again."""
        for name in [modality] if modality is not None else list(self._loaded):
            self._loaded.pop(name, None)


def _constant(decoder: Any) -> Loader:
    return lambda: decoder
