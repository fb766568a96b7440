"""Verdicts: arrays in, names out. Loads the shipped weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from anyweave.files import read_object
from anyweave.tensors import load_tensors
from emoji_mini.world.catalogue import (
    AUDIO_SAMPLES,
    BACKGROUNDS,
    IMAGE_SIZE,
    MOTIONS,
    NUM_FRAMES,
    OBJECTS,
    SOUNDS,
)
from emoji_mini.world.verifiers.networks import AudioVerifier, ImageVerifier, VideoVerifier

FOLDER = Path(__file__).parent
_NETWORKS: dict[str, type[nn.Module]] = {
    "image": ImageVerifier,
    "video": VideoVerifier,
    "audio": AudioVerifier,
}
_OBJECTS, _SOUNDS, _BACKGROUNDS = tuple(OBJECTS), tuple(SOUNDS), tuple(BACKGROUNDS)
# relation -> numbers of the halves (left, right, upper, lower) of its first and second thing
SIDES = {"left of": (0, 1), "right of": (1, 0), "above": (2, 3), "below": (3, 2)}


@dataclass(frozen=True, kw_only=True)
class ImageVerdict:
    """`presence` is a probability per object; `sides` the same for each half (left, right, upper,
    lower).
    """

    presence: dict[str, float]
    sides: tuple[dict[str, float], ...]
    count: int
    background: str

    @property
    def object(self) -> str:
        """The likeliest object."""
        return _likeliest(self.presence)

    def shows(self, name: str, threshold: float = 0.5) -> bool:
        return self.presence[name] > threshold

    def relation_holds(self, name: str, relation: str, other: str) -> bool:
        """True if both are there and each is likelier than the other thing in its own half."""
        first, second = (self.sides[side] for side in SIDES[relation])
        both = self.shows(name) and self.shows(other)
        return both and first[name] > first[other] and second[other] > second[name]


@dataclass(frozen=True, kw_only=True)
class VideoVerdict:
    presence: dict[str, float]
    motion: str
    background: str

    @property
    def object(self) -> str:
        return _likeliest(self.presence)

    def shows(self, name: str, threshold: float = 0.5) -> bool:
        return self.presence[name] > threshold


@dataclass(frozen=True, kw_only=True)
class AudioVerdict:
    """`presence` is a probability per sound; `halves` the same for the first and second half of the
    time.
    """

    presence: dict[str, float]
    halves: tuple[dict[str, float], ...]

    @property
    def sound(self) -> str:
        """The likeliest sound."""
        return _likeliest(self.presence)

    @property
    def order(self) -> tuple[str, str]:
        """The likeliest sound of each half."""
        first, second = (_likeliest(half) for half in self.halves)
        return first, second

    def holds(self, sounds: Sequence[str], threshold: float = 0.5) -> bool:
        """One sound: it is the likeliest. Two: both are there, each in its half."""
        if len(sounds) == 1:
            return self.sound == sounds[0]
        there = all(self.presence[name] > threshold for name in sounds)
        return there and self.order == tuple(sounds)


def _likeliest(chances: dict[str, float]) -> str:
    return max(chances, key=chances.__getitem__)


def _probabilities(names: Sequence[str], logits: Tensor) -> dict[str, float]:
    return dict(zip(names, logits.sigmoid().tolist(), strict=True))


def as_pixels(pictures: Sequence[NDArray[np.uint8]]) -> Float[Tensor, "B 3 64 64"]:
    """Pictures of any size as the networks take them: resized to 64x64 by area, -1..1."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    rows = []
    for picture in pictures:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
        if pixels.shape[-2:] != size:
            pixels = nn.functional.interpolate(pixels, size, mode="area")
        rows.append(pixels)
    return torch.cat(rows) / 127.5 - 1


@dataclass(frozen=True)
class Verifiers:
    """The three judges. Every method takes a batch of arrays and gives a verdict for each."""

    networks: dict[str, nn.Module]

    @torch.inference_mode()
    def judge_images(self, pictures: Sequence[NDArray[np.uint8]]) -> list[ImageVerdict]:
        """`pictures`: ``uint8[H, W, 3]`` each."""
        out = self.networks["image"](as_pixels(pictures))
        return [
            ImageVerdict(
                presence=_probabilities(_OBJECTS, out.presence[n]),
                sides=tuple(_probabilities(_OBJECTS, side) for side in out.sides[n]),
                count=int(out.count[n].argmax()) + 1,
                background=_BACKGROUNDS[int(out.background[n].argmax())],
            )
            for n in range(len(pictures))
        ]

    @torch.inference_mode()
    def judge_videos(self, clips: Sequence[NDArray[np.uint8]]) -> list[VideoVerdict]:
        """`clips`: ``uint8[T, H, W, 3]`` each; eight frames spread over the clip are judged."""
        rows = []
        for clip in clips:
            chosen = np.linspace(0, len(clip) - 1, NUM_FRAMES).round().astype(int)
            rows.append(as_pixels([clip[n] for n in chosen]))
        out = self.networks["video"](torch.stack(rows))
        return [
            VideoVerdict(
                presence=_probabilities(_OBJECTS, out.presence[n]),
                motion=MOTIONS[int(out.motion[n].argmax())],
                background=_BACKGROUNDS[int(out.background[n].argmax())],
            )
            for n in range(len(clips))
        ]

    @torch.inference_mode()
    def judge_audios(self, waves: Sequence[NDArray[np.float32]]) -> list[AudioVerdict]:
        """`waves`: ``float32[S]`` at 16 kHz each; cut or padded to 2.048 s."""
        padded = np.zeros((len(waves), AUDIO_SAMPLES), np.float32)
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = wave[:AUDIO_SAMPLES]
        network = self.networks["audio"]
        assert isinstance(network, AudioVerifier)
        out = network(network.log_mel(torch.from_numpy(padded)))
        return [
            AudioVerdict(
                presence=_probabilities(_SOUNDS, out.presence[n]),
                halves=tuple(_probabilities(_SOUNDS, half) for half in out.halves[n]),
            )
            for n in range(len(waves))
        ]


@lru_cache(maxsize=2)
def load_verifiers(folder: Path = FOLDER) -> Verifiers:
    """The verifiers with their weights. Raises `ValueError` if a file is missing, saying how to
    make it.
    """
    networks = {}
    for name, network_class in _NETWORKS.items():
        file = folder / f"{name}.safetensors"
        if not file.is_file():
            raise ValueError(
                f"no verifier weights {file}; make them with: anyweave train part verifiers"
            )
        network = network_class()
        weights = {key: value.float() for key, value in load_tensors(file).items()}
        missing, unexpected = network.load_state_dict(weights, strict=False)
        missing = [key for key in missing if not key.endswith("num_batches_tracked")]
        if missing or unexpected:
            raise ValueError(
                f"{file} does not fit this version: missing {missing}, unexpected {unexpected}; "
                "train the verifiers again with: anyweave train part verifiers"
            )
        networks[name] = network.eval().requires_grad_(False)
    return Verifiers(networks)


def accuracy(folder: Path = FOLDER) -> dict[str, Any]:
    """The verifiers' own accuracy on renders of test scenes: ``{modality: {what: {accuracy,
    trials}}}``.
    """
    file = folder / "accuracy.json"
    if not file.is_file():
        raise ValueError(f"no {file}; make it with: anyweave train part verifiers")
    return read_object(file)
