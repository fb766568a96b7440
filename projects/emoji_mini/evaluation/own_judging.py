"""The judges of what a person has taught: which thing a picture shows, which sound is heard.

Each is a linear discriminant over the new ones and all of the world's, on the
features of the world's own judge. It learns from its own renders, none of them brought or asked
for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from emoji_mini.emoji_world.pack import load_pack
from emoji_mini.emoji_world.scenes import BACKGROUNDS
from emoji_mini.emoji_world.sounds import SAMPLES, SOUNDS
from emoji_mini.emoji_world.things import THINGS
from emoji_mini.evaluation.own_data import NEW_SOUNDS, NEW_THINGS, Shown, new_thing, painted
from emoji_mini.parts.discriminant import Discriminant
from emoji_mini.parts.picture_encoder import CELLS, as_input
from emoji_mini.parts.seeing import Judge
from emoji_mini.parts.sound_verifier import features_of, mels_heard

_RENDERS, _OF_OLD = 24, 3  # of each new thing; of each that the world has
_RECORDINGS, _TAKES = 24, 6  # of each new sound; of the world's, whose other takes are for tests
_FIRST = 900_000  # takes that nobody brings and nobody asks for


def right(shown: Shown, made: NDArray[Any] | None) -> bool:
    """Whether a medium shows exactly its one thing, or is heard as its sound; None is wrong."""
    if made is None:
        return False
    if shown.is_sound:
        # The judge listens for four seconds: a shorter sound is played again.
        wave = np.resize(made, SAMPLES).astype(np.float32)
        return _ears().name(_heard(wave[None])[0]) == shown.name
    (verdict,) = _reader().look([made])
    return len(verdict.things) == 1 and _eyes().name(_seen([made])[0]) == shown.name


@cache
def _reader() -> Judge:
    return Judge()


@cache
def _eyes() -> Discriminant:
    names = (*NEW_THINGS, *THINGS)
    places = tuple(BACKGROUNDS)
    features, labels = [], []
    for label, name in enumerate(names):
        new = label < len(NEW_THINGS)
        sprite = new_thing(name) if new else Image.fromarray(load_pack().picture(name), "RGBA")
        number = _RENDERS if new else _OF_OLD
        takes = [_FIRST + number * label + take for take in range(number)]
        features.append(_seen([painted(sprite, places[take % 8], take) for take in takes]))
        labels += [label] * number
    return Discriminant.fitted(names, torch.cat(features), torch.tensor(labels))


@torch.inference_mode()
def _seen(pictures: Sequence[NDArray[np.uint8]]) -> Float[Tensor, "N F"]:
    """The reader's features around the likeliest middle of a thing."""
    reader = _reader().reader
    states = reader.network(as_input(np.stack(pictures)), output_hidden_states=True).hidden_states
    coarse = torch.nn.functional.interpolate(states[-1], scale_factor=2)
    mixed = reader.mix(torch.cat([coarse, states[-2]], dim=1))
    around = torch.nn.functional.avg_pool2d(
        torch.cat([coarse, mixed], 1), 3, stride=1, padding=1, count_include_pad=False
    )
    at = reader.middles(mixed).flatten(1).argmax(1)
    y, x = at // CELLS, at % CELLS
    return around[torch.arange(len(at)), :, y, x]


@cache
def _ears() -> Discriminant:
    names = (*NEW_SOUNDS, *SOUNDS)

    def waves(name: str) -> Iterable[NDArray[np.float32]]:
        if name in SOUNDS:
            return load_pack().takes(name)[:_TAKES]
        takes = range(_FIRST, _FIRST + _RECORDINGS)
        return [np.asarray(Shown(name=name, take=take).render()) for take in takes]

    features = [_heard(np.stack(list(waves(name)))) for name in names]
    labels = [label for label, rows in enumerate(features) for _ in rows]
    return Discriminant.fitted(names, torch.cat(features), torch.tensor(labels))


def _heard(waves: NDArray[np.float32]) -> Float[Tensor, "N F"]:
    return features_of(mels_heard(waves)).mean(1)
