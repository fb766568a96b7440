"""The rendered micro-batches of each step, made here or ahead of time in data workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset

from anyweave.media import isolation
from anyweave.training.config import TrainConfig
from anyweave.training.features import Rendered, Renderer
from anyweave.training.objective import pays_denoising
from anyweave.training.plan import BatchPlan


def rendered_steps(
    plan: BatchPlan, renderer: Renderer, config: TrainConfig, *, rank: int, steps: range
) -> Iterator[tuple[int, list[list[Rendered]]]]:
    """Step numbers with the micro-batches of process `rank`."""
    workers = config.data.num_workers
    loader: DataLoader[Any] = DataLoader(
        _Steps(plan, renderer, config, rank),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_as_it_is,
        prefetch_factor=2 if workers else None,
        worker_init_fn=_isolate if workers else None,
    )
    yield from zip(steps, loader, strict=True)


def within_budget(micro: Sequence[Rendered], max_tokens: int) -> list[list[Rendered]]:
    """The usable conversations of a micro-batch: one part if their padded tokens are at most
    `max_tokens`, else sorted by length and split into as few parts as that allows. A conversation
    that exceeds it alone is a part of its own.
    """
    kept = [(item, item.sample.length) for item in micro if item.sample is not None]
    if not kept:
        return []
    if len(kept) * max(length for _, length in kept) <= max_tokens:
        return [[item for item, _ in kept]]
    parts: list[list[Rendered]] = [[]]
    for item, length in sorted(kept, key=lambda one: one[1]):
        if parts[-1] and (len(parts[-1]) + 1) * length > max_tokens:
            parts.append([])
        parts[-1].append(item)
    return parts


class _Steps(Dataset[list[list[Rendered]]]):
    """Step number -> its rendered micro-batches."""

    def __init__(self, plan: BatchPlan, renderer: Renderer, config: TrainConfig, rank: int) -> None:
        self.plan, self.renderer, self.config, self.rank = plan, renderer, config, rank

    def __getitem__(self, number: int) -> list[list[Rendered]]:
        load = pays_denoising(number, self.config.stage, self.config.objective)
        epoch = self.plan.epoch_of(number)
        return [
            [self.renderer(index, load_targets=load, epoch=epoch) for index in micro]
            for micro in self.plan.step(number, self.rank)
        ]


def _isolate(_worker: int) -> None:
    isolation.isolate()  # a medium that crashes its reader must not end the run


def _as_it_is(value: Any) -> Any:
    return value
