"""Whether a language model can be fed the way a chat feeds it, tried on a few tokens at load time.

A chat feeds embeddings instead of ids, a few at a time, and takes some back. Not every family
supports this: Mamba's layers keep a running state that another call does not continue and that
cannot be cropped; others look up more than the embedding of an id. Any of this would fail silently,
so the result is compared with one plain forward pass over the same ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

logger = logging.getLogger(__name__)

# (embeddings [1, L, D], cache or None, first position) -> (hidden [1, L, D], cache); without a
# position, nothing is cached
Feed = Callable[[Tensor, Any, int | None], tuple[Tensor, Any]]
PROBED = 6  # tokens; fed as 3, 1 and 2
# Summing in another order changes a few roundings; a lost state changes almost everything.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_HALF_TOLERANCE = 0.15
# Families with their own state reject our cache, or cropping it, each in their own way.
REFUSALS = (TypeError, ValueError, AttributeError, RuntimeError, LookupError)


@dataclass(frozen=True)
class Feeding:
    """`cached`: continuing from a cache equals one forward pass. `croppable`: so does continuing
    from a cropped cache.
    """

    cached: bool
    croppable: bool


@torch.no_grad()
def try_feeding(
    name: str,
    feed: Feed,
    embeds: Float[Tensor, "1 L D"],
    reference: Float[Tensor, "1 L D"],
) -> Feeding:
    """Compare feeding `embeds` piece by piece with `reference`, the states of the same ids.

    Raises `ValueError` if embeddings do not give the result of their ids even in one forward pass.
    """
    cached, cache = _in_pieces(name, feed, embeds, reference)
    if cached:
        return Feeding(True, _after_cut(feed, embeds, reference, cache))
    whole, _ = feed(embeds, None, None)
    if not agree(whole, reference, 0):
        raise ValueError(
            f"{name} cannot be used: given the embeddings of its tokens it computes something else "
            "than given the tokens, and media enter as embeddings; choose a model of another "
            "family (Llama, Mistral, Qwen, Gemma, Granite and most others work)"
        )
    logger.warning(
        "%s cannot continue from a key-value cache (a recurrent state, perhaps): replies are right "
        "but slow, as everything is computed again for every token",
        name,
    )
    return Feeding(False, False)


def _in_pieces(name: str, feed: Feed, embeds: Tensor, reference: Tensor) -> tuple[bool, Any]:
    cache, pieces = None, []
    try:
        for start, end in ((0, 3), (3, 4), (4, PROBED)):
            hidden, cache = feed(embeds[:, start:end], cache, start)
            pieces.append(hidden)
    except REFUSALS as error:
        logger.info("%s takes no key-value cache: %s", name, error)
        return False, None
    return agree(torch.cat(pieces, dim=1), reference, 3), cache


def _after_cut(feed: Feed, embeds: Tensor, reference: Tensor, cache: Any) -> bool:
    if not getattr(cache, "is_croppable", False):
        return False
    try:
        cache.crop(-2)
        hidden, _ = feed(embeds[:, 4:], cache, 4)
    except REFUSALS:
        return False
    return agree(hidden, reference[:, 4:], 0)


def agree(found: Tensor, reference: Tensor, first: int) -> bool:
    """Whether most positions from `first` on agree: expert routing may flip at one, but a lost
    state spoils them all.
    """
    difference = (found.float() - reference.float())[0, first:].norm(dim=-1)
    relative = difference / reference[0, first:].float().norm(dim=-1).clamp(min=1e-12)
    return float(relative.median()) < _TOLERANCE.get(reference.dtype, _HALF_TOLERANCE)
