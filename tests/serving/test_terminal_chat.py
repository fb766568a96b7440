"""The terminal chat as a client of the real server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from anyweave import media
from anyweave.cli import app
from anyweave.generation import (
    Done,
    GenerationOptions,
    MediaDone,
    MediaStarted,
    Progress,
    TextDelta,
)
from anyweave.generation.remote import RemoteSession
from anyweave.media.provenance import inspect_file
from anyweave.messages import Image, Media, Message, Part
from anyweave.serving.engine import Engine
from anyweave.testing.conversations import tiny_media

ALL = ("image", "audio", "video")


def test_events_are_those_of_a_chat_here(served: Any, engine: Engine) -> None:
    options = GenerationOptions(temperature=0, max_new_tokens=12, seed=3)
    here = engine.chat()
    there = RemoteSession(served.url, temperature=0, max_tokens=12, seed=3)
    assert there.generates == here.generates
    picture = Image(tiny_media("image", 1).source)
    for turn in (Message("user", [picture, "and this?"]), Message("user", "again")):
        ours = list(here.send(turn, options, force=ALL))
        theirs = list(there.send(turn, force=ALL))
        done, over = ours[-1], theirs[-1]
        assert isinstance(done, Done) and isinstance(over, Done)
        assert over.message.parts == _encoded(done.message)  # texts, captions and their order
        assert over.finish_reason == done.finish_reason
        assert over.usage.completion_tokens == done.usage.completion_tokens
        assert over.usage.context_length == done.usage.context_length
        for kind in (TextDelta, MediaStarted, MediaDone):
            assert _texts(theirs, kind) == _texts(ours, kind)
        assert any(isinstance(event, Progress) for event in theirs)
        sent, made = over.message.media("image")[0], done.message.media("image")[0]
        assert (media.load(sent) == made.source).all()


def test_a_stopped_reply_is_forgotten_on_both_sides(served: Any) -> None:
    there = RemoteSession(served.url, temperature=0, max_tokens=12, seed=3)
    for _ in range(3):
        events = there.send(Message("user", "hello"), force=("video",))
        next(event for event in events if isinstance(event, Progress))
        events.close()
    *_, done = there.send(Message("user", "hello"), force=("video",))
    assert isinstance(done, Done) and len(done.message.media()) == 1


def _texts(events: list[Any], kind: type) -> list[Any]:
    if kind is TextDelta:
        return ["".join(event.text for event in events if isinstance(event, TextDelta))]
    if kind is MediaStarted:
        started = [event for event in events if isinstance(event, MediaStarted)]
        return [(event.index, event.modality, event.caption) for event in started]
    assert kind is MediaDone
    done = [event for event in events if isinstance(event, MediaDone)]
    return [(event.index, replace(event.part, rate=None)) for event in done]


def _encoded(message: Message) -> tuple[Part, ...]:
    """The parts as they are once encoded: their rate is in the bytes."""
    return tuple(replace(p, rate=None) if isinstance(p, Media) else p for p in message.parts)


def chat(url: str, folder: Path, *options: str, typed: str) -> str:
    arguments = ["chat", "--url", url, "-o", str(folder), "--max-new-tokens", "2", "--seed", "1"]
    result = CliRunner().invoke(app, [*arguments, *options], input=typed)
    return result.output + str(result.exception or "")


def test_the_command_talks_to_a_server(served: Any, tmp_path: Path) -> None:
    picture = media.store(tiny_media("image", 1), tmp_path / "dot")
    typed = f"/force image\n@{picture} what is it?\n/reset\n/force audio\nand its sound?\n/quit\n"
    printed = chat(served.url, tmp_path / "out", typed=typed)
    saved = sorted((tmp_path / "out").iterdir())
    assert [path.suffix for path in saved][:1] == [".png"], printed
    assert saved[-1].suffix == ".wav"
    assert all(str(path) in printed.replace("\n", "") for path in saved)
    assert all(inspect_file(path).generated for path in saved)


def test_a_key_is_asked_for_and_taken(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "k" * 32
    with serve(api_keys=(key,)) as served:
        assert "--api-key" in chat(served.url, tmp_path / "a", typed="hi\n")
        assert "error" not in chat(served.url, tmp_path / "b", "--api-key", key, typed="hi\n")
        monkeypatch.setenv("ANYWEAVE_API_KEY", key)
        assert "error" not in chat(served.url + "/v1/", tmp_path / "c", typed="hi\n")


def test_mistakes_are_told_and_end_nothing(served: Any, tmp_path: Path) -> None:
    printed = chat(served.url, tmp_path, "--max-new-tokens", "999999", typed="hi\n/quit\n")
    assert "999999" in printed and "at most" in printed
    assert "has no model 'other'; it has tiny" in chat(
        served.url, tmp_path, "-m", "other", typed="hi\n"
    )
    assert "belong to the server" in chat(served.url, tmp_path, "--device", "cpu", typed="hi\n")
