"""How a step is spread over processes: the accelerate config decides, the loop stays the same.

    no config   `Replicas`      every process holds the whole model; gradients are summed once per
                                step
    FSDP2       `ShardedBase`   the language model's frozen layers are sharded; trained parts are
                                replicated and summed as above

Only about 1% of the weights train, so the frozen base holds nearly all that sharding can save.
Keeping the trained percent whole allows one deterministic reduction, one checkpoint format, and
steps in which a modality (hence a projector) is missing from some process's batch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import Tensor, nn

from anyweave.batch import IGNORE_INDEX, Batch, ModelOutput
from anyweave.model.any_to_any import NextGPT
from anyweave.model.roles import ROLES
from anyweave.training.config import TrainConfig
from anyweave.training.distributed import max_over_processes, same_start, sum_gradients
from anyweave.training.resume import Parameters
from anyweave.training.sharding import shard_base

logger = logging.getLogger(__name__)
MicroBatch = tuple[Batch, list[int]]
"""A batch and a seed per conversation."""


class DivergenceError(RuntimeError):
    """A run without finite losses."""


class Replicas:
    """Every process holds the whole model. Also the base class of the other strategies."""

    def __init__(self, accelerator: Accelerator, config: TrainConfig) -> None:
        self.accelerator, self.config = accelerator, config

    # --- before the first step

    def place(self, model: NextGPT) -> None:
        """Move the model to this process's device. What trains is not known yet."""
        model.to(self.accelerator.device)

    def adopt(
        self, model: NextGPT, parameters: Parameters, optimizer: torch.optim.Optimizer
    ) -> None:
        """Prepare for training, once all initial values are in place."""
        self.model, self.optimizer = model, optimizer
        self.trained = [p for named in parameters.values() for p in named.values()]
        same_start(self.trained)

    # --- a step

    def micro_batches(self, batches: Sequence[MicroBatch]) -> Sequence[MicroBatch]:
        """What this process runs in a step that gave it `batches`."""
        return batches

    def total(self, weighted: Sequence[Tensor], output: ModelOutput) -> Tensor | None:
        """The loss of a micro-batch; None if there is nothing to learn."""
        total = torch.stack(list(weighted)).sum() if weighted else None
        return total if total is not None and total.requires_grad else None

    def apply(self, *, finite: bool) -> float:
        """Sum the gradients over processes, clip, and step if everything is finite. Returns their
        norm.
        """
        sum_gradients(self.trained)
        with_gradient = [p for p in self.trained if p.grad is not None]
        if not with_gradient:
            return 0.0
        limit = self.config.optimizer.clip or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(with_gradient, limit))
        if finite and norm == norm and norm != float("inf"):
            self.optimizer.step()
        return norm


class ShardedBase(Replicas):
    """FSDP2: every process keeps a shard of each frozen layer and gathers the layer when it runs.

    All processes must therefore run the language model equally often, forward and backward, whether
    or not they have data.
    """

    def __init__(
        self, accelerator: Accelerator, config: TrainConfig, plugin: FullyShardedDataParallelPlugin
    ) -> None:
        super().__init__(accelerator, config)
        _needs_no_whole_model(config, "FSDP2")
        if plugin.fsdp_version != 2:
            raise ValueError(
                f"the accelerate config asks for FSDP{plugin.fsdp_version}; set fsdp_version: 2 "
                "(recipes/accelerate/fsdp2.yaml)"
            )
        self.plugin = plugin

    def place(self, model: NextGPT) -> None:
        # Sharded on the CPU first: no device ever holds the whole model.
        kept = {p for role in ROLES for p in model.parameters_of(role).values()}
        shard_base(model.language, keep=kept, plugin=self.plugin, device=self.accelerator.device)
        if self.plugin.activation_checkpointing:
            model.language.enable_gradient_checkpointing()
        super().place(model)
        model.language.register_forward_pre_hook(_ask_for_gradients)

    def micro_batches(self, batches: Sequence[MicroBatch]) -> Sequence[MicroBatch]:
        most = max_over_processes(len(batches))
        return [*batches, *[(self._nothing(), []) for _ in range(most - len(batches))]]

    def total(self, weighted: Sequence[Tensor], output: ModelOutput) -> Tensor | None:
        # Sums over zero rows are exactly zero, and make every process run the backward pass.
        nothing = [output.logits, *output.conditioning.values()]
        return torch.stack([*weighted, *(values[:0].float().sum() for values in nothing)]).sum()

    def _nothing(self) -> Batch:
        """One token, nothing to learn."""
        pad = torch.full((1, 1), self.model.processor.pad_id, device=self.accelerator.device)
        return Batch(pad, torch.ones_like(pad), torch.full_like(pad, IGNORE_INDEX))


def choose(accelerator: Accelerator, config: TrainConfig) -> Replicas:
    """The strategy that the accelerate config asks for. Raises `ValueError` for one that the run's
    config rules out, or that is not supported.
    """
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        raise ValueError(
            "DeepSpeed is not supported: about 1% of the weights train, and FSDP2 shards the rest. "
            "Launch with recipes/accelerate/fsdp2.yaml or replicas.yaml"
        )
    # accelerate ignores FSDP on CPUs, but sharding works there too, and is tested there.
    asked = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    if asked and accelerator.num_processes > 1:
        return ShardedBase(accelerator, config, FullyShardedDataParallelPlugin())
    if asked:
        logger.warning("FSDP was asked for, but there is one process only: nothing to shard")
    return Replicas(accelerator, config)


def _needs_no_whole_model(config: TrainConfig, way: str) -> None:
    if config.sample_every:
        raise ValueError(
            f"sample replies need the whole model in one process, and {way} spreads it out; set "
            "sample_every=0 and look at replies of runs/.../model afterwards"
        )


def _ask_for_gradients(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Without a trained part before it (text alone in stage 1), the language model would skip its
    backward pass here while other processes wait in theirs.
    """
    embeds = args[0]
    if torch.is_grad_enabled() and not embeds.requires_grad:
        embeds = embeds.detach().requires_grad_()
    return (embeds, *args[1:])
