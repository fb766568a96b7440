"""Fill a feature cache ahead of training, with several processes, resuming where it stopped.

The data is split into parts of a few conversations. A process takes a part, encodes what the cache
lacks, and marks the part as done, so a killed run's finished parts are not even read again. The
cache supports several writers: commands on several devices may share the parts.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import CacheError, FeatureCache, fingerprint
from anyweave.training.features import FrozenFeatures
from anyweave.training.plan import EpochSource, Source

logger = logging.getLogger(__name__)
_TOGETHER = 16  # conversations in a part


def precompute(
    model: NextGPT,
    source: Source | EpochSource,
    cache: FeatureCache | str | Path,
    *,
    latents: bool = True,
    processes: int = 1,
    share: tuple[int, int] = (0, 1),
    job: str | None = None,
    progress: bool = True,
) -> list[str]:
    """Fill the cache for a whole source (its first epoch). Returns the problems of skipped items.

    Args:
        latents: also for the assistant's media (needed only by the denoising loss).
        processes: number of CPU processes; they share the memory of `model`.
        share: (k, n) takes every n-th part from part k on: for n commands, each on its own device.
        job: names the work (see `job_name`), so that finished parts are skipped next time. Without
            it every item is looked up in the cache.

    Raises:
        CacheError: the cache is full.
        ValueError: several processes with a model that is not on the CPU, or one of them died.
    """
    if processes > 1 and model.device.type != "cpu":
        raise ValueError(
            f"{processes} processes cannot share {model.device}; start one command per device, "
            "with the shares 1/2 and 2/2, say"
        )
    cache = cache if isinstance(cache, FeatureCache) else FeatureCache(cache)
    filler = Filler(model, source, cache, latents=latents, job=job)
    parts = parts_left(source, cache, share=share, job=job)
    problems: list[str] = []
    work = map(filler, parts) if processes == 1 else _in_processes(filler, parts, processes)
    console = Console(stderr=True)
    for found in track(work, "frozen features", len(parts), disable=not progress, console=console):
        problems += found
    for problem in problems:
        logger.warning("skipped %s", problem)
    return problems


def parts_left(
    source: Source | EpochSource,
    cache: FeatureCache,
    *,
    share: tuple[int, int] = (0, 1),
    job: str | None = None,
) -> list[int]:
    """The parts of a share that are not marked as done."""
    done = set() if job is None else cache.store.done(job)
    every = range(share[0], -(-len(source) // _TOGETHER), share[1])
    left = [part for part in every if part not in done]
    if len(left) < len(every):
        logger.info("%d of %d parts were done before", len(every) - len(left), len(every))
    return left


def job_name(model: NextGPT, files: Iterable[str | Path], *facts: Any) -> str:
    """Identifies what is computed from which files by which frozen parts; `facts` is how they are
    read.

    Media are not checked: one that changes under the same name is encoded when a run first needs
    it.
    """
    stamps = [(str(path), os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in files]
    return fingerprint(stamps, model.fingerprints, facts, _TOGETHER)


class Filler:
    """Encodes one part of a source, by its number, into a cache; returns the problems of its items.

    A part with problems is not marked as done: its media may be repaired.
    """

    def __init__(
        self,
        model: NextGPT,
        source: Source | EpochSource,
        cache: FeatureCache,
        *,
        latents: bool,
        job: str | None = None,
    ) -> None:
        self.cache, self.latents, self.job = cache, latents, job
        self.size = len(source)
        self.frozen = FrozenFeatures(model, cache)
        self.renderer = self.frozen.renderer(source)

    def __call__(self, part: int) -> list[str]:
        start = part * _TOGETHER
        indices = range(start, min(start + _TOGETHER, self.size))
        rendered = [self.renderer(index, load_targets=self.latents) for index in indices]
        samples = self.frozen.complete(rendered, latents=self.latents)
        for modality in self.frozen.model.decoders:
            targets = [t for sample in samples for t in sample.targets if t.modality == modality]
            captions = [target.caption for target in targets if target.caption is not None]
            if captions and self.frozen.aligns(modality):
                self.frozen.caption_embeddings(modality, captions)
        if self.cache.full:
            raise full_error(self.cache)
        problems = [item.problem for item in rendered if item.problem is not None]
        if self.job is not None and not problems:
            self.cache.store.mark_done(self.job, part)
        return problems


def full_error(cache: FeatureCache) -> CacheError:
    """The error for a cache that has no room left."""
    count, size = cache.store.usage()
    return CacheError(
        f"the cache {cache.folder} is full with {count:,} entries, {size:,} bytes; give it more "
        "room, or train with what it has"
    )


_filler: Filler | None = None  # set in each worker process


def _in_processes(filler: Filler, parts: Sequence[int], processes: int) -> Iterator[list[str]]:
    # Forked, so that all share the weights; one thread each (`_adopt`), as thread pools do not
    # survive a fork.
    context = multiprocessing.get_context("fork")
    start = (filler, os.getpid())
    with ProcessPoolExecutor(processes, context, initializer=_adopt, initargs=start) as pool:
        waiting: set[Future[list[str]]] = set()
        rest = iter(parts)
        try:
            while True:
                for part in itertools.islice(rest, 2 * processes - len(waiting)):
                    waiting.add(pool.submit(_fill, part))
                if not waiting:
                    return
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield future.result()
        except BrokenProcessPool as error:
            raise ValueError(
                "a process was killed, perhaps for its memory; what was finished is kept: run the "
                "same again, with fewer processes"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _adopt(filler: Filler, parent: int) -> None:
    global _filler
    _filler = filler
    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # the parent is gone

    threading.Thread(target=watch, daemon=True).start()


def _fill(part: int) -> list[str]:
    assert _filler is not None, "`_adopt` runs first"
    return _filler(part)
