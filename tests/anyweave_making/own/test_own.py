"""Own data, one command: found, held out, planned by real steps, trained, reported, resumed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from anyweave.messages import Image, Message
from anyweave.model.any_to_any import NextGPT
from anyweave.testing.model import tiny_model
from anyweave_making import own
from anyweave_making.own.look import requests
from anyweave_making.own.report import Learned, OwnReport
from anyweave_making.own.run import _Best, _problem, _usable


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


def test_a_real_folder_is_read_as_it_is_and_the_rest_is_counted(
    pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "real"
    shutil.copytree(pictures, folder / "nested")
    (folder / "nested" / "lost.png").unlink()
    (folder / "nested" / "00.txt").write_bytes("\ufeffa fox\n".encode())  # as Notepad saves it
    (folder / "nested" / "._01.png").write_bytes(b"\0\5\x16\7")  # as macOS does on foreign disks
    (folder / "nested" / "._01.txt").write_bytes(b"\0\5\x16\7\xff")
    (folder / "more").symlink_to(pictures)
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    (folder / "moves.txt").write_text("it moves")
    (folder / "page.png").write_text("<html>not found</html>")  # a failed download
    (folder / "page.txt").write_text("a page")
    data = own.look_at(folder)
    assert data.captioned == 17 and data.left_out == {
        "links to folders or to nothing (give the folder itself)": 1,
        "media: it is an HTML page, not an image": 1,
    }
    rows = [*data.train, *data.held_out]
    media = [part for row in rows for message in row for part in message.media()]
    assert {part.modality for part in media if "moves" in str(part.source)} == {"video"}
    assert not any("\ufeff" in message.text for row in rows for message in row)
    (folder / "moves.txt").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"moves.txt: not UTF-8 .*save the file as UTF-8"):
        own.look_at(folder)


def test_nothing_usable_says_why(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="left out: 1 media without a caption"):
        own.look_at(tmp_path)
    with pytest.raises(ValueError, match="held_out is a share between 0 and 1, got -1"):
        own.look_at(tmp_path, held_out=-1)


@pytest.mark.parametrize("columns", [("path", "caption"), ("image", "caption")])
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
def test_a_table_of_captions_means_the_same_in_every_kind_of_file(
    columns: tuple[str, str], suffix: str, pictures: Path, tmp_path: Path
) -> None:
    for n in range(12):
        shutil.copy(pictures / f"{n:02d}.png", tmp_path)
        (tmp_path / f"{n:02d}.json").write_text("{}")  # beside its medium, as img2dataset writes it
    shutil.copy(pictures / "13.png", tmp_path)
    rows = [dict(zip(columns, (f"{n:02d}.png", f"thing {n}"), strict=True)) for n in range(12)]
    lines = {
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows),
        "csv": "\n".join([",".join(columns), *(",".join(row.values()) for row in rows)]),
    }
    table = tmp_path / f"captions.{suffix}"
    table.write_text(lines[suffix])
    assert own.look_at(table).captioned == 12
    data = own.look_at(tmp_path)
    assert data.captioned == 12
    assert data.left_out == {f"media that captions.{suffix} does not name": 1}
    if suffix == "csv":
        table.write_text(lines["csv"].replace(",", ";"))
        with pytest.raises(ValueError, match="no path and no caption; a row has .* this has"):
            own.look_at(table)


def _rows(path: Path, rows: list[list[dict[str, object]]]) -> Path:
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return path


def test_what_shares_a_medium_or_says_the_same_is_on_one_side(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def asked(question: str, *names: str) -> list[dict[str, object]]:
        shown = [{"type": "image", "path": f"{pictures}/{name}.png"} for name in names]
        content = [*shown, {"type": "text", "text": question}]
        return [{"role": "user", "content": content}, {"role": "assistant", "content": "yes"}]

    rows = [asked(f"question {k}", f"{n:02d}") for k in range(4) for n in range(16)]
    rows += [asked("both?", "00", "01")] + [asked("the same words")] * 6
    rows.append(asked("gone", "nowhere"))
    data = own.look_at(_rows(tmp_path / "talk.jsonl", rows), held_out=0.2)
    assert data.left_out == {"conversations: no such media file": 1}
    assert len(data.train) + len(data.held_out) == 71 and 10 <= len(data.held_out) <= 14

    def things(source: object) -> set[str]:
        return {
            thing
            for row in source  # type: ignore[attr-defined]
            for thing in {str(part.source) for part in row[0].media()} or {row[0].text}
        }

    assert not things(data.train) & things(data.held_out)
    table = tmp_path / "captions.csv"
    table.write_text(
        "path,caption\n"
        + "".join(f"{pictures}/{n:02d}.png,{k} of {n}\n" for k in range(5) for n in range(16))
    )
    data = own.look_at(table)
    held = Counter(str(p.source) for row in data.held_out for m in row for p in m.media())
    assert set(held.values()) == {5 * 4}  # all that is said about a picture
    one = [asked(f"question {k}", "00") for k in range(20)]
    data = own.look_at(_rows(tmp_path / "one.jsonl", one))
    assert (
        len(data.held_out) == 2
        and "nearly all conversations share a medium or words" in caplog.text
    )


def test_a_held_out_medium_that_cannot_be_read_ends_no_run(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.png"
    half.write_bytes((pictures / "00.png").read_bytes()[:-200])
    rows = [
        [Message("user", [Image(file), "what?"]), Message("assistant", "a thing")]
        for file in (half, pictures / "01.png")
    ]
    loaded = NextGPT.from_pretrained(model)
    left_out: Counter[str] = Counter()
    assert _usable(loaded, rows, left_out) == rows[1:]
    ((why, count),) = left_out.items()
    assert why.startswith(f"held out: {half}: ") and count == 1
    data = own.OwnData(path=tmp_path, train=rows, held_out=rows, stats=own.look_at(pictures).stats)
    assert len(requests(data, 8, lambda shown: _problem(loaded, shown) is None)) == 1
    with pytest.raises(ValueError, match=r"none of 1 held-out .* nothing would say when to stop"):
        _usable(loaded, rows[:1], left_out)


def test_both_reports_say_what_was_left_out(tmp_path: Path) -> None:
    lesson = Learned(
        stage="s", held_out=((0, 1.0),), best_step=0, steps=1, seconds=1, skipped={"a <b>": 3}
    )
    report = OwnReport(
        model="m", output=tmp_path, plan="", lessons=(lesson,), asked=(), always_asked=()
    )
    assert "left out 3 times: a <b>" in report.to_markdown()
    assert "left out 3 times: a &lt;b&gt;" in report.to_html()


def test_a_run_goes_on_as_it_was_planned(tmp_path: Path) -> None:
    own.Plan(lessons=(), decoders="", asked={"model": "a", "minutes": 30.0}).save(tmp_path)
    plan = own.Plan.load(tmp_path)
    plan.check_asked(model=None, minutes=30.0)
    with pytest.raises(ValueError, match="minutes was 30.0, is 60; model was|model was 'a', is"):
        plan.check_asked(model="b", minutes=60)


def test_a_loss_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    best = _Best.open(tmp_path / "best")
    weight = {"w": torch.zeros(1)}
    for step, loss in enumerate([float("nan"), 2.0, 3.0]):
        best.add(step, loss, weight)
    assert best.step == 1 and not best.rose


def test_what_the_plan_sets_is_no_setting(pictures: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="steps is for the plan to set.*leave out --set steps=3"):
        own.make_plan(own.look_at(pictures), model, tmp_path / "run", settings=("steps=3",))


def test_decoders_do_not_learn_without_a_held_out_medium(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    shown = {"type": "image", "path": f"{pictures}/00.png", "caption": "a thing"}
    said: list[list[dict[str, object]]] = [
        [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]
        for n in range(30)
    ]
    said.append([{"role": "user", "content": "draw"}, {"role": "assistant", "content": [shown]}])
    rows = _rows(tmp_path / "talk.jsonl", said)
    data = next(
        found
        for found in (own.look_at(rows, seed=seed) for seed in range(9))
        if not len(found.showing_held_out)
    )
    plan = own.make_plan(data, model, tmp_path / "run", settings=("precision=fp32",))
    assert len(plan.lessons) == 1 and "no held-out conversation shows media" in plan.decoders


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
    # What the first run took counts, though nothing was left to do.
    assert [x.seconds for x in again.lessons] == [x.seconds for x in report.lessons] > [0, 0]


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
