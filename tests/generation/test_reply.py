"""What a reply offers: pictures, arrays with rates, files, HTML; and it equals its message."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anyweave import media
from anyweave.generation import Done, GenerationOptions, Reply
from anyweave.media.provenance import inspect_file
from anyweave.messages import Audio, Image, Message
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_media
from anyweave.testing.model import tiny_model

ALL = ("image", "video", "audio")


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


@pytest.fixture(scope="module")
def reply(model: NextGPT) -> Reply:
    options = GenerationOptions(
        temperature=0, max_new_tokens=2, seed=0, num_inference_steps=1, modalities=ALL, force=ALL
    )
    picture = Image(np.zeros((16, 16, 3), np.uint8))
    return model.chat(options).reply([picture, "its sound?"])


def test_media_come_as_people_use_them(reply: Reply) -> None:
    (picture,) = reply.images
    assert picture.size == (16, 16) and picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), reply.media("image")[0].source)
    ((frames, fps),) = reply.videos
    assert frames.shape == (4, 16, 16, 3) and fps == 8.0
    ((wave, hz),) = reply.audios
    assert wave.dtype == np.float32 and wave.shape == (5120,) and hz == 16000.0


def test_it_is_saved_in_order_with_its_words(reply: Reply, tmp_path: Path) -> None:
    parts = reply.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "reply.json").read_text()) == parts
    assert [part["type"] for part in parts] == [part.modality for part in reply.parts]
    paths = [Path(part["path"]) for part in parts if "path" in part]
    assert {path.name for path in paths} == {
        f"reply-{n}.{s}" for n, s in zip((1, 2, 3), _suffixes(reply), strict=True)
    }
    stored = media.load(Image(tmp_path / "out" / f"reply-{_place(reply, 'image')}.png"))
    assert np.array_equal(stored, reply.media("image")[0].source)
    assert all(inspect_file(path).generated for path in paths)


def _suffixes(reply: Reply) -> list[str]:
    table = {"image": "png", "video": "mp4", "audio": "wav"}
    return [table[part.modality] for part in reply.media()]


def _place(reply: Reply, modality: str) -> int:
    return [part.modality for part in reply.media()].index(modality) + 1


def test_notebooks_show_it() -> None:
    reply = Reply("assistant", ["<b>hi</b>", tiny_media("audio", 1, "a & b")])
    html = reply._repr_html_()
    assert "&lt;b&gt;hi" in html and '<audio src="data:audio/wav;base64,' in html
    assert 'title="a &amp; b"' in html


def test_it_is_a_message_like_any_other() -> None:
    reply, plain = Reply("assistant", "hello"), Message("assistant", "hello")
    assert reply == plain and plain == reply and hash(reply) == hash(plain)
    assert reply != Message("user", "hello") and reply != "hello"
    assert type(copy.deepcopy(reply)) is Reply
    changed = replace(reply, parts=["bye"])  # type: ignore[arg-type]
    assert changed.text == "bye"
    assert repr(reply).startswith("Reply(role='assistant'")


def test_media_may_stay_unmade(model: NextGPT, tmp_path: Path) -> None:
    """Which media a model asks for is known without any decoder."""
    fresh = tiny_model()
    session = fresh.chat(GenerationOptions(temperature=0, max_new_tokens=2, seed=0))
    *_, done = session.send("draw", force=ALL, decode_media=False)
    assert isinstance(done, Done) and fresh.decoders.loaded == ()
    assert {part.modality for part in done.message.media()} == set(ALL)
    assert all(part.source is None for part in done.message.media())
    assert done.message.images == [] and done.message.audios == []
    assert {part["path"] for part in done.message.save(tmp_path) if "path" in part} == {None}
    session.reply("and now with media", force=("image",), num_inference_steps=1)


def test_what_is_said_may_be_parts(model: NextGPT) -> None:
    session = model.chat(GenerationOptions(max_new_tokens=1, seed=0, decode_media=False))
    for said in ("hi", ["hi"], Message("user", "hi"), Audio(*_sound())):
        session.reply(said)
    assert [message.role for message in session.messages] == ["user", "assistant"] * 4
    goes_on = model.chat(messages=session.messages)
    assert goes_on.messages == session.messages


def _sound() -> tuple[np.ndarray, None, float]:
    return np.zeros(5120, np.float32), None, 16000.0
