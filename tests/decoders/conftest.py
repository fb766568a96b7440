from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.messages import PAPER_MODALITIES
from anyweave.testing.decoders import write_tiny_decoder


@pytest.fixture(autouse=True)
def users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test."""
    monkeypatch.setenv("ANYWEAVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("decoders")
    return {m: write_tiny_decoder(root / m, m) for m in PAPER_MODALITIES}


@pytest.fixture(scope="session")
def decoders(folders: dict[str, Path]) -> dict[str, LatentDiffusion]:
    return {m: LatentDiffusion.from_pretrained(m, path) for m, path in folders.items()}


@pytest.fixture
def conditioning(decoders: dict[str, LatentDiffusion]) -> dict[str, torch.Tensor]:
    captions = ["a red apple", "two dogs", "a bell, then rain"]
    return {m: decoder.encode_captions(captions) for m, decoder in decoders.items()}
