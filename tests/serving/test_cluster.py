"""The engine on a cluster, with Ray played by a stand-in of the few names that are used: what goes
over the network, what a replica remembers, what is lost. (The server's own tests pass on real Ray
too, with ``-m slow``.)
"""

from __future__ import annotations

import asyncio
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from anyweave.cli import app
from anyweave.generation import Done, GenerationOptions, MediaDone, Progress
from anyweave.messages import Image, Message
from anyweave.model import NextGPT
from anyweave.serving import cluster
from anyweave.serving.cluster import ClusterEngine, read_scales
from anyweave.serving.errors import ApiError
from anyweave.testing.conversations import tiny_media

OPTIONS = GenerationOptions(temperature=0, max_new_tokens=8, seed=3)


class RayError(Exception):
    """As Ray's."""


def over_the_network(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


class Handle:
    """Calls methods of one replica, as Ray's handles do; everything is copied on its way."""

    def __init__(self, replica: Any, name: str = "") -> None:
        self.replica, self.name = replica, name

    def options(self, **how: Any) -> Handle:
        return self

    def __getattr__(self, name: str) -> Handle:
        return Handle(self.replica, name)

    def remote(self, *given: Any, **more: Any) -> Answers:
        return Answers(getattr(self.replica, self.name)(*over_the_network(given), **more))


class Answers:
    """Of one call: a result, or a stream."""

    lost = False

    def __init__(self, made: Any) -> None:
        self._made, self._loop = made, asyncio.new_event_loop()

    def result(self) -> Any:
        return over_the_network(self._made)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if Answers.lost:
            raise RayError("the replica died")
        try:
            return over_the_network(self._loop.run_until_complete(anext(self._made)))
        except StopAsyncIteration:
            raise StopIteration from None

    def cancel(self) -> None:
        self._loop.run_until_complete(self._made.aclose())
        self._loop.close()


class Ray:
    """A cluster."""

    def __init__(self) -> None:
        self.deployed: dict[str, dict[str, Any]] = {}
        self.replicas: dict[str, Any] = {}
        self.apps: set[str] = set()

    def modules(self) -> dict[str, types.ModuleType]:
        names = ("ray", "ray.serve", "ray.serve.config", "ray.exceptions")
        made = {name: types.ModuleType(name) for name in names}
        vars(made["ray"]).update(
            init=lambda **how: None,
            get_gpu_ids=lambda: [],
            serve=made["ray.serve"],
            exceptions=made["ray.exceptions"],
        )
        vars(made["ray.serve"]).update(
            start=lambda **how: None,
            deployment=self.deployment,
            run=self.run,
            delete=self.delete,
            config=made["ray.serve.config"],
        )
        vars(made["ray.serve.config"]).update(RequestRouterConfig=lambda **how: how)
        vars(made["ray.exceptions"]).update(RayError=RayError)
        return made

    def deployment(self, kind: type, name: str, **how: Any) -> Any:
        self.deployed[name] = how

        def bind(*given: Any) -> Handle:
            self.replicas[name] = kind(*given)
            return Handle(self.replicas[name])

        return types.SimpleNamespace(bind=bind)

    def run(self, handle: Handle, name: str, route_prefix: None) -> Handle:
        self.apps.add(name)
        return handle

    def delete(self, name: str) -> None:
        self.apps.remove(name)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    played = Ray()
    for name, module in played.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Answers, "lost", False)
    return played


@pytest.fixture(scope="module")
def folder(model: NextGPT, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model.save_pretrained(tmp_path_factory.mktemp("cluster") / "model"))


@pytest.fixture
def engine(ray: Ray, folder: str) -> Iterator[Any]:
    engine = ClusterEngine(folder, OPTIONS)
    yield engine
    engine.close()
    ray.replicas["language"]._engine.close()
    assert not ray.apps


def said(engine: Any, session: Any, *parts: Any, **how: Any) -> list[Any]:
    options = OPTIONS.with_overrides(**how)
    return list(engine.send(session, Message("user", parts), options))


def test_replies_are_those_of_one_process(engine: Any, model: NextGPT) -> None:
    here, there = model.chat(OPTIONS), engine.chat()
    for words in ("hello", "and now?"):
        ours = here.reply(words, force=("image", "audio"))
        *events, done = said(engine, there, words, force=("image", "audio"))
        assert isinstance(done, Done) and done.message == ours
        assert {event.modality for event in events if isinstance(event, Progress)} == {
            "image",
            "audio",
        }
        made = [event.part for event in events if isinstance(event, MediaDone)]
        assert all(part.generated for part in made)
        for part, expected in zip(made, ours.media(), strict=True):
            assert np.array_equal(part.source, expected.source) and part.rate == expected.rate
    assert there.messages == here.messages
    assert done.usage.cached_tokens > 0


