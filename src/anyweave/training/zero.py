"""DeepSpeed's ZeRO stages 2 and 3 behind the one training loop.

The engine reduces gradients, clips and steps; rates, losses, data and checkpoints stay ours. ZeRO
reduces gradients in the order in which they arise, so every process must run the same modules in
every micro-batch: a modality that a batch lacks enters it with no rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from anyweave.batch import Batch, BatchMedia, BatchTargets, ModelOutput
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.training.config import TrainConfig
from anyweave.training.parallel import DivergenceError, MicroBatch, Replicas, ShardedBase
from anyweave.training.resume import Parameters

_MOMENTS = ("exp_avg", "exp_avg_sq")


class _Engined(nn.Module):
    """What the engine sees: the parts that take part in every micro-batch. Encoders and decoders
    run on some processes only, so their weights must not be partitioned.
    """

    def __init__(self, model: NextGPT) -> None:
        super().__init__()
        self.language = model.language
        self.input_projectors = model.input_projectors
        self.output_projectors = model.output_projectors
        self.__dict__["model"] = model

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[Modality, Tensor]]:
        output: ModelOutput = self.__dict__["model"](batch)
        return output.logits, output.labels, dict(output.conditioning)


class Zero(ShardedBase):
    """A DeepSpeed engine does the backward pass, the reduction, clipping and the step."""

    def __init__(self, accelerator: Accelerator, config: TrainConfig) -> None:
        Replicas.__init__(self, accelerator, config)
        self._steps = 0

    def place(self, model: NextGPT) -> None:
        Replicas.place(self, model)

    def adopt(
        self, model: NextGPT, parameters: Parameters, optimizer: torch.optim.Optimizer
    ) -> None:
        if optimizer.state:
            raise ValueError(
                "a run cannot be continued under DeepSpeed: its optimizer does not take our state. "
                "Continue it without DeepSpeed (recipes/accelerate/fsdp2.yaml or one process): the "
                "checkpoint is the same"
            )
        super().adopt(model, parameters, optimizer)
        settings = self.accelerator.state.deepspeed_plugin.deepspeed_config
        batch, times = self.config.data.batch_size, self.config.grad_accumulation
        settings |= {
            "train_micro_batch_size_per_gpu": batch,
            "gradient_accumulation_steps": times,
            "gradient_clipping": self.config.optimizer.clip,
            "torch_autocast": {"enabled": self.config.precision == "bf16", "dtype": "bfloat16"},
        }
        # Signal rows are read beside any module's forward, where ZeRO-3 would not gather them.
        rows = max(p.numel() for p in model.language.signals.parameters())
        settings["zero_optimization"]["stage3_param_persistence_threshold"] = max(rows, 100_000)
        self.engine, _ = self.accelerator.prepare(_Engined(model), optimizer)

    def micro_batches(self, batches: Sequence[MicroBatch]) -> Sequence[MicroBatch]:
        every = super().micro_batches(batches)
        return [(with_every_modality(self.model, batch), seeds) for batch, seeds in every]

    def forward(self, batch: Batch) -> ModelOutput:
        logits, labels, conditioning = self.engine(batch)
        return ModelOutput(logits=logits, labels=labels, conditioning=conditioning)

    def backward(self, total: Tensor, *, last: bool) -> None:
        # Our totals are shares of the whole step's mean and want to be summed; the engine takes
        # means over processes and micro-batches.
        self.engine.backward(
            total * (self.accelerator.num_processes * self.config.grad_accumulation)
        )
        if not last:
            self.engine.step()

    def apply(self, *, finite: bool) -> float:
        if not finite:
            raise DivergenceError(
                "a loss is not finite, and under DeepSpeed a step cannot be left out. Lower "
                "optimizer.learning_rate, or train without DeepSpeed"
            )
        self.engine.step()
        self._steps += 1
        return float(self.engine.get_global_grad_norm() or 0.0)

    def optimizer_state(self) -> dict[str, Tensor]:
        from deepspeed.utils import safe_get_full_optimizer_state

        shards = self.engine.optimizer
        if hasattr(shards, "_hp_optimizer_states_linked"):
            # ZeRO-2 looks for states once, after the step of its first group, and then misses those
            # of the others (DeepSpeed 0.19.8).
            shards._hp_optimizer_states_linked = False
            shards._lazy_init_hp_params_optimizer_state()
        state = {}
        for name, parameter in self.named.items():
            state[f"{name}|step"] = torch.tensor(float(self._steps))
            for entry in _MOMENTS:
                whole = safe_get_full_optimizer_state(parameter, entry)
                state[f"{name}|{entry}"] = whole.detach().cpu().contiguous().clone()
        return state

    @contextmanager
    def whole(self) -> Iterator[None]:
        from deepspeed.zero import GatheredParameters

        partitioned = [p for p in self.trained if hasattr(p, "ds_id")]
        with GatheredParameters(partitioned, enabled=bool(partitioned)):
            yield


def with_every_modality(model: NextGPT, batch: Batch) -> Batch:
    """The same batch in which every modality of the model occurs, with no rows where it did not."""
    nowhere = torch.zeros(0, dtype=torch.long, device=batch.input_ids.device)
    media: dict[Modality, BatchMedia] = {}
    targets: dict[Modality, BatchTargets] = {}
    for modality in MEDIA_MODALITIES:
        if modality in model.encoders:
            encoder: Any = model.encoders[modality]
            shape = (0, encoder.num_patches(modality), encoder.feature_dim)
            media[modality] = batch.media.get(modality) or BatchMedia(
                nowhere,
                nowhere,
                model.processor.num_input_tokens[modality],
                features=torch.zeros(shape, device=nowhere.device),
            )
        if modality in model.output_projectors:
            length = model.processor.signals.count(modality)
            targets[modality] = batch.targets.get(modality) or BatchTargets(
                nowhere, nowhere, length, captions=()
            )
    return replace(batch, media=media, targets=targets)
