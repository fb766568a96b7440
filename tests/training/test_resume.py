from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import OptimizerConfig, TrainConfig
from anyweave.training.report import read_log
from anyweave.training.resume import checkpoints
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
    (folder / "checkpoints" / ".step-0000006.partial").mkdir()
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
