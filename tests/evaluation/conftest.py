"""One model, all data sets and tiny backbones for the tests of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from anyweave.evaluation.metrics.backbones import Backbone, load_backbone
from anyweave.evaluation.run import ModelSpeaker
from anyweave.testing.decoders import write_tiny_decoder
from anyweave.testing.model import tiny_model

from .layouts import LAYOUTS


class TinyInception(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float().mean(dim=(2, 3))


class TinyEar(nn.Module):
    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.stack([waves.std(1), waves.abs().mean(1)], 1)
        return features, torch.cat([features, waves[:, :2]], 1)


def write_clip(folder: Path) -> None:
    """A real CLIP of transformers, tiny and random."""
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    write_tiny_decoder(folder / "decoder", "image")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "decoder" / "tokenizer")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "projection_dim": 8}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**sizes, **ends, "vocab_size": len(tokenizer)},
        vision_config={**sizes, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size)
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Backbone]:
    folder = tmp_path_factory.mktemp("backbones")
    torch.jit.trace(TinyInception(), torch.zeros(2, 3, 8, 8)).save(str(folder / "tiny.pt"))
    torch.jit.trace(TinyEar(), torch.rand(2, 100)).save(str(folder / "ear.pt"))
    write_clip(folder / "clip")
    places = {"inception": "tiny.pt", "panns": "ear.pt", "vggish": "ear.pt", "clip": "clip"}
    return {kind: load_backbone(kind, str(folder / place)) for kind, place in places.items()}


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All data sets, each in a folder of its own."""
    root = tmp_path_factory.mktemp("benchmarks")
    for name, write in LAYOUTS.items():
        (root / name).mkdir()
        write(root / name)
    return root


@pytest.fixture(scope="session")
def speaker() -> ModelSpeaker:
    return ModelSpeaker(tiny_model(), "tiny")
