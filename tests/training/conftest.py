"""The tiny model and its conversations, and a config of five steps on them."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

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


@pytest.fixture
def in_processes() -> Callable[..., list[int]]:
    """`(count, work, **environment)`: run `work` in forked processes that find each other as
    torchrun's would; their exit codes.
    """
    return _in_processes


def _in_processes(count: int, work: Callable[[], object], **environment: str) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.environ |= {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(count),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "ACCELERATE_USE_CPU": "true",
                    **environment,
                }
                AcceleratorState._reset_state(reset_partial_state=True)
                work()
                if torch.distributed.is_initialized():  # else the others may still be connecting
                    torch.distributed.barrier()
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