def test_what_is_known_of_the_model_comes_from_there(engine: Any, model: NextGPT) -> None:
    facts = engine.facts
    assert set(facts.encoders) == set(model.encoders)
    assert facts.rates == {"image": None, "video": 8.0, "audio": 16000.0}
    assert facts.context_length == model.language.context_length
    assert facts.signals.modalities == model.processor.signals.modalities


def test_a_conversation_may_be_taken_back(engine: Any, ray: Ray) -> None:
    """As the server does for a reply that is made again: the replica takes it back too."""
    session = engine.chat()
    said(engine, session, Image(tiny_media("image", 1).source), "what is it?", modalities=())
    first = said(engine, session, "and?", modalities=())[-1]
    session.messages = session.messages[:2]
    again = said(engine, session, "and?", modalities=())[-1]
    assert again.message == first.message
    assert 0 < again.usage.cached_tokens
    assert len(session.messages) == 4


def test_a_replica_that_has_forgotten_reads_it_all_again(engine: Any, ray: Ray) -> None:
    session, other = engine.chat(), engine.chat()
    for one in (session, other):
        said(engine, one, Image(tiny_media("image", 1).source), "what is it?", modalities=())
    ray.replicas["language"]._kept.clear()  # it was restarted, or another one is asked
    kept = said(engine, session, "and?", modalities=())[-1]
    assert kept.usage.cached_tokens == 0
    assert kept.message == said(engine, other, "and?", modalities=())[-1].message


def test_a_replica_remembers_so_many(
    engine: Any, ray: Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_KEPT", 2)
    for _ in range(4):
        said(engine, engine.chat(), "hello", modalities=())
    assert len(ray.replicas["language"]._kept) == 2


def test_mistakes_are_the_users(engine: Any) -> None:
    session = engine.chat()
    with pytest.raises(ValueError, match="context|positions"):
        said(engine, session, "x" * 5000, modalities=())
    with pytest.raises(ValueError, match="divisible|multiple"):
        said(engine, session, "hello", force=("image",), height=17)
    assert session.messages == []
    assert isinstance(said(engine, session, "hello", modalities=())[-1], Done)


def test_a_reply_that_nobody_wants_ends_there(engine: Any, ray: Ray) -> None:
    session = engine.chat()
    events = engine.send(session, Message("user", "hi"), OPTIONS.with_overrides(force=("image",)))
    next(event for event in events if isinstance(event, Progress))
    events.close()
    assert session.messages == []
    assert ray.replicas["language"]._kept[session._name].messages == []
    assert isinstance(said(engine, session, "hello", modalities=())[-1], Done)


def test_a_lost_replica_is_told(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = engine.chat()
    with monkeypatch.context() as context, pytest.raises(ApiError) as told:
        context.setattr(Answers, "lost", True)
        said(engine, session, "hello")
    assert told.value.status == 503 and "ask again" in str(told.value)
    assert isinstance(said(engine, session, "hello", modalities=())[-1], Done)


def test_parts_grow_as_they_are_told(ray: Ray, folder: str) -> None:
    scales = read_scales(["language=2,gpus=1", "image=1-4,gpus=0.5", "audio=3,cpus=2"])
    ClusterEngine(folder, scales=scales).close()
    ray.replicas["language"]._engine.close()
    language, image, audio = (ray.deployed[name] for name in ("language", "image", "audio"))
    assert language["num_replicas"] == 2 and language["ray_actor_options"] == {"num_gpus": 1.0}
    growth = image["autoscaling_config"]
    assert (growth["min_replicas"], growth["max_replicas"]) == (1, 4)
    assert audio["num_replicas"] == 3 and audio["ray_actor_options"] == {"num_cpus": 2.0}
    assert ray.deployed["video"]["num_replicas"] == 1
    with pytest.raises(ValueError, match="no deployment 'smell'"):
        ClusterEngine(folder, scales=read_scales(["smell=2"]))
    for wrong in (["image"], ["image=0"], ["image=4-1"], ["image=1,gpu=1"], ["image=1"] * 2):
        with pytest.raises(ValueError, match="replicas are 1 or more|a scale is NAME=REPLICAS"):
            read_scales(wrong)


def test_a_cluster_that_refuses_is_told(
    ray: Ray, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**how: Any) -> None:
        raise ConnectionError("no token")

    monkeypatch.setattr(sys.modules["ray"], "init", refuse)
    with pytest.raises(ValueError, match="cannot be joined: no token; .*RAY_AUTH_MODE"):
        ClusterEngine(folder)


def test_the_command_says_what_does_not_fit(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    def fails(*options: str) -> str:
        return str(CliRunner().invoke(app, ["serve", "-m", folder, *options]).exception)

    assert "--scale goes with --ray" in fails("--scale", "image=2")
    assert "--device without" in fails("--ray", "--device", "cuda")
    monkeypatch.setitem(sys.modules, "ray.serve.config", None)
    assert "pip install 'anyweave[serve,ray]'" in fails("--ray", "--folder", str(Path(folder)))
