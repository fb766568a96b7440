"""The container file and the service's unit: what they start exists, and they give nothing away."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from anyweave.cli import app


def instructions(root: Path) -> list[tuple[str, str]]:
    """The container file's instructions with their arguments, in order."""
    text = (root / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1].strip()) for line in lines]


def last_stage(root: Path) -> dict[str, str]:
    found = instructions(root)
    start = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    return dict(found[start:])


def unit(root: Path) -> str:
    return (root / "deploy" / "anyweave.service").read_text()


def starts(arguments: list[str]) -> dict[str, Any]:
    """The values that `anyweave` reads from a command line, without running it."""
    program, command, *rest = arguments
    assert Path(program).name == "anyweave"
    given = get_command(app).commands[command]  # type: ignore[attr-defined]
    params: dict[str, Any] = given.make_context(command, rest).params
    return params


def test_both_start_the_server(root: Path) -> None:
    inside = starts(json.loads(last_stage(root)["ENTRYPOINT"]))
    assert (inside["host"], inside["port"], inside["no_key"]) == ("0.0.0.0", 8000, False)
    line = re.search(r"^ExecStart=(.*)$", unit(root), re.MULTILINE)
    assert line
    service = starts(shlex.split(line[1]))
    assert (service["host"], service["port"]) == ("127.0.0.1", 8000)
    assert service["api_key_file"].name == "keys"
    assert "LoadCredential=keys:" in unit(root)


def test_the_image_has_stages_and_no_root(root: Path) -> None:
    found = instructions(root)
    assert sum(name == "FROM" for name, _ in found) == 2
    last = last_stage(root)
    assert int(last["USER"].split(":")[0]) > 0
    assert last["COPY"].startswith("--from=build ")  # no compiler, no sources
    assert "/health" in last["HEALTHCHECK"]


def test_what_the_image_copies_is_there_and_let_through(root: Path) -> None:
    ignore = (root / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    copied: set[str] = set()
    for name, arguments in instructions(root):
        if name == "COPY" and not arguments.startswith("--from"):
            copied.update(arguments.split()[:-1])
    assert all((root / source).exists() for source in copied), copied
    assert copied == allowed


def test_the_health_check_asks_a_server(root: Path) -> None:
    """Against nobody it fails; tests/serving has it succeed."""
    command = json.loads(last_stage(root)["HEALTHCHECK"].partition("CMD ")[2])
    assert subprocess.run([*command[:2], command[2].replace("8000", "9")]).returncode != 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_the_unit_is_sound_and_closed(root: Path, tmp_path: Path) -> None:
    """systemd's own judgement: no warnings, and an exposure of at most 2 of 10."""
    copy = tmp_path / "anyweave.service"
    copy.write_text(unit(root).replace("/opt/anyweave/bin/anyweave", "/bin/true"))
    for arguments in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(
            ["systemd-analyze", *arguments, str(copy)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
