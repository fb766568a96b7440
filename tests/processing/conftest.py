from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anyweave.messages import MEDIA_TYPES, Media, Modality
from anyweave.processing import Processor, SignalTokens
from anyweave.testing.language import byte_tokenizer

BASE_VOCAB = 264  # more rows than the byte tokenizer has tokens, as in padded embeddings


class MeanEncoder:
    """Preprocesses a medium to two numbers: its mean and its rate."""

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> torch.Tensor:
        return torch.tensor([float(array.mean()), rate or 0.0])


def make_processor(**changes: Any) -> Processor:
    encoder = MeanEncoder()
    arguments: dict[str, Any] = {
        "tokenizer": byte_tokenizer(),
        "signals": SignalTokens({"image": 4, "video": 6, "audio": 3}, BASE_VOCAB),
        "template": "chatml",
        "encoders": {"image": encoder, "video": encoder, "audio": encoder},
        "num_input_tokens": {"image": 2, "video": 5, "audio": 3},
    }
    return Processor(**{**arguments, **changes})


def make_medium(modality: Modality, value: int = 0, caption: str | None = None) -> Media:
    arrays = {
        "image": np.full((4, 4, 3), value, np.uint8),
        "video": np.full((2, 4, 4, 3), value, np.uint8),
        "audio": np.full(32, value / 255, np.float32),
    }
    rates = {"image": None, "video": 8.0, "audio": 16000.0}
    return MEDIA_TYPES[modality](arrays[modality], caption=caption, rate=rates[modality])


@pytest.fixture
def processor() -> Processor:
    return make_processor()


@pytest.fixture
def medium() -> Callable[..., Media]:
    return make_medium
