"""The one loop equals diffusers' three pipelines, with the same seed, on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.decoders.sampling import drain
from anyweave.decoders.schedulers import build_scheduler
from anyweave.testing.decoders import write_tiny_decoder

SEEDS = [7, 11]
STEPS = 3
GUIDANCE = 4.0
PIPELINES = {
    "image": diffusers.StableDiffusionPipeline,
    "video": diffusers.TextToVideoSDPipeline,
    "audio": diffusers.AudioLDMPipeline,
}


def _pair(
    path: Path, modality: Any, scheduler: str, prediction_type: str
) -> tuple[LatentDiffusion, Any]:
    options = {"vocoder": True} if modality == "audio" else {}
    write_tiny_decoder(path, modality, prediction_type=prediction_type, **options)
    ours = LatentDiffusion.from_pretrained(modality, path)
    pipeline = PIPELINES[modality].from_pretrained(path)
    pipeline.scheduler = build_scheduler(scheduler, ours.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return ours, pipeline


def _generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def _embeds(ours: LatentDiffusion, captions: list[str]) -> dict[str, torch.Tensor]:
    prompt = ours.encode_captions(captions)
    negative = ours.unconditional().expand_as(prompt)
    if ours.takes_vector:
        prompt, negative = prompt[:, 0], negative[:, 0]
    return {"prompt_embeds": prompt, "negative_prompt_embeds": negative}


@pytest.mark.parametrize(
    ("modality", "scheduler", "prediction_type"),
    [
        ("image", "ddim", "epsilon"),
        ("image", "dpm++", "v_prediction"),
        ("image", "euler", "v_prediction"),
        ("image", "pndm", "epsilon"),
        ("video", "ddim", "v_prediction"),
        ("video", "unipc", "epsilon"),
    ],
)
def test_pictures_equal_the_pipeline(
    tmp_path: Path, modality: str, scheduler: str, prediction_type: str
) -> None:
    ours, pipeline = _pair(tmp_path / "d", modality, scheduler, prediction_type)
    captions = ["a cat", "a dog"]
    sizes: dict[str, Any] = {"height": 16, "width": 24} | (
        {"num_frames": 3} if modality == "video" else {}
    )
    arguments = _embeds(ours, captions) | sizes | {"guidance_scale": GUIDANCE}
    arguments |= {"num_inference_steps": STEPS}
    latents = pipeline(**arguments, generator=_generators(), output_type="latent")[0]
    media = pipeline(**arguments, generator=_generators(), output_type="np")[0]

    sampling: dict[str, Any] = {
        "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE,
        "scheduler": scheduler,
    }
    conditioning = ours.encode_captions(captions)
    got = ours.generate(conditioning, seeds=SEEDS, **sizes, **sampling)

    got_latents = drain(
        ours.latent_steps(conditioning, seeds=SEEDS, size=MediaSize(**sizes), **sampling)
    )
    torch.testing.assert_close(got_latents, latents, atol=1e-4, rtol=1e-4)
    for ours_media, theirs in zip(got, media, strict=True):
        assert ours_media.dtype == np.uint8
        # Ours are bytes: half a level, plus 1e-4 of the full range.
        assert np.abs(ours_media / 255.0 - theirs).max() <= 0.5 / 255 + 1e-4


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++"])
def test_sounds_equal_the_pipeline(tmp_path: Path, scheduler: str) -> None:
    ours, pipeline = _pair(tmp_path / "d", "audio", scheduler, "epsilon")
    captions = ["a bell", "rain"]
    media = pipeline(
        **_embeds(ours, captions),
        audio_length_in_s=0.25,
        guidance_scale=GUIDANCE,
        num_inference_steps=STEPS,
        generator=_generators(),
    ).audios
    got = ours.generate(
        ours.encode_captions(captions),
        seeds=SEEDS,
        audio_length=0.25,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        scheduler=scheduler,
    )
    assert [len(wave) for wave in got] == [4000, 4000]
    np.testing.assert_allclose(np.stack(got), media, atol=1e-4)


def test_captions_equal_the_pipelines_own(tmp_path: Path) -> None:
    """Prompts and the unconditional embedding, as the pipelines compute them from text."""
    for modality in ("image", "video"):
        ours, pipeline = _pair(tmp_path / modality, modality, "ddim", "epsilon")
        prompt, negative = pipeline.encode_prompt(["a cat"], torch.device("cpu"), 1, True)
        torch.testing.assert_close(ours.encode_captions(["a cat"]), prompt)
        torch.testing.assert_close(ours.unconditional(), negative)
    ours, pipeline = _pair(tmp_path / "audio", "audio", "ddim", "epsilon")
    embeds = pipeline._encode_prompt(["a bell"], torch.device("cpu"), 1, True)
    torch.testing.assert_close(ours.encode_captions(["a bell"])[:, 0], embeds[1:])
    assert ours.encode_captions(["a bell"]).norm(dim=-1).item() == pytest.approx(1.0)


@pytest.mark.parametrize("modality", ["image", "video"])
def test_slicing_and_tiling_equal_the_pipelines(tmp_path: Path, modality: str) -> None:
    """48 px: larger than a tile of the tiny VAE. Slices change nothing; tiles what they change in
    the pipeline.
    """
    path = tmp_path / "d"
    plain, pipeline = _pair(path, modality, "ddim", "epsilon")
    sizes = {"height": 48, "width": 48} | ({"num_frames": 2} if modality == "video" else {})
    sampling: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 1.0} | sizes
    caption = plain.encode_captions(["a cat", "a dog"])
    whole = plain.generate(caption, seeds=SEEDS, **sampling)
    sliced = LatentDiffusion.from_pretrained(modality, path, vae_slicing=True)
    tiled = LatentDiffusion.from_pretrained(modality, path, vae_tiling=True)
    for ours, theirs in zip(sliced.generate(caption, seeds=SEEDS, **sampling), whole, strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert sliced.vae.use_slicing and not sliced.vae.use_tiling
    pipeline.vae.enable_tiling()
    expected = pipeline(
        prompt_embeds=caption, **sampling, generator=_generators(), output_type="np"
    )[0]
    got = tiled.generate(caption, seeds=SEEDS, **sampling)
    for ours, theirs in zip(got, expected, strict=True):
        assert np.abs(ours / 255.0 - theirs).max() <= 0.5 / 255 + 1e-4
    assert any((a != b).any() for a, b in zip(got, whole, strict=True))


@pytest.mark.parametrize(("scheduler", "strength"), [("ddim", 1.0), ("dpm++", 0.5), ("euler", 0.5)])
def test_editing_equals_the_image_pipeline(tmp_path: Path, scheduler: str, strength: float) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    ours = LatentDiffusion.from_pretrained("image", path)
    pipeline = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(path)
    pipeline.scheduler = build_scheduler(scheduler, ours.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    start = torch.randn(2, 4, 8, 8)
    expected = pipeline(
        **_embeds(ours, ["a cat", "a dog"]),
        image=start,
        strength=strength,
        num_inference_steps=4,
        guidance_scale=GUIDANCE,
        generator=_generators(),
        output_type="latent",
    )[0]
    got = drain(
        ours.latent_steps(
            ours.encode_captions(["a cat", "a dog"]),
            seeds=SEEDS,
            latents=start,
            strength=strength,
            num_inference_steps=4,
            guidance_scale=GUIDANCE,
            scheduler=scheduler,
        )
    )
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
