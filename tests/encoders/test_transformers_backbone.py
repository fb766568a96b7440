"""Backbones of transformers as encoders, from folders written by the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ASTConfig, ASTFeatureExtractor, ASTModel, ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from anyweave.encoders import Encoder, resolve
from anyweave.encoders.transformers_backbone import TransformersBackbone

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    config = ViTConfig(**SMALL, intermediate_size=32, image_size=32, patch_size=8)
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def ast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ast")
    ASTModel(
        ASTConfig(**SMALL, intermediate_size=32, max_length=64, num_mel_bins=32)
    ).save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=32, max_length=64).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_an_image_backbone_reads_images_and_videos(vit: Path, tmp_path: Path) -> None:
    encoder = resolve("transformers").from_pretrained(vit, video_frames=4)
    assert isinstance(encoder, Encoder)
    assert (encoder.feature_dim, encoder.num_patches("image")) == (16, 16)  # CLS is dropped
    video = np.random.randint(0, 256, (9, 40, 50, 3), dtype=np.uint8)
    inputs = encoder.preprocess("video", video)
    features = encoder("video", torch.stack([inputs, inputs]))
    assert features.shape == (2, encoder.num_patches("video"), 16) == (2, 64, 16)
    first = encoder("image", encoder.preprocess("image", video[0])[None])
    torch.testing.assert_close(features[:1, :16], first)

    pooled = resolve("transformers").from_pretrained(vit, video_frames=4, frame_pooling=2)
    assert pooled.num_patches("video") == 16
    corner = features[:1, [0, 1, 4, 5]].mean(1)
    torch.testing.assert_close(pooled("video", inputs[None])[:, 0], corner)
    with pytest.raises(ValueError, match="frame_pooling 3 needs a square grid"):
        TransformersBackbone.from_pretrained(vit, frame_pooling=3)("video", inputs[None])

    encoder.save_pretrained(tmp_path)
    again = TransformersBackbone.from_pretrained(tmp_path, video_frames=4)
    torch.testing.assert_close(again("video", inputs[None]), features[:1])


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("lying", [True, False])
def test_rows_are_never_taken_for_channels(vit: Path, side: int, lying: bool) -> None:
    encoder = TransformersBackbone.from_pretrained(vit, video_frames=4)
    picture = np.zeros((side, 60, 3) if lying else (60, side, 3), dtype=np.uint8)
    picture[:] = (200, 30, 90)
    inputs = encoder.preprocess("image", picture)
    large = encoder.preprocess("image", np.full((60, 60, 3), (200, 30, 90), np.uint8))
    torch.testing.assert_close(inputs, large)
    for frames in (1, 3, 4):
        clip = encoder.preprocess("video", np.stack([picture] * frames))
        torch.testing.assert_close(clip, torch.stack([large] * 4))


def test_arrays_of_another_layout_are_refused(vit: Path, ast: Path) -> None:
    encoder = TransformersBackbone.from_pretrained(vit)
    for wrong in ((3, 8, 8), (8, 8, 4), (8, 8), (8, 8, 1)):
        with pytest.raises(ValueError, match="uint8"):
            encoder.preprocess("image", np.zeros(wrong, np.uint8))
    with pytest.raises(ValueError, match="too elongated"):
        encoder.preprocess("image", np.zeros((1, 40_000, 3), np.uint8))
    hears = TransformersBackbone.from_pretrained(ast, reads="audio", audio_seconds=0.5)
    with pytest.raises(ValueError, match="mono"):
        hears.preprocess("audio", np.zeros((2, 2), np.float32))


@torch.no_grad()
def test_an_audio_backbone_reads_sounds_of_any_length(ast: Path) -> None:
    encoder = TransformersBackbone.from_pretrained(ast, reads="audio", audio_seconds=0.5)
    for samples in (100, 8000, 20000):
        inputs = encoder.preprocess("audio", np.ones(samples, dtype=np.float32), rate=16000)
        features = encoder("audio", inputs[None])
        assert features.shape == (1, encoder.num_patches("audio"), encoder.feature_dim)
    with pytest.raises(ValueError, match="resample"):
        encoder.preprocess("audio", np.ones(100, dtype=np.float32), rate=8000)


def test_a_backbone_refuses_what_it_cannot_read(vit: Path) -> None:
    encoder = TransformersBackbone.from_pretrained(vit, modalities=("image",))
    with pytest.raises(ValueError, match="not 'video'"):
        encoder.num_patches("video")
    with pytest.raises(ValueError, match="reads image"):
        TransformersBackbone.from_pretrained(vit, modalities=("audio",))
