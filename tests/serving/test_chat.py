"""Conversations that are kept, clients that leave, and bounds, through the whole server."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image as PilImage

from anyweave.generation import Retrieved
from anyweave.messages import Image, Modality
from anyweave.serving.engine import Engine
from anyweave.testing.model import tiny_model

CHAT = "/v1/chat/completions"
LONG = {
    "messages": [{"role": "user", "content": "hi"}],
    "force": ["image", "video"],
    "num_inference_steps": 200,
    "max_tokens": 4,
}


def ask(http: Any, messages: list[Any], **more: Any) -> Any:
    body = {"messages": messages, "modalities": ["text"], "seed": 1, **more}
    answer = http.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(reply: Any) -> dict[str, str]:
    return {"role": "assistant", "content": reply["choices"][0]["message"]["content"]}


def completed(http: httpx2.Client, job: str) -> bool:
    return bool(http.get(f"/v1/videos/{job}").json()["status"] == "completed")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_reply_may_be_made_again_and_a_question_changed(served: Any) -> None:
    with served.http() as http:
        one = ask(http, [user("one")])
        talk = [user("one"), said(one)]
        two = ask(http, [*talk, user("two")])
        again = ask(http, [*talk, user("two")])
        other = ask(http, [*talk, user("other")])
        assert again["choices"][0]["message"]["content"] == two["choices"][0]["message"]["content"]
        assert [r["anyweave"]["continued_turns"] for r in (one, two, again, other)] == [0, 2, 2, 2]


def test_a_kept_conversation_says_what_a_fresh_one_says(
    served: Any, serve: Callable[..., Any]
) -> None:
    """Keys and values kept between requests change nothing but the time."""
    replies = []
    with serve(max_conversations=0) as forgetful:
        for server in (served, forgetful):
            with server.http() as http:
                talk: list[Any] = []
                for text in ("first", "second", "third"):
                    talk.append(user(text))
                    reply = ask(http, talk, temperature=0)
                    talk.append(said(reply))
                replies.append([m["content"] for m in talk])
                cached = reply["usage"]["prompt_tokens_details"]["cached_tokens"]
                assert (cached > 0) == (server is served)
    # Text that was spoken keeps its ids; sent back it is split anew, so only the kept one is exact.
    assert replies[0][:2] == replies[1][:2]


def test_the_least_recently_used_conversation_leaves(serve: Callable[..., Any]) -> None:
    with serve(max_conversations=2) as served, served.http() as http:
        talks = {name: [user(name)] for name in "abc"}
        for name in "abc":
            talks[name].append(said(ask(http, talks[name])))
        kept = {n: ask(http, [*talks[n], user("go on")])["anyweave"] for n in "bca"}
        continued = {name: inside["continued_turns"] for name, inside in kept.items()}
        assert continued == {"a": 0, "b": 2, "c": 2}


def test_conversations_of_other_keys_are_not_continued(serve: Callable[..., Any]) -> None:
    keys = ("aw-0123456789abcdef", "aw-fedcba9876543210")
    with serve(api_keys=keys) as served:
        mine, theirs = (served.http(headers={"Authorization": f"Bearer {key}"}) for key in keys)
        talk = [user("secret"), said(ask(mine, [user("secret")])), user("go on")]
        assert ask(theirs, talk)["anyweave"]["continued_turns"] == 0
        assert ask(mine, talk)["anyweave"]["continued_turns"] == 2


def test_what_the_model_drew_can_be_edited(served: Any) -> None:
    more = {"force": "image", "modalities": ["text", "image"], "num_inference_steps": 1}
    with served.http() as http:
        first = ask(http, [user("a fox")], **more)
        talk = [user("a fox"), said(first), user("make it red")]
        second = ask(http, talk, edit="always", **more)
    (edited,) = second["anyweave"]["edited"]
    assert second["anyweave"]["continued_turns"] == 2 and edited["known"]
    assert first["anyweave"]["edited"] == []


def test_what_was_drawn_can_be_edited_where_the_conversation_is_not_kept(
    serve: Callable[..., Any],
) -> None:
    more = {"force": "image", "modalities": ["text", "image"], "num_inference_steps": 1}
    with serve(max_conversations=0) as served, served.http() as http:
        drawn = ask(http, [user("a fox")], **more)["choices"][0]["message"]
        talk = [user("a fox"), drawn, user("make it red")]
        (edited,) = ask(http, talk, edit="always", **more)["anyweave"]["edited"]
        assert not edited["known"]
        named = {"type": "image_url", "caption": "a fox"}
        talk[1] = {"role": "assistant", "content_parts": [named]}
        body = {"messages": talk, "edit": "always", **more}
        refused = http.post(CHAT, json=body)
        assert refused.status_code == 400 and "only the caption" in refused.text


def test_what_an_earlier_turn_dropped_is_told_again(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request brings its whole history: what is not read of it is told each time."""
    engine = served.app.desk.engine
    monkeypatch.setattr(engine, "options", replace(engine.options, context_length=256))
    talk: list[Any] = []
    told = []
    with served.http() as http:
        for turn in range(10):
            talk.append(user(f"{turn} {'x' * 24}"))
            reply = ask(http, talk, max_tokens=4)
            assert reply["anyweave"]["continued_turns"] == len(talk) - 1
            talk.append(said(reply))
            told.append((reply["usage"]["dropped"] or {"exchanges": 0})["exchanges"])
    assert told == sorted(told) and told[-1] > 0


