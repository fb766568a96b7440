"""Pipelines of diffusers as decoders: each class small and random, saved by diffusers, sampled as
diffusers samples it, and conditioning that learns through it.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from anyweave.decoders.families import FAMILIES
from anyweave.decoders.pipeline_decoder import PipelineDecoder
from anyweave.messages import Modality
from anyweave.model import DecoderSpec, NextGPT, ProjectorSpec
from anyweave.testing.model import tiny_model
from anyweave.testing.pipelines import tiny_pipeline, write_tiny_pipeline

SEEDS = [3, 8]
ROWS = 5
SIZES: dict[str, dict[str, Any]] = {
    "image": {"height": 32, "width": 32},
    "video": {"height": 32, "width": 32, "num_frames": 9},
    "audio": {"audio_length": 0.1},
}


class Case(NamedTuple):
    """What conditions a pipeline: widths by the names of its call's arguments."""

    name: str
    width: int  # of the sequence
    fields: dict[str, tuple[int, ...]] = {}  # shapes of the rest
    mask: str | None = None
    guidance: dict[str, Any] = {"guidance_scale": 3.0}
    negative: bool = True
    call: dict[str, Any] = {}  # arguments that are ours to know
    slow: bool = False


_NO_TEXT = {"prompt": None, "negative_prompt": None, "use_resolution_binning": False}
CASES = [
    Case("StableDiffusionXLPipeline", 32, {"pooled_prompt_embeds": (24,)}),
    Case("StableDiffusion3Pipeline", 32, {"pooled_prompt_embeds": (24,)}),
    Case(
        "FluxPipeline",
        32,
        {"pooled_prompt_embeds": (24,)},
        guidance={"true_cfg_scale": 3.0},
    ),
    Case("SanaPipeline", 16, mask="prompt_attention_mask", call=_NO_TEXT),
    Case(
        "SanaSprintPipeline",
        16,
        mask="prompt_attention_mask",
        negative=False,
        call={"prompt": None, "use_resolution_binning": False},
    ),
    Case("PixArtSigmaPipeline", 32, mask="prompt_attention_mask", call=_NO_TEXT),
    Case("Lumina2Pipeline", 32, mask="prompt_attention_mask"),
    Case("ZImagePipeline", 16),
    Case("QwenImagePipeline", 16, mask="prompt_embeds_mask", guidance={"true_cfg_scale": 3.0}),
    Case("WanPipeline", 32),
    Case("LTXPipeline", 32, mask="prompt_attention_mask"),
    Case("StableAudioPipeline", 4, mask="attention_mask", call={"audio_end_in_s": 0.1}),
    Case(
        "AudioLDM2Pipeline",
        24,
        {"generated_prompt_embeds": (8, 16)},
        mask="attention_mask",
        call={"audio_length_in_s": 0.1},
    ),
]
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _open(folder: Path, name: str, **options: Any) -> PipelineDecoder:
    modality = FAMILIES[name].modality
    return PipelineDecoder.from_pretrained(modality, folder, **(SIZES[modality] | options))


def _conditioning(case: Case, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """The parts by name, and the one tensor of them."""
    generator = torch.Generator().manual_seed(seed)
    parts = {
        name: torch.randn(2, *shape, generator=generator) for name, shape in case.fields.items()
    }
    parts["prompt_embeds"] = torch.randn(2, ROWS, case.width, generator=generator)
    wide = max(part.shape[-1] for part in parts.values())
    rows = [part if part.ndim == 3 else part[:, None] for part in parts.values()]
    whole = [
        torch.cat([row, row.new_zeros(*row.shape[:2], wide - row.shape[2])], 2) for row in rows
    ]
    return parts, torch.cat(whole, dim=1)


def _as_arguments(case: Case, parts: dict[str, Tensor], prefix: str = "") -> dict[str, Any]:
    arguments: dict[str, Any] = {prefix + name: part for name, part in parts.items()}
    sequence = arguments[f"{prefix}prompt_embeds"]
    if case.mask is not None:
        arguments[prefix + case.mask] = torch.ones(sequence.shape[:2], dtype=torch.long)
    if case.name == "ZImagePipeline":
        arguments[f"{prefix}prompt_embeds"] = list(sequence)
    if case.name == "WanPipeline":  # it fills captions with zeros
        zeros = torch.zeros(2, 512 - ROWS, case.width)
        arguments[f"{prefix}prompt_embeds"] = torch.cat([sequence, zeros], dim=1)
    return arguments


@by_case
def test_a_pipeline_is_sampled_as_diffusers_does(tmp_path: Path, case: Case) -> None:
    theirs = tiny_pipeline(case.name)
    theirs.save_pretrained(tmp_path)
    decoder = _open(tmp_path, case.name)
    parts, conditioning = _conditioning(case, 0)
    negative_parts, negative = _conditioning(case, 1)
    size = SIZES[decoder.modality] if decoder.modality != "audio" else {}
    arguments = _as_arguments(case, parts) | case.guidance | case.call | size
    if case.negative:
        arguments |= _as_arguments(case, negative_parts, "negative_")
    if case.name == "AudioLDM2Pipeline":  # it asks absent encoders what they are
        absent = SimpleNamespace(dtype=torch.float32, config=SimpleNamespace(model_type="t5"))
        vars(theirs).update(text_encoder_2=absent, language_model=absent)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    expected = theirs(**arguments, num_inference_steps=2, generator=generators, output_type="np")[0]

    heard: list[tuple[int, int]] = []
    got = decoder.generate(
        conditioning,
        seeds=SEEDS,
        num_inference_steps=2,
        guidance_scale=next(iter(case.guidance.values())),
        negative=negative if case.negative else None,
        callback=lambda step, total: heard.append((step, total)),
    )
    assert heard == [(1, 2), (2, 2)]
    if decoder.modality == "audio":
        waves = np.asarray(expected)
        np.testing.assert_allclose(got, waves.mean(1) if waves.ndim == 3 else waves, atol=1e-5)
    else:
        np.testing.assert_array_equal(got, (np.asarray(expected) * 255).round().astype(np.uint8))


@by_case
def test_conditioning_learns_through_it(tmp_path: Path, case: Case) -> None:
    """In a whole model, opened by its spec: the gradient is the loss's slope, and five steps of a
    projector make the loss smaller.
    """
    write_tiny_pipeline(tmp_path / "decoder", case.name)
    modality = FAMILIES[case.name].modality
    _, conditioning = _conditioning(case, 0)
    _, tokens, width = conditioning.shape
    model = _model(tmp_path, modality, tokens, width)
    decoder = model.decoders[modality]
    media = _media(modality, decoder.rate)
    latents = model.encode_targets(modality, media, [decoder.rate] * 2)
    fixed: dict[str, Any] = {
        "timesteps": torch.tensor([300, 700]),
        "noise": torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)),
    }

    def loss(given: Tensor) -> Tensor:
        return decoder.denoising_loss(given, latents, **fixed)

    conditioning.requires_grad_()
    loss(conditioning).sum().backward()
    assert conditioning.grad is not None
    slope = conditioning.grad.norm()
    along = conditioning.grad / slope
    step = 0.02
    with torch.no_grad():
        rise = loss(conditioning + step * along).sum() - loss(conditioning - step * along).sum()
    torch.testing.assert_close(rise / (2 * step), slope, rtol=0.1, atol=2e-4)
    assert slope > 2e-3

    hidden = torch.randn(2, 4, model.language.hidden_size)
    projector = model.output_projectors[modality].requires_grad_(True)
    learn = torch.optim.Adam(projector.parameters(), 0.01)
    losses = []
    for _ in range(5):
        error = loss(projector(hidden)).sum()
        learn.zero_grad()
        error.backward()
        learn.step()
        losses.append(float(error))
    assert all(weight.grad is None for weight in decoder.parameters())
    assert losses[-1] < losses[0]


