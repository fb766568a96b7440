"""The real `openai` client: sync, async, streamed, raw."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from typing import Any

import httpx2
import numpy as np
import openai
import PIL.Image
import pytest

from anyweave import media
from anyweave.messages import Video

PNG = media.encode("image", np.full((16, 16, 3), 90, np.uint8), format="png")
WAV = media.encode("audio", np.zeros(8000, np.float32), rate=16000, format="wav")
MP4 = media.encode("video", np.zeros((4, 16, 16, 3), np.uint8), rate=8, format="mp4")


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


PARTS: list[Any] = [
    {"type": "text", "text": "what is this?"},
    {"type": "image_url", "image_url": {"url": data_url("image/png", PNG)}},
    {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"},
    },
    {"type": "audio_url", "audio_url": {"url": data_url("audio/wav", WAV)}},
    {"type": "video_url", "video_url": {"url": data_url("video/mp4", MP4)}},
    {"type": "image", "url": data_url("image/png", PNG)},
    {"type": "image", "base64": base64.b64encode(PNG).decode()},
    {"type": "audio", "audio": data_url("audio/wav", WAV)},
]
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
ALL = {"force": ["image", "audio", "video"], "seed": 1}


@pytest.fixture(scope="module")
def client(served: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.v1, api_key="unused-key", max_retries=0)


def opened(url: str) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_a_plain_request_gets_text_and_counts(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="tiny", messages=HELLO, modalities=["text"], seed=3
    )
    assert reply.object == "chat.completion"
    assert len(reply.choices) == 1
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert isinstance(reply.choices[0].message.content, str)
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    again = client.chat.completions.create(
        model="tiny", messages=HELLO, modalities=["text"], seed=3
    )
    assert again.choices[0].message.content == reply.choices[0].message.content


@pytest.mark.parametrize("part", PARTS, ids=lambda part: "-".join(part))
def test_every_form_of_input_is_read(client: openai.OpenAI, part: Any) -> None:
    messages: Any = [{"role": "user", "content": [part, {"type": "text", "text": "and?"}]}]
    reply = client.chat.completions.create(model="tiny", messages=messages, max_tokens=2)
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 2


def test_media_come_in_every_shape_and_in_order(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="tiny", messages=HELLO, extra_body=ALL)
    message: Any = reply.choices[0].message
    assert opened(message.images[0]["image_url"]["url"]).size == (16, 16)
    assert message.images[0]["index"] == 0
    assert base64.b64decode(message.audio.data)[:4] == b"RIFF"
    assert base64.b64decode(message.videos[0]["video_url"]["url"].partition(",")[2])[4:8] == b"ftyp"
    order = [part["type"] for part in message.content_parts]
    assert order[-3:] == ["image_url", "audio_url", "video_url"]
    text = "".join(p["text"] for p in message.content_parts if p["type"] == "text")
    assert text == message.content
    usage: Any = reply.usage
    assert usage.steps == {"image": 2, "audio": 2, "video": 2}
    assert set(usage.seconds) == {"text", "image", "audio", "video"}


def test_a_stream_says_what_the_whole_reply_says(client: openai.OpenAI) -> None:
    whole: Any = client.chat.completions.create(model="tiny", messages=HELLO, extra_body=ALL)
    text = ""
    images: list[Any] = []
    videos: list[Any] = []
    audio: Any = None
    steps: dict[str, tuple[int, int]] = {}
    last: Any = None
    usage = None
    stream = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=ALL,
    )
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            delta: Any = choice.delta
            text += delta.content or ""
            images += getattr(delta, "images", None) or []
            videos += getattr(delta, "videos", None) or []
            audio = getattr(delta, "audio", None) or audio
            if progress := getattr(delta, "progress", None):
                steps[progress["part_id"]] = (progress["step"], progress["total"])
                assert "preview" not in progress  # nobody asked for any
            last = chunk if choice.finish_reason else last
    message = whole.choices[0].message
    assert text == message.content
    assert images[0]["image_url"] == message.images[0]["image_url"]
    assert videos[0]["video_url"] == message.videos[0]["video_url"]
    assert audio.data == message.audio.data
    assert list(steps.values()) == [(2, 2)] * 3
    assert [p["type"] for p in last.choices[0].delta.content_parts][-3:] == [
        "image_url",
        "audio_url",
        "video_url",
    ]
    assert last.anyweave["seed"] == 1
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_pictures_and_clips_are_seen_in_the_making(client: openai.OpenAI) -> None:
    seen: dict[str, list[Any]] = {}
    asked = ALL | {"previews": True, "num_inference_steps": 3}
    for chunk in client.chat.completions.create(
        model="tiny", messages=HELLO, stream=True, extra_body=asked
    ):
        for choice in chunk.choices:
            if progress := getattr(choice.delta, "progress", None):
                seen.setdefault(progress["part_id"], []).append(progress.get("preview"))
    picture, sound, clip = seen.values()
    for previews in (picture, clip):
        assert previews[0] is None  # it has only been asked for
        assert [opened(url).mode for url in previews[1:]] == ["RGB"] * 3
    assert sound == [None] * 4


def test_the_clients_own_accumulator_follows_the_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="tiny", messages=HELLO, extra_body=ALL) as stream:
        for _ in stream:
            pass
        final: Any = stream.current_completion_snapshot
    message = final.choices[0].message
    assert opened(message.images[0]["image_url"]["url"]).size == (16, 16)
    assert [p["type"] for p in message.content_parts][-1] == "video_url"


def test_the_async_client_and_the_raw_answer(served: Any) -> None:
    async def talk() -> tuple[str | None, dict[str, Any]]:
        async with openai.AsyncOpenAI(base_url=served.v1, api_key="unused-key") as client:
            stream = await client.chat.completions.create(
                model="tiny", messages=HELLO, stream=True, seed=5
            )
            text = "".join([c.choices[0].delta.content or "" async for c in stream])
            raw = await client.chat.completions.with_raw_response.create(
                model="tiny", messages=HELLO, seed=5, extra_body={"response_format": "url"}
            )
            return text, json.loads(raw.text)

    text, raw = asyncio.run(talk())
    assert raw["choices"][0]["message"]["content"] == text
    assert raw["anyweave"]["parts"][-1]["part"] == "decoder:audio"


def test_media_as_urls_can_be_fetched_and_referred_to(client: openai.OpenAI, served: Any) -> None:
    reply: Any = client.chat.completions.create(
        model="tiny", messages=HELLO, extra_body={**ALL, "response_format": "url"}
    )
    message = reply.choices[0].message
    url = message.images[0]["image_url"]["url"]
    answer = httpx2.get(url)
    assert answer.headers["content-type"] == "image/png"
    assert PIL.Image.open(io.BytesIO(answer.content)).size == (16, 16)
    part = httpx2.get(message.audio.url, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"RIFF")
    refer: list[Any] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "id": message.images[0]["id"]},
        {"type": "file", "file": {"file_id": message.audio.id}},
        message.content_parts[-1],
    ]
    second = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": [*refer, PARTS[0]]}], max_tokens=1
    )
    words = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": [PARTS[0]]}], max_tokens=1
    )
    assert second.usage is not None and words.usage is not None
    assert second.usage.prompt_tokens >= words.usage.prompt_tokens + 4 * 3


def test_what_was_said_before_is_not_read_again(client: openai.OpenAI) -> None:
    """Whether a client sends back the text alone, the whole message, or its parts."""
    asked: list[Any] = [{"role": "system", "content": "Be brief."}, *HELLO]
    forced = {"force": ["image"], "seed": 4}
    first: Any = client.chat.completions.create(model="tiny", messages=asked, extra_body=forced)
    message = first.choices[0].message
    text = {"role": "assistant", "content": message.content}
    parts = {"role": "assistant", "content": message.content_parts}
    for back in (text, message.model_dump(), parts):
        more: list[Any] = [*asked, back, {"role": "user", "content": "and now?"}]
        reply: Any = client.chat.completions.create(
            model="tiny", messages=more, extra_body={"modalities": ["text"], "seed": 4}
        )
        cached = reply.usage.prompt_tokens_details.cached_tokens
        assert cached >= first.usage.prompt_tokens
        assert reply.anyweave["continued_turns"] == 3


def test_modalities_are_an_allow_list(client: openai.OpenAI) -> None:
    for seed in range(3):
        reply: Any = client.chat.completions.create(
            model="tiny",
            messages=HELLO,
            modalities=["text", "audio"],
            seed=seed,
            temperature=2,
            max_tokens=40,
        )
        active = [p["part"] for p in reply.anyweave["parts"] if p["active"]]
        assert not {"decoder:image", "decoder:video"} & set(active)


def test_knobs_reach_the_decoders(client: openai.OpenAI) -> None:
    reply: Any = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        extra_body={
            "force": ["image", "video"],
            "height": 32,
            "width": 16,
            "num_inference_steps": 3,
            "guidance_scale": 2.0,
            "negative_prompt": "dark",
            "num_frames": 2,
            "fps": 4,
        },
    )
    message = reply.choices[0].message
    assert opened(message.images[0]["image_url"]["url"]).size == (16, 32)
    assert reply.usage.steps["image"] == 3
    clip = base64.b64decode(message.videos[0]["video_url"]["url"].partition(",")[2])
    frames, rate = media.load_video_with_rate(Video(clip))
    assert (frames.shape, rate) == ((2, 32, 16, 3), 4.0)


def test_pictures_and_sounds_for_a_prompt(client: openai.OpenAI, served: Any) -> None:
    pictures = client.images.generate(model="tiny", prompt="a fox", n=2, size="32x16")
    assert pictures.data is not None and len(pictures.data) == 2
    encoded = pictures.data[0].b64_json
    assert encoded is not None
    first = PIL.Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert first.size == (32, 16)
    edited: Any = client.images.edit(image=("a.png", PNG), prompt="darker", response_format="url")
    assert httpx2.get(edited.data[0].url).content.startswith(b"\x89PNG")
    sound = served.http().post(
        "/v1/audio/generate",
        json={"prompt": "a bell", "response_format": "bytes", "format": "flac"},
    )
    assert (sound.headers["content-type"], sound.content[:4]) == ("audio/flac", b"fLaC")


def test_bytes_of_two_sounds_are_refused_before_any_is_made(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(served.app.desk.metrics, "count_reply", made.append)
    two = {"prompt": "a bell", "response_format": "bytes", "n": 2}
    answer = served.http().post("/v1/audio/generate", json=two)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")
    assert made == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_clip_is_a_job(client: openai.OpenAI) -> None:
    done = client.videos.create_and_poll(prompt="waves", poll_interval_ms=100)
    assert (done.status, done.progress, done.error) == ("completed", 100, None)
    assert client.videos.download_content(done.id).read()[4:8] == b"ftyp"
    assert done.id in [job.id for job in client.videos.list()]
    assert client.videos.delete(done.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(done.id)


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    found: Any = client.models.retrieve("tiny")
    assert found.modalities["output"] == ["text", "image", "video", "audio"]
    assert found.limits["max_media"] == 32 and found.limits["max_messages"] == 512


WRONG: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "unknown field": ({"temprature": 1}, "temprature", "did you mean 'temperature'"),
    "tools": ({"tools": [{"type": "function"}]}, "tools", "calls no tools"),
    "two choices": ({"n": 2}, "n", "one reply"),
    "JSON": ({"response_format": {"type": "json_object"}}, "response_format.type", "url"),
    "no frame in years": ({"fps": 1e-9}, "fps", "0.1"),
    "five stops": ({"stop": list("abcde")}, "stop", "at most 4"),
    "an empty stop": ({"stop": ["x", ""]}, "stop.1", "at least 1"),
    "too long": ({"max_tokens": 10**6}, "max_new_tokens", "at most 2048"),
    "two limits": ({"max_tokens": 4, "max_completion_tokens": 9}, "max_tokens", "not both"),
    "forced twice": ({"force": ["image"] * 400}, None, "400 times"),
    "too large": ({"width": 10**6}, "width", "at most 1024"),
    "strength of no edit": ({"strength": 0.5}, "strength", "only for an edit"),
    "a book of what not": ({"negative_prompt": "x" * 32_001}, "negative_prompt", "32000"),
    "masked force": ({"force": "image", "modalities": ["text"]}, None, "rules out"),
    "no user": ({"messages": [{"role": "assistant", "content": "x"}]}, "messages", "the user's"),
    "no messages": ({"messages": []}, "messages", "at least 1"),
    "a tool's turn": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "user"),
    "half a part": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages.0.content.0",
        "no data",
    ),
    "no base64": (
        {"messages": [{"role": "user", "content": [{"type": "image", "base64": "%%"}]}]},
        "messages.0.content.0",
        "not base64",
    ),
    "no picture": (
        {"messages": [{"role": "user", "content": [{"type": "image", "base64": "aGk="}]}]},
        "messages.0.content.0",
        "not an image",
    ),
    "no such scheduler": (
        {"force": "image", "scheduler": "eular"},
        "scheduler",
        "did you mean 'euler'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("stream", [False, True])
def test_mistakes_are_told_in_openais_envelope(
    client: openai.OpenAI, case: str, stream: bool
) -> None:
    extra, param, said = WRONG[case]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="tiny", messages=HELLO, stream=stream, extra_body=extra
        )
    body: Any = caught.value.body
    assert set(body) == {"message", "type", "param", "code"}
    assert body["type"] == "invalid_request_error"
    assert body["param"] == param
    assert said in body["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "x"}], "guidance_scale": NaN}',
        b'{"messages": [{"role": "user", "content": "x"}], "audio_length": Infinity}',
        b'{"messages": [{"role": "user", "content": "x"}], "seed": 1e400}',
        b"[]",
        b"null",
        b"\xff",
        b"",
    ],
)
def test_odd_json_is_a_mistake(served: Any, body: bytes) -> None:
    for path in ("/v1/chat/completions", "/v1/images/generations", "/v1/videos"):
        answer = served.http().post(path, content=body, headers=JSON)
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_unknown_model_and_an_unknown_place(client: openai.OpenAI, served: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="there is 'tiny'"):
        client.chat.completions.create(model="gpt-x", messages=HELLO)
    for path in ("/v1/nothing", "/v1/files/file-0/content", "/v1/videos/video_0"):
        answer = served.http().get(path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    broken = served.http().post("/v1/chat/completions", content=b"{", headers=JSON)
    assert (broken.status_code, "not JSON" in broken.text) == (400, True)


JSON = {"Content-Type": "application/json"}


def test_the_page_of_all_routes_needs_nothing_from_elsewhere(served: Any) -> None:
    page = served.http().get("/docs").text
    for path in ("/v1/chat/completions", "/v1/images/edits", "/v1/videos/{video_id}/content"):
        assert path in page
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!/page/|/openapi.json|#)', page)
    assert '<a href="#WireMessage">WireMessage</a>' in page
    assert served.http().get("/openapi.json").json()["info"]["title"] == "anyweave"
