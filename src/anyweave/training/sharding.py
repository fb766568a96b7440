"""Shards the language model's frozen layers over all processes with `fully_shard` (FSDP2)."""

from __future__ import annotations

import logging
from collections.abc import Collection

import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from anyweave.language import CausalLM
from anyweave.language.quantization import is_quantized

logger = logging.getLogger(__name__)


def shard_base(
    language: CausalLM,
    *,
    keep: Collection[nn.Parameter],
    plugin: FullyShardedDataParallelPlugin,
    device: torch.device,
) -> None:
    """Shard every decoder layer. Parameters in `keep` stay whole, as do embedding, head and final
    norm.

    Of `plugin`, only `reshard_after_forward` and `cpu_offload` are used. Raises `ValueError` for a
    4-bit base, whose packed weights cannot be split, or a model without layers.
    """
    if is_quantized(language.model):
        raise ValueError(
            "a 4-bit language model cannot be sharded; use quantization with replicas (no FSDP "
            "config), or FSDP with bfloat16 weights"
        )
    layers = [m for m in language.decoder.modules() if isinstance(m, GradientCheckpointingLayer)]
    if not layers:
        raise ValueError(
            f"{type(language.model).__name__} has no layers that FSDP could shard; train it "
            "without an FSDP config"
        )
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    kept = set(keep)
    for layer in layers:
        fully_shard(
            layer,
            mesh=mesh,
            reshard_after_forward=bool(plugin.reshard_after_forward),
            offload_policy=plugin.cpu_offload,
            ignored_params=kept,
        )
    # A common root, so that the next layer is gathered while one runs.
    in_layers = {p for layer in layers for p in layer.parameters()}
    rest = {p for p in language.decoder.parameters() if p not in in_layers}
    fully_shard(language.decoder, mesh=mesh, ignored_params=kept | rest)
    whole = sum(p.numel() for p in in_layers - kept)
    logger.info("%s frozen parameters sharded over %d processes", f"{whole:,}", mesh.size())
