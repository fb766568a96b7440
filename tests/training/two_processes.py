"""Run by torchrun in `test_two_processes_equal_one`: parts folder, output folder."""

from __future__ import annotations

import sys

import torch

from anyweave.model import ProjectorSpec
from anyweave.testing.conversations import tiny_conversations
from anyweave.testing.model import tiny_model
from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.stages import INSTRUCTION_TUNING
from anyweave.training.trainer import Trainer


def main(parts: str, output_dir: str) -> None:
    torch.set_num_threads(1)
    model = tiny_model(parts, input_projector=ProjectorSpec(type="linear", shared=True))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    config = TrainConfig(
        name="pair",
        stage=INSTRUCTION_TUNING,
        model=ModelConfig(source="tiny"),
        data=DataConfig(source="tests", batch_size=2, shuffle=False),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        steps=2,
        checkpoint_every=0,
        output_dir=output_dir,
    )
    trainer = Trainer(model, config, tiny_conversations()[:8])
    assert trainer.accelerator.num_processes == 2
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
