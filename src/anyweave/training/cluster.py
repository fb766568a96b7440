"""Fills a feature cache with a Ray cluster: the nodes encode, and only this process writes.

Needs the extra ``ray``. All nodes must find the model and the data under the same names; the cache
is on this machine's local disk. Parts are those of `precompute`, so either can continue the other's
work.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import Any, cast

from rich.console import Console
from rich.progress import track
from safetensors.torch import load

from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache, Kind
from anyweave.training.plan import EpochSource, Source
from anyweave.training.precompute import Filler, full_error

Row = dict[str, Any]
_DONE = "done"  # the kind of a part's last row, whose key holds its problems


def precompute_on_ray(
    loads: Callable[[], tuple[NextGPT, Source | EpochSource]],
    parts: Sequence[int],
    cache: FeatureCache,
    *,
    actors: int,
    gpus_each: float = 0,
    latents: bool = True,
    job: str | None = None,
    progress: bool = True,
) -> list[str]:
    """Compute `parts` of a source and store them. Returns the problems of skipped items.

    Args:
        loads: reads the model and the data; called once by each of the `actors`.
        gpus_each: GPUs per actor.
        job: as for `precompute`.

    Raises `ValueError` where Ray is not installed, `CacheError` when the cache is full.
    """
    try:
        import ray.data
    except ImportError as error:
        raise ValueError("Ray is not installed: pip install 'anyweave[ray]'") from error
    rows = ray.data.from_items([{"part": part} for part in parts]).flat_map(
        Encoder,
        fn_constructor_kwargs={"loads": loads, "latents": latents},
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_gpus=gpus_each,
    )
    console = Console(stderr=True)
    problems: list[str] = []
    with_ends = (row for row in rows.iter_rows() if row["kind"] == _DONE or _store(cache, row))
    for row in track(
        with_ends, "frozen features", len(parts), disable=not progress, console=console
    ):
        found = row["key"].splitlines()
        problems += found
        if job is not None and not found:
            cache.store.mark_done(job, int(row["part"]))
    return problems


def _store(cache: FeatureCache, row: Row) -> bool:
    """Put one entry into the cache. Returns False: an entry does not end a part."""
    if not cache.put(cast(Kind, row["kind"]), row["key"], load(row["blob"])):
        raise full_error(cache)
    return False


class Encoder:
    """An actor: part number -> its entries, and a row that marks it as done.

    Computes into a temporary cache of its own.
    """

    def __init__(
        self, loads: Callable[[], tuple[NextGPT, Source | EpochSource]], latents: bool
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="anyweave-ray-")
        self.cache = FeatureCache(self._folder.name)
        self.fill = Filler(*loads(), self.cache, latents=latents)

    def __call__(self, row: Row) -> list[Row]:
        part = int(row["part"])
        problems = self.fill(part)
        rows: list[Row] = [
            {"part": part, "kind": kind, "key": key, "blob": self.cache.store.get(kind, key)}
            for kind, key in self.cache.store.keys()
        ]
        self.cache.prune(0)
        return [*rows, {"part": part, "kind": _DONE, "key": "\n".join(problems), "blob": b""}]
