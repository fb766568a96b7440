"""The command line on the tiny model: what it prints, what it writes, how it fails."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from anyweave import media
from anyweave.cli import app, main
from anyweave.data import write_messages
from anyweave.model.catalogue import SPECS
from anyweave.model.checkpoint import EMBEDDED
from anyweave.testing.conversations import tiny_conversations, tiny_media
from anyweave.testing.model import tiny_model
from anyweave.training.recipes import recipes
from emoji_mini.demo.script import SCRIPTS, Script
from emoji_mini.parts.recipes import train_named_part

COMMANDS = [
    "run",
    "chat",
    "demo",
    "inspect",
    "train stage1",
    "train stage2",
    "train stage3",
    "train part",
    "eval data",
    "eval decision",
    "eval folder",
    "eval human",
    "eval objects",
    "eval paths",
    "eval world",
    "eval ablation",
    "data world",
    "data features",
    "convert legacy",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    return str(tiny_model().save_pretrained(folder / "model"))


def fails(*arguments: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """Run a command that must fail; its one line."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"anyweave {command}" in result.stdout


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"anyweave {version('anyweave')}\n")


@cache
def _program() -> Any:
    """All commands, as click has them."""
    return get_command(app)


@cache
def _help_examples() -> list[tuple[str, str]]:
    """Every line of every command's help that begins with the program's name."""
    found: list[tuple[str, str]] = []

    def walk(command: Any, path: str) -> None:
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}".strip())
        text = (command.help or "").replace("\\\n", " ")
        found.extend((path, line.strip()) for line in text.splitlines() if _EXAMPLE.match(line))

    walk(_program(), "")
    return found


_EXAMPLE = re.compile(r"\s*anyweave ")


def test_every_command_has_examples() -> None:
    assert {path for path, _ in _help_examples()} >= set(COMMANDS)


