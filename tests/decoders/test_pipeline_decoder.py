"""Pipelines of diffusers as decoders: each class small and random, saved by diffusers, sampled as
diffusers samples it, and conditioning that learns through it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

import anyweave as aw
from anyweave.adapters import adapter_parameters, attach_adapters
from anyweave.decoders.families import FAMILIES
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.decoders.opening import open_decoder
from anyweave.decoders.pipeline_decoder import PipelineDecoder
from anyweave.decoders.protocol import Decoder
from anyweave.files import write_json
from anyweave.generation import GenerationOptions
from anyweave.messages import Image, Message, Modality
from anyweave.model import DecoderSpec, NextGPT, ProjectorSpec
from anyweave.testing.decoders import MAX_TOKENS, write_tiny_decoder
from anyweave.testing.model import tiny_model
from anyweave.testing.pipelines import tiny_pipeline, write_tiny_pipeline
from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.report import read_log
from anyweave.training.stages import STAGES
from anyweave.training.trainer import Trainer

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


@pytest.mark.parametrize("case", [*CASES, Case("AceStepPipeline", 32)], ids=lambda case: case.name)
def test_conditioning_learns_through_it(tmp_path: Path, case: Case) -> None:
    """In a whole model, opened by its spec: the gradient is the loss's slope, and five steps of a
    projector make the loss smaller.
    """
    modality = FAMILIES[case.name].modality
    if case in CASES:
        write_tiny_pipeline(tmp_path / "decoder", case.name)
        _, conditioning = _conditioning(case, 0)
    else:  # a part of its conditioning is a constant that its text encoder makes
        folder = write_tiny_pipeline(tmp_path / "decoder", case.name, text=True)
        conditioning = _open(folder, case.name).encode_captions(["a red fox", "some rain"]).clone()
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

    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(2, 4, model.language.hidden_size, generator=generator)
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
    small: dict[str, Any] = {"hidden_dim": 16, "num_heads": 2, "ffn_dim": 32}
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
ENCODED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "StableDiffusionXLPipeline": ({}, {}),
    "StableDiffusion3Pipeline": ({}, {}),
    "QwenImagePipeline": (
        {"guidance_scale": None, "true_cfg_scale": 3.0, "negative_prompt": ["", ""]},
        {},
    ),
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
    arguments: dict[str, Any] = {"prompt": list(captions), "guidance_scale": 3.0} | call
    if decoder.modality != "audio":
        arguments |= SIZES[decoder.modality]
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    expected = theirs(
        **arguments, num_inference_steps=2, generator=generators, output_type="np"
    ).to_tuple()[0]

    guidance: dict[str, Any] = {"guidance_scale": 3.0} | ours
    conditioning = decoder.encode_captions(captions)
    assert decoder.takes(*conditioning.shape[1:])
    got = decoder.generate(conditioning, seeds=SEEDS, num_inference_steps=2, **guidance)
    if decoder.modality == "audio":
        np.testing.assert_allclose(got, np.asarray(expected).mean(1), atol=1e-4)
    else:
        wanted = (np.asarray(expected) * 255).round().astype(int)
        assert np.abs(np.asarray(got).astype(int) - wanted).max() <= 1
    assert "text_encoder" in decoder.in_memory
    replying = _open(tmp_path, name)  # what guidance needs is remembered
    again = replying.generate(conditioning, seeds=SEEDS, num_inference_steps=2, **guidance)
    np.testing.assert_array_equal(again, got)
    assert "text_encoder" not in replying.in_memory


def test_what_diffusers_keeps_in_float32_stays_so(tmp_path: Path) -> None:
    folder = write_tiny_pipeline(tmp_path, "WanPipeline")
    decoder = _open(folder, "WanPipeline", dtype="bfloat16")
    network = decoder.transformer
    assert network.patch_embedding.weight.dtype == torch.bfloat16
    assert network.scale_shift_table.dtype == network.rope.freqs_cos.dtype == torch.float32


def test_an_offloaded_denoiser_is_there_for_the_backward_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[1]
    decoder = _open(write_tiny_pipeline(tmp_path, case.name), case.name, offload=True)
    _, conditioning = _conditioning(case, 0)
    latents = decoder.encode_media(_media("image", None))
    lent: list[str] = []
    use = decoder.use

    def recorded(name: str) -> Any:
        lent.append(name)
        return use(name)

    monkeypatch.setattr(decoder, "use", recorded)
    generator = torch.Generator().manual_seed(0)
    loss = decoder.denoising_loss(conditioning.requires_grad_(), latents, generator=generator)
    assert "transformer" not in lent  # what is lent leaves the device before the backward pass
    loss.sum().backward()
    assert conditioning.grad is not None


def test_it_stops_between_steps_and_where_it_is_closed(tmp_path: Path) -> None:
    decoder = _open(write_tiny_pipeline(tmp_path, "StableDiffusion3Pipeline"), CASES[1].name)
    _, conditioning = _conditioning(CASES[1], 0)
    thread, asked = threading.get_ident(), []
    decoder.transformer.register_forward_hook(
        lambda *_: asked.append((threading.get_ident(), torch.is_grad_enabled()))
    )
    work = decoder.generate_steps(
        conditioning, seeds=SEEDS, num_inference_steps=5, guidance_scale=1.0
    )
    assert [next(work)[:2], next(work)[:2]] == [(1, 5), (2, 5)]
    assert torch.is_grad_enabled()
    assert asked == [(thread, False)] * 2
    work.close()
    assert len(asked) == 2


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("name", ["StableDiffusion3Pipeline", "StableDiffusionXLPipeline"])
def test_finished_media_are_changed_as_far_as_asked(
    tmp_path: Path, name: str, strength: float
) -> None:
    """Little strength gives back nearly the medium, as diffusers' own pipeline for that does."""
    plain = tiny_pipeline(name)
    plain.save_pretrained(tmp_path)
    decoder = _open(tmp_path, name)
    case = next(case for case in CASES if case.name == name)
    parts, conditioning = _conditioning(case, 0)
    latents = decoder.encode_media(_media("image", None))
    how: dict[str, Any] = {"num_inference_steps": 4, "guidance_scale": 1.0}
    heard: list[tuple[int, int]] = []
    got = decoder.generate(
        conditioning,
        seeds=SEEDS,
        latents=latents,
        strength=strength,
        callback=lambda *step: heard.append(step),
        **how,
    )
    steps = round(4 * strength)
    assert heard == [(step + 1, steps) for step in range(steps)]
    theirs = getattr(diffusers, name.replace("Pipeline", "Img2ImgPipeline")).from_pipe(plain)
    expected = theirs(
        **parts,
        image=latents,  # latents are taken as they are
        strength=strength,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="np",
        **({"height": 32, "width": 32} if name == "StableDiffusion3Pipeline" else {}),
        **how,
    )[0]
    assert np.abs(np.asarray(got).astype(int) - (expected * 255).round().astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["StableDiffusion3Pipeline", "StableDiffusionXLPipeline"])
