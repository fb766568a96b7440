"""The public weight file, key by key: what is loaded, what may be left out, what is refused."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from anyweave.encoders.imagebind import ImageBind

from .conftest import HUGE, TINY, TINY_SETTINGS, public_shapes, public_state

TOWERS = ("vision", "audio", "text")


@pytest.fixture
def public_file(tmp_path: Path) -> Path:
    """A small file with every name of the public one."""
    torch.save(public_state(TINY), tmp_path / "imagebind_huge.pth")
    return tmp_path / "imagebind_huge.pth"


def test_the_public_file_has_1311_tensors() -> None:
    towers = Counter(name.split(".")[1] for name in public_shapes(HUGE))
    assert towers == {
        "vision": 392, "text": 295, "audio": 177, "depth": 177, "thermal": 177, "imu": 93,
    }  # fmt: skip
    assert towers.total() == 1311


def test_the_huge_model_takes_the_public_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The real loading code on a file of the real names and shapes; its tensors have no data."""
    path = tmp_path / "imagebind_huge.pth"
    torch.save(public_state(HUGE, "meta"), path)
    with caplog.at_level(logging.INFO):
        model = ImageBind.from_pretrained(path)
    assert model.config == ImageBind.from_pretrained(path, towers=("vision", "audio")).config
    assert "text (295 tensors), depth (177 tensors), thermal (177 tensors)" in caplog.text
    assert "imu (93 tensors)" in caplog.text
    assert model.modalities == ("image", "video", "audio") and model.feature_dim == 1024
    assert [model.num_patches(modality) for modality in model.modalities] == [256, 256, 228]

    towers = (*TOWERS, "depth")
    whole = ImageBind.from_pretrained(path, towers=towers)
    assert whole.modalities == ("image", "video", "audio", "depth")
    assert whole.num_patches("depth") == 196 and whole.config.depth_size == 224
    counts: Counter[str] = Counter()
    for name, parameter in whole.named_parameters():
        counts[name.split(".")[1]] += parameter.numel()
    millions = {tower: round(count / 1e6, 1) for tower, count in counts.items()}
    assert millions == {"vision": 632.8, "audio": 86.2, "text": 354.0, "depth": 21.9}
    shapes = public_shapes(HUGE)
    expected = {n: s for n, s in shapes.items() if n.split(".")[1] in towers}
    assert {name: tuple(value.shape) for name, value in whole.state_dict().items()} == expected


@pytest.mark.parametrize("kind", ["pth", "old pth", "safetensors", "folder"])
@torch.no_grad()
def test_every_kind_of_file_gives_the_same_model(
    kind: str, public_file: Path, tmp_path: Path
) -> None:
    state = torch.load(public_file, weights_only=True)
    path = public_file
    if kind == "old pth":
        path = tmp_path / "old.pth"
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "safetensors":
        path = tmp_path / "whole.safetensors"
        save_file(state, path)
    model = ImageBind.from_pretrained(path, towers=TOWERS, **TINY_SETTINGS)
    if kind == "folder":  # converted once, read without any setting
        model.save_pretrained(tmp_path / "folder")
        assert set(load_file(tmp_path / "folder" / "model.safetensors")) == set(model.state_dict())
        model = ImageBind.from_pretrained(tmp_path / "folder")
    loaded = model.state_dict()
    assert set(loaded) == {name for name in state if name.split(".")[1] in TOWERS}
    assert all(torch.equal(value, state[name]) for name, value in loaded.items())
    assert not any(value.is_meta for value in loaded.values())
    c = model.config
    assert (c.vision_depth, c.image_size, c.context_length, c.out_dim) == (2, 64, 8, 16)


