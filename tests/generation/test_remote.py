"""Servers of other kinds: those that say less than ours, and those that break off."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx2
import pytest

from anyweave import media
from anyweave.generation import Done, Event, MediaDone, MediaStarted, TextDelta
from anyweave.generation import remote as room
from anyweave.generation.remote import RemoteSession
from anyweave.messages import Message
from anyweave.testing.conversations import tiny_media

PNG = media.encode_part(tiny_media("image", 1))[1]
WAV = media.encode_part(tiny_media("audio", 1))[1]
URL = "http://127.0.0.1:9"
Serving = Callable[[Any], RemoteSession]


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Serving:
    """A session with a server that streams these deltas, or answers this text."""

    def make(answer: Any) -> RemoteSession:
        def handle(request: httpx2.Request) -> httpx2.Response:
            if request.method == "GET":
                return httpx2.Response(200, json={"data": [{"id": "m"}]})
            if isinstance(answer, httpx2.Response):
                return answer
            asked.append(json.loads(request.content))
            lines = [f"data: {json.dumps(chunk)}" for chunk in answer]
            return httpx2.Response(200, text="\n\n".join([*lines, "data: [DONE]", ""]))

        transport = httpx2.MockTransport(handle)
        monkeypatch.setattr(room.httpx2, "Client", partial(httpx2.Client, transport=transport))
        return RemoteSession(URL)

    asked: list[Any] = []
    make.asked = asked  # type: ignore[attr-defined]
    return make


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def said(session: RemoteSession) -> list[Event]:
    return list(session.send(Message("user", "hi")))


def test_a_server_of_text_alone_will_do(serving: Serving) -> None:
    session = serving([delta(content="he"), delta(content="llo"), delta("length")])
    *events, done = said(session)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["he", "llo"]
    assert isinstance(done, Done) and done.message.text == "hello"
    assert done.finish_reason == "length" and done.usage.prompt_tokens == 0
    said(session)
    history = serving.asked[-1]["messages"]  # type: ignore[attr-defined]
    assert [message["role"] for message in history] == ["user", "assistant", "user"]
    assert history[1]["content"] == "hello"


def test_media_in_the_usual_shapes_will_do(serving: Serving) -> None:
    """As other servers send them: without ids, progress or order beyond that of arrival."""
    data = base64.b64encode(PNG).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    sound = {"id": "a", "data": base64.b64encode(WAV).decode(), "transcript": "a beep"}
    *events, done = said(
        serving([delta(images=[picture]), delta(content="then"), delta("stop", audio=sound)])
    )
    assert [type(event) for event in events] == [
        MediaStarted,
        MediaDone,
        TextDelta,
        MediaStarted,
        MediaDone,
    ]
    assert isinstance(done, Done)
    assert [part.modality for part in done.message.parts] == ["image", "text", "audio"]
    assert [part.source for part in done.message.media()] == [PNG, WAV]
    assert done.message.media("audio")[0].caption == "a beep"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([delta(content="he")], "stopped in the middle"),
        ([delta(content="he"), {"error": {"message": "out of memory"}}], "out of memory"),
        (
            [
                delta(
                    "stop",
                    progress={"part_id": "a", "modality": "audio", "step": 0, "total": None},
                )
            ],
            "no data for: audio",
        ),
        ([{"hello": 1}], "does not speak OpenAI's API"),
        (httpx2.Response(200, text="data: {nonsense\n\n"), "does not speak OpenAI's API"),
        (httpx2.Response(502, text="<h1>bad\n gateway</h1>"), "<h1>bad gateway</h1> (502)"),
        (httpx2.Response(401, json={"error": {"message": "no"}}), "no (401); give --api-key"),
    ],
)
def test_what_goes_wrong_is_told_and_forgotten(serving: Serving, answer: Any, words: str) -> None:
    session = serving(answer)
    with pytest.raises(ValueError, match="(?s).*") as caught:
        said(session)
    assert words in str(caught.value)
    assert session._messages == []


def test_an_address_without_a_server_is_told() -> None:
    with pytest.raises(ValueError, match="does not answer.*is it running"):
        RemoteSession(URL)
    with pytest.raises(ValueError, match="not-a-url"):
        RemoteSession("not-a-url")
