from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.testing.model import tiny_model
from anyweave.training import resume as resume_module
from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.report import read_log
from anyweave.training.resume import checkpoints
from anyweave.training.stages import STAGES
from anyweave.training.trainer import Trainer

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]


class Source:
    """The tiny conversations; calls `at` when item number `after` is read."""

    def __init__(self, after: int, at: Callable[[], None]) -> None:
        self.items = tiny_conversations()
        self.left, self.at = after, at

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        self.left -= 1
        if self.left == 0:
            self.at()
        return self.items[index]


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _log(config: TrainConfig) -> list[dict[str, Any]]:
    """The log without times."""
    records = read_log(Path(config.output_dir) / "log.jsonl")
    return [{key: value for key, value in r.items() if key != "seconds"} for r in records]


def _weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    folder = Path(config.output_dir) / "model"
    return {
        f"{file.stem}.{name}": tensor
        for file in folder.glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


@pytest.fixture
def uninterrupted(new_model: MakeModel, config: MakeConfig) -> TrainConfig:
    """Six steps with dropout and Gumbel noise, never stopped."""
    run = config(run="whole", steps=6, data={"bucketing": False})
    Trainer(new_model(), run, tiny_conversations()).train()
    return run


def test_ctrl_c_saves_and_resuming_equals_never_stopping(
    uninterrupted: TrainConfig, new_model: MakeModel, config: MakeConfig
) -> None:
    run = config(run="halves", steps=6, data={"bucketing": False})
    before = signal.getsignal(signal.SIGINT)
    report = Trainer(new_model(), run, Source(5, _interrupt)).train()
    assert report.interrupted and not report.finished and report.steps == 3
    assert signal.getsignal(signal.SIGINT) is before
    assert [path.name for path in checkpoints(Path(run.output_dir))] == ["step-0000003"]
    assert not (Path(run.output_dir) / "model").exists()

    report = Trainer(new_model(seed=5), run, tiny_conversations()).train(resume=True)
    assert report.finished and not report.interrupted
    assert _log(run) == _log(uninterrupted)
    assert report.samples == 12
    whole, halves = _weights(uninterrupted), _weights(run)
    assert {name for name in whole if not torch.equal(whole[name], halves[name])} == set()


def test_a_killed_run_continues_from_its_last_checkpoint(
    uninterrupted: TrainConfig, new_model: MakeModel, config: MakeConfig
) -> None:
    run = config(run="killed", steps=6, checkpoint_every=2, data={"bucketing": False})
    child = os.fork()
    if child == 0:  # killed in step 6, after the checkpoint of step 4
        try:
            source = Source(11, lambda: os.kill(os.getpid(), signal.SIGKILL))
            Trainer(new_model(), run, source).train()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert len(read_log(Path(run.output_dir) / "log.jsonl")) == 5
    assert checkpoints(Path(run.output_dir))[-1].name == "step-0000004"

    Trainer(new_model(), run, tiny_conversations()).train(resume=True)
    assert _log(run) == _log(uninterrupted)
    assert all(torch.equal(_weights(run)[n], t) for n, t in _weights(uninterrupted).items())


def test_checkpoints_are_whole_few_and_never_pickled(
    new_model: MakeModel, config: MakeConfig
) -> None:
    run = config("encoding_alignment", steps=5, checkpoint_every=1, keep=2)
    Trainer(new_model(), run, tiny_conversations()).train()
    folder = Path(run.output_dir)
    assert [path.name for path in checkpoints(folder)] == ["step-0000004", "step-0000005"]
    files = {path.name for path in folder.glob("checkpoints/*/*")}
    assert files == {"trained.safetensors", "optimizer.safetensors", "state.json"}
    # A folder that was not finished has another name and is not taken for a checkpoint.
    (folder / "checkpoints" / ".step-0000006.01234567.tmp").mkdir()
    assert checkpoints(folder)[-1].name == "step-0000005"


def test_a_run_is_not_overwritten_nor_continued_as_another(
    new_model: MakeModel, config: MakeConfig
) -> None:
    run = config("encoding_alignment", steps=2)
    Trainer(new_model(), run, tiny_conversations()).train()
    with pytest.raises(ValueError, match="already holds a run .*pass resume=True"):
        Trainer(new_model(), run, tiny_conversations()).train()
    other = config(
        "encoding_alignment", steps=4, optimizer=OptimizerConfig(learning_rate=2.0), log_every=1
    )
    with pytest.raises(
        ValueError, match=r"optimizer.learning_rate was 0.01, is 2.0; steps was 2, is 4"
    ):
        Trainer(new_model(), other, tiny_conversations()).train(resume=True)


def test_the_run_folder_tells_everything(new_model: MakeModel, config: MakeConfig) -> None:
    run = config("encoding_alignment", steps=4, sample_every=2, sample_prompts=("hi",))
    seen: list[tuple[Path, Sequence[str], bool]] = []

    def write_samples(model: NextGPT, folder: Path, prompts: Sequence[str]) -> None:
        seen.append((folder, prompts, model.training))
        torch.rand(3)  # chance used here must not change the run

    Trainer(new_model(), run, tiny_conversations(), write_samples=write_samples).train()
    folder = Path(run.output_dir)
    assert seen == [
        (folder / "samples" / "step-0000002", ("hi",), False),
        (folder / "samples" / "step-0000004", ("hi",), False),
    ]
    assert TrainConfig.from_dict(json.loads((folder / "config.json").read_text())) == run
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 4 and summary["samples"] == 8 and summary["skipped"] == {}
    assert (folder / "losses.png").stat().st_size > 1000
    assert NextGPT.from_pretrained.__doc__ and (folder / "model" / "spec.json").is_file()


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six steps that was stopped after four, with checkpoints after two and four."""
    folder = tmp_path_factory.mktemp("stopped")
    config = _stopped_config(folder / "run")
    Trainer(tiny_model(folder / "parts"), config, Source(8, _interrupt)).train()
    assert [path.name[-1] for path in checkpoints(folder / "run")] == ["2", "4"]
    return folder


def _stopped_config(run: Path) -> TrainConfig:
    return TrainConfig(
        name="test",
        stage=STAGES["encoding_alignment"],
        model=ModelConfig(source="tiny"),
        data=DataConfig(source="tests", batch_size=2, bucketing=False),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        steps=6,
        checkpoint_every=2,
        output_dir=str(run),
    )


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit": _flip,
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "other": lambda path: path.write_text("[1]"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["state.json", "trained.safetensors", "optimizer.safetensors"])
def test_a_damaged_checkpoint_is_told_and_the_older_one_taken(
    stopped_run: Path, tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = Path(shutil.copytree(stopped_run / "run", tmp_path / "run"))
    config = replace(_stopped_config(run), checkpoint_every=0)
    DAMAGE[damage](checkpoints(run)[-1] / name)
    trainer = Trainer(tiny_model(stopped_run / "parts"), config, tiny_conversations())
    trainer._open_run(resume=True)
    assert trainer.progress.step == 2
    assert f"step-0000004/{name}" in caplog.text and "trying the checkpoint before" in caplog.text
    DAMAGE[damage](checkpoints(run)[0] / name)
    with pytest.raises(ValueError, match=r"no checkpoint of .*run can be continued.*step-0000002"):
        trainer._open_run(resume=True)


def test_a_checkpoint_of_an_older_version_is_read_with_a_note(
    stopped_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Path(shutil.copytree(stopped_run / "run", tmp_path / "run"))
    path = checkpoints(run)[-1] / "state.json"
    state = json.loads(path.read_text())
    del state["sha256"], state["sha256_of_state"]
    path.write_text(json.dumps(state))
    trainer = Trainer(tiny_model(stopped_run / "parts"), _stopped_config(run), tiny_conversations())
    trainer._open_run(resume=True)
    assert trainer.progress.step == 4 and "written by an older version" in caplog.text


def _all_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "config.json"])
def test_a_foreign_folder_is_refused_before_anything_is_written(
    new_model: MakeModel, config: MakeConfig, name: str, resume: bool
) -> None:
    run = config("encoding_alignment", steps=1)
    folder = Path(run.output_dir)
    folder.mkdir()
    (folder / name).write_text('{"model_type": "llama"}')
    before = _all_files(folder.parent)
    with pytest.raises(ValueError, match=f"run holds {name} and no run: not writing into it"):
        Trainer(new_model(), run, tiny_conversations()).train(resume=resume)
    assert _all_files(folder.parent) == before


@pytest.mark.parametrize("resume", [False, True])
def test_another_run_without_a_checkpoint_is_not_overwritten(
    new_model: MakeModel, config: MakeConfig, resume: bool
) -> None:
    run = config("encoding_alignment", steps=3)
    folder = Path(run.output_dir)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(run.to_dict()))
    (folder / "log.jsonl").write_text('{"step": 1}\n')
    before = _all_files(folder)
    other = config("encoding_alignment", steps=2)
    with pytest.raises(ValueError, match="config differs: steps was 3, is 2"):
        Trainer(new_model(), other, tiny_conversations()).train(resume=resume)
    assert _all_files(folder) == before
    assert Trainer(new_model(), run, tiny_conversations()).train(resume=resume).finished


def test_two_trainings_do_not_share_a_folder(new_model: MakeModel, config: MakeConfig) -> None:
    run = config("encoding_alignment", steps=2)
    told: list[str] = []

    def second() -> None:
        with pytest.raises(ValueError, match="is in use: another process trains in it") as caught:
            Trainer(new_model(), run, tiny_conversations()).train(resume=True)
        told.append(str(caught.value))

    first = Trainer(new_model(), run, Source(1, second))
    assert first.train().finished and len(told) == 1
    assert [record["step"] for record in _log(run)] == [1, 2]


def test_what_a_killed_run_left_half_written_is_swept(
    new_model: MakeModel, config: MakeConfig
) -> None:
    run = config("encoding_alignment", steps=4, checkpoint_every=1)
    child = os.fork()
    if child == 0:  # killed while it writes the checkpoint of step 2
        try:
            trainer = Trainer(new_model(), run, tiny_conversations())
            replace_folder = resume_module.save_tensors

            def killed(*arguments: Any) -> None:
                if trainer.progress.step == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                replace_folder(*arguments)

            resume_module.save_tensors = killed
            trainer.train()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    folder = Path(run.output_dir) / "checkpoints"
    assert list(folder.glob(".step-0000002.*.tmp"))
    report = Trainer(new_model(), run, tiny_conversations()).train(resume=True)
    assert report.finished and not list(folder.glob(".*"))