@torch.no_grad()
def test_sounds_by_hand(public_file: Path) -> None:
    """The audio tower from its named tensors alone: attention with one learned key and value, CLS,
    head, norm, times 20.
    """
    state: dict[str, Tensor] = torch.load(public_file, weights_only=True)
    model = ImageBind.from_pretrained(public_file, **TINY_SETTINGS)
    mel = torch.randn(2, 1, 1, 32, 100)
    stem, block = "modality_preprocessors.audio.", "modality_trunks.audio.blocks.0."

    def norm(x: Tensor, name: str, eps: float) -> Tensor:
        return functional.layer_norm(x, (16,), state[name + ".weight"], state[name + ".bias"], eps)

    x = functional.conv2d(mel[:, 0], state[stem + "rgbt_stem.proj.weight"], stride=16)
    x = norm(x.flatten(2).transpose(1, 2), stem + "rgbt_stem.norm_layer", 1e-5)
    x = torch.cat([state[stem + "cls_token"].expand(2, -1, -1), x], dim=1)
    x = x + state[stem + "pos_embedding_helper.pos_embed"]
    y = norm(x, block + "norm_1", 1e-6)
    q, k, v = (
        y @ state[block + "attn.in_proj_weight"].T + state[block + "attn.in_proj_bias"]
    ).chunk(3, dim=-1)
    k = torch.cat([k, state[block + "attn.bias_k"].expand(2, -1, -1)], dim=1)
    v = torch.cat([v, state[block + "attn.bias_v"].expand(2, -1, -1)], dim=1)
    heads = [t.unflatten(-1, (2, 8)).transpose(1, 2) for t in (q, k, v)]
    weights = (heads[0] @ heads[1].transpose(-1, -2) / 8**0.5).softmax(dim=-1)
    y = (weights @ heads[2]).transpose(1, 2).flatten(2)
    x = x + y @ state[block + "attn.out_proj.weight"].T + state[block + "attn.out_proj.bias"]
    y = norm(x, block + "norm_2", 1e-6)
    y = functional.gelu(y @ state[block + "mlp.fc1.weight"].T + state[block + "mlp.fc1.bias"])
    x = x + y @ state[block + "mlp.fc2.weight"].T + state[block + "mlp.fc2.bias"]
    y = norm(x, "modality_heads.audio.0", 1e-6) @ state["modality_heads.audio.2.weight"].T
    y = y / y.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(model("audio", mel), y[:, 1:], atol=1e-5, rtol=1e-5)
    pooled = model.pooled("audio", mel, logit_scale=True)
    torch.testing.assert_close(pooled, 20 * y[:, 0], atol=1e-4, rtol=1e-5)


def test_half_precision(public_file: Path) -> None:
    model = ImageBind.from_pretrained(public_file, dtype="bfloat16", **TINY_SETTINGS)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    with pytest.raises(ValueError, match="dtype 'half' is not one of float32"):
        ImageBind.from_pretrained(public_file, dtype="half", **TINY_SETTINGS)


def test_a_file_that_disagrees_is_refused_with_lists(tmp_path: Path) -> None:
    state = public_state(TINY)
    del state["modality_trunks.vision.blocks.1.norm_2.bias"]
    del state["modality_heads.audio.2.weight"]
    # Towers of the public file may be left out; whatever else is not known may not.
    state["modality_trunks.vision.blocks.0.surprise"] = torch.ones(1)
    state["modality_trunks.touch.blocks.0.norm_1.weight"] = torch.ones(1)
    state["optimizer"] = torch.ones(1)
    state["modality_heads.vision.0.bias"] = torch.ones(3)
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match="the audio tower lacks 'modality_heads.audio.2.weight'"):
        ImageBind.from_pretrained(tmp_path / "odd.safetensors", **TINY_SETTINGS)
    state["modality_heads.audio.2.weight"] = torch.ones(16, 16)
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError) as refused:
        ImageBind.from_pretrained(tmp_path / "odd.safetensors", **TINY_SETTINGS)
    said = str(refused.value)
    assert "1 missing: modality_trunks.vision.blocks.1.norm_2.bias;" in said
    assert "3 unexpected: " in said and "blocks.0.surprise" in said and "optimizer" in said
    assert "modality_trunks.touch.blocks.0.norm_1.weight" in said
    assert "1 of another shape: modality_heads.vision.0.bias ([3], expected [16])" in said
    assert "only text, depth, thermal, imu may be left out" in said


class _Code:
    """Unpickling this runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run by a pickle",))


def test_other_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": _Code()}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match="holds more than tensors"):
        ImageBind.from_pretrained(tmp_path / "code.pth")
    assert "run by a pickle" not in capsys.readouterr().out
    torch.save({"model": {"a": torch.ones(1)}}, tmp_path / "nested.pth")
    with pytest.raises(ValueError, match="not a flat state dict"):
        ImageBind.from_pretrained(tmp_path / "nested.pth")
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="hold the towers of no ImageBind"):
        ImageBind.from_pretrained(tmp_path / "other.pth")
    torch.save(public_state(TINY | {"audio": (16, 1, 14)}), tmp_path / "longer.pth")
    with pytest.raises(ValueError, match="1 of another shape: .*expected .1, 13, 16"):
        ImageBind.from_pretrained(tmp_path / "longer.pth", **TINY_SETTINGS)
    (tmp_path / "weights.txt").write_text("")
    with pytest.raises(ValueError, match="neither .safetensors nor .pth"):
        ImageBind.from_pretrained(tmp_path / "weights.txt")
