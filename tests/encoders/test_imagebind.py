"""ImageBind against the public model, a plain reference and the Encoder protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from anyweave.encoders import Encoder, resolve
from anyweave.encoders.imagebind import ImageBind
from anyweave.messages import Modality
from anyweave.testing.encoders import tiny_imagebind

from .conftest import public_shapes

GOLDEN_HEADS: dict[str, Any] = {"vision_heads": 4, "audio_heads": 4, "text_heads": 4}
TOWERS = ("vision", "audio", "text")


@pytest.fixture(scope="module")
def golden() -> Path:
    """A small ImageBind and the public code's outputs for it; most machines do not have them."""
    default = Path(__file__).resolve().parents[3] / "shared" / "golden"
    folder = Path(os.environ.get("ANYWEAVE_GOLDEN", default))
    if not (folder / "imagebind_tiny_io.safetensors").is_file():
        pytest.skip(f"no golden ImageBind in {folder}; set ANYWEAVE_GOLDEN")
    return folder


@pytest.fixture(scope="module")
def golden_model(golden: Path) -> ImageBind:
    file = golden / "imagebind_tiny_weights.safetensors"
    return ImageBind.from_pretrained(file, towers=TOWERS, **GOLDEN_HEADS)


def test_the_names_written_out_are_the_public_ones(golden: Path) -> None:
    """`public_shapes`, which other tests build files from, against a file of the public code."""
    sizes: dict[str, Any] = {"out": 24, "patch": 14, "vocabulary": 49408}
    sizes |= {"vision": (48, 3, 257), "audio": (40, 2, 229), "text": (32, 2, 77)}
    sizes |= dict.fromkeys(("depth", "thermal", "imu"), (8, 1, 5))
    written = {n: s for n, s in public_shapes(sizes).items() if n.split(".")[1] in TOWERS}
    stored = load_file(golden / "imagebind_tiny_weights.safetensors")
    assert {name: tuple(value.shape) for name, value in stored.items()} == written


