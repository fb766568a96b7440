"""Attacks on the door: foreign hosts, origins, keys, sizes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

HELLO = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "modalities": ["text"]}
CHAT = "/v1/chat/completions"
KEY = "aw-0123456789abcdef"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:80", "[::1", ""],
)
def test_dns_rebinding_is_refused(served: Any, host: str) -> None:
    answer = served.http().post(CHAT, json=HELLO, headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8000", "LOCALHOST:9"])
def test_addresses_and_localhost_are_ours(served: Any, host: str) -> None:
    assert served.http().get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(served: Any, headers: dict[str, str]) -> None:
    for method, path in (("POST", CHAT), ("GET", "/v1/models")):
        answer = served.http().request(method, path, json=HELLO, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in answer.headers


def test_there_is_no_cors_by_default_and_only_for_listed_origins(
    served: Any, serve: Callable[..., Any]
) -> None:
    asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert served.http().options(CHAT, headers=asks).status_code == 403
    with serve(cors_origins=("https://app.example",)) as other:
        allowed = other.http().options(CHAT, headers=asks)
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        # "*" is all headers but Authorization: OpenAI's client sends x-stainless-os and more.
        assert allowed.headers["access-control-allow-headers"] == "Authorization, *"
        answer = other.http().get("/v1/models", headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        refused = other.http().options(CHAT, headers={**asks, "Origin": "https://app.example.evil"})
        assert refused.status_code == 403


def test_keys(serve: Callable[..., Any]) -> None:
    with serve(api_keys=(KEY,)) as served:
        with served.http() as http:
            for header in ("", "Bearer", "Bearer wrong-key-of-20-chars", f"Basic {KEY}"):
                answer = http.post(CHAT, json=HELLO, headers={"Authorization": header})
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.json()["error"]["code"] == "invalid_api_key"
            for path in ("/v1/models", "/metrics", "/v1/videos", "//v1/models", "/v1/files"):
                assert http.get(path).status_code == 401
            assert http.get("/health").status_code == 200
            right = {"Authorization": f"Bearer {KEY}"}
            assert http.post(CHAT, json=HELLO, headers=right).status_code == 200


def test_clips_belong_to_the_key_that_asked(serve: Callable[..., Any]) -> None:
    other = KEY[::-1]
    with serve(api_keys=(KEY, other)) as served:
        mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (KEY, other))
        job = served.http().post("/v1/videos", json={"prompt": "x"}, headers=mine).json()
        for path in (f"/v1/videos/{job['id']}", f"/v1/videos/{job['id']}/content"):
            assert served.http().get(path, headers=theirs).status_code == 404
        assert served.http().delete(path[:-8], headers=theirs).status_code == 404
        assert served.http().get("/v1/videos", headers=theirs).json()["data"] == []
        assert served.http().get("/v1/videos", headers=mine).json()["data"][0]["id"] == job["id"]
        assert "owner" not in job


def test_bodies_are_bounded_in_size_and_time(serve: Callable[..., Any]) -> None:
    with serve(max_body=2000, body_patience=0.5) as served:
        large = served.http().post(CHAT, content=b"x" * 3000)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")

        def pieces() -> Any:  # no length is declared
            for _ in range(30):
                yield b"x" * 100

        assert served.http().post(CHAT, content=pieces()).status_code == 413
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as slow:
            slow.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            begun = time.monotonic()
            assert b"408" in slow.recv(100)
            assert time.monotonic() - begun < 5
        assert served.http().get("/" + "x" * 3000).status_code == 414


def test_large_bodies_are_bounded_together(serve: Callable[..., Any]) -> None:
    with serve(max_body=2000, max_bodies=3000) as served:
        host, port = served.url.removeprefix("http://").split(":")
        start = "POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n{"
        with socket.create_connection((host, int(port)), timeout=10) as held:
            held.sendall(start.encode())
            time.sleep(0.3)
            busy = served.http().post(CHAT, content=b"x" * 1500)
            assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
            assert served.http().post(CHAT, json=HELLO).status_code == 200
        time.sleep(0.3)
        assert served.http().post(CHAT, content=b"x" * 1500).status_code == 400


def test_every_answer_is_safe_to_show(served: Any) -> None:
    for path in ("/health", "/docs", "/v1/nothing"):
        headers = served.http().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_deep_json_is_a_mistake_and_no_crash(served: Any) -> None:
    deep = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = served.http().post(CHAT, content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
