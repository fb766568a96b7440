"""Every task on ten records in the layout of its owners; what a run keeps, and what it tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from anyweave.cli import main
from anyweave.evaluation.metrics.backbones import Backbone
from anyweave.evaluation.results import gather, to_markdown, write_report
from anyweave.evaluation.run import ModelSpeaker, run_task
from anyweave.evaluation.task import Record, Task
from anyweave.evaluation.tasks import TASKS, load_task
from anyweave.messages import Message
from anyweave.testing.model import tiny_model

QUICK: dict[str, Any] = {"max_new_tokens": 2}


class Scripted:
    """Says what it is told, in words alone; dies after `patience` answers."""

    name, weights, reads = "scripted", "0", frozenset({"image", "video", "audio"})
    makes: frozenset[Any] = frozenset()

    def __init__(self, say: str, patience: int = 1000) -> None:
        self.say, self.patience, self.asked = say, patience, 0

    def answer(
        self, task: Task, records: Iterable[tuple[int, Record]]
    ) -> Iterator[Message | ValueError]:
        for _ in records:
            if self.asked == self.patience:
                raise KeyboardInterrupt
            self.asked += 1
            yield Message("assistant", self.say)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_on_its_own_layout(
    name: str,
    data: Path,
    speaker: ModelSpeaker,
    backbones: dict[str, Backbone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)  # Java costs seconds
    task = replace(load_task(name), **QUICK)
    records = task.records(data / task.folder)
    assert len(records) in ((10, 11) if name != "mmbench" else (10,)), len(records)
    cells = run_task(name, task, speaker, data / task.folder, tmp_path / name, limit=2,
                     backbones=backbones)  # fmt: skip
    assert [cell.metric for cell in cells] == [metric.name for metric in task.metrics]
    for cell in cells:
        assert cell.failed == 0 and cell.n == 2, cell.failures
        if cell.metric in ("METEOR", "SPICE", "SPIDEr"):
            assert cell.reason == "needs Java: no java on the PATH"
        elif cell.metric not in ("FID, object", "FID, background"):  # of one picture
            assert cell.value is not None, cell.reason
    assert set(task.published) <= {cell.metric for cell in cells}
    assert gather(tmp_path) == cells


def test_killed_and_gone_on(data: Path, tmp_path: Path) -> None:
    task, folder = load_task("vqav2"), data / "vqav2"
    with pytest.raises(KeyboardInterrupt):
        run_task("vqav2", task, Scripted("A dog.", patience=3), folder, tmp_path)
    journal = tmp_path / "answers.jsonl"
    assert len(journal.read_text().splitlines()) == 3
    # Cut off while it was written, within a character.
    journal.write_bytes(journal.read_bytes() + '{"key": "3", "pa\u00e9'.encode()[:-1])
    speaker = Scripted("A dog.")
    (cell,) = run_task("vqav2", task, speaker, folder, tmp_path)
    assert (speaker.asked, cell.value, cell.n, cell.of) == (7, 100.0, 10, 10)
    assert cell.published == {"2": 66.7, "5": 66.7}
    (again,) = run_task("vqav2", task, speaker, folder, tmp_path)
    assert (speaker.asked, again) == (7, cell)
    with pytest.raises(ValueError, match="holds answers of .*'seed': 0.*now it is .*'seed': 1"):
        run_task("vqav2", task, speaker, folder, tmp_path, seed=1)
    speaker.weights = "1"
    with pytest.raises(ValueError, match="holds answers of .*'weights': '0'.*'weights': '1'"):
        run_task("vqav2", task, speaker, folder, tmp_path)
    # A run that cannot ask leaves the measured result as it is.
    result = (tmp_path / "result.json").read_bytes()
    (unasked,) = run_task("vqav2", task, speaker, None, tmp_path)
    assert unasked.reason and (tmp_path / "result.json").read_bytes() == result


def test_an_answer_may_hold_any_line_separator(data: Path, tmp_path: Path) -> None:
    task, said = load_task("vqav2"), "a\u2028b\x85c"
    run_task("vqav2", task, Scripted(said), data / "vqav2", tmp_path, limit=2)
    speaker = Scripted(said)
    run_task("vqav2", task, speaker, data / "vqav2", tmp_path, limit=3)
    assert speaker.asked == 1


def test_the_trained_weights_have_a_hash() -> None:
    model = tiny_model()
    before = model.weights_sha256()
    assert tiny_model().weights_sha256() == before
    with torch.no_grad():
        next(iter(model.parameters_of("input_projectors").values())).add_(1)
    assert model.weights_sha256() != before


def test_lost_media_are_counted_and_told(data: Path, tmp_path: Path) -> None:
    task = load_task("vqav2")

    def with_a_gap(folder: Path) -> list[Record]:
        first, *rest = task.records(folder)
        shown = replace(first.ask[0].media()[0], source="gone.jpg")
        return [replace(first, ask=(Message("user", [shown, "?"]),)), *rest]

    broken = replace(task, records=with_a_gap)
    (cell,) = run_task("vqav2", broken, Scripted("a cat"), data / "vqav2", tmp_path)
    assert (cell.value, cell.n, cell.of, cell.failed) == (0.0, 9, 10, 1)
    assert cell.failures == ("0: no such file: gone.jpg",)
    assert "9 of 10, 1 failed" in to_markdown([cell]) and "gone.jpg" in to_markdown([cell])


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("coco-captions", {"folder": "nowhere"}, "no data: there is no folder"),
        ("coco-captions", {"folder": "vqav2"}, "dataset_coco.json is not there"),
        ("text-to-image", {}, "the model does not make image"),
    ],
)
def test_a_cell_without_a_value_says_why(
    name: str, change: dict[str, Any], reason: str, data: Path, tmp_path: Path
) -> None:
    task = replace(load_task(name), **change)
    cells = run_task(name, task, Scripted("x"), data / task.folder, tmp_path)
    assert all(cell.value is None and reason in str(cell.reason) for cell in cells), cells


def test_no_backbone_is_told(data: Path, tmp_path: Path, speaker: ModelSpeaker) -> None:
    task = replace(load_task("text-to-image"), **QUICK)
    fid, clip = run_task("text-to-image", task, speaker, data / "coco", tmp_path, limit=1)
    assert fid.reason == "no backbone given: --backbone inception=FILE"
    assert clip.reason == "no backbone given: --backbone clip=FILE"


def test_the_page(data: Path, tmp_path: Path) -> None:
    for name in ("vqav2", "ok-vqa"):
        run_task(name, load_task(name), Scripted("dog"), data / name, tmp_path / name, limit=5)
    write_report(tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "| 2 | ok-vqa | VQA accuracy | 52.1 | 100 [100, 100] | +47.9 (not all records) |" in page
    assert (tmp_path / "report.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="no result there"):
        write_report(tmp_path / "vqav2" / "media")


def test_commands(
    data: Path,
    speaker: ModelSpeaker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anyweave.cli.benchmarks.load_model", lambda *_, **__: speaker.model)
    out = str(tmp_path / "out")
    where = ["--data", str(data / "vizwiz"), "--limit", "1", "--out", out, "--json"]
    main_ends(["eval", "vizwiz", *where])
    (cell,) = json.loads(capsys.readouterr().out)
    assert (cell["task"], cell["n"], cell["of"]) == ("vizwiz", 1, 10)
    foreign = tmp_path / "out" / "vizwiz" / "notes.txt"
    foreign.write_text("mine")
    answers = foreign.with_name("answers.jsonl")
    before = answers.read_text()
    main_ends(["eval", "vizwiz", "--data", str(tmp_path), *where[2:], "--overwrite"])  # none there
    assert answers.read_text() == before
    main_ends(["eval", "vizwiz", *where, "--overwrite"])
    assert foreign.read_text() == "mine"
    capsys.readouterr()
    main_ends(["eval", "report", out])
    assert "| 5 | vizwiz | VQA accuracy | 48.4 |" in capsys.readouterr().out
    main_ends(["eval", "--list", "--data", str(data)])
    listed = capsys.readouterr().out
    assert all(name in listed for name in TASKS)
    with pytest.raises(SystemExit):
        main(["eval", "vizwiz"])
    assert "where are the records of vizwiz?" in capsys.readouterr().err


def main_ends(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
