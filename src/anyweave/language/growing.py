"""A key-value cache that appends a position without copying the existing ones."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


def growing_cache(config: PreTrainedConfig) -> Cache:
    """transformers' own cache for a model of `config`. Layers that keep everything grow in place;
    others (sliding windows, running states) stay as they are.
    """
    cache = DynamicCache(config=config)
    cache.layers = [
        GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def is_plain(config: PreTrainedConfig) -> bool:
    """Whether a model of `config` keeps keys and values and attends to all of them or to a sliding
    window: no running state, no chunks, no sparse selection.
    """
    types = getattr(config.get_text_config(), "layer_types", None) or ()
    kinds = (GrowingLayer, DynamicSlidingWindowLayer)
    layers = growing_cache(config).layers
    return "chunked_attention" not in types and all(type(layer) in kinds for layer in layers)


class GrowingLayer(DynamicLayer):
    """Keys and values are views of buffers with spare room. `DynamicLayer` copies all of them for
    every token, which slows down long conversations.

    B rows, G heads, K positions, N new ones, C head width.
    """

    keys: Tensor | None
    values: Tensor | None
    _buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Float[Tensor, "B G K C"], Float[Tensor, "B G K C"]]:
        """Append ``[B, G, N, C]`` new keys and values; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        assert self.keys is not None
        assert self.values is not None
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            self._buffers = (
                _roomy(self.keys, key_states, start, end),
                _roomy(self.values, value_states, start, end),
            )
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., start:end, :] = states
        self.keys, self.values = (buffer[..., :end, :] for buffer in self._buffers)
        return self.keys, self.values

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self._buffers = None


def _roomy(known: Tensor, new: Tensor, start: int, end: int) -> Tensor:
    """A buffer like `new` with room beyond `end`, and the first `start` positions of `known`."""
    buffer = new.new_empty(*new.shape[:-2], end + max(end // 4, 64), new.shape[-1])
    if start:
        buffer[..., :start, :] = known
    return buffer