def _model(folder: Path, modality: Modality, tokens: int, width: int) -> NextGPT:
    """The tiny model with the decoder in `folder` as its only one."""
    part = DecoderSpec(
        source=str(folder / "decoder"),
        conditioning_tokens=tokens,
        conditioning_dim=width,
        num_inference_steps=2,
        generate=SIZES[modality],
    )
    small = {"hidden_dim": 16, "num_heads": 2, "ffn_dim": 32}
    small |= {"num_encoder_layers": 1, "num_decoder_layers": 1, "dropout": 0.0}
    return tiny_model(
        encoders=(),
        decoders={modality: part},
        signal_tokens={modality: 4},
        output_projectors={modality: ProjectorSpec(type="transformer", args=small)},
    )


def _media(modality: Modality, rate: float | None) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    if modality == "audio":
        return [random.uniform(-1, 1, int(0.1 * (rate or 0))).astype(np.float32) for _ in SEEDS]
    shape = (32, 32, 3) if modality == "image" else (9, 32, 32, 3)
    return [random.integers(0, 256, shape, dtype=np.uint8) for _ in SEEDS]


CAPTIONS = ["a red fox", "rain on a roof at night"]
ENCODED = {
    "StableDiffusionXLPipeline": ({}, {}),
    "SanaPipeline": ({"use_resolution_binning": False}, {}),
    "ZImagePipeline": ({}, {}),
    "WanPipeline": ({}, {}),
    "LTXPipeline": ({}, {}),
    "StableAudioPipeline": ({"audio_end_in_s": 0.1}, {}),
    "AceStepPipeline": (
        {"lyrics": ["", ""], "audio_duration": 0.1, "guidance_scale": 1.0},
        {"guidance_scale": None},
    ),
}


@pytest.mark.parametrize("name", ENCODED)
def test_captions_and_guidance_are_the_pipelines_own(tmp_path: Path, name: str) -> None:
    """From words to media as diffusers goes, by its defaults."""
    theirs = tiny_pipeline(name, text=True)
    theirs.save_pretrained(tmp_path)
    decoder = _open(tmp_path, name)
    call, ours = ENCODED[name]
    # Its denoiser sees the padding of the shorter one, whatever that is.
    captions = ["a red fox", "some rain"] if name == "AceStepPipeline" else CAPTIONS
    arguments = {"prompt": list(captions), "guidance_scale": 3.0} | call
    if decoder.modality != "audio":
        arguments |= SIZES[decoder.modality]
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    expected = theirs(
        **arguments, num_inference_steps=2, generator=generators, output_type="np"
    ).to_tuple()[0]

    conditioning = decoder.encode_captions(captions)
    assert decoder.takes(*conditioning.shape[1:])
    got = decoder.generate(
        conditioning, seeds=SEEDS, num_inference_steps=2, **({"guidance_scale": 3.0} | ours)
    )
    if decoder.modality == "audio":
        np.testing.assert_allclose(got, np.asarray(expected).mean(1), atol=1e-4)
    else:
        wanted = (np.asarray(expected) * 255).round().astype(int)
        assert np.abs(np.asarray(got).astype(int) - wanted).max() <= 1
    assert "text_encoder" in decoder.in_memory
    replying = _open(tmp_path, name)  # what guidance needs is remembered
    again = replying.generate(
        conditioning, seeds=SEEDS, num_inference_steps=2, **({"guidance_scale": 3.0} | ours)
    )
    np.testing.assert_array_equal(again, got)
    assert "text_encoder" not in replying.in_memory
