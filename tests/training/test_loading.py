"""Which frozen parts a stage brings into memory: what it needs and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.model.lazy_encoder import LazyEncoder
from anyweave.testing.conversations import tiny_conversations
from anyweave.testing.model import tiny_spec
from anyweave.training.config import ModelConfig, TrainConfig
from anyweave.training.launch import load_model
from anyweave.training.precompute import precompute
from anyweave.training.stages import DECODING_ALIGNMENT, ENCODING_ALIGNMENT
from anyweave.training.trainer import Trainer

MakeConfig = Callable[..., TrainConfig]
ALIGNMENT_ONLY = replace(DECODING_ALIGNMENT, losses={"lm": 1.0, "alignment": 1.0})


@pytest.fixture
def lazy_model(parts: Path) -> Callable[[], NextGPT]:
    return lambda: build(tiny_spec(parts), root=parts, lazy_encoders=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, parts: Path) -> str:
    """A complete cache: features, caption embeddings and latents."""
    folder = tmp_path_factory.mktemp("cache")
    precompute(build(tiny_spec(parts), root=parts), tiny_conversations(), folder, progress=False)
    return str(folder)


def _in_memory(model: NextGPT) -> dict[str, list[str]]:
    return {m: sorted(model.decoders[m].in_memory) for m in model.decoders.loaded}


def _encoders(model: NextGPT) -> set[bool]:
    found: set[bool] = set()
    for encoder in model.encoders.values():
        assert isinstance(encoder, LazyEncoder)
        found.add(encoder.loaded)
    return found


def test_stage_1_reads_an_encoder_only_where_features_are_missing(
    lazy_model: Callable[[], NextGPT], config: MakeConfig, cache: str
) -> None:
    run = replace(config(), stage=ENCODING_ALIGNMENT)
    plain, cached = lazy_model(), lazy_model()
    Trainer(plain, run, tiny_conversations()).train()
    assert (_encoders(plain), _in_memory(plain)) == ({True}, {})
    run = replace(run, cache_dir=cache, output_dir=f"{run.output_dir}-cached")
    Trainer(cached, run, tiny_conversations()).train()
    assert (_encoders(cached), _in_memory(cached)) == ({False}, {})


def test_alignment_alone_reads_text_encoders_or_nothing(
    lazy_model: Callable[[], NextGPT], config: MakeConfig, cache: str
) -> None:
    run = replace(config(), stage=ALIGNMENT_ONLY)
    plain, cached = lazy_model(), lazy_model()
    Trainer(plain, run, tiny_conversations()).train()
    assert _in_memory(plain) == dict.fromkeys(("image", "video", "audio"), ["text_encoder"])
    run = replace(run, cache_dir=cache, output_dir=f"{run.output_dir}-cached")
    Trainer(cached, run, tiny_conversations()).train()
    assert _encoders(cached) == {False} and not any(_in_memory(cached).values())


def test_denoising_of_cached_latents_reads_unets_alone(
    lazy_model: Callable[[], NextGPT], config: MakeConfig, cache: str
) -> None:
    model = lazy_model()
    run = replace(config(), stage=DECODING_ALIGNMENT, cache_dir=cache, gradient_checkpointing=True)
    Trainer(model, run, tiny_conversations()).train()
    read = _in_memory(model)
    assert read and all(parts == ["unet"] for parts in read.values())
    assert model.decoders["image"].unet.is_gradient_checkpointing
    assert "forward" in vars(model.decoders["video"].unet.mid_block)  # diffusers offers none


def test_training_loads_encoders_when_they_are_needed(
    lazy_model: Callable[[], NextGPT], config: MakeConfig, tmp_path: Path
) -> None:
    lazy_model().save_pretrained(tmp_path / "model")
    run = replace(config(), model=ModelConfig(source=str(tmp_path / "model")))
    assert _encoders(load_model(run)) == {False}
    eager = replace(run, model=replace(run.model, args={"lazy_encoders": False}))
    assert not hasattr(load_model(eager).encoders["image"], "loaded")
