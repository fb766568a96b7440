"""What CONTRIBUTING.md says of adding parts holds: one file, one line, and the name is known."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from anyweave import data, decoders, encoders, projectors
from anyweave.cli.packages import add_commands
from anyweave.messages import MEDIA_MODALITIES, MEDIA_TYPES
from anyweave.training.config import TrainConfig
from anyweave.training.recipes import load_recipe

PACKAGE = '''
import typer

from anyweave.data import Format
from anyweave.messages import MediaKind, Message
from anyweave.training.recipes.tiny import stage1


class Thermometer:
    """An encoder, a projector or a decoder: whatever has the room's methods."""


SMELL = MediaKind(name="smell", read=bytes.decode, write=str.encode, formats=("smell",))
SAID = Format(
    name="said",
    about="a line of words is a question, the next its answer",
    recognises=lambda row: "said" in row,
    read=lambda row, place: [Message("user", row["said"]), Message("assistant", row["answered"])],
)


def warm() -> None:
    """Say how warm it is."""
    typer.echo("twenty degrees")


lesson = stage1
'''
LINES = """
[anyweave.encoders]
thermometer = extension:Thermometer
[anyweave.input_projectors]
thermometer = extension:Thermometer
[anyweave.output_projectors]
thermometer = extension:Thermometer
[anyweave.decoders]
thermometer = extension:Thermometer
[anyweave.formats]
said = extension:SAID
[anyweave.modalities]
smell = extension:SMELL
[anyweave.recipes]
warm-1 = extension:lesson
[anyweave.commands]
data.warm = extension:warm
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with one module, and the metadata that pip would write for it."""
    (tmp_path / "extension.py").write_text(PACKAGE)
    info = tmp_path / "extension-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extension\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(LINES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "extension", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("resolve", "name"),
    [
        (encoders.resolve, "Thermometer"),
        (decoders.resolve, "Thermometer"),
        (lambda name: projectors.resolve("input", name), "Thermometer"),
        (lambda name: projectors.resolve("output", name), "Thermometer"),
    ],
)
def test_a_frozen_part_or_a_projector(
    installed: Path, resolve: Callable[[str], Any], name: str
) -> None:
    assert resolve("thermometer").__name__ == name


def test_a_format_is_read_by_name(installed: Path) -> None:
    rows = installed / "rows.jsonl"
    rows.write_text('{"said": "hot?", "answered": "rather"}\n')
    (conversation,) = data.Records(rows, "said")
    assert [message.text for message in conversation] == ["hot?", "rather"]


def test_a_kind_of_media_is_opened_by_name(installed: Path) -> None:
    assert "smell" not in list(MEDIA_MODALITIES) and "extension" not in sys.modules
    rows = installed / "rows.jsonl"
    (installed / "a.smell").write_text("tar")
    content = [{"type": "smell", "path": "a.smell"}, {"type": "text", "text": "what is it?"}]
    rows.write_text(json.dumps({"messages": [{"role": "user", "content": content}]}))
    (conversation,) = data.Records(rows)
    assert type(conversation[0].parts[0]) is MEDIA_TYPES["smell"]
    assert list(MEDIA_MODALITIES) == ["image", "video", "audio", "smell"]


def test_a_recipe(installed: Path) -> None:
    assert isinstance(load_recipe("warm-1"), TrainConfig)


def test_a_command_stands_in_its_group(installed: Path) -> None:
    app = typer.Typer()
    groups = {name: typer.Typer() for name in ("train", "eval", "data", "bench", "convert")}
    app.add_typer(groups["data"], name="data")
    add_commands({"": app, **groups})
    done = CliRunner().invoke(app, ["data", "warm"])
    assert (done.exit_code, done.stdout.strip()) == (0, "twenty degrees"), done.stderr


def test_the_guide_names_every_group(root: Path) -> None:
    groups = set(re.findall(r"\[(anyweave\.\w+)\]", LINES))
    assert groups <= set(re.findall(r"`(anyweave\.\w+)`", (root / "CONTRIBUTING.md").read_text()))
