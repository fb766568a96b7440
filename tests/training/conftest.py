"""The tiny model and its conversations, and a config of five steps on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from anyweave.model import NextGPT, ProjectorSpec
from anyweave.testing.model import tiny_model
from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.stages import STAGES


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model's frozen parts, written once."""
    return tmp_path_factory.mktemp("parts")


@pytest.fixture
def new_model(parts: Path) -> Callable[..., NextGPT]:
    """A fresh copy of the same tiny model at every call."""
    return lambda **changes: tiny_model(parts, **changes)


@pytest.fixture
def plain_model(parts: Path) -> Callable[[], NextGPT]:
    """The tiny model without chance in its forward: linear inputs, no dropout."""

    def make() -> NextGPT:
        model = tiny_model(parts, input_projector=ProjectorSpec(type="linear", shared=True))
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            elif isinstance(module, torch.nn.MultiheadAttention):
                module.dropout = 0.0
        return model

    return make


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., TrainConfig]:
    """Five steps of two conversations; keyword arguments replace fields, `data` those of
    `DataConfig`.
    """

    def make(stage: str = "instruction_tuning", **changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "name": "test",
            "stage": STAGES[stage],
            "model": ModelConfig(source="tiny"),
            "data": DataConfig(source="tests", **{"batch_size": 2, **changes.pop("data", {})}),
            "optimizer": OptimizerConfig(learning_rate=1e-2),
            "steps": 5,
            "checkpoint_every": 0,
            "output_dir": str(tmp_path / changes.pop("run", "run")),
        }
        return TrainConfig(**{**values, **changes})

    return make
