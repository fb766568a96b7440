"""Metrics against the packages' and published values, and against values known by hand."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import scipy.linalg
import torch

from anyweave.evaluation.metrics.answers import letter, normalized, vqa_score
from anyweave.evaluation.metrics.backbones import Backbone
from anyweave.evaluation.metrics.captions import bleu4, cider, meteor, tokenized, words
from anyweave.evaluation.metrics.media import (
    divergence,
    frame_similarity,
    frechet,
    inception_score,
    mcd,
    text_similarity,
)
from anyweave.evaluation.task import Answered, Metric, Record
from anyweave.messages import Image, Media, Video

# Texts and the scores that pycocoevalcap's own example of two pictures has the form of.
SAID = ["a dog runs on the grass", "two cats sleep on a bed"]
RIGHT = [("a dog runs on the grass", "a dog on grass"), ("two cats sleep on a red bed", "cats")]


def answers(said: list[str] = SAID) -> list[Answered]:
    records = [Record(key=str(n), ask=(), references=right) for n, right in enumerate(RIGHT)]
    return [Answered(record=record, text=text) for record, text in zip(records, said, strict=True)]


@pytest.fixture
def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenized.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)


def test_bleu_by_hand(without_java: None) -> None:
    # 4-grams: 3 of 3 and 2 of 3 are right; 3-grams 4 + 3 of 4 + 4; pairs 5 + 4 of 5 + 5; all words.
    # Closest lengths are 6 and 7: 12 words against 13.
    share = 1 * 9 / 10 * 7 / 8 * 5 / 6
    assert bleu4(answers()) == pytest.approx(share**0.25 * math.exp(1 - 13 / 12), rel=1e-6)


def test_cider_is_the_packages(without_java: None) -> None:
    from pycocoevalcap.cider.cider import Cider

    right = {n: [words(text) for text in texts] for n, texts in enumerate(RIGHT)}
    found = Cider().compute_score(right, {n: [words(text)] for n, text in enumerate(SAID)})[0]
    assert cider(answers()) == pytest.approx(found) and found > 1
    assert cider(answers(["nothing", "nothing"])) == 0
    with pytest.raises(ValueError, match="at least 2 records"):
        cider(answers()[:1])


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("java"), reason="needs Java")
def test_with_java() -> None:
    texts = ["A dog's bone; it isn't red.", "Two men, one t-shirt (blue)!", 'He said: "don\'t"...']
    tokenized.cache_clear()
    assert tokenized((tuple(texts),)) == (tuple(words(text) for text in texts),)
    assert meteor(answers(["a dog runs on the grass", "two cats sleep on a red bed"])) > 0.9


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("The dog.", "dog"),
        ("Two dogs!", "2 dogs"),
        ("dont", "don't"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("It is 3.", "it is 3"),
        (".5", ".5"),
        ("couldnt've", "couldn't've"),
        ("yall'd've", "y'all'd've"),
        ("im", "im"),
        ("t-shirt", "t shirt"),
        ("t-shirt - blue", "tshirt blue"),
        ("red/blue", "red blue"),
        ("none", "0"),
    ],
)
def test_answers_are_normalised(said: str, means: str) -> None:
    assert normalized(said) == means


@pytest.mark.parametrize(
    ("said", "matches", "score"),
    [("yes", 10, 1.0), ("yes", 3, 0.9), ("yes", 2, 0.6), ("yes", 1, 0.3), ("yes", 0, 0.0)],
)
def test_vqa_accuracy_leaves_one_out(said: str, matches: int, score: float) -> None:
    # 3 of 10 say so: leaving one of them out 2/3, another 1: (3 * 2/3 + 7) / 10.
    yes = "Yes." if matches < 10 else "Yes"
    references = [yes] * matches + [f"no {n}" for n in range(10 - matches)]
    assert vqa_score(said, references) == pytest.approx(score)


def test_where_all_people_agree_nothing_is_normalised() -> None:
    assert vqa_score("Yes", ["yes"] * 10) == 1.0
    assert vqa_score("yes.", ["yes"] * 10) == 0.0
    assert vqa_score("yes.", ["yes"] * 9 + ["no"]) == 1.0


@pytest.mark.parametrize(
    ("said", "chosen"),
    [("B", "B"), ("(b)", "B"), ("B. a dog", "B"), ("It is a dog", "B"), ("a cat", "A"),
     ("A dog", "B"), ("a. cat", "A"), ("A", "A"), ("a", "A"), ("Answer: A", "A"),
     ("Answer: A because", "A"), ("a cat or a dog", ""), ("E", ""), ("", "")],
)  # fmt: skip
def test_letters(said: str, chosen: str) -> None:
    record = Record(key="0", ask=(), about={"choices": {"A": "cat", "B": "dog"}})
    assert letter(said, record) == chosen


def test_frechet_distance() -> None:
    draw = np.random.default_rng(0)
    real, made = draw.normal(size=(50, 4)), draw.normal(1, 2, size=(60, 4))
    root = scipy.linalg.sqrtm(np.cov(real.T) @ np.cov(made.T)).real
    gap = ((real.mean(0) - made.mean(0)) ** 2).sum()
    right = gap + np.trace(np.cov(real.T) + np.cov(made.T) - 2 * root)
    assert frechet(torch.tensor(real), torch.tensor(made)) == pytest.approx(right, rel=1e-6)
    assert frechet(torch.tensor(real), torch.tensor(real) + 3) == pytest.approx(36)
    with pytest.raises(ValueError, match="at least 2"):
        frechet(torch.tensor(real), torch.tensor(made[:1]))


def test_inception_score_and_divergence() -> None:
    sure = torch.eye(4).repeat(25, 1).double() * 100
    assert inception_score(sure, splits=1) == pytest.approx(4)
    assert inception_score(torch.zeros(40, 4).double()) == pytest.approx(1)
    real, made = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    right = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert divergence(real, made).tolist() == pytest.approx([right], rel=1e-5)


def test_cepstral_distance() -> None:
    draw = np.random.default_rng(0)
    wave = draw.uniform(-0.5, 0.5, 8000).astype(np.float32)
    tone = (0.5 * np.sin(np.arange(8000) * 0.2)).astype(np.float32)
    assert mcd(wave, wave) == pytest.approx(0, abs=1e-6)
    assert mcd(wave, tone) > 3
    with pytest.raises(ValueError, match="silence"):
        mcd(wave, np.zeros(8000, np.float32))


def test_what_is_missing_is_known_before() -> None:
    metric = Metric(name="x", protocol="", score=len, packages=("no_such_package",))
    assert metric.missing(()) == "needs no_such_package: pip install 'anyweave[eval]'"


@torch.inference_mode()
def test_similarities_are_those_of_the_models_own_forward(backbones: dict[str, Backbone]) -> None:
    """CLIP's logits are its cosines times a known scale."""
    clip = backbones["clip"]
    draw = np.random.default_rng(0)
    frames = draw.integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    texts = ["a fox", "a bee"]
    inputs = clip.processor(text=texts, images=list(frames), return_tensors="pt", padding=True)
    outputs = clip.model(**inputs)
    cosines = (outputs.logits_per_image / clip.model.logit_scale.exp()).double()
    pictures = [_shown(texts[n], Image(frames[n])) for n in range(2)]
    wanted = float((cosines[0, 0] + cosines[1, 1]) / 2)
    assert text_similarity(pictures, clip).value == pytest.approx(wanted, abs=1e-5)
    film = [_shown(texts[1], Video(frames, rate=8.0))]
    assert text_similarity(film, clip).value == pytest.approx(float(cosines[:, 1].mean()), abs=1e-5)
    units = torch.nn.functional.normalize(outputs.image_embeds, dim=-1)
    pairs = [float(units[0] @ units[1]), float(units[1] @ units[2])]
    assert frame_similarity(film, clip).value == pytest.approx(np.mean(pairs), abs=1e-5)
    still = [_shown(texts[1], Video(frames[[0, 0, 0]], rate=8.0))]
    assert frame_similarity(still, clip).value == pytest.approx(1.0, abs=1e-5)


def _shown(caption: str, part: Media) -> Answered:
    record = Record(key="0", ask=(), references=(caption,))
    return Answered(record=record, text="", media=(part,))
