"""Nothing foreign that is printed can steer the terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from anyweave.cli import console, main
from anyweave.cli.console import print_json, print_plain, printable

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\rb\x08\x7f\u202ec"


def harmless(text: str) -> bool:
    return not any(ord(letter) < 32 and letter not in "\n\t" for letter in text) and not (
        {"\x7f", "\x9b", "\u202e"} & set(text)
    )


def test_control_characters_are_spelled_out() -> None:
    assert printable("é\tü\n日本 🦊") == "é\tü\n日本 🦊"
    assert printable("\x1b[31m") == "\\u001b[31m" and printable("\ud800") == "\\ud800"
    assert harmless(printable(EVIL))


@pytest.mark.parametrize("say", [print_plain, print_json, console.out.print, console.err.print])
def test_every_door(say: Callable[[str], object], capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    said = "".join(capsys.readouterr())
    assert "u001b" in said and harmless(said)
    if say is print_json:
        assert json.loads(said) == EVIL


def test_what_the_commands_say_of_foreign_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x\x1b[31m.jsonl"
    turns = [{"role": "user", "content": EVIL}, {"role": "assistant", "content": EVIL}]
    picture = {"role": "user", "content": [{"type": "image", "path": EVIL}]}
    rows = [{"messages": turns, "id": EVIL}, {"messages": [picture]}, {"messages": EVIL}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:1]))
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for command in (
        ("show", path),
        ("stats", path),
        ("stats", bad),
        ("validate", bad, "--workers", "0"),
        ("validate", bad, "--workers", "0", "--json"),
        ("show", tmp_path / EVIL),
    ):
        with pytest.raises(SystemExit):
            main(["data", *map(str, command)])
        said = capsys.readouterr()
        assert said.out or said.err
        assert harmless(said.out) and harmless(said.err)


def test_logs(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.logging import RichHandler

    handler = RichHandler(console=console.err)
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, "read %s", (EVIL,), None))
    assert "owned" in (said := capsys.readouterr().err) and harmless(said)
