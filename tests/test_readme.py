"""The README's facts hold, and the documentation's: commands, options, imports, links and the file
tree exist."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from anyweave import media
from anyweave.data import write_messages
from anyweave.messages import Image, Message
from anyweave.model import checkpoint
from anyweave.model.sources import is_here
from anyweave.testing.conversations import tiny_media
from anyweave.testing.decoders import write_tiny_decoder
from anyweave.testing.model import tiny_model


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    text = (root / "README.md").read_text(encoding="utf-8")
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def section(readme: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    assert found, f"README has no section {title!r}"
    return found.group(1)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    joined = "".join(blocks(text, "sh")).replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def test_a_fresh_machine_needs_exactly_two_commands(readme: str, root: Path) -> None:
    found = commands(section(readme, "On a fresh machine"))
    assert found == [["make", "demo"], ["make", "test"]]
    makefile = (root / "Makefile").read_text()
    for _, verb in found:
        assert re.search(rf"^{verb}:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("document", ["README.md", "docs/*.md"])
def test_documented_commands_and_options_exist(root: Path, document: str) -> None:
    if importlib.util.find_spec("anyweave.cli") is None:
        pytest.skip("no command line yet")
    from typer.main import get_command

    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(root.glob(document)))
    app = get_command(importlib.import_module("anyweave.cli").app)
    for words in commands(text):
        if Path(words[0]).name != "anyweave":
            continue
        command, rest = app, words[1:]
        while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
            assert rest[0] in command.commands, f"{shlex.join(words)}: no command {rest[0]!r}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = {
            name
            for parameter in command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
        } | {"--help"}
        given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert given <= known, f"{shlex.join(words)}: no option {sorted(given - known)}"


def test_the_file_tree_exists(readme: str, root: Path) -> None:
    (tree,) = blocks(section(readme, "File tree"), "")
    entries = [line.split()[0] for line in tree.splitlines() if line.strip()]
    assert len(entries) >= 4
    for entry in entries:
        path = root / entry
        assert path.is_dir() if entry.endswith("/") else path.is_file(), entry
    rooms = {path.relative_to(root) for path in (root / "src/anyweave").iterdir()}
    named = {Path(entry) for entry in entries}
    unnamed = {
        room for room in rooms if (root / room / "__init__.py").exists() or room.suffix == ".py"
    } - named
    no_rooms = {Path("src/anyweave") / name for name in ("__init__.py", "__main__.py")}
    assert unnamed <= no_rooms, "the file tree lacks a room"


def test_links_lead_somewhere(readme: str, root: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in link]
    missing = [link for link in links if not (root / link.partition("#")[0]).exists()]
    assert not missing


def test_python_examples_import_what_exists(root: Path) -> None:
    for document in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        for block in blocks(document.read_text(encoding="utf-8"), "python"):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("anyweave"):
                    module = importlib.import_module(node.module or "")
                    for alias in node.names:
                        assert hasattr(module, alias.name), (
                            f"{document.name}: {node.module} has no {alias.name}"
                        )


PARTS = (
    "tiny",
    pytest.param(
        "emoji-mini",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(
                not is_here("smollm2-135m-instruct"), reason="its language model is not at hand"
            ),
        ],
    ),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A folder with what the programs of README and quickstart name: a picture, data, a decoder.

    Of "tiny" parts, the model called emoji-mini is the tiny one.
    """
    monkeypatch.chdir(tmp_path)
    for name, number in (("cat.png", 1), ("dog.png", 2)):
        media.save("image", tiny_media("image", number).source, tmp_path / name)
    heard = Message("user", [Image("cat.png"), "its sound?"])
    shown = Message("assistant", ["Here:", tiny_media("audio", 3, "a meow")])
    for name in ("mine.jsonl", "test.jsonl"):
        write_messages([[heard, shown]] * 2, name)
    if request.param == "tiny":
        model = tiny_model().save_pretrained(tmp_path / "tiny")
        monkeypatch.setattr(checkpoint, "EMBEDDED", {"emoji-mini": str(model)})
        write_tiny_decoder("my-decoder", "image", seed=9)
    else:
        shutil.copytree(checkpoint.WEIGHTS / "emoji_mini/decoders/image", "my-decoder")
    return tmp_path


@pytest.mark.parametrize("home", PARTS, indirect=True)
def test_the_readmes_python_runs(
    readme: str, home: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    programs = blocks(section(readme, "In Python"), "python")
    marks = ("reply(", "aw.train(", "aw.evaluate(", "decoders=")
    assert [mark in program for mark, program in zip(marks, programs, strict=True)] == [True] * 4
    for block in blocks(readme, "python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (home / "mine.jsonl").read_text().count("a red square") == 2
    assert (home / "out" / "reply.json").is_file() and (home / "out-2" / "reply.json").is_file()
    assert (home / "runs" / "mine" / "model" / "spec.json").is_file()
    assert "| language, nats per token | 2 |" in capsys.readouterr().out
    assert "my-decoder is the image decoder of" in caplog.text


@pytest.mark.parametrize("home", PARTS, indirect=True)
def test_the_quickstarts_python_runs(
    root: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in blocks((root / "docs" / "quickstart.md").read_text(encoding="utf-8"), "python"):
        exec(compile(block, "quickstart.md", "exec"), {})
    assert "| language, nats per token | 1 |" in capsys.readouterr().out
    spec = json.loads((home / "my-model" / "spec.json").read_text())
    assert spec["decoders"]["image"]["source"] == "./decoders/image"
    assert spec["bridge"] == "caption"


def test_the_tour_has_six_files(readme: str) -> None:
    tour = section(readme, "First hour: six files explain the system")
    assert re.findall(r"^(\d)\. \[", tour, flags=re.MULTILINE) == list("123456")
