"""docs/add_a_modality.md, as a reader would run it: all of its blocks, on the tiny model."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

import anyweave
import anyweave.serving
from anyweave.messages import MEDIA_TYPES
from anyweave.serving.server import Running, bind
from anyweave.testing.model import tiny_model


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """`anyweave.serving.serve` that returns once it answers; the addresses it has."""
    urls: list[str] = []
    stops: list[Callable[[], object]] = []

    def started(app: Any, settings: Any, *, port: int) -> None:
        ready = threading.Event()
        bound = bind("127.0.0.1", 0)

        def answers(url: str) -> None:
            urls.append(url)
            ready.set()

        running = Running(app, settings, bound, ready=answers)
        thread = threading.Thread(target=running.run)
        thread.start()
        stops.extend((running.stop, thread.join))
        assert ready.wait(20)

    monkeypatch.setattr(anyweave.serving, "serve", started)
    yield urls
    for stop in stops:
        stop()


def test_the_page_runs(
    root: Path,
    tmp_path: Path,
    serve: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (root / "docs" / "add_a_modality.md").read_text()
    parts, serving, client = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len((parts + serving + client).splitlines()) < 100
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(anyweave, "load", lambda name: tiny_model())
    names: dict[str, Any] = {"__name__": "__main__"}
    with caplog.at_level(logging.WARNING):
        exec(parts, names)
    assert "tiny has cloud now: its projectors and signal tokens are untrained" in caplog.text
    model, reply = names["model"], names["reply"]
    assert model.spec.output_modalities == ("image", "video", "audio", "cloud")
    assert model.spec.input_modalities == ("image", "video", "audio", "cloud")
    shown, made = names["talks"]
    assert [part.modality for part in shown[0].media()] == ["cloud"] and shown[1].text == "a ball"
    assert shown[0].text in ("Describe a cloud of points.", "What does it show?")
    assert made[1].media()[0].caption == "a ball"
    assert type(reply.media()[-1]) is MEDIA_TYPES["cloud"]
    assert capsys.readouterr().out.startswith("(64, 3)")
    assert (tmp_path / "replies" / "reply-1.xyz").read_text().count("\n") == 63

    exec(serving, names)
    exec(client.replace("http://127.0.0.1:8000", serve[0]), names)
    assert capsys.readouterr().out.strip().endswith("application/octet-stream (64, 3)")
    entry = names["message"]["media"][0]
    assert entry["type"] == "cloud_url" and entry["format"] == "xyz"
    assert entry["cloud_url"]["url"].startswith("data:application/octet-stream;base64,")
