"""New tokens of several sequences in one forward pass, end to end in one row, without padding.

    rows [1, L_1, D] ... [1, L_R, D] -> packed [1, T, D] -> layers: every matrix is read once
                                      -> attention: each row with its own keys and values

Each row keeps its own key-value cache, so it may join, leave, be cropped or be fed alone between
forward passes, without copying or padding. The model's own layers run with a different attention
function (`attention.PACKED`).

Legend: R rows, L new positions of one row, T of all rows, D width.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Cache

from anyweave.adapters import shadow
from anyweave.language.attention import PACKED, Rows, attend_with
from anyweave.language.causal_lm import CausalLM
from anyweave.language.feeding import REFUSALS, agree
from anyweave.language.growing import is_plain

logger = logging.getLogger(__name__)


class PackedRows:
    """`language` for several sequences at once; made by `pack_rows`, which tests that it works."""

    def __init__(self, language: CausalLM) -> None:
        with torch.inference_mode(False):
            self._language: CausalLM = shadow(language, lambda module: None)
        self._language.view_for_replies = None
        attend_with(self._language, PACKED)

    @torch.inference_mode()
    def feed(
        self, rows: Sequence[Float[Tensor, "1 L D"]], caches: Sequence[Cache], starts: Sequence[int]
    ) -> list[Float[Tensor, "L D"]]:
        """Append new positions to each row, whose cache holds the first `starts` positions. Returns
        the states after each new one.
        """
        lengths = [row.shape[1] for row in rows]
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        places = [torch.arange(start, end) for start, end in zip(starts, ends, strict=True)]
        hidden_1TD, _ = self._language(
            torch.cat(list(rows), dim=1),
            past_key_values=_Caches(caches, lengths),
            use_cache=True,
            position_ids=torch.cat(places)[None].to(rows[0].device),
        )
        return list(hidden_1TD[0].split(lengths))


_FIRST = ((0, 3), (5, 6), (4, 8))  # positions of the test rows: fed first,
_SECOND = ((3, 5), (6, 7), (8, 11))  # and fed second


@torch.no_grad()
def pack_rows(language: CausalLM) -> PackedRows | None:
    """`language` for several sequences at once, or None if a few tokens show that packed rows give
    other results than single ones: families with a running state instead of keys and values, or
    with their own attention.
    """
    name = type(language.model).__name__
    if not language.feeding.cached or not is_plain(language.model.config):
        logger.info("%s keeps something else than keys and values", name)
        return None
    last = _SECOND[-1][1]
    ids = torch.arange(1, last + 1, device=language.device)[None]
    embeds = language.embed(ids * max(language.base_vocab_size // (last + 1), 1))
    packed, caches, found = PackedRows(language), [language.new_cache() for _ in _FIRST], []
    try:
        for pieces in (_FIRST, _SECOND):
            starts = [a - first for (a, _), (first, _) in zip(pieces, _FIRST, strict=True)]
            found.append(packed.feed([embeds[:, a:b] for a, b in pieces], caches, starts))
    except REFUSALS as error:
        logger.info("%s takes no packed rows: %s", name, error)
        return None
    for (first, _), (_, end), *states in zip(_FIRST, _SECOND, *found, strict=True):
        alone, _ = language(embeds[:, first:end])
        if not agree(torch.cat(states)[None], alone, 0):
            return None
    return packed


class _Caches(Cache):
    """The caches of all rows as one, which returns the keys and values of each."""

    def __init__(self, caches: Sequence[Cache], lengths: Sequence[int]) -> None:
        super().__init__(layers=[])
        self.caches, self.lengths = list(caches), list(lengths)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> Any:
        keys, values = (states.split(self.lengths, dim=2) for states in (key_states, value_states))
        known = [
            cache.update(key, value, layer_idx, *args, **kwargs)
            for cache, key, value in zip(self.caches, keys, values, strict=True)
        ]
        window = getattr(self.caches[0].layers[layer_idx], "sliding_window", None)
        keys, values = ([pair[index] for pair in known] for index in (0, 1))
        return Rows(keys, self.lengths, window), Rows(values, self.lengths, window)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return max(cache.get_seq_length(layer_idx) for cache in self.caches)
