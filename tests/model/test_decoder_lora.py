"""Adapters in decoders: the same in memory, on disk, in diffusers and while replying."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

import anyweave as aw
from anyweave.decoders.sampling import drain
from anyweave.model import EncoderSpec, NextGPT
from anyweave.model.checkpoint import load_decoders
from anyweave.model.extending import with_modality
from anyweave.model.inspect import inspect_checkpoint
from anyweave.tensors import load_tensors
from anyweave.testing.decoders import tiny_decoder, write_tiny_decoder
from anyweave.testing.encoders import tiny_imagebind
from anyweave.testing.model import tiny_model
from anyweave.training.stages import DECODER_TUNING, DECODING_ALIGNMENT, set_trainable

LORA: Any = {"image": {"r": 2}, "audio": {"r": 3, "target_modules": ["to_q", "time_emb_proj"]}}
FILE = "decoder_lora.image.safetensors"


def spoiled(model: NextGPT) -> NextGPT:
    """With adapters that change something, as training would leave them."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters_of("decoder_lora").values():
        parameter.data.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model().save_pretrained(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def adapted(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = spoiled(aw.load(plain, decoder_lora=LORA))
    return model.save_pretrained(tmp_path_factory.mktemp("adapted") / "model")


def drawn(model: NextGPT) -> Tensor:
    decoder = model.decoders["image"]
    conditioning = decoder.encode_captions(["a fox"])
    latents: Tensor = drain(decoder.latent_steps(conditioning, seeds=[1], num_inference_steps=2))
    return latents


def test_new_adapters_change_nothing_and_are_asked_for(plain: Path) -> None:
    before, after = aw.load(plain), aw.load(plain, decoder_lora=LORA)
    assert not before.parameters_of("decoder_lora")
    assert not before.spec.decoders["image"].lora
    assert torch.equal(drawn(before), drawn(after))
    assert {name.split(".")[0] for name in after.parameters_of("decoder_lora")} == set(LORA)
    with pytest.raises(ValueError, match="no 'speech' decoder|no speech decoder"):
        aw.load(plain, decoder_lora={"speech": {}})
    with pytest.raises(ValueError, match="'rank'"):
        aw.load(plain, decoder_lora={"image": {"rank": 4}})
    with pytest.raises(ValueError, match="'q_proj' names no layer"):
        aw.load(plain, decoder_lora={"image": {"target_modules": ("q_proj",)}}).parameters_of(
            "decoder_lora"
        )


def test_files_are_what_diffusers_loads(adapted: Path, plain: Path) -> None:
    ours = aw.load(adapted).decoders["image"].unet
    theirs: UNet2DConditionModel = aw.load(plain).decoders["image"].unet
    theirs.load_lora_adapter(str(adapted), weight_name=FILE, prefix="unet")
    noise, times, said = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 8, 32)
    with torch.no_grad():
        one = ours(noise, times, encoder_hidden_states=said).sample
        other = theirs(noise, times, encoder_hidden_states=said).sample
        bare = aw.load(plain).decoders["image"].unet(noise, times, encoder_hidden_states=said)
    assert torch.equal(one, other)
    assert not torch.allclose(one, bare.sample, atol=1e-3)


def test_replies_fold_them_into_copies(adapted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = aw.load(adapted)
    before = {n: p.clone() for n, p in model.decoders["image"].unet.named_parameters()}
    folded = drawn(model)
    assert all(
        torch.equal(p, before[n]) for n, p in model.decoders["image"].unet.named_parameters()
    )
    module = "anyweave.decoders.latent_diffusion.without_adapter_layers"
    monkeypatch.setattr(module, lambda network: network)
    torch.testing.assert_close(folded, drawn(model), atol=1e-4, rtol=1e-4)


def test_they_are_read_lazily_kept_when_forgotten_and_saved_again(
    adapted: Path, tmp_path: Path
) -> None:
    model = aw.load(adapted)
    assert "unet" not in model.decoders["image"].in_memory  # counted and saved without it
    adapters = {
        modality: sum(p.numel() for p in model.decoders.adapter_parameters(modality).values())
        for modality in ("image", "audio")
    }
    again = model.save_pretrained(tmp_path / "again")
    assert "unet" not in model.decoders["image"].in_memory
    first, second = load_tensors(adapted / FILE), load_tensors(again / FILE)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    listed = {part.part: part.parameters for part in inspect_checkpoint(again).parts}
    for modality, count in adapters.items():
        assert count and listed[f"{modality} decoder lora"] == count
    before = drawn(spoiled(model))
    model.decoders.unload()
    assert torch.equal(before, drawn(model))
    assert torch.equal(drawn(aw.load(adapted)), drawn_from_pool(adapted))


def drawn_from_pool(folder: Path) -> Tensor:
    decoder = load_decoders(folder)["image"]
    conditioning = decoder.encode_captions(["a fox"])
    latents: Tensor = drain(decoder.latent_steps(conditioning, seeds=[1], num_inference_steps=2))
    return latents


def test_another_modality_leaves_them_as_they_are(adapted: Path, tmp_path: Path) -> None:
    tiny_imagebind(towers=("depth",)).save_pretrained(tmp_path / "depth")
    encoder = EncoderSpec(type="imagebind", source=str(tmp_path / "depth"), modalities=("depth",))
    model = aw.load(adapted)
    more = with_modality(model, "depth", encoder=encoder)
    torch.testing.assert_close(drawn(more), drawn(model), rtol=0, atol=0)
    assert more.parameters_of("decoder_lora").keys() == model.parameters_of("decoder_lora").keys()


def test_stages_decide_whether_they_train(adapted: Path) -> None:
    model = aw.load(adapted)
    trained = set_trainable(model, DECODER_TUNING.trainable)["decoder_lora"]
    model.decoders["image"].load()  # read after it was decided
    assert all(p.requires_grad for p in trained.values())
    network = dict(model.decoders["image"].unet.named_parameters())
    assert {n for n, p in network.items() if p.requires_grad} == {
        n for n in network if "lora_" in n
    }
    set_trainable(model, DECODING_ALIGNMENT.trainable)
    assert not any(p.requires_grad for p in trained.values())


def test_missing_files_are_an_error(adapted: Path, tmp_path: Path) -> None:
    folder = aw.load(adapted).save_pretrained(tmp_path / "copy")
    (folder / FILE).unlink()
    with pytest.raises(ValueError, match=FILE):
        aw.load(folder, verify=False)


def test_another_decoder_takes_them_over_where_they_fit(
    adapted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    same = write_tiny_decoder(tmp_path / "same", "image", seed=9)
    swapped = aw.load(adapted, decoders={"image": same})
    assert swapped.spec.decoders["image"].lora is not None
    kept = swapped.parameters_of("decoder_lora")
    for name, parameter in aw.load(adapted).parameters_of("decoder_lora").items():
        assert torch.equal(parameter, kept[name])
    wide = tiny_decoder("image")
    wide.unet = UNet2DConditionModel.from_config(
        {**wide.unet.config, "block_out_channels": (8, 24)}
    )
    wide.save_pretrained(tmp_path / "wide")
    with caplog.at_level(logging.WARNING):
        other = aw.load(adapted, decoders={"image": tmp_path / "wide"})
    assert "do not fit the image decoder" in caplog.text and "left out" in caplog.text
    assert other.spec.decoders["image"].lora is None
    assert {name.split(".")[0] for name in other.parameters_of("decoder_lora")} == {"audio"}
    assert drawn(other).isfinite().all()