def test_a_client_that_leaves_while_its_media_are_read_ends_that(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, go = served.app.desk, threading.Event()
    read: list[str] = []
    left: list[bool] = []

    def slow(value: str, where: str) -> bytes:
        read.append(where)
        go.wait(20)
        return b""

    monkeypatch.setattr(desk.intake, "_resolve", slow)
    monkeypatch.setattr(desk.metrics, "count_gone", lambda: left.append(True))
    parts = [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}] * 3
    body = {"messages": [{"role": "user", "content": parts}]}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(served.url + CHAT, json=body, timeout=3)
    until(lambda: bool(left))
    go.set()
    time.sleep(0.3)
    assert read == ["messages.0.content.0"]


def test_media_are_bounded_together_once_unpacked(serve: Callable[..., Any]) -> None:
    png = io.BytesIO()
    PilImage.new("RGB", (16, 16)).save(png, "png")
    part = {"type": "image", "base64": base64.b64encode(png.getvalue()).decode()}
    with serve(max_unpacked=1000) as served, served.http() as http:
        for count, status in ((1, 200), (2, 400)):
            body = {"messages": [{"role": "user", "content": [part] * count}], "max_tokens": 1}
            answer = http.post(CHAT, json=body)
            assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"] == "too_large"


def test_what_would_change_nothing_is_refused(served: Any) -> None:
    prompt = {"prompt": "x"}
    chat = {"messages": [user("hi")]}
    with served.http() as http:
        for route, body, name in (
            (CHAT, {**chat, "previews": True}, "previews"),
            (CHAT, {**chat, "stream_options": {"include_usage": True}}, "stream_options"),
            ("/v1/images/generations", {**prompt, "num_frames": 4}, "num_frames"),
            ("/v1/images/generations", {**prompt, "fps": 4}, "fps"),
            ("/v1/audio/generate", {**prompt, "height": 64}, "height"),
            ("/v1/videos", {**prompt, "audio_length": 2}, "audio_length"),
        ):
            answer = http.post(route, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


def test_a_conversation_whose_reply_was_stopped_goes_on(served: Any) -> None:
    with served.http() as http:
        first = ask(http, [user("hello there")])
        talk = [user("hello there"), said(first), user("more")]
        with http.stream("POST", CHAT, json={**LONG, "messages": talk, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
        until(lambda: served.app.desk.scheduler.running == 0)
        time.sleep(0.1)
        assert ask(http, talk)["anyweave"]["continued_turns"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_reply(served: Any, stream: bool) -> None:
    desk = served.app.desk
    begun = time.monotonic()
    http = served.http()
    if stream:
        with http.stream("POST", CHAT, json={**LONG, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            assert desk.scheduler.running == 1
    else:
        with pytest.raises(Exception, match="timed out"):
            http.post(CHAT, json=LONG, timeout=0.3)
    http.close()
    until(lambda: desk.scheduler.running == 0)
    assert "anyweave_cancelled_total" in served.http().get("/metrics").text
    spoken = ask(served.http(), [user("still there?")])
    assert spoken["choices"][0]["finish_reason"]
    assert time.monotonic() - begun < 60


def test_the_queue_is_bounded_and_says_when_to_come_again(serve: Callable[..., Any]) -> None:
    with serve(max_waiting=0, max_running=1) as served:
        with served.http().stream("POST", CHAT, json={**LONG, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            refused = served.http().post(CHAT, json={**LONG, "stream": True})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"


def test_a_reply_that_takes_too_long_is_stopped_and_told(serve: Callable[..., Any]) -> None:
    with serve(timeout=0.5) as served:
        with served.http().stream("POST", CHAT, json={**LONG, "stream": True}) as answer:
            lines = [line for line in answer.iter_lines() if line]
        assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == "timeout"
        assert lines[-1] == "data: [DONE]"
        whole = served.http().post(CHAT, json=LONG)
        assert (whole.status_code, whole.json()["error"]["code"]) == (504, "timeout")


def test_a_fault_of_ours_in_a_stream_is_told_and_logged(
    serve: Callable[..., Any],
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send = engine.send

    def failing(*given: Any, **how: Any) -> Any:
        yield next(send(*given, **how))
        raise KeyError("a fault of ours")

    monkeypatch.setattr(engine, "send", failing)
    with serve() as served:
        with served.http().stream("POST", CHAT, json={**LONG, "stream": True}) as answer:
            lines = [line for line in answer.iter_lines() if line]
        error = json.loads(lines[-2].removeprefix("data: "))["error"]
        assert error["type"] == "server_error" and "its log" in error["message"]
        assert lines[-1] == "data: [DONE]" and "a fault of ours" not in "".join(lines)
    assert any("a fault of ours" in str(r.exc_info) for r in caplog.records)


def test_stopping_the_server_fails_what_does_not_end_in_time(serve: Callable[..., Any]) -> None:
    with serve(grace=0.3) as served:
        with served.http().stream("POST", CHAT, json={**LONG, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            served.stop()
            rest = [line for line in lines if line]
        assert json.loads(rest[-2].removeprefix("data: "))["error"]["code"] == "stopping"


def test_words_come_while_media_of_others_are_made(served: Any) -> None:
    with served.http() as http, served.http() as other:
        with http.stream("POST", CHAT, json={**LONG, "stream": True}) as answer:
            lines = answer.iter_lines()
            assert any('"step": 1,' in line for line in lines)  # the decoders are at work
            spoken = ask(other, [user("and meanwhile?")])
            assert spoken["usage"]["completion_tokens"] > 0
            assert '"progress"' in next(line for line in lines if line)  # and still are


def test_what_happened_inside_is_told(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"messages": [user("hi")], "force": ["audio"], "modalities": ["text", "audio"]}
    inside = served.http().post(CHAT, json=body).json()["anyweave"]
    active = {part["part"]: part["active"] for part in inside["parts"]}
    assert active.pop("output_projector:audio")
    assert {part: active[part] for part in active if "projector" not in part} == {
        "encoder:image": False,
        "encoder:video": False,
        "encoder:audio": False,
        "language_model": True,
        "decoder:image": False,
        "decoder:video": False,
        "decoder:audio": True,
    }
    signal = inside["signals"][-1]
    assert signal["tokens"] == ["[AUD0]", "[AUD1]", "[AUD2]"]
    assert signal["modality"] == "audio"
    assert isinstance(inside["seed"], int)
    assert all(p["seconds"] > 0 for p in inside["parts"] if p["part"] == "decoder:audio")
    engine = served.app.desk.engine  # where decoders follow words, output projectors sleep
    monkeypatch.setattr(engine, "facts", replace(engine.facts, reads_states=False))
    inside = served.http().post(CHAT, json=body).json()["anyweave"]
    active = {part["part"]: part["active"] for part in inside["parts"]}
    assert active["decoder:audio"] and not active["output_projector:audio"]


def test_figures_for_prometheus(served: Any) -> None:
    with served.http() as http:
        http.get("/health")
        text = http.get("/metrics").text
    for line in (
        'anyweave_requests_total{route="/health",status="200"}',
        "anyweave_running 0.0",
        "anyweave_waiting 0.0",
    ):
        assert line in text


def test_many_clients_at_once_lose_nothing(serve: Callable[..., Any]) -> None:
    """Words, media, streams, clients that leave and clips as jobs, all at the same time."""
    with serve(max_running=4, max_waiting=6, max_waiting_each=6) as served:
        left = []

        def one(number: int) -> str:
            body: Any = {"messages": [user(f"number {number}")], "seed": number, "max_tokens": 6}
            body["stream"] = number % 2 == 1
            if number % 3 == 0:
                body["force"] = "image" if number % 2 else "audio"
            with served.http() as http:
                if number % 10 == 9:
                    return http.post("/v1/videos", json={"prompt": "waves"}).json()["id"]
                while True:
                    with http.stream("POST", CHAT, json=body) as answer:
                        if answer.status_code == 429:
                            answer.read()
                            time.sleep(0.1)
                            continue
                        assert answer.status_code == 200, answer.read()
                        if number % 10 == 5:
                            left.append(next(answer.iter_lines()))
                            return ""
                        text = "\n".join(answer.iter_lines())
                    assert ("image_url" in text) == (body.get("force") == "image")
                    assert text.rstrip().endswith("[DONE]") == body["stream"]
                    return ""

        with ThreadPoolExecutor(10) as pool:
            jobs = [job for job in pool.map(one, range(20)) if job]
        assert len(left) == len(jobs) == 2
        with served.http() as http:
            for job in jobs:
                until(partial(completed, http, job))
        until(lambda: served.app.desk.scheduler.running == 0)
        assert served.app.desk.scheduler.waiting == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_ends_before_a_stop_string_and_the_talk_goes_on(served: Any, stream: bool) -> None:
    def text(http: Any, messages: list[Any], **more: Any) -> str:
        body = {"messages": messages, "modalities": ["text"], "seed": 1, "temperature": 0, **more}
        answer = http.post(CHAT, json={**body, "stream": stream})
        if not stream:
            return str(answer.json()["choices"][0]["message"]["content"])
        chunks = [json.loads(x[6:]) for x in answer.text.splitlines() if x.startswith("data: {")]
        return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)

    with served.http() as http:
        whole = text(http, [user("hi")])
        stop = whole[len(whole) // 2 :][:2]
        cut = text(http, [user("hi")], stop=stop)
        assert cut == whole[: whole.index(stop)]
        talk = [user("hi"), {"role": "assistant", "content": cut}, user("more")]
        more = ask(http, talk, temperature=0)
        assert more["anyweave"]["continued_turns"] == 2


def test_a_medium_may_come_from_the_index(serve: Callable[..., Any]) -> None:
    picture = np.full((16, 16, 3), 200, np.uint8)
    part = Image(picture, caption="my hedgehog")
    wanted = Retrieved(part=part, score=0.97, source="my garden", licence="CC0-1.0")
    asked: list[tuple[str, str]] = []

    def finder(modality: Modality, words: str, caption: str) -> Retrieved:
        asked.append((modality, words))
        return wanted

    with closing(Engine(tiny_model(), finder=finder)) as engine:
        with serve(engine) as served, served.http() as http:
            more = {"modalities": None, "force": ["image"], "num_inference_steps": 1}
            found = ask(http, [user("a hedgehog")], **more)
            made = ask(http, [user("a hedgehog")], **more, retrieve=False)
            drawn = http.post("/v1/images/generations", json={"prompt": "a hedgehog"}).json()
    assert asked == [("image", "a hedgehog")]
    (told,) = found["anyweave"]["retrieved"]
    (shown,) = found["choices"][0]["message"]["images"]
    assert told == {
        "part_id": shown["id"], "score": 0.97, "source": "my garden", "licence": "CC0-1.0",
    }  # fmt: skip
    assert made["anyweave"]["retrieved"] == []
    worked = [
        {part["part"]: part["active"] for part in reply["anyweave"]["parts"]}
        for reply in (found, made)
    ]
    assert [parts["decoder:image"] for parts in worked] == [False, True]
    pictures = [
        shown["image_url"]["url"].partition(",")[2],
        made["choices"][0]["message"]["images"][0]["image_url"]["url"].partition(",")[2],
        drawn["data"][0]["b64_json"],
    ]
    contents = [base64.b64decode(content) for content in pictures]
    assert (np.asarray(PilImage.open(io.BytesIO(contents[0]))) == picture).all()
    # What was found is nobody's machine's work, and says nothing else.
    assert [b"trainedAlgorithmicMedia" in content for content in contents] == [False, True, True]
