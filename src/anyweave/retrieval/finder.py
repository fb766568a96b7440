"""When a conversation wants a medium: is it in the index?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from anyweave.generation.events import Retrieved
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.retrieval.decision import Decision
from anyweave.retrieval.index import Entry, Index, Match, words_of

logger = logging.getLogger(__name__)


class Finder:
    """An index with the word vectors of a model's language model. With `decision` None, the best
    entry of the kind, if any, is always taken.
    """

    def __init__(self, index: Index, model: NextGPT, decision: Decision | None) -> None:
        self.index, self.decision = index, decision
        self._model = model
        # Vectors of the captions' words; what users say is not kept.
        self._kept = {word for entry in index.entries for word in words_of(entry.caption)}
        self._vectors: dict[str, Tensor] = {}

    def __call__(self, modality: Modality, asked: str, caption: str) -> Retrieved | None:
        """The medium that answers `asked`, the user's words; None if it should be drawn. `caption`
        is what the model would draw.
        """
        matches = [m for m in self.search(modality, asked) if _there(m.entry)]
        if not matches:
            return None
        facts = self.facts(matches, asked, caption)
        if self.decision is not None and not self.decision.finds(facts):
            return None
        entry = matches[0].entry
        return Retrieved(
            part=entry.part(), score=facts[0], source=entry.source, licence=entry.licence
        )

    def search(self, modality: Modality, asked: str, limit: int = 5) -> list[Match]:
        """The best entries for these words."""
        return self.index.by_words(asked, modality, self.vectors, limit=limit)

    def facts(self, matches: Sequence[Match], asked: str, caption: str) -> tuple[float, ...]:
        """The inputs to the decision (`decision.FACTS`)."""
        second = matches[1].score if len(matches) > 1 else 0.0
        said, drawn = words_of(asked), words_of(caption)
        alike = 0.0
        if said and drawn:
            one, other = (
                torch.nn.functional.normalize(self.vectors(each), dim=-1) for each in (drawn, said)
            )
            alike = float((one @ other.T).amax(1).mean())
        decoder = self._model.spec.decoders.get(matches[0].entry.modality)
        unlearned = float(decoder is not None and bool(decoder.unknown_words(caption)))
        return matches[0].score, matches[0].score - second, alike, unlearned

    @torch.inference_mode()
    def vectors(self, words: Sequence[str]) -> Tensor:
        """Each word as the mean of its tokens' embeddings, [len(words), D]."""
        found = {}
        for word in words:
            known = self._vectors.get(word)
            found[word] = self._vector(word) if known is None else known
        self._vectors |= {word: found[word] for word in found.keys() & self._kept}
        return torch.stack([found[word] for word in words])

    def _vector(self, word: str) -> Tensor:
        tokenizer: Any = self._model.processor.tokenizer
        ids = tokenizer.encode(f" {word}", add_special_tokens=False)
        ids_L = torch.tensor([ids], device=self._model.device)
        return self._model.language.embed(ids_L)[0].float().mean(0).cpu()


def _there(entry: Entry) -> bool:
    """Whether an entry can still be shown; if not, that is logged."""
    if entry.unchanged():
        return True
    logger.warning(
        "%s is gone or has changed since it was indexed, and is not shown; "
        "run anyweave index build again",
        entry.path,
    )
    return False
