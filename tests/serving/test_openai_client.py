"""The real `openai` client: sync, async, streamed, raw."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import openai
import PIL.Image
import pytest

from anyweave import media

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
    text, images, audio, videos, steps = "", [], None, [], {}
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
