"""Where media enter and leave the token sequence: pure indexing, differentiable, out of place.

Legend: B batch, L sequence, D width, M media, T targets, S tokens of one medium.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anyweave.batch import BatchMedia
from anyweave.messages import Modality


def scatter_media(
    inputs_embeds: Float[Tensor, "B L D"],
    media: Mapping[Modality, BatchMedia],
    projected: Mapping[Modality, Float[Tensor, "M S D"]],
) -> Float[Tensor, "B L D"]:
    """The embeddings with every placeholder run replaced by its medium's projected features.

    Raises `ValueError` if a projection's token count differs from the places the processor left.
    """
    for modality, entry in media.items():
        tokens_MSD = projected[modality]
        if tokens_MSD.shape[1] != entry.length:
            raise ValueError(
                f"the {modality} projector gives {tokens_MSD.shape[1]} tokens, the processor left "
                f"{entry.length} places; build the processor from the same spec as the model"
            )
        where = span_index(entry.rows, entry.starts, entry.length)
        inputs_embeds = inputs_embeds.index_put(where, tokens_MSD.to(inputs_embeds.dtype))
    return inputs_embeds


def gather_spans(
    hidden: Float[Tensor, "B L D"],
    rows: Int[Tensor, "T"],
    starts: Int[Tensor, "T"],
    length: int,
) -> Float[Tensor, "T S D"]:
    """The states of the runs that begin at (row, start) and are `length` long."""
    return hidden[span_index(rows, starts, length)]


def span_index(
    rows: Int[Tensor, "T"],
    starts: Int[Tensor, "T"],
    length: int,
) -> tuple[Int[Tensor, "T S"], Int[Tensor, "T S"]]:
    """Index pair selecting the runs: rows ``[T, S]`` and columns ``[T, S]``."""
    columns_TS = starts[:, None] + torch.arange(length, device=starts.device)
    return rows[:, None].expand_as(columns_TS), columns_TS
