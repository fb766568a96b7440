"""Filling a cache ahead of a run: by one process and by several, killed and continued."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from anyweave.messages import Image, Message
from anyweave.model import NextGPT
from anyweave.processing import FeatureCache
from anyweave.processing.cache import CacheError
from anyweave.testing.conversations import tiny_conversations
from anyweave.training import precompute as module
from anyweave.training.config import TrainConfig
from anyweave.training.precompute import job_name, precompute
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

MakeModel = Callable[[], NextGPT]
MakeConfig = Callable[..., TrainConfig]
# Captions: "thing 0..2" each for its own decoder, "a dot" and "a beep"; the dot has no pixels.
ALL = {"features": 5, "latents": 4, "caption": 5}


def kinds(cache: FeatureCache) -> Counter[str]:
    return Counter(kind for kind, _ in cache.store.keys())


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TOGETHER", 2)


def test_everything_is_computed_once(plain_model: MakeModel, tmp_path: Path) -> None:
    model, cache = plain_model(), FeatureCache(tmp_path)
    assert precompute(model, tiny_conversations(), tmp_path, progress=False) == []
    assert kinds(cache) == ALL
    before = cache.store.usage()
    # Nothing is encoded again.
    model.encoders.forward = None  # type: ignore[assignment]
    precompute(model, tiny_conversations(), cache, progress=False)
    assert cache.store.usage() == before


@pytest.mark.usefixtures("small_parts")
def test_several_processes_make_the_same(plain_model: MakeModel, tmp_path: Path) -> None:
    alone, together = FeatureCache(tmp_path / "alone"), FeatureCache(tmp_path / "together")
    precompute(plain_model(), tiny_conversations(), alone, progress=False)
    precompute(plain_model(), tiny_conversations(), together, processes=2, progress=False)
    assert set(alone.store.keys()) == set(together.store.keys()) and kinds(together) == ALL
    for kind, key in alone.store.keys():
        one, other = alone.get(kind, key), together.get(kind, key)  # type: ignore[arg-type]
        assert one is not None and other is not None
        assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


@pytest.mark.usefixtures("small_parts")
def test_shares_add_up(plain_model: MakeModel, tmp_path: Path) -> None:
    model, cache = plain_model(), FeatureCache(tmp_path)
    precompute(model, tiny_conversations(), cache, share=(0, 2), job="all", progress=False)
    assert cache.store.done("all") == {0, 2, 4} and kinds(cache) != ALL
    precompute(model, tiny_conversations(), cache, share=(1, 2), job="all", progress=False)
    assert cache.store.done("all") == set(range(5)) and kinds(cache) == ALL


class Slow(list[Any]):
    """Waits before item `at`; counts what is read."""

    at, seconds, read = 6, 60.0, 0

    def __getitem__(self, index: Any) -> Any:
        if index == self.at:
            time.sleep(self.seconds)
        self.read += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.usefixtures("small_parts")
def test_killed_and_continued(plain_model: MakeModel, tmp_path: Path, processes: int) -> None:
    model, cache, source = plain_model(), FeatureCache(tmp_path), Slow(tiny_conversations())
    child = os.fork()
    if child == 0:
        try:
            precompute(model, source, cache, processes=processes, job="all", progress=False)
        finally:
            os._exit(1)
    deadline = time.monotonic() + 100
    while len(cache.store.done("all")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    finished = cache.store.done("all")
    assert len(finished) >= 3 and finished < set(range(5)) and cache.verify() == 0
    source.seconds = 0
    precompute(model, source, cache, job="all", progress=False)
    assert source.read == sum(min(2, 9 - 2 * part) for part in set(range(5)) - finished)
    assert kinds(cache) == ALL and cache.verify() == 0


def test_damage_is_mended(plain_model: MakeModel, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    precompute(plain_model(), tiny_conversations(), cache, job="all", progress=False)
    (shard,) = tmp_path.glob("*.shard")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert cache.verify() == 1 and kinds(cache) != ALL
    precompute(plain_model(), tiny_conversations(), cache, job="all", progress=False)
    assert kinds(cache) == ALL and cache.verify() == 0


@pytest.mark.usefixtures("small_parts")
def test_a_process_that_dies_is_reported(plain_model: MakeModel, tmp_path: Path) -> None:
    class Deadly(Slow):
        def __getitem__(self, index: Any) -> Any:
            if index == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__getitem__(index)

    with pytest.raises(ValueError, match="a process was killed.*run the same again"):
        precompute(
            plain_model(), Deadly(tiny_conversations()), tmp_path, processes=2, progress=False
        )


def test_problems_are_told_and_looked_at_again(plain_model: MakeModel, tmp_path: Path) -> None:
    picture = tmp_path / "late.png"
    source = [[Message("user", [Image(picture), "what?"]), Message("assistant", "x")]]
    model, cache = plain_model(), FeatureCache(tmp_path / "cache")
    (problem,) = precompute(model, source, cache, job="all", progress=False)
    assert "late.png" in problem and cache.store.done("all") == set()
    from PIL import Image as Picture

    Picture.new("RGB", (16, 16)).save(picture)
    assert precompute(model, source, cache, job="all", progress=False) == []
    assert kinds(cache) == {"features": 1} and cache.store.done("all") == {0}


def test_a_full_cache_ends_the_work(plain_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"is full with \d+ entries, .* give it more room"):
        precompute(
            plain_model(), tiny_conversations(), FeatureCache(tmp_path, max_bytes=3000),
            progress=False,
        )  # fmt: skip


def test_a_run_from_a_cache_in_half_precision(
    plain_model: MakeModel, config: MakeConfig, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path / "cache", dtype=torch.float16)
    precompute(plain_model(), tiny_conversations(), cache, progress=False)
    plain, halved = (
        config(run="plain", steps=2),
        config(run="half", steps=2, cache_dir=str(cache.folder)),
    )
    for run in (plain, halved):
        Trainer(plain_model(), run, tiny_conversations()).train()
    assert cache.store.usage() == FeatureCache(tmp_path / "cache").store.usage()  # nothing missed
    records = [read_log(Path(run.output_dir) / "log.jsonl") for run in (plain, halved)]
    for one, other in zip(*records, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=2e-2)


def test_a_job_is_of_these_files_and_parts(plain_model: MakeModel, tmp_path: Path) -> None:
    data = tmp_path / "a.jsonl"
    data.write_text("{}\n")
    model = plain_model()
    name = job_name(model, [data], {"latents": True})
    assert name == job_name(model, [data], {"latents": True})
    assert name != job_name(model, [data], {"latents": False})
    data.write_text("{}\n{}\n")
    assert name != job_name(model, [data], {"latents": True})
