"""Counting a spec without weights gives what the built model has, and what the paper says."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

from anyweave.cli import app
from anyweave.model.build import build
from anyweave.model.catalogue import SPECS
from anyweave.model.inspect import (
    ModelReport,
    PartInfo,
    inspect_checkpoint,
    inspect_spec,
    trained_share,
)
from anyweave.model.inspect_tables import render_list, render_report
from anyweave.model.memory import memory
from anyweave.model.roles import ROLES
from anyweave.model.spec import LanguageSpec
from anyweave.testing.model import tiny_spec

EXACT = {
    "language model": 6_738_415_616,
    "encoder imagebind (image, video, audio)": 719_065_088,
    "image decoder": 1_066_235_307,
    "video decoder": 1_835_275_563,
    "audio decoder": 975_082_866,
    "input projector": 27_871_746,
    "image output projector": 31_958_784,
    "video output projector": 32_090_112,
    "audio output projector": 31_788_544,
    "signal rows": 2 * (4 + 24 + 8) * 4096,
    "lora": 33_554_432,
}


@pytest.fixture(scope="module")
def reports() -> dict[str, ModelReport]:
    return {name: inspect_checkpoint(name) for name in SPECS}


def shown(renderable: object) -> str:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()).strip("\n")


def count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def test_spec_and_model_agree(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    planned = inspect_spec(spec, tmp_path)
    model = build(spec, root=tmp_path)
    parts = {row.part: row.parameters for row in planned}
    assert [row.part for row in planned if row.trained] == [
        "input projector",
        "image output projector",
        "video output projector",
        "audio output projector",
        "signal rows",
        "lora",
    ]
    assert 0 < trained_share(planned) < 1
    own = {role: count(model.parameters_of(role).values()) for role in ROLES}
    for role in ROLES:
        assert sum(row.parameters or 0 for row in planned if row.role == role) == own[role]
    frozen = count(model.language.parameters()) - own["signal_rows"] - own["lora"]
    assert parts["language model"] == frozen
    for encoder, part in zip(spec.encoders, (p for p in parts if "encoder" in p), strict=True):
        assert parts[part] == count(model.encoders[encoder.modalities[0]].parameters())
    for modality, decoder in model.decoders.items():
        assert parts[f"{modality} decoder"] == count(decoder.parameters())


def test_what_cannot_be_counted_is_none(tmp_path: Path) -> None:
    spec = replace(tiny_spec(tmp_path), language=LanguageSpec(source="nobody/nothing"))
    rows = {row.part: row for row in inspect_spec(spec, tmp_path)}
    assert rows["language model"].parameters is None
    assert not rows["language model"].here
    assert rows["image output projector"].parameters is None
    assert rows["image decoder"].parameters


def test_paper_7b_is_table_1(reports: dict[str, ModelReport]) -> None:
    report = reports["paper-7b"]
    assert {row.part: row.parameters for row in report.parts} == EXACT
    assert trained_share(report.parts) == pytest.approx(0.0137, abs=5e-5)
    said = {row.part: row.paper for row in report.parts}
    assert (said["input projector"], said["lora"], said["audio decoder"]) == ("28M", "33M", "975M")
    assert (said["image decoder"], said["signal rows"]) == ("1.3B", None)
    # Every trained part comes to the paper's figure; of the frozen ones, those that the notes name
    # do not.
    for row in report.parts:
        if row.paper and row.parameters and row.part not in _EXPLAINED:
            number = float(row.paper[:-1]) * {"M": 1e6, "B": 1e9}[row.paper[-1]]
            assert row.parameters == pytest.approx(number, rel=0.04)


_EXPLAINED = ("encoder imagebind (image, video, audio)", "image decoder")


def test_licences(reports: dict[str, ModelReport]) -> None:
    paper = {row.part: row for row in reports["paper-7b"].parts}
    assert [part for part, row in paper.items() if row.non_commercial] == [
        "encoder imagebind (image, video, audio)",
        "video decoder",
        "audio decoder",
    ]
    # Use restrictions and size limits are not what permissive means.
    assert not paper["image decoder"].permissive and not paper["language model"].permissive
    assert reports["paper-7b"].to_dict()["non_commercial"] is True
    qwen = {row.part: row for row in reports["qwen3-4b"].parts}
    assert qwen["language model"].permissive and qwen["video decoder"].non_commercial


def test_the_permissive_spec_holds_nothing_else(reports: dict[str, ModelReport]) -> None:
    report = reports["permissive-3b"]
    frozen = [row for row in report.parts if not row.trained]
    assert {row.licence for row in frozen} <= {"Apache-2.0", "MIT", "BSD-3-Clause"}
    assert all(row.permissive and not row.non_commercial for row in frozen)
    assert all(row.parameters for row in report.parts)
    assert report.parameters < 4_000_000_000


def test_memory_by_precision() -> None:
    parts = [
        PartInfo(part="language model", source="l", role=None, parameters=1000, quantizable=800),
        PartInfo(part="encoder x (image)", source="e", role=None, parameters=100),
        PartInfo(part="image decoder", source="d", role=None, parameters=10),
        PartInfo(part="lora", source="trained", role="lora", parameters=5),
    ]
    rows = {precision: memory(parts, precision) for precision in ("fp32", "bf16", "int8", "int4")}
    assert [row.language_model for row in rows.values()] == [4000, 2000, 1200, 400 + 413]
    # Encoders are float32 always, so are 5 trained weights; their optimizer takes 12 bytes each.
    assert [row.frozen for row in rows.values()] == [4440, 2420, 1620, 1233]
    assert {row.trained for row in rows.values()} == {20}
    assert (rows["bf16"].reply, rows["bf16"].training) == (2440, 2500)
    assert rows["bf16"].training_from_caches == 2000 + 20 + 60


def test_emoji_mini_without_its_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYWEAVE_CACHE", "/nowhere")
    report = inspect_checkpoint("emoji-mini")
    rows = {row.part: row for row in report.parts}
    assert rows["language model"].parameters == 134_515_008
    assert not rows["language model"].here and rows["image decoder"].here
    assert all(row.permissive for row in report.parts if not row.trained)


def test_command(reports: dict[str, ModelReport], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyweave.model.inspect.inspect_checkpoint", lambda name: reports[name])
    done = CliRunner().invoke(app, ["inspect", "paper-7b", "--json"])
    report = json.loads(done.stdout)
    assert {part["part"]: part["parameters"] for part in report["parts"]} == EXACT
    assert report["memory"]["bf16"]["reply"] < report["memory"]["fp32"]["reply"]
    done = CliRunner().invoke(app, ["inspect", "--list", "--json"])
    assert [report["source"] for report in json.loads(done.stdout)] == list(SPECS)
    done = CliRunner().invoke(app, ["inspect", "permissive-3b"])
    assert done.exit_code == 0 and "1,543,714,304" in done.stdout


def test_the_page_shows_what_the_command_prints(
    root: Path, reports: dict[str, ModelReport]
) -> None:
    page = (root / "docs/specs.md").read_text(encoding="utf-8")
    blocks = dict(
        re.findall(r"```text title=\"anyweave inspect ([^\"]+)\"\n(.*?)\n```", page, re.S)
    )
    # Which weights lie on this machine is left out.
    there = {
        name: replace(report, parts=tuple(replace(part, here=True) for part in report.parts))
        for name, report in reports.items()
    }
    printed = {name: shown(render_report(report)) for name, report in there.items()}
    printed["--list"] = shown(render_list(there.values()))
    assert blocks == printed
