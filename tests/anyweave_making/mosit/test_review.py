"""What people decide: on disk at once, applied at the release, for this machine only."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from anyweave.web.local import LocalServer
from anyweave_making.journal import Journal
from anyweave_making.mosit import Dialogue, Filler, Review, read_conversation
from anyweave_making.mosit.dialogue import media_of
from anyweave_making.mosit.review import decided, edited
from anyweave_making.mosit.review_server import review_server

TEXT = """Human: [image: a red tent beside a lake] And this one? [image: an owl on a branch]
Machine: A tent and an owl.
Human: What do I hear?
Machine: [audio: an owl hooting]"""


@pytest.fixture
def dialogues(filler: Filler) -> list[Dialogue]:
    return [
        filler.fill(
            Dialogue(id=f"d{n}", topic="t", writer="w", conversation=read_conversation(TEXT))
        )
        for n in range(3)
    ]


def sources(dialogue: Dialogue) -> list[str | None]:
    return [part.source and part.source[-10:] for part in media_of(dialogue.conversation)]


def test_an_edit_keeps_the_files_it_can(dialogues: list[Dialogue]) -> None:
    before = dialogues[0]
    tent, owl, hoot = media_of(before.conversation)
    swapped = (
        TEXT.replace("red tent beside a lake", "X")
        .replace("an owl on a branch", "a red tent beside a lake")
        .replace("a X", "an owl on a branch")
    )
    assert [p.source for p in media_of(edited(before, swapped).conversation)] == [
        owl.source,
        tent.source,
        hoot.source,
    ]
    corrected = edited(before, TEXT.replace("an owl on a branch", "a barn owl"))
    assert [p.source for p in media_of(corrected.conversation)] == [
        tent.source,
        owl.source,
        hoot.source,
    ]
    assert media_of(corrected.conversation)[1].caption == "a barn owl"
    assert corrected.origins == before.origins
    fewer = edited(before, TEXT.replace("[image: a red tent beside a lake] ", ""))
    assert [p.source for p in media_of(fewer.conversation)] == [owl.source, hoot.source]
    more = edited(before, TEXT.replace("A tent and", "[video: fireflies between trees] A tent and"))
    assert [p.source for p in media_of(more.conversation)] == [
        tent.source,
        owl.source,
        None,
        hoot.source,
    ]
    assert more.origins[2] is None and more.origins[3] == before.origins[2]
    with pytest.raises(ValueError, match="ends with Machine:"):
        edited(before, TEXT + "\nHuman: and?")


def test_decisions_are_kept_and_applied(dialogues: list[Dialogue], tmp_path: Path) -> None:
    with Journal(tmp_path / "decisions.jsonl") as decisions:
        review = Review(dialogues, decisions)
        review.decide("d0", "reject")
        review.decide("d0", "open")
        review.decide("d1", "reject")
        changed = review.decide("d2", "accept", TEXT.replace("A tent", "A red tent"))
        assert changed["edited"] and "A red tent" in changed["text"]
        assert review.overview()["counts"] == {"open": 1, "accept": 1, "reject": 1}
        assert not review.decide("d0", "accept", TEXT)["edited"]  # the same words are no edit
        for bad in (("d0", "maybe", None), ("d0", "accept", "Human: x")):
            with pytest.raises(ValueError):
                review.decide(*bad)
        with pytest.raises(KeyError):
            review.decide("d9", "accept")
        review.decide("d0", "open")
    with Journal(tmp_path / "decisions.jsonl") as decisions:
        kept, dropped = decided(dialogues, decisions)
        assert dropped == {"d1": "rejected in review"}
        assert [d.id for d in kept] == ["d0", "d2"]
        assert kept[1].writer == "w, edited" and sources(kept[1]) == sources(dialogues[2])
        kept, dropped = decided(dialogues, decisions, only_reviewed=True)
        assert dropped == {"d0": "not reviewed", "d1": "rejected in review"}


@pytest.fixture
def server(dialogues: list[Dialogue], tmp_path: Path) -> Iterator[LocalServer]:
    """The page of three dialogues; the media of the last lie about what they are."""
    (tmp_path / "x.html").write_bytes(
        Path(media_of(dialogues[2].conversation)[0].source).read_bytes()
    )
    (tmp_path / "x.jpg").write_text("<!doctype html><script>alert(1)</script>")
    (tmp_path / "x.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
    parts = media_of(dialogues[2].conversation)
    lying = [
        replace(part, source=str(tmp_path / name))
        for part, name in zip(parts, ("x.html", "x.jpg", "x.svg"), strict=True)
    ]
    dialogues[2] = dialogues[2].with_media(lying, dialogues[2].origins)
    with Journal(tmp_path / "decisions.jsonl") as decisions:
        server = review_server(Review(dialogues, decisions))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def page(server: LocalServer) -> Iterator[httpx2.Client]:
    """A client that a browser which opened the printed address would be."""
    origin = f"http://127.0.0.1:{server.port}"
    with httpx2.Client(base_url=origin, trust_env=False, timeout=20) as client:
        reply = client.get(server.url)
        assert reply.status_code == 303 and reply.headers["Location"] == "/"
        cookie = reply.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        client.headers["Origin"] = origin
        yield client


def test_the_page(page: httpx2.Client, dialogues: list[Dialogue], tmp_path: Path) -> None:
    reply = page.get("/")
    assert "text/html" in reply.headers["Content-Type"] and "Accept" in reply.text
    assert "<style" not in reply.text and not re.search(
        r"<script(?! type=.module. src)", reply.text
    )
    for path, kind in (("/review.css", "text/css"), ("/review.js", "text/javascript")):
        assert kind in page.get(path).headers["Content-Type"]
        assert "http" not in page.get(path).text  # nothing is fetched from elsewhere
    overview = page.get("/dialogues").json()
    assert [row["id"] for row in overview["dialogues"]] == ["d0", "d1", "d2"]
    tent = page.get("/dialogues/d0").json()["messages"][0]["parts"][0]
    assert tent["url"] == "/media/d0/0" and "toy" in tent["origin"] and "CC0" in tent["origin"]
    content = Path(media_of(dialogues[0].conversation)[0].source).read_bytes()
    reply = page.get("/media/d0/0")
    assert (reply.headers["Content-Type"], reply.content) == ("image/png", content)
    reply = page.get("/media/d0/0", headers={"Range": "bytes=4-9"})
    assert (reply.status_code, reply.content) == (206, content[4:10])
    assert reply.headers["Content-Range"] == f"bytes 4-9/{len(content)}"
    assert page.get("/media/d0/0", headers={"Range": "bytes=4-"}).content == content[4:]
    assert page.get("/media/d0/0", headers={"Range": "bytes=999999-"}).status_code == 416
    assert page.post("/dialogues/d1", json={"decision": "reject"}).json()["decision"] == "reject"
    # On disk while the server still runs: a killed one loses nothing.
    assert '"key": "d1", "decision": "reject"' in (tmp_path / "decisions.jsonl").read_text()


def test_the_type_is_what_the_content_says(page: httpx2.Client) -> None:
    picture, html, svg = (page.get(f"/media/d2/{number}") for number in range(3))
    assert picture.headers["Content-Type"] == "image/png"
    for reply in (html, svg):
        assert reply.headers["Content-Type"] == "application/octet-stream"
        assert reply.headers["Content-Disposition"].startswith("attachment")


def test_pages_that_are_not(page: httpx2.Client) -> None:
    paths = ["/x", "/dialogues/d9", "/media/d0/9", "/media/d9/0", "/media/d0/-1", "/review.html"]
    paths += ["/media/d0/%2e%2e/%2e%2e/etc/passwd", "/..%2fetc/passwd", "/%00"]
    for path in (*paths, f"/media/d0/{10**99}"):
        reply = page.get(path)
        assert reply.status_code == 404 and "error" in reply.json(), path
        assert reply.headers["X-Content-Type-Options"] == "nosniff", path


BODIES = [b"", b"{", b"\xff", b"[" * 100_000, b"null", b'["decision"]', b'{"decision": 1}']
BODIES += [b'{"decision": ["accept"]}', b'{"decision": "accept", "text": 5}', b'{"decision": "x"}']
BODIES += [b'{"decision": "accept", "text": "\\ud800"}', b'{"decision": "accept", "more": 1}']


def test_odd_bodies(page: httpx2.Client) -> None:
    kind = {"Content-Type": "application/json"}
    for body in BODIES:
        reply = page.post("/dialogues/d0", content=body, headers=kind)
        assert reply.status_code == 400 and reply.json()["error"], body
        assert page.get("/dialogues/d0").json()["decision"] == "open", body


def test_a_text_that_is_no_dialogue(page: httpx2.Client) -> None:
    reply = page.post("/dialogues/d0", json={"decision": "accept", "text": "Human: x"})
    assert reply.status_code == 400 and "ends with Machine" in reply.json()["error"]
    assert page.post("/dialogues/d9", json={"decision": "accept"}).status_code == 404


FORGED: list[tuple[dict[str, str | None], int]] = [
    ({"Origin": "null"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": None}, 403),
    ({"Host": "evil.example"}, 403),
    ({"Host": "127.0.0.1"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/json; charset=utf-16"}, 415),
    ({"Content-Type": None}, 415),
    ({"Cookie": None}, 403),
    ({"Cookie": "anyweave=x"}, 403),
]


def test_forged_votes(page: httpx2.Client, server: LocalServer) -> None:
    own = {
        "Origin": f"http://127.0.0.1:{server.port}",
        "Content-Type": "application/json",
        "Cookie": f"anyweave-{server.port}={server.token}",
    }
    address, body = f"http://127.0.0.1:{server.port}/dialogues/d0", b'{"decision": "reject"}'
    for headers, status in FORGED:
        sent = {name: value for name, value in (own | headers).items() if value is not None}
        reply = httpx2.post(address, content=body, headers=sent, trust_env=False)
        assert reply.status_code == status, headers
        assert "Content-Security-Policy" in reply.headers
        assert page.get("/dialogues/d0").json()["decision"] == "open", headers
    assert httpx2.post(address, content=body, headers=own, trust_env=False).status_code == 200


def test_nothing_is_shown_without_the_token(server: LocalServer) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as stranger:
        for path in ("/", "/?token=x", "/?token=%C3%A9", "/dialogues", "/media/d0/0", "/review.js"):
            assert stranger.get(path).status_code == 403
        assert stranger.get("/" + "x" * 3000).status_code == 414
        assert stranger.request("DELETE", "/").status_code == 405


@pytest.mark.parametrize("length", ["Content-Length: -1", "Content-Length: x", "chunks"])
def test_bodies_without_an_end(page: httpx2.Client, server: LocalServer, length: str) -> None:
    own = f"127.0.0.1:{server.port}"
    head = [
        "POST /dialogues/d0 HTTP/1.1",
        f"Host: {own}",
        f"Origin: http://{own}",
        f"Cookie: anyweave-{server.port}={server.token}",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked" if length == "chunks" else length,
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        answer = b""
        try:
            for _ in range(40 if length == "chunks" else 0):
                line.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            answer = line.recv(100)
        except ConnectionError:
            assert length == "chunks"  # it hung up on us while we were still sending
        else:
            assert answer.split()[1] == (b"413" if length == "chunks" else b"400")
    assert page.get("/dialogues/d0").json()["decision"] == "open"


def test_a_port_that_is_taken(server: LocalServer, dialogues: list[Dialogue]) -> None:
    with pytest.raises(ValueError, match="--port 0"):
        review_server(Review(dialogues, cast("Any", None)), server.port)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
def test_in_a_browser(server: LocalServer, tmp_path: Path) -> None:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += ["--no-first-run", f"--user-data-dir={tmp_path / 'b'}", "--virtual-time-budget=5000"]
    flags += [
        "--no-proxy-server",
        "--window-size=900,1100",
        f"--screenshot={tmp_path / 'page.png'}",
    ]
    command = ["chromium", *flags, "--dump-dom", server.url]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "0 of 3" in found.stdout and "/media/d0/0" in found.stdout
