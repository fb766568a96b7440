from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from anyweave.batch import IGNORE_INDEX
from anyweave.benchmarking import BenchReport, Phase, bench_reply, bench_train
from anyweave.benchmarking.random_model import random_model
from anyweave.benchmarking.train import made_up_batch
from anyweave.cli import app
from anyweave.model import ModelSpec, catalogue
from anyweave.testing.decoders import write_tiny_decoder
from anyweave.testing.model import tiny_spec


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """The tiny system, its parts named by place; only their configs are read."""
    folder = tmp_path_factory.mktemp("parts")
    write_tiny_decoder(folder / "decoders" / "audio", "audio", vocoder=True)
    made = tiny_spec(folder)

    def placed(part):  # type: ignore[no-untyped-def]
        return replace(part, source=str(folder / part.source))

    return replace(
        made,
        language=placed(made.language),
        encoders=tuple(map(placed, made.encoders)),
        decoders={modality: placed(part) for modality, part in made.decoders.items()},
    )


@pytest.mark.parametrize(("stage", "denoising"), [(1, False), (3, True), (4, True)])
def test_a_training_report_of_every_stage(spec: ModelSpec, stage: int, denoising: bool) -> None:
    model = random_model(spec)
    before = {n: p.clone() for n, p in model.language.model.named_parameters() if "lora" not in n}
    report = bench_train(
        model,
        stage=stage,
        batch_size=3,
        length=32,
        steps=1,
        denoising=denoising,
        gradient_checkpointing=True,
        precision="fp32",
    )
    step, inner = report.phases
    assert (step.samples, step.tokens) == (3, 96)
    assert step.flop == inner.flop > 0
    assert report.peak_memory > 0 and report.matrix_rate > 0
    # What was not needed was not made.
    assert not any(encoder.loaded for encoder in model.encoders.values())
    assert set(model.decoders.loaded) == (set(spec.decoders) if denoising else set())
    after = dict(model.language.model.named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_made_up_conversations_have_the_model_s_shapes(spec: ModelSpec) -> None:
    model = random_model(spec)
    batch = made_up_batch(model, batch_size=4, length=32, reads=True, shows=True)
    output = model(batch)
    assert output.logits.shape[0] == int((batch.labels[:, 1:] != IGNORE_INDEX).sum())
    for modality, target in batch.targets.items():
        assert target.caption_embeddings is not None
        assert output.conditioning[modality].shape == target.caption_embeddings.shape
    assert sorted(int(row) for m in batch.media.values() for row in m.rows) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="cannot hold their media"):
        made_up_batch(model, batch_size=4, length=8, reads=True, shows=True)


def test_a_reply_report_names_every_part(spec: ModelSpec) -> None:
    report = bench_reply(
        random_model(spec), prompt_tokens=8, speech_tokens=4, repeats=1, precision="fp32"
    )
    reads = [f"read {modality}" for modality in spec.input_modalities]
    makes = [f"make {modality}, 2 steps" for modality in spec.output_modalities]
    assert [phase.name for phase in report.phases] == [*reads, "prefill", "speech", *makes]
    assert all(phase.flop > 0 and phase.seconds > 0 for phase in report.phases)


def test_only_the_media_asked_for(spec: ModelSpec) -> None:
    model = random_model(spec)
    report = bench_reply(model, prompt_tokens=4, speech_tokens=1, media=("audio",), repeats=1)
    assert model.decoders.loaded == ("audio",)
    assert [phase.name for phase in report.phases][0] == "read audio"
    with pytest.raises(ValueError, match="neither reads nor makes smell; it knows image"):
        bench_reply(model, media=("smell",))


def test_the_page_says_what_it_is_not() -> None:
    phase = Phase(name="step", seconds=0.5, flop=10**12, samples=4, tokens=100)
    report = BenchReport(
        command="bench train", spec="s", scale=0.05, device="x CPU", precision="fp32",
        parameters=1, matrix_rate=4e12, peak_memory=2**30, phases=(phase,),
    )  # fmt: skip
    page = report.to_markdown()
    assert "no estimate of the full system's speed" in page
    assert "| step | 0.500 | 8 | 200 | 2 | 50 % |" in page
    assert "no estimate" not in replace(report, scale=1.0).to_markdown()
    shown = report.to_dict()["phases"][0]
    assert (shown["tokens_per_second"], shown["share_of_matrix_rate"]) == (200, 0.5)


def test_the_command_writes_a_page_and_prints_json(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.SPECS, "tiny", spec)
    command = "bench train --spec tiny --length 32 --batch-size 2 --steps 1 --stage 1 --json"
    done = CliRunner().invoke(app, [*command.split(), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["spec"] == "tiny"
    assert (tmp_path / "bench-train.md").is_file() and (tmp_path / "bench-train.json").is_file()


def test_wrong_arguments(spec: ModelSpec) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1, got 2"):
        random_model(spec, scale=2)
    with pytest.raises(ValueError, match="stage is 1, 2, 3, 4, got 5"):
        bench_train(random_model(spec), stage=5)
