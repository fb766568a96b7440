"""Media as servers send them, and a run that is killed and goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from anyweave.evaluation import decision
from anyweave.evaluation.decision import Answer, Request, choose, measure, read_message
from anyweave.testing.model import tiny_model

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
CLIP = {"type": "video_url", "video_url": {"url": "https://x.example/a.mp4"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
TEXT = {"type": "text", "text": "here"}

SHAPES: list[tuple[dict[str, Any], tuple[str, ...], bool]] = [
    ({"content": "words"}, (), True),
    ({"content": None}, (), True),
    ({"content": "here", "images": [PICTURE, PICTURE]}, ("image", "image"), True),
    ({"content": "here", "videos": [CLIP], "audio": {"id": "a"}}, ("video", "audio"), False),
    ({"content": "here", "audios": [SOUND], "audio": {"id": "a"}}, ("audio",), True),
    ({"content": "x", "content_parts": [TEXT, SOUND, PICTURE]}, ("audio", "image"), True),
    ({"content": [TEXT, CLIP, TEXT, PICTURE]}, ("video", "image"), True),
    ({"content": [TEXT], "images": [PICTURE]}, ("image",), True),
    ({"content": "![a cat](https://x.example/c.png) <audio src='x'>"}, ("image", "audio"), True),
    ({"content": "a link: [cat](https://x.example)", "images": None}, (), True),
]


@pytest.mark.parametrize(("message", "given", "ordered"), SHAPES)
def test_media_of_a_message(message: dict[str, Any], given: tuple[str, ...], ordered: bool) -> None:
    answer = read_message(message)
    assert (answer.given, answer.ordered) == (given, ordered)


class Server(BaseHTTPRequestHandler):
    """Draws a picture whenever "picture" is in the last turn."""

    seen: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body)
        draws = "picture" in body["messages"][-1]["content"]
        message = {"role": "assistant", "content": "ok", "images": [PICTURE] if draws else []}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        content = json.dumps({**reply, "choices": [choice]}).encode()
        self.send_response(200 if body["model"] == "m" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    Server.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/v1"
        served.shutdown()
        thread.join()


def test_a_server_is_asked_through_the_openai_client(server: str) -> None:
    requests = [r for r in choose() if r.id in ("image-003", "image-142", "none-160")]
    answers = decision.server_answers(server, "m", body={"num_inference_steps": 1})
    found = {request.id: answer.given for request, answer in answers(requests)}
    drawn = {r.id: ("image",) if "picture" in r.messages[-1].text else () for r in requests}
    assert found == drawn and len(found) == 3
    assert all(body["num_inference_steps"] == 1 for body in Server.seen)
    before = [m["content"] for body in Server.seen for m in body["messages"][:-1]]
    assert any("[image: " in text or "[audio: " in text for text in before)
    with pytest.raises(ValueError, match="did not answer request none-160"):
        list(decision.server_answers(server, "other")(requests[:1]))


def test_a_model_decides_without_its_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    monkeypatch.setattr(type(model), "condition", None)  # what decoding would begin with
    requests = [*choose(limit=3), *(r for r in choose() if r.id == "video-160")]
    answered = list(decision.model_answers(model)(requests))
    assert [request for request, _ in answered] == requests


def toy(requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
    for request in requests:
        yield request, Answer(given=request.wanted, text="é")


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    requests, asked = choose(limit=20), []

    def dies(left: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        for number, pair in enumerate(toy(left)):
            if number == 7:
                raise KeyboardInterrupt
            yield pair

    def counted(left: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        for pair in toy(left):
            asked.append(pair[0].id)
            yield pair

    with pytest.raises(KeyboardInterrupt):
        measure("toy", dies, requests, folder=tmp_path)
    with (tmp_path / "answers.jsonl").open("ab") as file:
        file.write('{"id": "half an é'.encode()[:-1])  # killed while it wrote
    report = measure("toy", counted, requests, folder=tmp_path)
    assert asked == [request.id for request in requests[7:]]
    assert report.shares["exactly right: kinds, number and order"].value == 1.0
    assert json.loads((tmp_path / "report.json").read_text())["requests"] == 20
    assert "| image | 1.00" in (tmp_path / "report.md").read_text()
    with pytest.raises(ValueError, match="holds answers of 'toy', now 'other' is asked"):
        measure("other", toy, requests, folder=tmp_path)
