"""Media on disk and what is known about them: ``entries.jsonl`` and ``features.safetensors``.

Two searches: words against captions, and a medium against media. Both are exact (`torch.topk`).
Legend: N entries, W words of a caption, Q words of a query, D width of the word vectors.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from anyweave.files import disk_stamp, replaced_folder, settle, write_text
from anyweave.messages import MEDIA_TYPES, Media, Modality
from anyweave.tensors import load_tensors, save_tensors

ENTRIES, FEATURES = "entries.jsonl", "features.safetensors"
_WORD = re.compile(r"[^\W_]+")
# words -> their vectors [len(words), D]
Vectors = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One medium. `stamp` tells whether its file and what describes it are what was read."""

    path: str
    modality: Modality
    caption: str
    source: str = ""
    licence: str = ""
    stamp: str = ""

    def part(self) -> Media:
        """As part of a message."""
        return MEDIA_TYPES[self.modality](self.path, caption=self.caption)

    def unchanged(self) -> bool:
        """Whether the medium's file is still the one that was read; without a stamp, True."""
        return not self.stamp or self.stamp.startswith(disk_stamp(self.path))


@dataclass(frozen=True, kw_only=True)
class Match:
    """A found entry; `score` is 1 if every word of its caption was said."""

    entry: Entry
    score: float


class Index:
    """Entries and, by entry number, the encoder's feature vector [F] of each; none if the model
    reads no such media.
    """

    def __init__(self, entries: Sequence[Entry], features: Mapping[str, Tensor]) -> None:
        self.entries = tuple(entries)
        self.features = dict(features)

    @classmethod
    def load(cls, folder: str | Path) -> Index:
        """Raises `ValueError` if the index is missing or broken."""
        settle(folder)
        path = Path(folder) / ENTRIES
        if not path.is_file():
            raise ValueError(
                f"there is no index in {folder}; make one: anyweave index build FOLDER --out INDEX"
            )
        try:
            entries = [Entry(**json.loads(line)) for line in path.read_bytes().splitlines()]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is no list of media ({error}); build it again") from error
        features = load_tensors(Path(folder) / FEATURES)
        lost = [key for key in features if not key.isdigit() or int(key) >= len(entries)]
        if lost:
            raise ValueError(f"{folder} holds features of no entry ({lost[0]}); build it again")
        return cls(entries, features)

    def save(self, folder: str | Path) -> None:
        """Write its two files, both or neither. Whatever else is in `folder` stays."""
        rows = (json.dumps(asdict(entry), ensure_ascii=False) for entry in self.entries)
        with replaced_folder(folder, keep=True) as fresh:
            write_text(fresh / ENTRIES, "".join(f"{row}\n" for row in rows))
            save_tensors(self.features, fresh / FEATURES)

    def by_words(
        self, words: str, modality: Modality, vectors: Vectors, *, limit: int = 5
    ) -> list[Match]:
        """Best first, by how much of each caption was said. Each of its words counts by the nearest
        word of the query, and rare words count more.
        """
        places = [n for n, entry in enumerate(self.entries) if entry.modality == modality]
        said = words_of(words)
        if not places or not said:
            return []
        captions = [words_of(self.entries[place].caption) for place in places]
        counts = Counter(word for caption in captions for word in set(caption))
        known = list(counts)
        if not known:  # their names are signs alone, such as "___.png"
            return []
        one, other = (normalize(vectors(each).float(), dim=-1) for each in (known, said))
        near = dict(zip(known, (one @ other.T).amax(1).clamp(min=0).tolist(), strict=True))
        rare = {w: torch.log1p(torch.tensor(len(places) / n)).item() for w, n in counts.items()}
        weights = [sum(rare[w] for w in caption) for caption in captions]
        told = [sum(rare[w] * near[w] for w in caption) for caption in captions]
        scores = torch.tensor(told) / torch.tensor(weights).clamp(min=1e-9)
        # Of captions that were said in full, prefer the fuller: "a police car", not "a car".
        scores += 1e-4 * torch.tensor(told)
        return self._best(places, scores, limit)

    def by_features(
        self, features: Float[Tensor, " F"], modality: Modality, *, limit: int = 5
    ) -> list[Match]:
        """Best first, by cosine, among media of one kind: "one like this"."""
        places = [
            n
            for n, entry in enumerate(self.entries)
            if entry.modality == modality and str(n) in self.features
        ]
        if not places:
            return []
        known = torch.stack([self.features[str(place)] for place in places])
        scores = normalize(known, dim=-1) @ normalize(features.float(), dim=-1)
        return self._best(places, scores, limit)

    def _best(self, places: Sequence[int], scores: Tensor, limit: int) -> list[Match]:
        top = torch.topk(scores, min(limit, len(places)))
        return [
            Match(entry=self.entries[places[int(at)]], score=min(1.0, round(float(score), 4)))
            for score, at in zip(top.values, top.indices, strict=True)
        ]


def words_of(text: str) -> list[str]:
    """The words, in lower case, once each."""
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(text)))
