"""The rating page: blind, for this machine only, and a vote cast in a real browser."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from anyweave.evaluation.human import ASPECTS, Screens, Votes
from anyweave.evaluation.human.server import human_server

Fill = Callable[[str, int], Path]


@pytest.fixture
def votes(tmp_path: Path) -> Votes:
    return Votes(tmp_path / "votes.sqlite")


@pytest.fixture
def screens(filled: Fill, votes: Votes) -> Screens:
    folders = {"signal": filled("signal", 200), "caption": filled("caption", 90)}
    return Screens(folders, votes)


@pytest.fixture
def server(screens: Screens) -> Iterator[Any]:
    server = human_server(screens)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)


@pytest.fixture
def page(server: Any) -> Iterator[httpx2.Client]:
    origin = f"http://127.0.0.1:{server.port}"
    with httpx2.Client(base_url=origin, trust_env=False, timeout=20) as client:
        assert client.get(server.url).status_code == 303
        client.headers["Origin"] = origin
        yield client


def test_a_screen_names_no_model(page: httpx2.Client, votes: Votes) -> None:
    overview = page.get("/overview?rater=Ann").json()
    assert overview["aspects"] == list(ASPECTS) and len(overview["requests"]) == 3
    reply = page.get("/screens/0000?rater=Ann")
    assert "signal" not in reply.text and "caption" not in reply.text
    shown = reply.json()
    assert shown["asked"] == [{"role": "user", "parts": ["Draw a red square."]}]
    assert [r["letter"] for r in shown["replies"]] == ["A", "B"] and shown["vote"] is None
    pictures = [page.get(r["parts"][1]["url"]) for r in shown["replies"]]
    assert {p.headers["Content-Type"] for p in pictures} == {"image/png"}
    assert pictures[0].content != pictures[1].content
    voted = page.post("/screens/0000?rater=Ann", json={"scores": [[9, 8, 7], [1, 2, 3]], "best": 0})
    assert voted.json()["vote"] == {"scores": [[9, 8, 7], [1, 2, 3]], "best": 0}
    (vote,) = votes.all()
    assert vote.best is not None and vote.scores[vote.best]["quality"] == 7
    assert [r["done"] for r in page.get("/overview?rater=Ann").json()["requests"]].count(True) == 1


def test_the_order_of_replies_differs_and_stays(screens: Screens) -> None:
    orders = {tuple(screens._order(f"rater {n}", "0000")) for n in range(20)}
    assert len(orders) == 2
    assert screens._order("Ann", "0001") == screens._order("Ann", "0001")


BAD = [
    {"scores": [[9, 8, 7]], "best": 0},
    {"scores": [[9, 8, 7], [1, 2, 0]], "best": 0},
    {"scores": [[9, 8, 7], [1, 2, True]], "best": 0},
    {"scores": [[9, 8, 7], [1, 2]], "best": 0},
    {"scores": [[9, 8, 7], [1, 2, 3]], "best": 2},
    {"scores": [[9, 8, 7], [1, 2, 3]]},
    {"scores": "x", "best": None},
    [],
]


@pytest.mark.parametrize("body", BAD)
def test_what_is_no_vote(page: httpx2.Client, votes: Votes, body: Any) -> None:
    reply = page.post("/screens/0000?rater=Ann", json=body)
    assert reply.status_code == 400 and reply.json()["error"]
    assert votes.all() == []


def test_pages_that_are_not(page: httpx2.Client) -> None:
    for path in (
        "/x",
        "/screens/9?rater=Ann",
        "/media/0000/5/0?rater=A",
        "/media/0000/0/7?rater=A",
    ):
        assert page.get(path).status_code == 404, path
    for rater in ("", "x" * 61):
        assert page.get(f"/overview?rater={rater}").status_code == 400


def test_strangers_and_forged_votes(page: httpx2.Client, server: Any, votes: Votes) -> None:
    body = {"scores": [[9, 8, 7], [1, 2, 3]], "best": None}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert page.post("/screens/0000?rater=Ann", json=body, headers=headers).status_code == 403
    address = f"http://127.0.0.1:{server.port}/screens/0000?rater=Ann"
    assert httpx2.get(address, trust_env=False).status_code == 403
    assert votes.all() == []


def test_folders_must_answer_the_same(filled: Fill, votes: Votes) -> None:
    one, other = filled("one", 10), filled("other", 20)
    rows = (other / "requests.jsonl").read_text().replace("red", "blue")
    (other / "requests.jsonl").write_text(rows)
    with pytest.raises(ValueError, match="answer different requests"):
        Screens({"one": one, "other": other}, votes)
    (one / "0001.json").unlink()
    with pytest.raises(ValueError, match="1 of 3 replies are missing"):
        Screens({"one": one}, votes)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="no Chromium")
def test_a_vote_in_a_browser(server: Any, votes: Votes, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    wrong: list[str] = []
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = chromium.new_page(viewport={"width": 1100, "height": 1000})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: wrong.extend([m.text] * (m.type == "error")))
        page.goto(server.url)
        page.get_by_label("Your name").fill("Ann O'Hara / 2")
        page.get_by_role("button", name="Start").click()
        for done in range(3):
            save = page.get_by_role("button", name="Save and go on")
            page.get_by_role("radio", name="A is best").wait_for()
            sync_api.expect(save).to_be_disabled()
            for letter, score in (("A", 9), ("B", 3)):
                for aspect in ASPECTS:
                    page.get_by_role(
                        "radio", name=f"{letter}, {aspect}: {score}", exact=True
                    ).click()
            page.get_by_role("radio", name="A is best").click()
            if done == 0:
                folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
                page.screenshot(path=folder / "human.png", full_page=True)
            save.click()
            end = "all 3 rated" if done == 2 else f"{done + 1} of 3 rated"
            page.get_by_text(end).wait_for()
        chromium.close()
    assert not wrong
    found = votes.all()
    assert len(found) == 3 and {vote.rater for vote in found} == {"Ann O'Hara / 2"}
    assert all(v.best and set(v.scores[v.best].values()) == {9} for v in found)
