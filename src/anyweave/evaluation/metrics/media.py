"""Generated media against real media and against words. Frechet distances and inception scores are
computed by torchmetrics, cepstral distances by mel-cepstral-distance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anyweave import media
from anyweave.evaluation.metrics import Ratio
from anyweave.evaluation.metrics.backbones import Backbone, arrays
from anyweave.evaluation.task import Answered, Metric
from anyweave.messages import Media


class _Given(nn.Module):
    """Passes features through, for metrics that want a network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet(real: Tensor, made: Tensor) -> float:
    """Frechet distance of two Gaussians fitted to features ``[N, D]``. Raises `ValueError` for
    fewer than 2.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    if min(len(real), len(made)) < 2:
        raise ValueError("a Frechet distance needs at least 2 real and 2 made media")
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1])).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(made, real=False)
    return float(metric.compute())


def inception_score(logits: Tensor, splits: int = 10) -> float:
    """exp of the mean KL of ``softmax(logits)`` to its mean, averaged over splits."""
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(feature=_Given(logits.shape[1]), splits=min(splits, len(logits)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # it shuffles before it splits
        metric.update(logits)
        return float(metric.compute()[0])


def divergence(real: Tensor, made: Tensor) -> Tensor:
    """KL divergence of the real medium's classes from the generated one's, per pair: ``[N]``."""
    pair = functional.log_softmax(made, 1), functional.log_softmax(real, 1)
    return functional.kl_div(*pair, reduction="none", log_target=True).sum(1)


def _made(answers: Sequence[Answered]) -> list[Media]:
    return [answer.media[0] for answer in answers]


def _real(answers: Sequence[Answered]) -> list[Media]:
    real = [answer.record.real for answer in answers if answer.record.real is not None]
    if len(real) < len(answers):
        raise ValueError(f"{len(answers) - len(real)} records have no real medium to compare with")
    return real


def frechet_distance(answers: Sequence[Answered], backbone: Backbone) -> float:
    real, _ = backbone.outputs(arrays(_real(answers)))
    made, _ = backbone.outputs(arrays(_made(answers)))
    return frechet(real, made)


def _logits(parts: Sequence[Media], backbone: Backbone) -> Tensor:
    logits = backbone.outputs(arrays(parts))[1]
    if logits is None:
        raise ValueError(f"{backbone.name} gives no logits beside its features")
    return logits


def sound_score(answers: Sequence[Answered], backbone: Backbone) -> float:
    return inception_score(_logits(_made(answers), backbone))


def class_divergence(answers: Sequence[Answered], backbone: Backbone) -> Ratio:
    found = divergence(_logits(_real(answers), backbone), _logits(_made(answers), backbone))
    return Ratio.of((float(value), 1.0) for value in found)


def text_similarity(answers: Sequence[Answered], clip: Backbone) -> Ratio:
    """Cosine of each picture to its caption; for a clip, the mean over its frames."""
    texts = clip.texts([answer.record.references[0] for answer in answers])
    pairs = zip(texts, answers, strict=True)
    return Ratio.of(
        (float((clip.outputs(arrays(a.media[:1]))[0] @ text).mean()), 1.0) for text, a in pairs
    )


def frame_similarity(answers: Sequence[Answered], clip: Backbone) -> Ratio:
    """Cosine of consecutive frames, the mean of each clip."""
    found = []
    for answer in answers:
        frames, _ = clip.outputs(arrays(answer.media[:1]))
        if len(frames) < 2:
            raise ValueError(f"{answer.record.key}: a clip of one frame has no consecutive frames")
        found.append((float((frames[1:] * frames[:-1]).sum(1).mean()), 1.0))
    return Ratio.of(found)


def cepstral_distance(answers: Sequence[Answered]) -> Ratio:
    pairs = zip(_real(answers), _made(answers), strict=True)
    return Ratio.of((mcd(*(media.load(part) for part in pair)), 1.0) for pair in pairs)


def mcd(real: np.ndarray, made: np.ndarray) -> float:
    """Mel-cepstral distance of two waves at 16 kHz, aligned by dynamic time warping."""
    from mel_cepstral_distance import compare_audio_files

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "real.wav", Path(folder) / "made.wav"]
        for path, wave in zip(paths, (real, made), strict=True):
            if not np.abs(wave).max(initial=0.0):
                raise ValueError("silence has no mel-cepstral distance")
            media.save("audio", wave, path, rate=16_000)
        return float(compare_audio_files(*paths)[0])


def of_kind(metric: Metric, kind: str) -> Metric:
    """The same over the records whose ``about["kind"]`` is `kind`."""
    whole = metric.score

    def score(answers: Sequence[Answered], *backbones: Backbone) -> float | Ratio:
        chosen = [answer for answer in answers if answer.record.about["kind"] == kind]
        if not chosen:
            raise ValueError(f"no record of the kind {kind!r} was answered")
        return whole(chosen, *backbones)

    return replace(metric, name=f"{metric.name}, {kind}", score=score)


def _metric(name: str, protocol: str, score: Callable[..., float | Ratio], *backbones: str,
            lower: bool = True, scale: float = 1.0, packages: tuple[str, ...] = ("torchmetrics",),
            ) -> Metric:  # fmt: skip
    return Metric(name=name, protocol=protocol, score=score, backbones=backbones, scale=scale,
                  packages=packages, lower_is_better=lower)  # fmt: skip


FID = _metric("FID", "Frechet distance of inception features; clips: of all their frames",
              frechet_distance, "inception")  # fmt: skip
FD = _metric("FD", "Frechet distance of PANNs features", frechet_distance, "panns")
FAD = _metric("FAD", "Frechet distance of VGGish features, all windows", frechet_distance, "vggish")
IS = _metric("IS", "PANNs softmax, 10 splits", sound_score, "panns", lower=False)
KL = _metric("KL", "PANNs softmax, real from made, pair by pair", class_divergence, "panns",
             packages=())  # fmt: skip
CLIP = _metric("CLIP score", "cosine of picture and caption, x100", text_similarity, "clip",
               lower=False, scale=100, packages=())  # fmt: skip
CLIPSIM = _metric("CLIPSIM", "cosine of frame and caption, mean over frames, x100",
                  text_similarity, "clip", lower=False, scale=100, packages=())  # fmt: skip
CLIP_T = _metric("CLIP-T", "cosine of frame and caption, mean over frames", text_similarity, "clip",
                 lower=False, packages=())  # fmt: skip
CLIP_I = _metric("CLIP-I", "cosine of consecutive frames", frame_similarity, "clip", lower=False,
                 packages=())  # fmt: skip
MCD = _metric("MCD", "mel-cepstral-distance: 16 kHz, 20 mels, cepstra 1-16, DTW on mels, no "
              "silence removed", cepstral_distance,
              packages=("mel_cepstral_distance",))  # fmt: skip