def test_adapters_learn_inside_its_denoiser_and_act_in_replies(tmp_path: Path, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    decoder = _open(write_tiny_pipeline(tmp_path / "p", name), name)
    _, conditioning = _conditioning(case, 0)
    how: dict[str, Any] = {"seeds": [0, 1], "num_inference_steps": 1, "guidance_scale": 1.0}
    before = decoder.generate(conditioning, **how)
    decoder.on_reading(
        decoder.denoiser_name,
        lambda network: attach_adapters(network, r=2, alpha=2, target_modules=("to_q", "to_v")),
    )
    adapters = adapter_parameters(decoder.denoiser)
    for parameter in adapters.values():
        parameter.data.fill_(0.3)
        parameter.requires_grad_(True)
    latents = decoder.encode_media(_media("image", None))
    decoder.denoising_loss(conditioning, latents).sum().backward()
    assert any(parameter.grad is not None for parameter in adapters.values())
    after = decoder.generate(conditioning, **how)
    assert any((one != other).any() for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("offload", [False, True])
def test_networks_are_read_when_they_are_needed(tmp_path: Path, offload: bool) -> None:
    folder = write_tiny_pipeline(tmp_path / "p", "StableDiffusionXLPipeline", text=True)
    decoder = _open(folder, CASES[0].name, offload=offload, vae_tiling=True)
    at_first = decoder.in_memory
    assert at_first == ()
    decoder.encode_media(_media("image", None))
    assert decoder.in_memory == ("vae",) and decoder.vae.use_tiling
    caption = decoder.encode_captions(["a fox"])
    assert caption.shape[1:] == decoder.conditioning_shape == (MAX_TOKENS + 1, 32)
    assert set(decoder.in_memory) == {"vae", "text_encoder", "text_encoder_2"}
    decoder.generate(caption, seeds=[0], num_inference_steps=1, guidance_scale=1.0)
    assert "unet" in decoder.in_memory
    without = _open(folder, CASES[0].name, load_text_encoder=False)
    with pytest.raises(ValueError, match="has no text encoder, so captions cannot be encoded"):
        without.encode_captions(["a fox"])


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    folder = write_tiny_pipeline(tmp_path / "p", "FluxPipeline")
    with pytest.raises(ValueError, match=r"no audio pipeline .*: FluxPipeline makes image"):
        PipelineDecoder.from_pretrained("audio", folder)
    decoder = _open(folder, "FluxPipeline")
    with pytest.raises(ValueError, match="needs more than 1 rows, those of pooled_prompt_embeds"):
        decoder.generate(torch.zeros(1, 1, 32), seeds=[0])
    with pytest.raises(ValueError, match=r"must be \[B, Q, 32\], got \[1, 5, 31\]"):
        decoder.generate(torch.zeros(1, 5, 31), seeds=[0])
    with pytest.raises(ValueError, match="1 conditionings need as many seeds, got 2"):
        decoder.generate(torch.zeros(1, 5, 32), seeds=[0, 1])
    with pytest.raises(ValueError, match="num_inference_steps must be at least 1, got 0"):
        decoder.generate(torch.zeros(1, 5, 32), seeds=[0], num_inference_steps=0)
    with pytest.raises(ValueError, match="trained by flow matching"):
        decoder.generate(torch.zeros(1, 5, 32), seeds=[0], scheduler="ddim")
    with pytest.raises(ValueError, match="neither a folder|model_index.json is missing"):
        PipelineDecoder.from_pretrained("image", tmp_path)
    index = folder / "model_index.json"
    flux = index.read_text()
    index.write_text(flux.replace('"FluxPipeline"', '"MochiPipeline"'))
    with pytest.raises(ValueError, match=r"is a MochiPipeline, which is no decoder .*FluxPipeline"):
        open_decoder("latent_diffusion", "image", folder, {}, {})
    index.write_text(flux)
    index.write_text(index.read_text().replace("FluxTransformer2DModel", "os.system"))
    with pytest.raises(ValueError, match="its transformer is a 'os.system' of 'diffusers'"):
        PipelineDecoder.from_pretrained("image", folder)


def test_the_index_says_how_a_decoder_is_opened(tmp_path: Path) -> None:
    new = write_tiny_pipeline(tmp_path / "new", "SanaPipeline")
    old = write_tiny_decoder(tmp_path / "old", "image")
    assert isinstance(open_decoder("latent_diffusion", "image", new, {}, {}), PipelineDecoder)
    opened = open_decoder("latent_diffusion", "image", old, {"dtype": "bfloat16"}, {"token": None})
    assert isinstance(opened, LatentDiffusion)
    assert all(isinstance(made, Decoder) for made in (opened, _open(new, "SanaPipeline")))


def test_it_takes_the_place_of_another_decoder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Sizes, steps and rates are found by themselves, and the caption bridge works at once."""
    checkpoint = tiny_model().save_pretrained(tmp_path / "model")
    folder = write_tiny_pipeline(tmp_path / "new", "LTXPipeline", text=True)
    write_json(folder / "decoder.json", {"height": 32, "width": 32, "num_frames": 9})
    model = aw.load(checkpoint, decoders={"video": folder}, bridge="caption")
    part = model.spec.decoders["video"]
    assert (part.conditioning_tokens, part.conditioning_dim) == (128, 32)
    assert part.num_inference_steps == 50
    assert model.decoders.rate("video") == 25.0
    assert "128 conditioning tokens of width 32" in caplog.text
    options = GenerationOptions(
        temperature=0, max_new_tokens=2, seed=0, num_inference_steps=1, guidance_scale=1.0
    )
    ((frames, fps),) = model.chat(options).reply("a fox", force=("video",)).videos
    assert (len(frames), fps) == (9, 25.0)


@pytest.mark.parametrize(
    ("name", "tokens", "terms"),
    [
        ("StableDiffusionXLPipeline", MAX_TOKENS + 1, {"alignment/image", "denoising/image"}),
        ("StableDiffusionXLPipeline", 5, {"denoising/image"}),
        ("SanaPipeline", 12, {"alignment/image", "denoising/image"}),
    ],
)
def test_stage_2_aligns_where_lengths_fit_and_denoises_everywhere(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    tokens: int,
    terms: set[str],
) -> None:
    write_tiny_pipeline(tmp_path / "decoder", name, text=True)
    model = _model(tmp_path, "image", tokens, 32 if "XL" in name else 16)
    pairs = [
        [
            Message("user", [f"draw {caption}"]),
            Message("assistant", [Image(array, caption=caption)]),
        ]
        for caption, array in zip(CAPTIONS, _media("image", None), strict=True)
    ]
    config = TrainConfig(
        name="test",
        stage=STAGES["decoding_alignment"],
        model=ModelConfig(source="tiny"),
        data=DataConfig(source="tests", batch_size=2),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        steps=2,
        checkpoint_every=0,
        output_dir=str(tmp_path / "run"),
    )
    before = {n: p.clone() for n, p in model.parameters_of("output_projectors").items()}
    Trainer(model, config, pairs).train()
    losses = read_log(tmp_path / "run" / "log.jsonl")[-1]["losses"]
    assert set(losses) - {"lm", "total"} == terms
    assert all(np.isfinite(value) for value in losses.values())
    after = model.parameters_of("output_projectors")
    assert any(not torch.equal(before[n], after[n]) for n in before)
    told = "no caption alignment for image: 5 conditioning tokens" in caplog.text
    assert told == ("alignment/image" not in terms)
