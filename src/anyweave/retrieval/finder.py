"""When a conversation wants a medium: is it in the index?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from anyweave.generation.events import Retrieved
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.retrieval.decision import Decision
from anyweave.retrieval.index import Index, Match, words_of


class Finder:
    """An index with the word vectors of a model's language model. With `decision` None, the best
    entry of the kind, if any, is always taken.
    """

    def __init__(self, index: Index, model: NextGPT, decision: Decision | None) -> None:
        self.index, self.decision = index, decision
        self._model = model
        self._vectors: dict[str, Tensor] = {}

    def __call__(self, modality: Modality, asked: str, caption: str) -> Retrieved | None:
        """The medium that answers `asked`, the user's words; None if it should be drawn. `caption`
        is what the model would draw.
        """
        matches = self.search(modality, asked)
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
        tokenizer: Any = self._model.processor.tokenizer
        language = self._model.language
        for word in words:
            if word not in self._vectors:
                ids = tokenizer.encode(f" {word}", add_special_tokens=False)
                row = language.embed(torch.tensor([ids], device=self._model.device))[0]
                self._vectors[word] = row.float().mean(0).cpu()
        return torch.stack([self._vectors[word] for word in words])
