"""The verifier of sounds: which of the world's sounds is heard in each half of four seconds.

A linear discriminant on statistics of a half's log-mel spectrogram over time:
levels, their spread, the loudest and quietest of each band, how fast it changes and in which
rhythm. It shares nothing with the decoder it judges, and never hears the test takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from anyweave.decoders.codecs.audio import AudioCodec
from anyweave.decoders.codecs.mel import MelConfig, log_mel
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.emoji_world.render import render_sound
from emoji_mini.emoji_world.sampling import sample_sound
from emoji_mini.emoji_world.scenes import SoundScene
from emoji_mini.emoji_world.sounds import SOUNDS, TAKES, TEST_TAKES
from emoji_mini.parts.discriminant import Discriminant
from emoji_mini.parts.fit import trained_file
from emoji_mini.parts.seeing import facts_table
from emoji_mini.parts.sound_autoencoder import at_other_speeds

TRAINED = Path(__file__).parents[1] / "trained" / "sound_verifier"
WEIGHTS = "verifier.safetensors"
NAMES = tuple(SOUNDS)
# Its own ears: other bands, another hop and floor than the decoder's.
_MEL = MelConfig(n_fft=1024, hop_length=400, mel_scale="htk", fmin=30.0, floor=1e-3)
_EXTREMES = 8, 20  # frames of a half that are its loudest, its quietest
_RHYTHMS = 36  # the lowest modulation frequencies, half a hertz apart
_PAIR_EVIDENCE = 5.0  # in natural-log units: below this, two sounds are taken for one


@dataclass(frozen=True)
class SoundVerifier:
    """Names what is heard by the features of each half."""

    discriminant: Discriminant

    def names(self, waves: NDArray[np.floating]) -> list[tuple[str, ...]]:
        """What is heard in each of the waves ``[N, SAMPLES]``: one name, or two in order."""
        logits = self.discriminant.scores(features_of(mels_heard(waves)))
        scores = logits.log_softmax(-1)  # [N, 2, 48]
        both = scores.sum(1).max(-1)
        each = scores.max(-1)
        single = both.values + _PAIR_EVIDENCE > each.values.sum(1)
        return [
            (NAMES[one],) if alone else tuple(dict.fromkeys(NAMES[row] for row in pair))
            for alone, one, pair in zip(
                single.tolist(), both.indices.tolist(), each.indices.tolist(), strict=True
            )
        ]


def mels_heard(waves: NDArray[np.floating]) -> Float[Tensor, "N T 64"]:
    """Log-mel spectrograms of ``[N, SAMPLES]``, each of mean 0: loudness is no clue."""
    chunks = torch.from_numpy(np.asarray(waves, np.float32)).split(64)
    mel = torch.cat([log_mel(chunk, _MEL) for chunk in chunks])[:, 0]
    return mel - mel.mean((1, 2), keepdim=True)


def features_of(mel: Float[Tensor, "N T 64"]) -> Float[Tensor, "N 2 F"]:
    """The features of the first and of the second half."""
    length = mel.shape[1] // 2
    return torch.stack([_features(mel[:, n * length : (n + 1) * length]) for n in (0, 1)], 1)


def _features(mel: Float[Tensor, "N T 64"]) -> Float[Tensor, "N F"]:
    ordered = mel.sort(dim=1).values
    loud, quiet = _EXTREMES
    bands = mel.unflatten(2, (8, 8)).mean(3)  # eight wide ones
    swing = (bands - bands.mean(1, keepdim=True)) * torch.hann_window(mel.shape[1])[:, None]
    rhythm = torch.fft.rfft(swing, dim=1).abs()[:, 1 : _RHYTHMS + 1]
    rhythm = (rhythm.unflatten(1, (-1, 3)).mean(2) + 0.3).log().flatten(1)
    change = mel.diff(dim=1).abs().mean(1)
    extremes = ordered[:, -loud:].mean(1), ordered[:, :quiet].mean(1)
    return torch.cat([mel.mean(1), mel.std(1), *extremes, change, rhythm], 1)


def train(parts: Path, size: int = 1500, seed: int = 0) -> None:
    """Fit it to `size` training sounds, half at other speeds, each as it is and roughened."""
    rng = np.random.default_rng((seed, size))
    scenes = [_heard_in_training(sample_sound(rng, "train", pair_share=0.4)) for _ in range(size)]
    mel = mels_heard(at_other_speeds(np.stack([render_sound(scene) for scene in scenes]), rng))
    generator = torch.Generator().manual_seed(seed)
    versions = [mel, *(_roughened(mel, generator) for _ in range(2))]
    features = torch.cat([features_of(version) for version in versions]).flatten(0, 1).double()
    halves = [[NAMES.index(s.sounds[0]), NAMES.index(s.sounds[-1])] for s in scenes]
    labels = torch.tensor(halves).repeat(len(versions), 1).flatten()
    fitted = vars(Discriminant.fitted(NAMES, features, labels))
    parts.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.float() for name, value in fitted.items() if name != "names"}
    save_tensors(tensors, parts / WEIGHTS)


def _heard_in_training(scene: SoundScene) -> SoundScene:
    """Pairs of both splits use all takes; here the last ones are kept for the measurement."""
    return replace(scene, take=scene.take % (TAKES - TEST_TAKES))


def _roughened(mel: Tensor, generator: torch.Generator) -> Tensor:
    """Tilted, with a floor and noise, half of them blurred in time: like decoded sounds."""

    def some(*shape: int) -> Tensor:
        return torch.rand((len(mel), *shape), generator=generator)

    tilted = mel + 0.7 * (2 * some(1, 1) - 1) * torch.linspace(-1, 1, mel.shape[2])
    noise = torch.randn(mel.shape, generator=generator) * 0.4 * some(1, 1)
    loudest = mel.amax((1, 2), keepdim=True)
    noisy = torch.maximum(tilted, loudest - 5 - 4 * some(1, 1)) + noise
    blurred = (noisy + noisy.roll(1, 1) + noisy.roll(-1, 1)) / 3
    return torch.where(some(1, 1) < 0.5, blurred, noisy)


def load_verifier(parts: Path | None = None) -> SoundVerifier:
    """The verifier in `parts`, else the project's trained one."""
    return SoundVerifier(Discriminant(NAMES, **load_tensors(trained_file(WEIGHTS, parts, TRAINED))))


def measure(parts: Path, number: int, codec: AudioCodec | None = None) -> str:
    """How often test sounds of the world, half of them pairs, are named right, as they are and
    through `codec`: a Markdown table.
    """
    rng = np.random.default_rng(5)
    scenes = [sample_sound(rng, "test", pair_share=0.5) for _ in range(number)]
    waves = np.stack([render_sound(scene) for scene in scenes])
    versions = {"as they are": waves}
    if codec is not None:
        size = codec.default
        versions["through the codec"] = np.stack(
            codec.decode(codec.encode(list(waves), size), size)
        )
    verifier = load_verifier(parts)
    rows = {how: score(scenes, verifier.names(heard)) for how, heard in versions.items()}
    return facts_table(f"{number} test sounds", rows)


def score(scenes: list[SoundScene], heard: list[tuple[str, ...]]) -> list[dict[str, bool]]:
    """Whether the sounds of each scene, and no others, were heard in order: one of all, and of the
    single sounds or of the pairs.
    """
    return [
        dict.fromkeys(("all", ("single", "pair")[len(scene.sounds) - 1]), names == scene.sounds)
        for names, scene in zip(heard, scenes, strict=True)
    ]
