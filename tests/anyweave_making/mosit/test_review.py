"""What people decide: on disk at once, applied at the release, for this machine only."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request

import pytest

from anyweave_making.journal import Journal
from anyweave_making.mosit import Dialogue, Review, read_conversation, review_server
from anyweave_making.mosit.dialogue import media_of
from anyweave_making.mosit.review import decided, edited

TEXT = """Human: [image: a red tent beside a lake] And this one? [image: an owl on a branch]
Machine: A tent and an owl.
Human: What do I hear?
Machine: [audio: an owl hooting]"""


@pytest.fixture
def dialogues(filler):
    return [
        filler.fill(
            Dialogue(id=f"d{n}", topic="t", writer="w", conversation=read_conversation(TEXT))
        )
        for n in range(3)
    ]


def sources(dialogue):
    return [part.source and part.source[-10:] for part in media_of(dialogue.conversation)]


def test_an_edit_keeps_the_files_it_can(dialogues):
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


def test_decisions_are_kept_and_applied(dialogues, tmp_path):
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
def page(dialogues, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Journal(tmp_path / "decisions.jsonl") as decisions:
        server = review_server(Review(dialogues, decisions))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def ask(path, body=None, **headers):
            data = None if body is None else json.dumps(body).encode()
            address = f"http://127.0.0.1:{server.server_port}{path}"
            request = urllib.request.Request(address, data, headers)
            try:
                with urllib.request.urlopen(request, timeout=20) as reply:
                    return reply.status, reply.headers, reply.read()
            except urllib.error.HTTPError as error:
                return error.code, error.headers, error.read()

        yield ask
        server.shutdown()
        server.server_close()


def test_the_page(page, dialogues, tmp_path):
    status, headers, body = page("/")
    assert status == 200 and "text/html" in headers["Content-Type"] and b"Accept" in body
    assert b"http" not in body.replace(b"http-equiv", b"")  # nothing is fetched from elsewhere
    overview = json.loads(page("/dialogues")[2])
    assert [row["id"] for row in overview["dialogues"]] == ["d0", "d1", "d2"]
    shown = json.loads(page("/dialogues/d0")[2])
    tent = shown["messages"][0]["parts"][0]
    assert tent["url"] == "/media/d0/0" and "toy" in tent["origin"] and "CC0" in tent["origin"]
    path = media_of(dialogues[0].conversation)[0].source
    content = open(path, "rb").read()
    status, headers, body = page("/media/d0/0")
    assert (status, headers["Content-Type"], body) == (200, "image/png", content)
    status, headers, body = page("/media/d0/0", Range="bytes=4-9")
    assert (status, body) == (206, content[4:10])
    assert headers["Content-Range"] == f"bytes 4-9/{len(content)}"
    assert page("/media/d0/0", Range="bytes=4-")[2] == content[4:]
    assert page("/media/d0/0", Range="bytes=999999-")[0] == 416
    status, _, body = page("/dialogues/d1", {"decision": "reject"})
    assert status == 200 and json.loads(body)["decision"] == "reject"
    assert '"key": "d1", "decision": "reject"' in (tmp_path / "decisions.jsonl").read_text()


def test_what_the_page_refuses(page):
    for path in ("/x", "/dialogues/d9", "/media/d0/9", "/media/d9/0", "/media/d0/../../etc/passwd"):
        status, _, body = page(path)
        assert status == 404 and "error" in json.loads(body)
    assert page("/dialogues/d0", ["decision"])[0] == 400
    status, _, body = page("/dialogues/d0", {"decision": "accept", "text": "Human: x"})
    assert status == 400 and "ends with Machine" in json.loads(body)["error"]
    assert page("/dialogues/d9", {"decision": "accept"})[0] == 404
    # Other pages of the same browser: by name, and by origin.
    assert page("/dialogues", Host="evil.example:80")[0] == 403
    assert page("/dialogues/d0", {"decision": "reject"}, Origin="http://evil.example")[0] == 403
    assert json.loads(page("/dialogues/d0")[2])["decision"] == "open"
