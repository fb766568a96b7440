"""The Ray path with Ray played by a stand-in: what actors return, what is written, what goes on.

The stand-in has the four names of Ray Data that are used; Ray itself is not needed by the tests.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anyweave.messages import Image, Message
from anyweave.model import NextGPT
from anyweave.processing import FeatureCache
from anyweave.processing.cache import CacheError
from anyweave.testing.conversations import tiny_conversations
from anyweave.training import precompute as module
from anyweave.training.cluster import precompute_on_ray
from anyweave.training.precompute import parts_left, precompute

MakeModel = Callable[[], NextGPT]


class _Rows:
    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows: Any = rows

    def flat_map(
        self, actor: Any, *, fn_constructor_kwargs: Any, compute: int, num_gpus: float
    ) -> _Rows:
        def rows(given: Any) -> Iterator[dict[str, Any]]:
            actors = [actor(**fn_constructor_kwargs) for _ in range(compute)]
            for number, row in enumerate(given):
                for made in actors[number % compute](row):
                    yield pickle.loads(pickle.dumps(made))  # as over a network

        return _Rows(rows(self.rows))  # type: ignore[arg-type]

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, data = types.ModuleType("ray"), types.ModuleType("ray.data")
    data.from_items = _Rows  # type: ignore[attr-defined]
    data.ActorPoolStrategy = lambda size: size  # type: ignore[attr-defined]
    fake.data = data  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.data", data)
    monkeypatch.setattr(module, "_TOGETHER", 2)


@pytest.mark.usefixtures("ray")
def test_a_cluster_makes_what_one_process_makes(plain_model: MakeModel, tmp_path: Path) -> None:
    source: Any = [
        *tiny_conversations(),
        [Message("user", [Image(tmp_path / "gone.png")]), Message("assistant", "x")],
    ]
    here, there = FeatureCache(tmp_path / "here"), FeatureCache(tmp_path / "there")
    precompute(plain_model(), source, here, progress=False)
    some = parts_left(source, there, job="all")
    precompute_on_ray(
        lambda: (plain_model(), source), some[:2], there, actors=1, job="all", progress=False
    )
    left = parts_left(source, there, job="all")
    assert left == some[2:]
    (problem,) = precompute_on_ray(
        lambda: (plain_model(), source), left, there, actors=2, job="all", progress=False
    )
    assert "gone.png" in problem and parts_left(source, there, job="all") == [4]
    assert set(here.store.keys()) == set(there.store.keys()) and there.verify() == 0


@pytest.mark.usefixtures("ray")
def test_a_full_cache_ends_the_work(plain_model: MakeModel, tmp_path: Path) -> None:
    source = tiny_conversations()
    cache = FeatureCache(tmp_path, max_bytes=3000)
    with pytest.raises(CacheError, match="is full"):
        precompute_on_ray(
            lambda: (plain_model(), source), [0, 1, 2], cache, actors=1, progress=False
        )


def test_without_ray(
    monkeypatch: pytest.MonkeyPatch, plain_model: MakeModel, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'anyweave\[ray\]'"):
        precompute_on_ray(
            lambda: (plain_model(), tiny_conversations()), [0], FeatureCache(tmp_path), actors=1
        )
