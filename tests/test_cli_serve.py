"""`anyweave serve`: what it refuses before anything is loaded."""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from typer.testing import CliRunner

from anyweave.cli import app, main
from anyweave.serving.settings import Keys, Settings, read_keys

RUNNER = CliRunner()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command would start: app and settings, without a model."""
    found: list[Any] = []
    monkeypatch.delenv("ANYWEAVE_API_KEYS", raising=False)
    command = import_module("anyweave.cli.serve")  # the package's attribute is the function
    monkeypatch.setattr(command, "load_model", lambda *_, **__: None)
    monkeypatch.setattr("anyweave.serving.create_app", lambda *given: given)
    monkeypatch.setattr(
        "anyweave.serving.serve", lambda app, settings, bound, ready: found.append(settings)
    )
    monkeypatch.setattr("anyweave.serving.bind", lambda host, port: socket.socket())
    return found


def serve(*arguments: str) -> Any:
    return RUNNER.invoke(app, ["serve", *arguments])


def test_the_help_teaches() -> None:
    text = serve("--help").stdout
    for word in ("--api-key-file", "--media-host", "curl", "--limit help"):
        assert word in text
    limits = serve("--limit", "help").stdout
    assert "max_waiting" in limits and "queue_patience" in limits


def test_safe_defaults(started: list[Settings]) -> None:
    assert serve().exception is None
    settings = started[0]
    assert not (settings.api_keys or settings.allowed_hosts or settings.cors_origins)
    assert not (settings.media_hosts or settings.media_root)
    assert settings.name == "emoji-mini"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_nobody_opens_a_server_to_others_by_accident(started: list[Any], host: str) -> None:
    result = serve("--host", host)
    assert isinstance(result.exception, ValueError)
    assert "there is no API key" in str(result.exception)
    assert started == []
    assert serve("--host", host, "--no-key").exception is None


def test_keys_come_from_a_file_or_the_environment(
    started: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    file.write_text("# mine\naw-0123456789abcdef\n\n")
    assert read_keys(file) == ("aw-0123456789abcdef",)
    monkeypatch.setenv("ANYWEAVE_API_KEYS", "another-key-of-mine-1, third-key-of-mine-23")
    assert serve("--host", "0.0.0.0", "--api-key-file", str(file)).exception is None
    assert len(started[0].api_keys) == 3
    assert Keys(started[0].api_keys).owner("third-key-of-mine-23") is not None
    for text, said in (("", "no key in it"), ("short\n", "16 or more"), ("x" * 20 + " y", "16 or")):
        file.write_text(text)
        assert said in str(serve("--api-key-file", str(file)).exception)


def test_a_taken_port_is_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = import_module("anyweave.cli.serve")
    monkeypatch.setattr(command, "load_model", lambda *_, **__: pytest.fail("it was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = str(serve("--port", str(port)).exception)
    assert f"port {port} of 127.0.0.1 is not available" in said and "--port 0" in said


def test_limits_by_name(started: list[Settings]) -> None:
    assert serve("--limit", "max_waiting=7", "--limit", "timeout=2.5").exception is None
    assert (started[0].max_waiting, started[0].timeout) == (7, 2.5)
    assert serve("--limit", "max_pixels=100", "--limit", "max_media=3").exception is None
    assert (started[1].media_limits.max_pixels, started[1].max_media) == (100, 3)
    assert started[1].media_limits.max_frames == Settings.media_limits.max_frames
    for given, said in (
        ("max_wating=7", "did you mean 'max_waiting'"),
        ("max_waiting", "takes NAME=VALUE"),
        ("max_waiting=many", "takes a number"),
        ("timeout=-1", "must be above 0"),
        ("timeout=nan", "must be above 0"),
    ):
        assert said in str(serve("--limit", given).exception)


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(sys.modules):
        if name.startswith("anyweave.serving"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(SystemExit):
        main(["serve"])
    assert "pip install 'anyweave[serve]'" in capsys.readouterr().err
