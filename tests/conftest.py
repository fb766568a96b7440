"""For every test: one thread, fixed seeds, no network."""

from __future__ import annotations

import os

# Before torch is imported: two threads on two busy cores are slower than one, and sums depend on
# the count.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import ipaddress
import random
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import numpy as np
import pytest
import torch

from anyweave import modalities
from anyweave.training import report

torch.set_num_threads(1)

# `--hypothesis-profile thorough` looks longer.
hypothesis.settings.register_profile("quick", max_examples=20, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None)
hypothesis.settings.load_profile("quick")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The root folder of the repository."""
    return ROOT


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def modalities_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of media that a test opens or registers are known to no other."""
    first = {name: modalities.kind_of(name) for name in modalities.PAPER_MODALITIES}
    monkeypatch.setattr(modalities, "_open", first)  # others open again when they are named


@pytest.fixture(autouse=True)
def no_pictures_of_losses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib takes longer than the whole of a tiny run: only tests of the picture draw it."""
    if not request.node.get_closest_marker("plots"):
        monkeypatch.setattr(report, "plot_losses", lambda log, picture: None)


@pytest.fixture
def unchecked_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that pass wrong shapes on purpose, to read our own error and not the checker's."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def dying_at() -> Callable[[int, Callable[[], object]], bool]:
    """`(number, work)`: run `work` in a process that is killed just before its step `number` on the
    disk; whether it was.
    """
    return _dying_at


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets reach this machine only, unless the test is marked `network`."""
    if request.node.get_closest_marker("network"):
        yield
        return
    connect, connect_ex, lookup = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def checked_connect(self: socket.socket, address: Any) -> None:
        _refuse_remote(self.family, address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_remote(self.family, address)
        return connect_ex(self, address)

    def checked_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_remote(socket.AF_INET, (host or "localhost",))
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", checked_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", checked_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", checked_lookup)
    yield


def _refuse_remote(family: int, address: Any) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = address[0].decode() if isinstance(address[0], bytes) else str(address[0])
    if host in ("localhost", ""):
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    pytest.fail(f"this test reaches for {host}; mark it `network` or give it a local file")


_STEPS = ("replace", "rename", "rmdir", "unlink", "fsync")
"""Calls of `os` after each of which a process may die."""


def _dying_at(number: int, work: Callable[[], object]) -> bool:
    """Run `work` in a process that is killed just before its step `number`; whether it was."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **options: Any) -> Any:
                nonlocal count
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return call(*args, **options)

            return run

        try:
            for name in _STEPS:
                setattr(os, name, counted(getattr(os, name)))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), f"the work failed at step {number}"
    return code != 0
