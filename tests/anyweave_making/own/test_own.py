"""Own data, one command: found, held out, planned by real steps, trained, reported, resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from anyweave.model.any_to_any import NextGPT
from anyweave.testing.model import tiny_model
from anyweave_making import own
from anyweave_making.own.look import requests


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sixteen captioned pictures and one without a caption."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(16):
        pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        (folder / f"{number:02d}.txt").write_text(f"thing {number} on a table\n")
    (folder / "00.png").with_name("lost.png").write_bytes((folder / "00.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder / "parts").save_pretrained(folder / "model")
    return folder / "model"


def test_a_folder_of_captions_becomes_conversations_and_says_what_it_left_out(
    pictures: Path,
) -> None:
    data = own.look_at(pictures, held_out=0.25)
    assert data.captioned == 16
    assert len(data.train) + len(data.held_out) == 16 * 4  # three requests and a description each
    assert sum(data.left_out.values()) == 1 and "NAME.txt" in next(iter(data.left_out))
    assert data.stats.in_out == "T+I→T+I"

    def media(part: object) -> set[str]:
        return {str(p.source) for row in part for message in row for p in message.media()}  # type: ignore[attr-defined]

    assert not media(data.train) & media(data.held_out)  # a picture is on one side only
    again = own.look_at(pictures, held_out=0.25)
    assert media(again.held_out) == media(data.held_out)
    asked = requests(data, 6)
    shown = [str(m.media()[0].source) for pair in asked for m in pair if m.media()]
    assert len(shown) == len(asked) and len({message.role for message, _ in asked}) == 1


def test_a_table_is_read_as_well_and_a_file_of_conversations(
    pictures: Path, tmp_path: Path
) -> None:
    table = pictures.parent / "table.csv"
    rows = [f"{pictures.name}/{n:02d}.png,thing {n}" for n in range(16)]
    table.write_text("path,caption\n" + "\n".join(rows) + "\n")
    assert own.look_at(table).captioned == 16
    talk = tmp_path / "talk.jsonl"
    turns = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]}
        for n in range(30)
    ]
    talk.write_text("".join(json.dumps(row) + "\n" for row in turns))
    data = own.look_at(talk, held_out=0.2)
    assert len(data.train) + len(data.held_out) == 30 and data.captioned == 0


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a thing")
    with pytest.raises(ValueError, match="too few to train on some and hold out 10%"):
        own.look_at(tmp_path)


def test_a_run_is_planned_trained_and_reported(pictures: Path, model: Path, tmp_path: Path) -> None:
    data = own.look_at(pictures, held_out=0.25, keep=pictures)
    assert len(data.keep) == len(data.train) and len(data.mixed) == 2 * len(data.train)
    assert len(data.showing) == 12 + 16 and len(data.showing_held_out) == 4  # each picture once
    settings = ("data.batch_size=8", "precision=fp32", "objective.denoising_fraction=0")
    plan = own.make_plan(data, model, tmp_path / "run", minutes=60, settings=settings)
    decoders, talk = plan.lessons
    assert decoders.config.stage.trainable == ("decoder_lora",)
    assert talk.config.steps == round(10 * len(data.mixed) / 8 + 0.4)
    assert all(lesson.seconds_per_step > 0 and lesson.gigabytes > 0 for lesson in plan.lessons)
    assert not (tmp_path / "run" / "run").exists()  # a plan trains nothing
    text = plan.to_markdown(data)
    assert "captioned media | 16" in text and "left out" in text and "at most" in text
    assert "--no-decoder-lora" in text and "decoder_lora (rate 0.0015)" in text
    short = own.Plan.load(_saved(plan, tmp_path / "short", steps=4))
    report = own.train_own(data, model, tmp_path / "run", short, say=lambda _: None)
    for learned in report.lessons:
        losses = dict(learned.held_out)
        assert learned.best_step == min(losses, key=losses.__getitem__)
        assert 0 in losses and len(losses) >= 2
    trained, before = (
        NextGPT.from_pretrained(tmp_path / "run" / "model"),
        NextGPT.from_pretrained(model),
    )
    changed = [
        not torch.equal(a, b)
        for a, b in zip(
            trained.parameters_of("input_projectors").values(),
            before.parameters_of("input_projectors").values(),
            strict=True,
        )
    ]
    assert any(changed) == (report.lessons[1].best_step > 0)
    assert trained.spec.bridge == before.spec.bridge
    assert {name.split(".")[0] for name in trained.parameters_of("decoder_lora")} == {"image"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What was forgotten" in page and "<script" not in page
    assert f"anyweave chat --model {tmp_path / 'run' / 'model'}" in page
    with pytest.raises(ValueError, match=r"holds a run \(plan.json, .*go on with it \(--resume\)"):
        own.train_own(data, model, tmp_path / "run", short, say=lambda _: None)
    again = own.train_own(data, model, tmp_path / "run", short, resume=True, say=lambda _: None)
    assert [learned.best_step for learned in again.lessons] == [
        learned.best_step for learned in report.lessons
    ]


@pytest.mark.parametrize(("asked", "said"), [(False, "frozen, as asked"), (True, "no pictures")])
def test_decoders_learn_only_what_is_shown(
    asked: bool, said: str, pictures: Path, model: Path, tmp_path: Path
) -> None:
    talk = tmp_path / "talk.jsonl"
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    talk.write_text((json.dumps({"messages": turns}) + "\n") * 30)
    data = own.look_at(talk if asked else pictures, held_out=0.25)
    if asked:
        with pytest.raises(ValueError, match=said):
            own.make_plan(data, model, tmp_path / "run", decoder_lora=True)
        return
    plan = own.make_plan(data, model, tmp_path / "run", decoder_lora=False)
    assert len(plan.lessons) == 1 and said in plan.to_markdown(data)


def _saved(plan: own.Plan, folder: Path, *, steps: int) -> Path:
    """The plan of a shorter run, in a folder."""
    folder.mkdir()
    plan.save(folder)
    values = json.loads((folder / "plan.json").read_text())
    for lesson in values["lessons"]:
        lesson["config"] |= {"steps": steps, "sample_every": 2, "checkpoint_every": 2}
    (folder / "plan.json").write_text(json.dumps(values))
    return folder