@pytest.mark.parametrize(("path", "line"), _help_examples())
def test_examples_in_help_parse(path: str, line: str) -> None:
    """Commands, options and arguments exist, and so do the names of recipes, models and specs."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = _program()
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"{line}: no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    given = command.make_context(path, words).params
    if given.get("recipe"):
        named = {given["recipe"], f"{given['recipe']}-{command.name[-1]}"} & set(recipes())
        assert named, f"{line}: no recipe {given['recipe']!r}"
    others = [other for at, other in _help_examples() if at == path and other != line]
    made = {word for other in others for word in other.split()}  # by an example before this one
    for key in ("model", "spec"):
        name = given.get(key)
        if isinstance(name, str) and not name.startswith("runs/") and name not in made:
            assert name in EMBEDDED or name in SPECS, f"{line}: no model {name!r}"


def test_parts_in_help_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no part 'none'; there are ") as error:
        train_named_part("none", tmp_path)
    known = set(str(error.value).partition("there are ")[2].split(", "))
    command: Any = _program()
    (argument,) = (p for p in command.commands["train"].commands["part"].params if p.name == "name")
    named = re.findall(r"[a-z-]+", re.sub(r"\(.*?\)| or ", " ", argument.help))
    assert set(named) == known


def test_the_package_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["__main__.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("anyweave", run_name="__main__")
    assert stopped.value.code == 0
    assert "Usage: anyweave [OPTIONS] COMMAND" in capsys.readouterr().out


def test_importing_the_commands_loads_no_model_library() -> None:
    heavy = {"torch", "transformers", "diffusers", "numpy"}
    code = f"import sys, anyweave.cli; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_run_prints_the_parts_in_order(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = media.save("image", tiny_media("image", 1).source, tmp_path / "dot.png")
    with pytest.raises(SystemExit) as stopped:
        main(
            ["run", "--model", model, "--text", "hello", "--image", str(picture), "--json"]
            + ["--force", "image,video,audio", "--max-new-tokens", "3", "--steps", "1"]
            + ["--out", str(tmp_path / "out")]
        )
    assert stopped.value.code == 0
    reply = json.loads(capsys.readouterr().out)
    assert reply["model"] == model
    kinds = [part["type"] for part in reply["parts"]]
    assert {"image", "video", "audio"} <= set(kinds)
    paths = [Path(part["path"]) for part in reply["parts"] if part["type"] != "text"]
    assert all(path.is_file() and path.parent == tmp_path / "out" for path in paths)
    assert [path.stem for path in paths] == [f"reply-{n}" for n in range(1, len(paths) + 1)]
    suffixes = {"image": ".png", "video": ".mp4", "audio": ".wav"}
    assert [path.suffix for path in paths] == [suffixes[k] for k in kinds if k != "text"]


def test_run_prints_for_people(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(
            ["run", "-m", model, "-t", "hi", "--force", "audio", "--max-new-tokens", "1"]
            + ["--modalities", "audio", "--steps", "1", "-o", str(tmp_path)]
            + ["--quantization", "int8"]
        )
    printed = capsys.readouterr()
    assert f"audio: {tmp_path}/reply-1.wav" in printed.out
    assert "cut off: the reply was as long as --max-new-tokens allows" in printed.err


def test_replies_are_not_mixed(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["run", "-m", model, "-t", "hi", "--max-new-tokens", "1", "--steps", "1"]
    quick += ["--modalities", "audio", "--force", "audio"]
    for folder in ("reply", "reply-2"):
        with pytest.raises(SystemExit):
            main(quick)
        assert f"audio: {folder}/reply-1.wav" in capsys.readouterr().out
    (tmp_path / "reply" / "reply-2.png").write_text("of the earlier reply")
    (tmp_path / "reply" / "notes.txt").write_text("mine")
    line = fails(*quick, "-o", "reply", capsys=capsys)
    assert "reply holds earlier replies (reply-1.wav, reply-2.png)" in line
    with pytest.raises(SystemExit):
        main([*quick, "-o", "reply", "--overwrite"])
    assert {path.name for path in (tmp_path / "reply").iterdir()} == {"reply-1.wav", "notes.txt"}
    assert "audio" in capsys.readouterr().out
    (tmp_path / "turns").mkdir()
    (tmp_path / "turns" / "turn-1-1.png").write_text("of an earlier chat")
    line = fails("chat", "-m", model, "-o", "turns", capsys=capsys)
    assert "holds earlier replies (turn-1-1.png)" in line


@pytest.mark.parametrize("command", ["train", "reply"])
def test_measurements_are_not_mixed(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"bench-{command}.md").write_text("of an earlier run")
    line = fails("bench", command, "--scale", "0.05", "-o", str(tmp_path), capsys=capsys)
    assert f"earlier measurements (bench-{command}.md)" in line


def test_nothing_to_say(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to say: give --text" in fails("run", "-m", model, capsys=capsys)


def test_quantised_activations_are_refused(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails("run", "-m", model, "-t", "hi", "--quantization", "dynamic", capsys=capsys)
    assert "unknown quantization 'dynamic' of replies; there is 'int8'" in line


def test_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    line = fails("run", "-m", "no-such/model", "-t", "hi", capsys=capsys)
    assert "no model 'no-such/model'" in line
    assert "emoji-mini" in line
    assert "no model 'nothing'" in fails("inspect", "nothing", capsys=capsys)


def test_missing_and_wrong_files(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails("run", "-m", model, "--image", "no/such.png", capsys=capsys)
    assert "no/such.png: no such file" in line
    picture = media.save("image", tiny_media("image", 1).source, tmp_path / "dot.png")
    line = fails("run", "-m", model, "--audio", str(picture), capsys=capsys)
    assert "it holds an image (PNG), not audio" in line


def test_wrong_options_name_what_exists(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails("run", "-m", model, "-t", "hi", "--force", "smell", capsys=capsys)
    assert "force names 'smell'; it takes: image, video, audio" in line
    fails_usage = CliRunner().invoke(app, ["run", "--no-such-option"])
    assert fails_usage.exit_code == 2


def test_chat_reads_lines_and_saves_media(model: str, tmp_path: Path) -> None:
    typed = "/force image\nhello\n/quit\n"
    arguments = ["chat", "-m", model, "-o", str(tmp_path), "--max-new-tokens", "2"]
    result = CliRunner().invoke(app, [*arguments, "--seed", "1"], input=typed)
    assert result.exit_code == 0, result.output
    assert any(path.suffix == ".png" for path in tmp_path.iterdir())
    assert f"image 1: {tmp_path}" in result.output.replace("\n", " ")


def test_inspect_counts_parts(model: str) -> None:
    result = CliRunner().invoke(app, ["inspect", model, "--json"])
    report = json.loads(result.stdout)
    counts = {part["part"]: part["parameters"] for part in report["parts"]}
    assert report["parameters"] == sum(counts.values())
    trained = {"input projector", "image output projector", "signal rows", "lora"}
    assert {"language model", *trained} <= set(counts)
    assert 0 < report["trained_share"] < 1
    table = CliRunner().invoke(app, ["inspect", model])
    assert "language model" in table.stdout


def test_inspect_tells_generated_media_from_others(model: str, tmp_path: Path) -> None:
    part = tiny_media("image", 1)
    plain = media.save("image", part.source, tmp_path / "plain.png")
    marked = media.save("image", part.source, tmp_path / "marked.png", generated=True)
    result = CliRunner().invoke(app, ["inspect", str(plain), str(marked), "--json"])
    assert [report["generated"] for report in json.loads(result.stdout)] == [False, True]
    lines = CliRunner().invoke(app, ["inspect", str(plain), str(marked)]).stdout.splitlines()
    assert "no mark" in lines[0] and "generated by a model, with anyweave" in lines[1]


def test_eval_data_measures_a_file(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "test.jsonl"
    write_messages(tiny_conversations()[:2], data)
    with pytest.raises(SystemExit) as stopped:
        main(["eval", "data", str(data), "-m", model, "--json", "-o", str(tmp_path / "r.json")])
    assert stopped.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["conversations"] == 2 and report["decisions"]["exact"]["trials"] == 2
    assert json.loads((tmp_path / "r.json").read_text()) == report
    again = ["eval", "data", str(data), "-m", model, "-o", str(tmp_path / "r.json")]
    assert "r.json already exists" in fails(*again, capsys=capsys)
    result = CliRunner().invoke(app, ["eval", "data", str(data), "-m", model])
    assert "| language, nats per token | 2 |" in result.stdout
    line = fails("eval", "data", str(tmp_path / "no.jsonl"), "-m", model, capsys=capsys)
    assert "no.jsonl" in line


def test_train_reads_data_as_convert_does(model: str, tmp_path: Path) -> None:
    picture = media.save("image", tiny_media("image", 1).source, tmp_path / "dot.png")
    data = tmp_path / "mine.csv"
    data.write_text(f"image,title\n{picture.name},a dot\n")
    options = ["--format", "pairs", "--column", "caption=title", "--media", str(tmp_path)]
    stage = ["train", "stage2", "--data", str(data), *options, "-m", model, "--set", "steps=1"]
    result = CliRunner().invoke(app, [*stage, "-o", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "steps=1" in result.stdout
    (step,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert "alignment/image" in json.loads(step)["losses"]


def test_demo_names_its_page(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[object, ...]] = []

    def run_demo(
        name: str,
        output: Path,
        *,
        seed: int,
        say: object,
        scripts: Sequence[Script],
        **options: bool,
    ) -> Path:
        called.append((name, output, seed, [script.title for script in scripts]))
        return output / "index.html"

    monkeypatch.setattr("emoji_mini.demo.run_demo", run_demo)
    demo = ["demo", "-m", model, "-o", str(tmp_path), "--seed", "4"]
    result = CliRunner().invoke(app, demo)
    assert called == [(model, tmp_path, 4, [script.title for script in SCRIPTS])]
    assert str(tmp_path / "index.html") in result.output.replace("\n", "")
    script = tmp_path / "script.toml"
    script.write_text("[[talk]]\ntitle = 'Mine'\nturns = [{ text = 'Hello!' }]\n")
    CliRunner().invoke(app, [*demo, "--script", str(script)])
    assert called[1:] == [(model, tmp_path, 4, ["Mine"])]
