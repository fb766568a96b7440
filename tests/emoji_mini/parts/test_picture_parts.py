"""The next picture decoder's parts: what is painted, what is compressed, what is learned."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC
from PIL import Image

from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.model.architectures.lookup import architecture
from emoji_mini.emoji_world.render import render_picture
from emoji_mini.emoji_world.sampling import sample_picture
from emoji_mini.parts import assemble, flow, seeing
from emoji_mini.parts import picture_autoencoder as autoencoder
from emoji_mini.parts import picture_denoiser as denoiser
from emoji_mini.parts.fit import FitOptions


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Banks of a few pictures, and an autoencoder of two steps."""
    emoji = tmp_path_factory.mktemp("emoji")
    for number in range(13):
        dot = Image.new("RGBA", (64, 64), (20 * number, 200, 50, 255))
        dot.save(emoji / f"{number:02}.png")
    folder = tmp_path_factory.mktemp("parts")
    autoencoder.write_bank(emoji, folder, size=4, held_out=2)
    autoencoder.write_world_bank(folder, size=4, held_out=2)
    options = FitOptions(steps=2, batch_size=2, checkpoint_every=1)
    autoencoder.train(folder, options)
    return folder


def test_banks_hold_pictures_that_a_seed_gives_again(parts: Path) -> None:
    for name, count, edge in (("train", 4, 128), ("world", 4, 128), ("frames", 4, 64)):
        bank = np.load(parts / f"{name}.npy")
        assert bank.shape == (count, edge, edge, 3) and bank.dtype == np.uint8 and bank.std() > 1
    dot = np.full((64, 64, 4), 255, np.uint8)
    one, other = (autoencoder.paint(np.random.default_rng(3), [dot]) for _ in range(2))
    assert np.array_equal(one, other)


def test_no_emoji_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no emoji in .*fluent-emoji-3d"):
        autoencoder.write_bank(tmp_path, tmp_path / "out", size=1, held_out=1)


def test_the_autoencoder_shrinks_eight_times_and_its_latents_have_unit_spread(parts: Path) -> None:
    vae = AutoencoderDC.from_pretrained(parts / "vae")
    x = torch.rand(1, 3, 128, 128) * 2 - 1
    latent = vae.encode(x).latent
    assert latent.shape == (1, autoencoder.LATENT_CHANNELS, 16, 16)
    assert vae.decode(latent).sample.shape == x.shape
    assert 0.3 < float(latent.std() * vae.config.scaling_factor) < 3
    found = autoencoder.measure(parts, 2)["world_held_out"]
    assert found["worst_tenth"] <= found["psnr"] < 60
    assert (parts / "sheet-world_held_out.png").is_file()


def test_latents_and_captions_of_the_world_train_the_denoiser(parts: Path) -> None:
    denoiser.encode(parts, size=3)
    latents = np.load(parts / "latents.npy")
    assert latents.shape == (3, autoencoder.LATENT_CHANNELS, 16, 16)
    assert np.isfinite(latents).all() and latents.dtype == np.float16
    denoiser.train(parts, FitOptions(steps=1, batch_size=2, checkpoint_every=1))
    table = denoiser.measure(parts, 2, num_inference_steps=1, guidance_scale=2.0)
    assert table.startswith("| drawn from held-out captions | object | count | background |")
    with Image.open(parts / "sheet-denoiser.png") as sheet:
        assert sheet.size == (8 * 128, 128)
    for name in ("unet", "text_encoder", "scheduler", "tokenizer"):
        assert any((parts / name).iterdir())


def test_the_flow_loss_is_nothing_for_the_true_velocity() -> None:
    clean = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    seen: dict[str, Any] = {}

    class Exact(torch.nn.Module):
        def forward(self, noisy: Any, timestep: Any, encoder_hidden_states: Any) -> Any:
            s = (timestep / 1000).view(-1, 1, 1, 1)
            seen["s"] = s
            noise = (noisy - (1 - s) * clean) / s
            return SimpleNamespace(sample=noise - clean)

    generator = torch.Generator().manual_seed(1)
    loss = flow.flow_loss(Exact(), clean, torch.zeros(2, 1, 4), generator)
    assert float(loss) < 1e-6 and ((seen["s"] > 0) & (seen["s"] < 1)).all()


@torch.no_grad()
def test_the_trained_autoencoder_redraws_held_out_scenes(tmp_path: Path) -> None:
    """The mean over 512 of them stands in the project's README; these are the first eight."""
    vae = denoiser.load_autoencoder(tmp_path)
    rng = np.random.default_rng(5)
    pictures = np.stack([render_picture(sample_picture(rng, "test")) for _ in range(8)])
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = vae.decode(vae.encode(x).latent).sample.clamp(-1, 1)
    error = ((y - x) * 127.5).square().flatten(1).mean(1)
    assert float((10 * torch.log10(255**2 / error)).mean()) > 30


def test_the_trained_denoiser_draws_what_is_asked_for(tmp_path: Path) -> None:
    """Its share over 256 held-out captions stands in the project's README."""
    folder = tmp_path / "decoder"
    assemble.place("image", folder)
    assert "_name_or_path" not in (folder / "unet" / "config.json").read_text()
    found = architecture(folder)  # what `anyweave inspect` counts
    assert found is not None and {"unet", "vae", "scheduler"} <= set(found.components)
    decoder = LatentDiffusion.from_pretrained("image", folder)
    rng = np.random.default_rng(5)
    scenes = [sample_picture(rng, "test") for _ in range(6)]
    pictures = flow.make(decoder, [scene.caption for scene in scenes])
    assert pictures.shape == (6, 128, 128, 3)
    facts = [
        verdict.facts(scene)
        for scene, verdict in zip(scenes, seeing.Judge().look(list(pictures)), strict=True)
    ]
    assert sum(fact["object"] for fact in facts) >= 4
    assert sum(fact["background"] for fact in facts) >= 5