@pytest.mark.parametrize("modality", ["image", "video", "audio", "text"])
@torch.no_grad()
def test_agrees_with_the_public_code(
    golden: Path, golden_model: ImageBind, modality: Modality
) -> None:
    stored = load_file(golden / "imagebind_tiny_io.safetensors")
    inputs = stored[f"{modality}.input"]
    inputs = inputs if modality == "text" else inputs.float()
    embedding = golden_model.pooled(modality, inputs, logit_scale=True)
    torch.testing.assert_close(embedding, stored[f"{modality}.embedding"], atol=1e-4, rtol=0)
    if f"{modality}.trunk" in stored:
        views = inputs.flatten(0, 1) if modality == "audio" else inputs
        trunk = golden_model.trunk(modality, views)
        torch.testing.assert_close(trunk, stored[f"{modality}.trunk"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_vision_tower_is_a_plain_pre_norm_transformer() -> None:
    """The same weights in torch.nn.TransformerEncoder give the same image vector."""
    model = tiny_imagebind(vision_depth=2)
    pixels = torch.randn(2, 3, 64, 64)
    state = model.state_dict()
    stem = "modality_preprocessors.vision."
    video = pixels[:, :, None].repeat(1, 1, 2, 1, 1)
    tokens = functional.conv3d(video, state[stem + "rgbt_stem.proj.1.weight"], stride=(2, 16, 16))
    tokens = tokens.flatten(2).transpose(1, 2)
    tokens = torch.cat([state[stem + "cls_token"].expand(2, -1, -1), tokens], dim=1)
    tokens = tokens + state[stem + "pos_embedding_helper.pos_embed"]
    trunk = "modality_trunks.vision."
    weight, bias = (state[f"{trunk}pre_transformer_layer.0.{part}"] for part in ("weight", "bias"))
    tokens = functional.layer_norm(tokens, (16,), weight, bias, eps=1e-6)
    layer = torch.nn.TransformerEncoderLayer(
        16, 2, 64, 0.0, "gelu", batch_first=True, norm_first=True, layer_norm_eps=1e-6
    )
    reference = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    renamed = {"attn": "self_attn", "norm_1": "norm1", "norm_2": "norm2"}
    renamed |= {"mlp.fc1": "linear1", "mlp.fc2": "linear2"}
    weights = {}
    for key, value in state.items():
        if key.startswith(trunk + "blocks."):
            name = key.removeprefix(trunk + "blocks.")
            for ours, theirs in renamed.items():
                name = name.replace(ours, theirs)
            weights["layers." + name] = value
    reference.load_state_dict(weights)
    cls = functional.layer_norm(
        reference(tokens)[:, 0],
        (16,),
        state["modality_heads.vision.0.weight"],
        state["modality_heads.vision.0.bias"],
        eps=1e-6,
    )
    expected = functional.normalize(cls @ state["modality_heads.vision.2.weight"].T, dim=-1)
    torch.testing.assert_close(model.pooled("image", pixels), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("average_clips", [True, False])
@torch.no_grad()
def test_patch_features_of_every_modality(average_clips: bool) -> None:
    towers = ("vision", "audio", "depth")
    model = tiny_imagebind(average_clips=average_clips, towers=towers)
    assert isinstance(model, Encoder)
    media = {
        "image": (np.random.randint(0, 256, (70, 90, 3), dtype=np.uint8), None),
        "video": (np.random.randint(0, 256, (8, 64, 64, 3), dtype=np.uint8), 8.0),
        "audio": (np.random.randn(16384).astype(np.float32) * 0.1, 16000.0),
        "depth": (np.random.rand(70, 90).astype(np.float32) * 5, None),
    }
    for modality in model.modalities:
        array, rate = media[modality]
        inputs = model.preprocess(modality, array, rate=rate)
        assert torch.equal(inputs, model.preprocess(modality, array, rate=rate))
        features = model(modality, inputs[None].repeat(2, *[1] * inputs.ndim))
        assert features.shape == (2, model.num_patches(modality), model.feature_dim)
        assert model.pooled(modality, inputs[None]).shape == (1, model.feature_dim)
    assert model.num_patches("video") == (16 if average_clips else 64)


@torch.no_grad()
def test_clips_are_averaged_position_by_position_or_kept_in_time_order() -> None:
    inputs = torch.randn(3, 4, 3, 2, 64, 64)
    kept = tiny_imagebind(average_clips=False)("video", inputs)
    mean = tiny_imagebind(average_clips=True)("video", inputs)
    torch.testing.assert_close(kept.unflatten(1, (4, 16)).mean(dim=1), mean)
    first = tiny_imagebind(average_clips=True)("video", inputs[:, :1])
    torch.testing.assert_close(kept[:, :16], first)
    assert torch.allclose(kept.norm(dim=-1), torch.ones(3, 64), atol=1e-5)


@torch.no_grad()
def test_crops_are_averaged_even_when_clips_are_kept() -> None:
    model = tiny_imagebind(average_clips=False, num_video_crops=3)
    video = np.random.randint(0, 256, (8, 64, 96, 3), dtype=np.uint8)
    inputs = model.preprocess("video", video, rate=8.0)
    assert inputs.shape == (12, 3, 2, 64, 64)
    assert model("video", inputs[None]).shape == (1, model.num_patches("video"), 16)
    with pytest.raises(ValueError, match="3 crops"):
        model("video", inputs[None, :4])


def test_logit_scale_and_norm() -> None:
    model = tiny_imagebind()
    mel = torch.randn(2, 1, 1, 32, 100)
    plain = model.pooled("audio", mel)
    torch.testing.assert_close(plain.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(model.pooled("audio", mel, logit_scale=True), 20 * plain)


@pytest.mark.parametrize("average_clips", [True, False])
@torch.no_grad()
def test_pooled_features_are_the_cls_vectors(average_clips: bool) -> None:
    """What `linear` reads: one vector per medium, or one per clip."""
    patches = tiny_imagebind(audio_clips=3, num_video_crops=3)
    model = tiny_imagebind(
        features="pooled", average_clips=average_clips, audio_clips=3, num_video_crops=3
    )
    inputs = {
        "image": torch.randn(2, 3, 64, 64),
        "video": torch.randn(2, 12, 3, 2, 64, 64),
        "audio": torch.randn(2, 3, 1, 32, 100),
    }
    clips = {"image": 1, "video": 4, "audio": 3}
    for modality in model.modalities:
        features = model(modality, inputs[modality])
        count = 1 if average_clips else clips[modality]
        assert features.shape == (2, model.num_patches(modality), 16) == (2, count, 16)
        whole = patches.pooled(modality, inputs[modality])
        torch.testing.assert_close(features.mean(dim=1), whole)


@torch.no_grad()
def test_the_audio_scale_is_an_option_of_the_features() -> None:
    mel, pixels = torch.randn(1, 1, 1, 32, 100), torch.randn(1, 3, 64, 64)
    for features in ("patches", "pooled"):
        plain = tiny_imagebind(features=features)
        scaled = tiny_imagebind(features=features, logit_scale=True)
        torch.testing.assert_close(scaled("audio", mel), 20 * plain("audio", mel))
        torch.testing.assert_close(scaled("image", pixels), plain("image", pixels))


def test_gradients_reach_every_parameter_of_the_towers() -> None:
    model = tiny_imagebind().train()
    ids = torch.tensor([[3, 5, 63] + [0] * 13])
    total = model.pooled("text", ids, logit_scale=True).pow(3).sum()
    total = total + model.pooled("image", torch.randn(1, 3, 64, 64)).pow(3).sum()
    total = total + model.pooled("audio", torch.randn(1, 1, 1, 32, 100)).pow(3).sum()
    total.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
def test_text_reads_up_to_its_end_token() -> None:
    """The vector is taken at the highest id, and what follows it cannot change it (causal mask)."""
    model = tiny_imagebind()
    ids = torch.tensor([[3, 5, 63] + [0] * 13, [3, 5, 63] + [7] * 13])
    first, second = model.pooled("text", ids)
    torch.testing.assert_close(first, second)


def test_save_and_load(tmp_path: Path) -> None:
    model = tiny_imagebind(towers=("vision",), average_clips=False)
    model.save_pretrained(tmp_path)
    loaded = resolve("imagebind").from_pretrained(tmp_path)
    assert loaded.config == model.config and loaded.modalities == ("image", "video")
    pixels = torch.randn(1, 3, 64, 64)
    assert torch.equal(loaded("image", pixels), model("image", pixels))
    changed = ImageBind.from_pretrained(tmp_path, average_clips=True)
    assert changed.num_patches("video") == 16


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no argument wide"):
        ImageBind(wide=3)
    with pytest.raises(ValueError, match="'patches' or 'pooled', got 'cls'"):
        tiny_imagebind(features="cls")
    with pytest.raises(ValueError, match="vision_heads"):
        tiny_imagebind(vision_heads=3)
    with pytest.raises(ValueError, match="did you mean 'imagebind'?"):
        resolve("imagebound")
    with pytest.raises(ValueError, match="no ImageBind at"):
        ImageBind.from_pretrained(tmp_path / "nothing")
    model = tiny_imagebind(towers=("vision",))
    with pytest.raises(ValueError, match="no 'audio' tower"):
        model.num_patches("audio")
    with pytest.raises(ValueError, match="4 axes"):
        model("image", torch.zeros(3, 64, 64))
    with pytest.raises(ValueError, match="expects 16"):
        model("image", torch.zeros(1, 3, 32, 32))
