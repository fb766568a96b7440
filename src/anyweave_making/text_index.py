"""Which of many short texts is nearest to another one: TF-IDF, or any encoder of texts."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["Embed", "EmbeddingIndex", "TfIdfIndex", "words"]

Embed = Callable[[Sequence[str]], Float[np.ndarray, "N D"]]
"""Texts to rows of any length but 0; similarity is their cosine."""

_STOP = frozenset(
    "a an and are as at be by for from has in into is it its of on or some that the there this to "
    "up while with".split()
)


def words(text: str) -> list[str]:
    """The content words of a text, in lower case and without endings of number and tense, so that
    "dogs barking" matches "a dog barks".
    """
    found = re.findall(r"[^\W_]+", text.lower())
    return [_stem(word) for word in found if word not in _STOP] or found


def _stem(word: str) -> str:
    for ending, least in (("ing", 6), ("ies", 5), ("es", 5), ("ed", 5), ("s", 4)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]  # "run" from "running"
    return word.removesuffix("e") if len(word) > 3 else word


class TfIdfIndex:
    """Texts by the cosine of their TF-IDF vectors. A score is between 0 and 1; 1 means the same
    words.

    A word that no text of the index has still counts in the length of a query, so a query about
    something else scores low.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        counted = [Counter(words(text)) for text in texts]
        documents = Counter(word for counts in counted for word in counts)
        self._idf = {word: self._weight(number) for word, number in documents.items()}
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, counts in enumerate(counted):
            for word, weight in self._vector(counts).items():
                self._postings[word].append((number, weight))

    def search(self, query: str, num: int = 10) -> list[tuple[int, float]]:
        """(index, score) of the nearest texts, best first, equal ones in their order."""
        scores: dict[int, float] = defaultdict(float)
        for word, weight in self._vector(Counter(words(query))).items():
            for number, other in self._postings.get(word, ()):
                scores[number] += weight * other
        best = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:num]
        return [(number, min(score, 1.0)) for number, score in best]

    def _weight(self, documents: int) -> float:
        return math.log((1 + self._size) / (1 + documents)) + 1

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        weighted = {
            word: (1 + math.log(count)) * self._idf.get(word, self._weight(0))
            for word, count in counts.items()
        }
        norm = math.sqrt(sum(value**2 for value in weighted.values()))
        return {word: value / norm for word, value in weighted.items()}


class EmbeddingIndex:
    """Texts by the cosine of their embeddings. A score is between -1 and 1."""

    def __init__(self, texts: Sequence[str], embed: Embed) -> None:
        self._embed = embed
        self._rows_ND = _unit(embed(texts)) if texts else np.zeros((0, 1), np.float32)

    def search(self, query: str, num: int = 10) -> list[tuple[int, float]]:
        """(index, score) of the nearest texts, best first, equal ones in their order."""
        if not len(self._rows_ND):
            return []
        scores_N = self._rows_ND @ _unit(self._embed([query]))[0]
        best = np.argsort(-scores_N, kind="stable")[:num]
        return [(int(number), float(scores_N[number])) for number in best]


def _unit(rows_ND: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    rows_ND = np.asarray(rows_ND, np.float32)
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)
