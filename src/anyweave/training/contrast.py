"""The contrast loss: states at signal tokens must tell their caption from others.

Caption alignment measures how far a conditioning is from its caption's embedding. What tells one
thing from another is a small part of that distance, and it reaches the language model through an
output projector that knows nothing yet, so it is learnt last, if at all. Here a linear head reads
the states themselves, and what it reads has to point to the caption and not to those of other
conversations (InfoNCE, van den Oord et al., 2018). GILL (Koh et al., 2023, section 3.2) trains a
linear head on its ``[IMG]`` tokens in the same way, for retrieval. The heads belong to the run:
they are in its checkpoints, and no reply needs them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from anyweave.data.mixture import reading
from anyweave.messages import Conversation, Modality
from anyweave.processing.processor import STUMBLES
from anyweave.projectors.linear import principal_directions
from anyweave.training.features import FrozenFeatures
from anyweave.training.plan import EpochSource, Source, in_epoch, is_streamed

logger = logging.getLogger(__name__)

EXPLAINED = 0.995  # of the variance; directions beyond hardly depend on the caption
_MOST_DIRECTIONS = 512


def whitening(embeddings: Float[Tensor, "U Q C"]) -> Float[Tensor, "QC K"]:
    """The principal directions of flattened embeddings that hold `EXPLAINED` of the variance, each
    divided by its spread.
    """
    flat = embeddings.flatten(1)
    directions, spreads = principal_directions(flat, _MOST_DIRECTIONS)
    shares = spreads.square().cumsum(0) / flat.var(0, correction=0).sum()
    count = int((shares < EXPLAINED).sum()) + 1
    return directions[:, :count] / spreads[:count]


class CaptionContrast(nn.Module):
    """Tells the captions of one modality apart by signal states ``[T, S, hidden_dim]``.

    Captions are compared in coordinates along the principal directions of their embeddings
    ``[U, Q, C]``, each by its own spread. The captions that others are told from are fixed, so
    neither batching nor the number of processes changes a loss.
    """

    mean: Tensor
    measure: Tensor
    others: Tensor

    def __init__(
        self, captions: Sequence[str], embeddings: Float[Tensor, "U Q C"], hidden_dim: int
    ) -> None:
        """Rows that are NaN (padding that a decoder does not see) count as the others' mean.

        Raises `ValueError` for fewer than two captions: there is nothing to tell apart.
        """
        super().__init__()
        if len(captions) < 2:
            raise ValueError(f"a contrast needs at least two captions, got {len(captions)}")
        self.captions = tuple(captions)
        embeddings = embeddings.float()
        self.register_buffer("mean", embeddings.nanmean(0).nan_to_num())
        self.register_buffer("measure", whitening(self._filled(embeddings)))
        self.register_buffer("others", self._coordinates(embeddings))
        self.head = nn.Linear(hidden_dim, self.measure.shape[1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def losses(
        self,
        states: Float[Tensor, "T S D"],
        wanted: Float[Tensor, "T Q C"],
        captions: Sequence[str | None],
        temperature: float,
    ) -> Float[Tensor, "T"]:  # noqa: F821
        """Minus the log probability of each run's own caption, with embedding `wanted`, among
        itself and all others, by cosine over `temperature`.
        """
        with torch.autocast(states.device.type, enabled=False):  # rare directions are small
            seen = functional.layer_norm(states.float(), states.shape[-1:]).mean(1)
            made = functional.normalize(self.head(seen), dim=-1)
            own = self._coordinates(wanted.float())
            same_TU = torch.tensor(
                [[caption == other for other in self.captions] for caption in captions],
                device=made.device,
            )
            beside_TU = (made @ self.others.T).masked_fill(same_TU, -torch.inf)
            logits = torch.cat([(made * own).sum(-1, keepdim=True), beside_TU], 1) / temperature
            first = torch.zeros(len(made), dtype=torch.long, device=made.device)
            return functional.cross_entropy(logits, first, reduction="none")

    def _filled(self, embeddings: Float[Tensor, "T Q C"]) -> Float[Tensor, "T Q C"]:
        return torch.where(embeddings.isnan(), self.mean, embeddings)

    def _coordinates(self, embeddings: Float[Tensor, "T Q C"]) -> Float[Tensor, "T K"]:
        centred = (self._filled(embeddings) - self.mean).flatten(1)
        return functional.normalize(centred @ self.measure, dim=-1)


def caption_contrasts(
    frozen: FrozenFeatures,
    source: Source | EpochSource,
    conversations: int,
    *,
    progress: bool = False,
) -> dict[Modality, CaptionContrast]:
    """One per modality, with the captions of so many conversations of `source`, evenly spread
    (the first ones of a stream). No medium is read for it.

    A modality with fewer than two captions gets none, and that is told.
    """
    items = in_epoch(source, 0)
    stride = 1 if is_streamed(source) else max(1, len(items) // conversations)
    said: dict[Modality, dict[str, None]] = {m: {} for m in frozen.model.output_projectors}
    chosen = range(0, min(len(items), stride * conversations), stride)
    for index in track(chosen, "captions", transient=True, disable=not progress):
        for modality, caption in _captions(items, index):
            if modality in said and frozen.aligns(modality):
                said[modality][caption] = None
    contrasts = {}
    hidden_dim = frozen.model.language.hidden_size
    for modality, found in said.items():
        captions = tuple(found)
        if len(captions) < 2:
            logger.warning(
                "no contrast loss for %s: %d captions in %d conversations",
                *(modality, len(captions), min(len(items), conversations)),
            )
            continue
        embeddings = frozen.caption_embeddings(modality, captions)
        made = CaptionContrast(captions, embeddings, hidden_dim)
        contrasts[modality] = made.to(frozen.model.device)
    return contrasts


def _captions(items: Source, index: int) -> list[tuple[Modality, str]]:
    """What the assistant shows in one conversation; nothing where it cannot be read, which the run
    itself counts and tells.
    """
    try:
        conversation: Conversation = reading(items, index).conversation
    except STUMBLES:
        return []
    return [
        (part.modality, part.caption)
        for message in conversation
        if message.role == "assistant"
        for part in message.media()
        if part.caption is not None
    ]
