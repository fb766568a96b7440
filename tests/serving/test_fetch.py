"""Attacks by URL: hosts, addresses, redirects, rebinding, sizes. Nothing leaves this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytest.importorskip("fastapi")

from anyweave.serving import fetch
from anyweave.serving.errors import ApiError
from anyweave.serving.fetch import Fetcher

HOSTS = ("http://media.example", "*.cdn.example", "exact.example")


REDIRECTS = {
    "/private": "http://127.0.0.1/x",
    "/other": "http://evil.example/x",
    "/file": "file:///etc/passwd",
    "/ok?x=1": "/picture",
    "/loop": "/loop",
}


class Handler(BaseHTTPRequestHandler):
    """A host with a picture, redirects, and more bytes than it should have."""

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        to = REDIRECTS.get(self.path)
        self.send_response(302 if to else 404 if self.path == "/gone" else 200)
        if to:
            self.send_header("Location", to)
        self.end_headers()
        while self.path == "/dripping" and not self.server.done.wait(0.02):  # type: ignore[attr-defined]
            with suppress(OSError):
                self.wfile.write(b"x")
        if self.path == "/large":
            self.wfile.write(b"x" * 100_000)
        elif not to:
            self.wfile.write(b"a picture")

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`media.example` on this machine: its name leads to a public address, which leads here."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.hosts = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    server.connected = []  # type: ignore[attr-defined]
    server.done = threading.Event()  # type: ignore[attr-defined]

    def connect(address: tuple[str, int], *rest: Any) -> socket.socket:
        server.connected.append(address[0])  # type: ignore[attr-defined]
        here = socket.socket()
        here.connect(server.server_address)
        return here

    monkeypatch.setattr(fetch.socket, "create_connection", connect)
    resolve_to(monkeypatch, "93.184.216.34")
    yield server
    server.done.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """The name server's answer; returns the names that are asked for."""
    asked: list[str] = []

    def resolve(name: str, port: int, **_: Any) -> list[Any]:
        asked.append(name)
        return [(None, None, None, "", (address, port)) for address in addresses]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", resolve)
    return asked


def fetcher(**options: Any) -> Fetcher:
    return Fetcher(HOSTS, **{"max_bytes": 50_000, "seconds": 5.0, **options})


def test_nothing_is_fetched_by_default() -> None:
    with pytest.raises(ApiError, match="fetches nothing by URL") as caught:
        Fetcher((), max_bytes=10).fetch("https://example.org/a.png", "here")
    assert caught.value.code == "remote_media_disabled"


def test_a_listed_host_is_fetched_once_resolved(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolve_to(monkeypatch, "93.184.216.34")
    assert fetcher().fetch("http://media.example/ok?x=1", "here") == b"a picture"
    assert fetcher().fetch("http://media.example/picture", "here") == b"a picture"
    assert set(asked) == {"media.example"}
    assert set(host.connected) == {"93.184.216.34"}  # what was checked, not the name again
    assert set(host.hosts) == {"media.example"}


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/x",
        "http://media.example.evil.example/x",
        "http://evil.example#media.example",
        "http://media.example@evil.example/x",
        "http://user:secret@media.example/x",
        "http://media.example:22/x",
        "https://media.example/x",  # only listed without encryption
        "http://exact.example/x",  # only listed with it
        "https://sub.exact.example/x",
        "https://cdn.example/x",
        "https://evilcdn.example/x",
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://2130706433/x",
        "http://media.example\\@evil.example/x",
        "http://media.example:99999999/x",
        "http://",
    ],
)
def test_other_hosts_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolve_to(monkeypatch, "93.184.216.34")
    with pytest.raises(ApiError) as caught:
        fetcher().fetch(url, "here")
    assert caught.value.status == 400
    assert asked == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1",
        "192.0.2.1", "198.18.0.1", "64:ff9b:1::7f00:1", "2001:db8::1",
        "::7f00:1",
    ],
)  # fmt: skip
def test_names_that_lead_into_a_private_network_are_refused(
    host: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for found in ([address], ["93.184.216.34", address]):
        resolve_to(monkeypatch, *found)
        with pytest.raises(ApiError, match="private network"):
            fetcher().fetch("http://media.example/picture", "here")
    assert host.connected == []


@pytest.mark.parametrize("path", ["private", "other", "file", "loop"])
def test_redirects_follow_the_same_rules(host: Any, path: str) -> None:
    with pytest.raises(ApiError) as caught:
        fetcher().fetch(f"http://media.example/{path}", "here")
    assert caught.value.status == 400
    assert len(host.connected) == (4 if path == "loop" else 1)


def test_size_status_and_time_are_bounded(host: Any) -> None:
    with pytest.raises(ApiError, match="more than 50,000 bytes"):
        fetcher().fetch("http://media.example/large", "here")
    with pytest.raises(ApiError, match="answers 404"):
        fetcher().fetch("http://media.example/gone", "here")
    with pytest.raises(ApiError, match="gave no medium"):
        fetcher(seconds=0.0).fetch("http://media.example/picture", "here")
    begun = time.monotonic()
    with pytest.raises(ApiError, match="gave no medium"):
        fetcher(seconds=0.3).fetch("http://media.example/dripping", "here")
    assert time.monotonic() - begun < 5


def test_a_name_that_changes_its_answer_gains_nothing(
    host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer is never asked for."""
    answers = iter(["93.184.216.34", "127.0.0.1"])

    def resolve(name: str, port: int, **_: Any) -> list[Any]:
        return [(None, None, None, "", (next(answers), port))]

    monkeypatch.setattr(fetch.socket, "getaddrinfo", resolve)
    assert fetcher().fetch("http://media.example/picture", "here") == b"a picture"
    assert host.connected == ["93.184.216.34"]
