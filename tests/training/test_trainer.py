from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from anyweave.messages import Conversation
from anyweave.model import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import ObjectiveConfig, OptimizerConfig, TrainConfig
from anyweave.training.report import read_log
from anyweave.training.trainer import DivergenceError, Trainer

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]
InProcesses = Callable[..., list[int]]


def _records(config: TrainConfig) -> list[dict]:
    return read_log(Path(config.output_dir) / "log.jsonl")


def _eight() -> list[Conversation]:
    return tiny_conversations()[:8]


def _assert_same(one: TrainConfig, other: TrainConfig) -> None:
    pairs = list(zip(_records(one), _records(other), strict=True))
    assert pairs
    for left, right in pairs:
        assert left["losses"] == pytest.approx(right["losses"], rel=1e-4)
        assert left["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-3)
        assert (left["samples"], left["tokens"]) != (0, 0)
        assert left["samples"] == right["samples"]


@pytest.mark.parametrize(
    ("stage", "tokens"), [("encoding_alignment", 1), ("instruction_tuning", 150)]
)
def test_forwards_of_few_tokens_equal_one_of_many(
    stage: str, tokens: int, plain_model: MakeModel, config: MakeConfig
) -> None:
    """Losses are means over the step, however many forwards it took."""
    order = {"batch_size": 4, "shuffle": False, "bucketing": False}
    whole = config(stage, run="whole", steps=2, data=order)
    parts = config(stage, run="parts", steps=2, data={**order, "max_padded_tokens": tokens})
    Trainer(plain_model(), whole, tiny_conversations()).train()
    model, forwards = plain_model(), []
    model.register_forward_hook(lambda _, given, made: forwards.append(given[0].input_ids.shape))
    Trainer(model, parts, tiny_conversations()).train()
    assert len(forwards) > 2 and all(
        rows == 1 or rows * length <= tokens for rows, length in forwards
    )
    _assert_same(whole, parts)


def test_accumulation_equals_one_big_batch(plain_model: MakeModel, config: MakeConfig) -> None:
    """Means are over the whole step, however unevenly its micro-batches hold tokens and targets."""
    order = {"shuffle": False}
    whole = config(run="whole", steps=2, data={"batch_size": 4, **order})
    parts = config(run="parts", steps=2, grad_accumulation=4, data={"batch_size": 1, **order})
    for run in (whole, parts):
        Trainer(plain_model(), run, _eight()).train()
    _assert_same(whole, parts)


def test_two_processes_equal_one(
    plain_model: MakeModel, config: MakeConfig, in_processes: InProcesses
) -> None:
    single = config(run="single", steps=2, data={"batch_size": 4, "shuffle": False})
    pair = config(run="pair", steps=2, data={"batch_size": 2, "shuffle": False})
    Trainer(plain_model(), single, _eight()).train()

    def work() -> None:
        trainer = Trainer(plain_model(), pair, _eight())
        assert trainer.accelerator.num_processes == 2
        trainer.train()

    assert in_processes(2, work) == [0, 0]
    _assert_same(single, pair)


@pytest.mark.slow
def test_torchrun_starts_two_processes(tmp_path: Path, root: Path) -> None:
    command = "-m torch.distributed.run --standalone --nproc_per_node 2 -m anyweave.training.launch"
    settings = f"tiny-3 --set steps=2 --set output_dir={tmp_path}/run"
    done = subprocess.run(
        [sys.executable, *command.split(), *settings.split()],
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [record["samples"] for record in read_log(tmp_path / "run" / "log.jsonl")] == [4, 4]


def test_bad_steps_are_skipped_and_too_many_end_the_run(
    plain_model: MakeModel, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = plain_model()
    forward = model.language.logits
    calls: list[int] = []

    def poisoned(hidden: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return forward(hidden) * (float("nan") if len(calls) in (2, 4, 5, 6) else 1.0)

    monkeypatch.setattr(model.language, "logits", poisoned)
    run = config("decoding_alignment", steps=8, max_bad_steps=3)
    with pytest.raises(DivergenceError, match="3 steps in a row had no finite loss.*learning_rate"):
        Trainer(model, run, tiny_conversations()).train()
    assert [record["bad_steps"] for record in _records(run)] == [0, 1, 1, 2, 3]
    for role in run.stage.trainable:
        assert all(torch.isfinite(p).all() for p in model.parameters_of(role).values())


def test_denoising_is_computed_on_its_share_of_steps(
    plain_model: MakeModel, config: MakeConfig
) -> None:
    source = [
        c
        for c in tiny_conversations()
        if c[-1].media("image") and c[-1].media()[0].source is not None
    ]
    run = config(
        "decoding_alignment",
        steps=4,
        data={"batch_size": 1},
        objective=ObjectiveConfig(denoising_fraction=0.5, alignment_mode="euclidean"),
    )
    Trainer(plain_model(), run, source).train()
    assert ["denoising/image" in record["losses"] for record in _records(run)] == [False, True] * 2
    assert all("alignment/image" in record["losses"] for record in _records(run))


def test_weights_and_clipping_act(plain_model: MakeModel, config: MakeConfig) -> None:
    """Zero weights leave nothing but language; the reported losses stay unweighted."""
    nothing = dict.fromkeys(("image", "video", "audio"), 0.0)
    run = config(
        "decoding_alignment",
        steps=3,
        objective=ObjectiveConfig(alignment_weights=nothing, denoising_weights=nothing),
        optimizer=OptimizerConfig(learning_rate=1e-2, clip=1e-9, weight_decay=0),
    )
    model = plain_model()
    before = {n: p.clone() for n, p in model.parameters_of("output_projectors").items()}
    Trainer(model, run, tiny_conversations()).train()
    after = model.parameters_of("output_projectors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(name.startswith("alignment/") for r in _records(run) for name in r["losses"])


def test_bfloat16_and_checkpointing_train(plain_model: MakeModel, config: MakeConfig) -> None:
    run = config(steps=3, precision="bf16", gradient_checkpointing=True)
    exact = config(run="exact", steps=3)
    for each in (run, exact):
        Trainer(plain_model(), each, tiny_conversations()).train()
    for left, right in zip(_records(run), _records(exact), strict=True):
        assert left["losses"] == pytest.approx(right["losses"], rel=0.05)


def test_an_empty_source_is_refused(plain_model: MakeModel, config: MakeConfig) -> None:
    with pytest.raises(ValueError, match="the data source is empty"):
        Trainer(plain_model(), config(), [])
