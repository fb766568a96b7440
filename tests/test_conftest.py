"""The guards that every other test relies on do guard."""

from __future__ import annotations

import socket

import pytest
import torch


def test_a_remote_host_is_refused_by_name_and_by_address() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"reaches for example\.org; mark it `network`"):
        socket.create_connection(("example.org", 80), timeout=1)
    with pytest.raises(pytest.fail.Exception, match=r"reaches for 192\.0\.2\.1"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_this_machine_is_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()[:2], timeout=5) as client:
            assert client.getpeername()[0] == "127.0.0.1"


def test_seeds_and_threads_are_fixed() -> None:
    assert torch.rand(1).item() == pytest.approx(0.49625658988952637)
    assert torch.get_num_threads() == 1
