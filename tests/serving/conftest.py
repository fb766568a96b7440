"""A tiny model behind a real server on a loopback port, in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("fastapi")

from anyweave.generation import GenerationOptions
from anyweave.model import NextGPT
from anyweave.serving import Settings, create_app
from anyweave.serving.engine import Engine
from anyweave.serving.gate import Gate
from anyweave.serving.server import Running, bind
from anyweave.testing.model import tiny_model


@dataclass
class Served:
    """A server that runs."""

    url: str
    app: Gate
    stop: Callable[[], None]

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"

    def http(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60, **options)


@pytest.fixture(scope="session")
def model() -> NextGPT:
    return tiny_model()


@pytest.fixture(scope="session")
def engine(model: NextGPT) -> Iterator[Engine]:
    """One for all servers of the tests: while it is open the model is its own."""
    engine = Engine(model, GenerationOptions(max_new_tokens=12))
    yield engine
    engine.close()


@contextmanager
def serving(engine: Engine | NextGPT, folder: Path, **settings: Any) -> Iterator[Served]:
    made = Settings(**{"name": "tiny", "folder": folder, "grace": 5.0, **settings})
    app = create_app(engine, made, GenerationOptions(max_new_tokens=12))
    ready = threading.Event()
    urls: list[str] = []

    def answers(url: str) -> None:
        urls.append(url)
        ready.set()

    running = Running(app, made, bind("127.0.0.1", 0), ready=answers)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert ready.wait(20)
        yield Served(urls[0], app, running.stop)
    finally:
        running.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def cluster(model: NextGPT, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The same model on a Ray cluster of this machine, a process for each part."""
    ray = pytest.importorskip("ray")
    from anyweave.serving.cluster import ClusterEngine

    folder = model.save_pretrained(tmp_path_factory.mktemp("cluster") / "model")
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    engine = ClusterEngine(str(folder), GenerationOptions(max_new_tokens=12))
    yield engine
    engine.close()
    ray.shutdown()


@pytest.fixture(scope="session", params=["engine", pytest.param("cluster", marks=pytest.mark.slow)])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One server for the tests that need no settings of their own; they pass on a cluster too."""
    engine = request.getfixturevalue(request.param)
    with serving(engine, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture
def serve(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`with serve(max_waiting=1) as served:` a server with settings of its own, and perhaps another
    `model`.
    """
    yield lambda model=engine, **settings: serving(model, tmp_path, **settings)
