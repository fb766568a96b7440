"""Captions against several references, computed by pycocoevalcap."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from anyweave.evaluation.task import Answered, Metric

_MARKS = re.compile(r"-[lr]rb-|n't\b|\w+(?:[-./&]\w+)*|'(?:s|m|d|re|ve|ll)\b|[$%#&*/+=@]")
_NOT = re.compile(r"(?<=\w)(n't)\b")
Tokens = tuple[tuple[str, ...], ...]


def words(text: str) -> str:
    """Lower-cased tokens without punctuation, much as the Penn Treebank tokenizer splits English:
    ``dog's`` is two, ``don't`` is ``do n't``, ``t-shirt`` is one. Brackets stay, under that
    tokenizer's names.
    """
    text = text.lower().replace("’", "'").replace("(", " -lrb- ").replace(")", " -rrb- ")
    return " ".join(_MARKS.findall(_NOT.sub(r" \1", text)))


@lru_cache(maxsize=4)
def tokenized(texts: Tokens) -> Tokens:
    """By the Penn Treebank tokenizer if Java is installed, otherwise by `words`."""
    if not shutil.which("java"):
        return tuple(tuple(words(text) for text in group) for group in texts)
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rows = {n: [{"caption": text} for text in group] for n, group in enumerate(texts)}
    made = PTBTokenizer().tokenize(rows)
    return tuple(tuple(made[number]) for number in range(len(texts)))


def _inputs(answers: Sequence[Answered]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    bare = [answer.record.key for answer in answers if not answer.record.references]
    if bare:
        raise ValueError(f"no reference caption of {bare[0]}")
    right = tokenized(tuple(tuple(answer.record.references) for answer in answers))
    said = tokenized(tuple((answer.text.replace("\n", " "),) for answer in answers))
    return ({n: list(row) for n, row in enumerate(right)}, {n: list(r) for n, r in enumerate(said)})


def bleu4(answers: Sequence[Answered]) -> float:
    from pycocoevalcap.bleu.bleu import Bleu

    with contextlib.redirect_stdout(io.StringIO()):
        return float(Bleu(4).compute_score(*_inputs(answers))[0][3])


def cider(answers: Sequence[Answered]) -> float:
    from pycocoevalcap.cider.cider import Cider

    if len(answers) < 2:
        raise ValueError("CIDEr weighs words by how rare they are: it needs at least 2 records")
    return float(Cider().compute_score(*_inputs(answers))[0])


def meteor(answers: Sequence[Answered]) -> float:
    from pycocoevalcap.meteor.meteor import Meteor

    return float(Meteor().compute_score(*_inputs(answers))[0])


def spice(answers: Sequence[Answered]) -> float:
    from pycocoevalcap.spice.spice import Spice

    return float(Spice().compute_score(*_inputs(answers))[0])


def spider(answers: Sequence[Answered]) -> float:
    """The mean of CIDEr-D and SPICE."""
    return (cider(answers) + spice(answers)) / 2


def _corenlp() -> str | None:
    found = find_spec("pycocoevalcap")
    assert found is not None and found.submodule_search_locations
    if (
        Path(found.submodule_search_locations[0]) / "spice" / "lib" / "stanford-corenlp-3.6.0.jar"
    ).is_file():
        return None
    return (
        "needs Stanford CoreNLP, a download of 385 MB: "
        "python -m pycocoevalcap.spice.get_stanford_models fetches it once"
    )


_TOKENS = "Penn Treebank tokens" if shutil.which("java") else "our tokens, as there is no Java"
_PACKAGE = ("pycocoevalcap",)
CIDER = Metric(name="CIDEr", protocol=f"CIDEr-D of pycocoevalcap, x100; {_TOKENS}", score=cider,
               packages=_PACKAGE, scale=100)  # fmt: skip
BLEU4 = Metric(name="B@4", protocol=f"BLEU-4 of pycocoevalcap, x100; {_TOKENS}", score=bleu4,
               packages=_PACKAGE, scale=100)  # fmt: skip
METEOR = Metric(name="METEOR", protocol=f"METEOR 1.5 of pycocoevalcap, x100; {_TOKENS}",
                score=meteor, packages=_PACKAGE, java=True, scale=100)  # fmt: skip
SPICE = Metric(name="SPICE", protocol=f"SPICE of pycocoevalcap, x100; {_TOKENS}", score=spice,
               packages=_PACKAGE, java=True, needs=_corenlp, scale=100)  # fmt: skip
SPIDER = Metric(name="SPIDEr", protocol=f"mean of CIDEr-D and SPICE, x100; {_TOKENS}",
                score=spider, packages=_PACKAGE, java=True, needs=_corenlp, scale=100)  # fmt: skip
