from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, KarrasVeScheduler

from anyweave.decoders import DECODERS, resolve
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.folder import DEFAULTS_FILE, DecoderDefaults
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.decoders.pipeline_decoder import PipelineDecoder
from anyweave.decoders.protocol import Decoder
from anyweave.decoders.sampling import drain
from anyweave.decoders.schedulers import SCHEDULERS, build_scheduler
from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.testing.decoders import tiny_decoder, write_tiny_decoder

Decoders = dict[str, LatentDiffusion]
Conditioning = dict[str, torch.Tensor]
STEPS: dict[str, Any] = {"num_inference_steps": 2}


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_shapes_and_types_of_media(
    decoders: Decoders, conditioning: Conditioning, modality: str
) -> None:
    decoder = decoders[modality]
    assert decoder.conditioning_shape == conditioning[modality].shape[1:]
    media = decoder.generate(conditioning[modality], seeds=[1, 2, 3], **STEPS)
    shape, dtype, rate = {
        "image": ((16, 16, 3), np.uint8, None),
        "video": ((4, 16, 16, 3), np.uint8, 8.0),
        "audio": ((5120,), np.float32, 16000.0),
    }[modality]
    assert [(item.shape, item.dtype) for item in media] == [(shape, np.dtype(dtype))] * 3
    assert decoder.rate == rate
    latents = decoder.encode_media(media)
    assert latents.shape == (3, *decoder.codec.latent_shape(decoder.defaults.size))
    assert decoder.codec.decode(latents)[0].shape == shape


@pytest.mark.parametrize(
    ("modality", "scheduler"),
    [("image", name) for name in SCHEDULERS]
    + [("video", "ddim"), ("video", "euler-ancestral"), ("audio", "ddim"), ("audio", "dpm++-sde")],
)
def test_a_batch_equals_its_items_alone(
    decoders: Decoders, conditioning: Conditioning, modality: str, scheduler: str
) -> None:
    decoder, options = decoders[modality], STEPS | {"scheduler": scheduler, "eta": 0.5}
    options["num_inference_steps"] = 3
    together = drain(decoder.latent_steps(conditioning[modality], seeds=[5, 6, 7], **options))
    for row, seed in enumerate([5, 6, 7]):
        alone = drain(
            decoder.latent_steps(conditioning[modality][row : row + 1], seeds=[seed], **options)
        )
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)
    assert torch.isfinite(together).all()


def test_a_batch_of_media_equals_its_items(decoders: Decoders, conditioning: Conditioning) -> None:
    # Griffin-Lim amplifies the last bits of a float, so sounds are compared through a vocoder.
    for modality, decoder in (decoders | {"audio": tiny_decoder("audio", vocoder=True)}).items():
        together = decoder.generate(conditioning[modality], seeds=[5, 6, 7], **STEPS)
        alone = decoder.generate(conditioning[modality][1:2], seeds=[6], **STEPS)[0]
        tolerance = 1e-4 if modality == "audio" else 1
        assert np.abs(together[1].astype(float) - alone.astype(float)).max() <= tolerance


def test_seeds_decide(decoders: Decoders, conditioning: Conditioning) -> None:
    decoder, rows = decoders["image"], conditioning["image"][:1].expand(2, -1, -1)
    same = drain(decoder.latent_steps(rows, seeds=[4, 4], **STEPS))
    other = drain(decoder.latent_steps(rows, seeds=[4, 5], **STEPS))
    torch.testing.assert_close(same[0], same[1])
    torch.testing.assert_close(same[0], other[0])
    assert (other[0] - other[1]).abs().max() > 0.1


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_saved_and_loaded_decoders_agree(
    decoders: Decoders,
    conditioning: Conditioning,
    modality: str,
    tmp_path: Path,
) -> None:
    decoder = decoders[modality]
    decoder.save_pretrained(tmp_path / "d")
    decoder.save_pretrained(tmp_path / "d")  # over itself
    assert [child.name for child in tmp_path.iterdir()] == ["d"]
    loaded = LatentDiffusion.from_pretrained(modality, tmp_path / "d", load_text_encoder=False)
    assert loaded.text_encoder is None and loaded.in_memory == ()
    assert loaded.defaults == decoder.defaults
    assert loaded.conditioning_shape == decoder.conditioning_shape
    expected = decoder.generate(conditioning[modality], seeds=[1, 2, 3], **STEPS)
    got = loaded.generate(conditioning[modality], seeds=[1, 2, 3], **STEPS)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision(tmp_path: Path) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    half = LatentDiffusion.from_pretrained("image", path, dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    caption = half.encode_captions(["a cat"])
    image = half.generate(caption, seeds=[0], **STEPS)[0]
    assert image.dtype == np.uint8
    caption = caption.float().requires_grad_()
    loss = half.denoising_loss(caption, half.encode_media([image]))
    loss.sum().backward()
    assert loss.dtype == torch.float32 and caption.grad is not None


def test_guidance_at_one_is_one_forward_per_step(
    decoders: Decoders, conditioning: Conditioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, rows = decoders["image"], []
    forward = decoder.unet.forward

    def counted(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(sample))
        return forward(sample, *args, **kwargs)

    monkeypatch.setattr(decoder.unet, "forward", counted)
    caption = conditioning["image"]
    drain(decoder.latent_steps(caption, seeds=[1, 2, 3], guidance_scale=1.0, **STEPS))
    drain(decoder.latent_steps(caption, seeds=[1, 2, 3], guidance_scale=2.0, **STEPS))
    assert rows == [3, 3, 6, 6]


def test_negative_conditioning(decoders: Decoders, conditioning: Conditioning) -> None:
    for modality, decoder in decoders.items():
        caption = conditioning[modality]
        options: dict[str, Any] = STEPS | {"seeds": [1, 2, 3], "guidance_scale": 3.0}
        plain = drain(decoder.latent_steps(caption, **options))
        same = drain(decoder.latent_steps(caption, negative=decoder.unconditional(), **options))
        torch.testing.assert_close(plain, same)
        other = drain(decoder.latent_steps(caption, negative=caption.flip(0), **options))
        assert (plain - other).abs().max() > 1e-6
        # Guidance between equal conditionings changes nothing.
        itself = drain(decoder.latent_steps(caption, negative=caption, **options))
        unguided = drain(decoder.latent_steps(caption, **(options | {"guidance_scale": 1.0})))
        torch.testing.assert_close(itself, unguided, atol=1e-4, rtol=1e-4)


def test_default_guidance(decoders: Decoders, tmp_path: Path) -> None:
    assert {m: d.guidance_scale for m, d in decoders.items()} == {
        "image": 7.5,
        "video": 9.0,
        "audio": 2.5,
    }
    decoder = tiny_decoder("image")
    decoder.defaults = DecoderDefaults(guidance_scale=3.0)
    decoder.save_pretrained(tmp_path / "d")
    assert LatentDiffusion.from_pretrained("image", tmp_path / "d").guidance_scale == 3.0
    loaded = LatentDiffusion.from_pretrained("image", tmp_path / "d", guidance_scale=5.0)
    assert loaded.guidance_scale == 5.0


def test_a_public_folder_samples_with_a_fast_solver(tmp_path: Path) -> None:
    """Without `decoder.json` of ours: DPM++ in 20 steps; "own" is the class in the folder."""
    path = write_tiny_decoder(tmp_path / "d", "image")
    ours = LatentDiffusion.from_pretrained("image", path)
    assert (ours.defaults.scheduler, ours.defaults.num_inference_steps) == (None, None)
    (path / "decoder.json").unlink()
    public = LatentDiffusion.from_pretrained("image", path, height=8, width=8)
    assert (public.defaults.scheduler, public.defaults.num_inference_steps) == ("dpm++", 20)
    caption, totals = ours.encode_captions(["a cat"]), []

    def sampled(decoder: LatentDiffusion, **options: Any) -> torch.Tensor:
        steps = decoder.latent_steps(caption, seeds=[1], **options)
        return drain(steps, lambda step, total: totals.append(total))

    size = MediaSize(height=8, width=8)
    named: dict[str, Any] = {"scheduler": "dpm++", "num_inference_steps": 20, "size": size}
    torch.testing.assert_close(sampled(public), sampled(ours, **named))
    own = sampled(public, scheduler="own", num_inference_steps=50)
    torch.testing.assert_close(own, sampled(ours, num_inference_steps=50, size=size))
    assert totals == [20] * 40 + [50] * 100


def test_progress_counts_every_step(decoders: Decoders, conditioning: Conditioning) -> None:
    calls: list[tuple[int, int]] = []
    decoders["image"].generate(
        conditioning["image"],
        seeds=[1, 2, 3],
        num_inference_steps=4,
        callback=lambda step, total: calls.append((step, total)),
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_step_by_step_is_bit_equal_to_at_once(
    decoders: Decoders, conditioning: Conditioning, modality: str
) -> None:
    decoder = decoders[modality]
    options: dict[str, Any] = {"seeds": [1, 2, 3], "num_inference_steps": 3}
    expected = decoder.generate(conditioning[modality], **options)
    steps, seen = decoder.generate_steps(conditioning[modality], **options), []
    while True:
        assert torch.is_grad_enabled()  # between the steps the caller's state is the caller's
        torch.rand(3)  # and what the caller draws meanwhile changes nothing
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            made = stop.value
            break
    assert seen == [(1, 3, None), (2, 3, None), (3, 3, None)]
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++", "euler", "own"])
@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_previews_are_of_what_will_come(
    decoders: Decoders,
    conditioning: Conditioning,
    monkeypatch: pytest.MonkeyPatch,
    modality: str,
    scheduler: str,
) -> None:
    decoder, guesses = decoders[modality], []
    preview = decoder.codec.preview

    def watched(latents: torch.Tensor) -> Any:
        guesses.append(latents)
        return preview(latents)

    monkeypatch.setattr(decoder.codec, "preview", watched)
    options: dict[str, Any] = {"num_inference_steps": 6, "scheduler": scheduler}
    plain = drain(decoder.latent_steps(conditioning[modality], seeds=[1, 2, 3], **options))
    assert not guesses
    steps = decoder.latent_steps(conditioning[modality], seeds=[1, 2, 3], previews=True, **options)
    shown = []
    while True:
        try:
            shown.append(next(steps).previews)
        except StopIteration as stop:
            torch.testing.assert_close(stop.value, plain)  # looking on changes nothing
            break
    assert len(guesses) == len(shown) == 6
    # The last step goes all the way, or nearly: these schedules end in little or no noise.
    far = [(guess - plain).abs().mean() / plain.abs().mean() for guess in guesses]
    assert far[-1] < 0.05 and far[-1] <= far[0]
    rows, columns = decoder.codec.latent_shape(decoder.defaults.size)[-2:]
    sizes = [None if small is None else [p.shape for p in small] for small in shown]
    assert sizes == [None if modality == "audio" else [(rows, columns, 3)] * 3] * 6


def test_a_decoder_works_in_the_callers_thread_and_stops_where_it_is_left(
    decoders: Decoders, conditioning: Conditioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, threads = decoders["image"], []
    predict = decoder._predict

    def watched(*arguments: Any) -> torch.Tensor:
        threads.append(threading.get_ident())
        return predict(*arguments)

    monkeypatch.setattr(decoder, "_predict", watched)
    steps = decoder.generate_steps(conditioning["image"], seeds=[1, 2, 3], num_inference_steps=50)
    assert [next(steps).number, next(steps).number] == [1, 2]
    steps.close()
    assert threads == [threading.get_ident()] * 2


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_editing_starts_from_the_given_latents(
    decoders: Decoders, conditioning: Conditioning, modality: str
) -> None:
    decoder, calls = decoders[modality], []
    shape = decoder.codec.latent_shape(decoder.defaults.size)
    start = torch.randn(3, *shape)
    options: dict[str, Any] = {"seeds": [1, 2, 3], "latents": start, "num_inference_steps": 20}
    caption = conditioning[modality]
    near = drain(
        decoder.latent_steps(caption, strength=0.05, **options),
        lambda *step: calls.append(step),
    )
    far = drain(decoder.latent_steps(caption, strength=0.9, **options))
    assert calls == [(1, 1)]
    assert (near - start).square().mean() < 0.2 * (far - start).square().mean()
    media = decoder.generate(caption, strength=0.05, **options)
    assert media[0].shape == decoder.codec.decode(near)[0].shape


def test_other_sizes_than_the_default(decoders: Decoders, conditioning: Conditioning) -> None:
    options: dict[str, Any] = STEPS | {"seeds": [1, 2, 3]}
    image = decoders["image"].generate(conditioning["image"], height=8, width=24, **options)
    assert image[0].shape == (8, 24, 3)
    video = decoders["video"].generate(
        conditioning["video"], height=8, width=24, num_frames=2, **options
    )
    assert video[0].shape == (2, 8, 24, 3)
    audio = decoders["audio"].generate(conditioning["audio"], audio_length=0.205, **options)
    assert audio[0].shape == (3280,)


def test_gradients_reach_only_the_conditioning(
    decoders: Decoders, conditioning: Conditioning
) -> None:
    for modality, decoder in decoders.items():
        caption = conditioning[modality].clone().requires_grad_()
        latents = torch.randn(3, *decoder.codec.latent_shape(decoder.defaults.size))
        loss = decoder.denoising_loss(caption, latents)
        assert loss.shape == (3,)
        loss[1].backward()
        assert caption.grad is not None
        assert caption.grad[1].abs().sum() > 0
        assert caption.grad[[0, 2]].abs().sum() == 0
        assert all(p.grad is None and not p.requires_grad for p in decoder.parameters())


def test_a_decoder_never_trains(decoders: Decoders) -> None:
    decoder = decoders["image"]
    assert decoder.train() is decoder
    parent = torch.nn.ModuleList([decoder]).train()
    assert parent.training
    assert not any(module.training for module in decoder.modules())


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_denoising_loss_by_hand(prediction_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = tiny_decoder("image", prediction_type=prediction_type)
    # DDPM's betas, independently: the square roots are linear.
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alphas = (1 - betas).cumprod(0)
    latents, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    timesteps = torch.tensor([10, 800])
    seen: dict[str, torch.Tensor] = {}

    def unet(sample: torch.Tensor, steps: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        seen.update(sample=sample, steps=steps)
        return (torch.zeros_like(sample),)

    monkeypatch.setattr(decoder.unet, "forward", unet)
    caption = torch.randn(2, 8, 32)
    given: dict[str, Any] = {"timesteps": timesteps, "noise": noise}
    loss = decoder.denoising_loss(caption, latents, **given)
    weighted = decoder.denoising_loss(caption, latents, snr_gamma=5.0, **given)
    for row, step in enumerate([10, 800]):
        a = float(alphas[step])
        noisy = a**0.5 * latents[row] + (1 - a) ** 0.5 * noise[row]
        torch.testing.assert_close(seen["sample"][row], noisy)
        target, weight = {
            "epsilon": (noise[row], min(a / (1 - a), 5.0) / (a / (1 - a))),
            "v_prediction": (
                a**0.5 * noise[row] - (1 - a) ** 0.5 * latents[row],
                min(a / (1 - a), 5.0) / (a / (1 - a) + 1),
            ),
            "sample": (latents[row], min(a / (1 - a), 5.0)),
        }[prediction_type]
        expected = float(target.square().mean())
        assert float(loss[row]) == pytest.approx(expected, rel=1e-4)
        assert float(weighted[row]) == pytest.approx(weight * expected, rel=1e-3)


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_the_loss_does_not_depend_on_the_sampling_scheduler(decoders: Decoders, name: str) -> None:
    """Whatever class lies in the folder: its own add_noise may be of another process (Euler's is)
    and its noise levels sorted the other way.
    """
    decoder = decoders["image"]
    parts = {n: getattr(decoder, n) for n in ("unet", "vae")}
    other = LatentDiffusion("image", scheduler=build_scheduler(name, decoder.scheduler), **parts)
    caption, latents = torch.randn(2, 8, 32), torch.randn(2, 4, 8, 8)
    losses = [
        d.denoising_loss(caption, latents, generator=torch.Generator().manual_seed(3))
        for d in (decoder, other)
    ]
    torch.testing.assert_close(*losses)


def test_fitting_media_to_the_decoder(decoders: Decoders) -> None:
    rng = np.random.default_rng(0)
    exact = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    wide = np.concatenate([exact * 0, exact, exact * 0], axis=1)
    latents = decoders["image"].encode_media([exact, wide])
    torch.testing.assert_close(latents[0], latents[1])  # the centre is kept, unscaled
    clip = rng.integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)
    sampled = decoders["video"].encode_media([clip, clip[[0, 2, 4, 6]]])
    torch.testing.assert_close(sampled[0], sampled[1])
    tone = np.sin(np.arange(9000) / 9).astype(np.float32)
    sounds = decoders["audio"].encode_media([tone, tone[:5120], tone[:100]])
    assert sounds.shape == (3, 8, 16, 8)
    torch.testing.assert_close(sounds[0], sounds[1])


@pytest.mark.parametrize(
    ("rate", "length", "shown"),
    [
        (8.0, 4, [0, 1, 2, 3]),  # the decoder's own rate
        (7.99, 4, [0, 1, 2, 3]),  # as files tell it
        (24.0, 30, [0, 3, 6, 9]),  # a long clip is cut, not squeezed
        (30.0, 30, [0, 3, 7, 11]),
        (4.0, 30, [0, 0, 1, 1]),
        (16.0, 5, [0, 2, 4, 4]),  # a short one rests on its last frame
    ],
)
def test_a_clip_with_a_rate_keeps_its_speed(
    decoders: Decoders, rate: float, length: int, shown: list[int]
) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (length, 16, 16, 3), dtype=np.uint8)
    latents = decoders["video"].encode_media([clip, clip[shown]], rates=[rate, 8.0])
    torch.testing.assert_close(latents[0], latents[1])


def test_a_rate_that_cannot_be_is_refused(decoders: Decoders) -> None:
    with pytest.raises(ValueError, match="sound of 16000 Hz, got a wave of 8000 Hz; read it at"):
        decoders["audio"].encode_media([np.zeros(5120, np.float32)], rates=[8000.0])
    with pytest.raises(ValueError, match="frames per second and positive, got 0"):
        decoders["video"].encode_media([np.zeros((4, 16, 16, 3), np.uint8)], rates=[0.0])


def test_vae_shift_is_honoured() -> None:
    decoder = tiny_decoder("image")
    image = [np.full((16, 16, 3), 90, np.uint8)]
    plain = decoder.encode_media(image)
    decoder.vae.register_to_config(shift_factor=0.5)
    shifted = decoder.encode_media(image)
    torch.testing.assert_close(shifted, plain - 0.5 * 0.3)
    reference = tiny_decoder("image").codec.decode(plain)[0]
    assert np.abs(decoder.codec.decode(shifted)[0].astype(int) - reference).max() <= 1


def test_the_table_resolves() -> None:
    assert [resolve(name) for name in DECODERS] == [LatentDiffusion, PipelineDecoder]
    with pytest.raises(ValueError, match="unknown decoder 'latent_difusion'; did you mean"):
        resolve("latent_difusion")


# --- clear errors


def test_without_text_encoder(folders: dict[str, Path], tmp_path: Path) -> None:
    decoder = LatentDiffusion.from_pretrained("image", folders["image"], load_text_encoder=False)
    with pytest.raises(ValueError, match="load_text_encoder=True"):
        decoder.encode_captions(["a cat"])
    decoder._unconditional = None
    with pytest.raises(ValueError, match="neither unconditional.safetensors nor a loaded text"):
        decoder.generate(torch.randn(1, 8, 32), seeds=[0], **STEPS)
    decoder.generate(torch.randn(1, 8, 32), seeds=[0], guidance_scale=1.0, **STEPS)
    decoder.tokenizer = None
    with pytest.raises(ValueError, match="how many conditioning tokens"):
        decoder.conditioning_shape  # noqa: B018


@pytest.mark.parametrize(
    ("modality", "arguments", "message"),
    [
        ("image", {"height": 15}, "height must be a positive multiple of 2 .* try 14 or 16"),
        ("image", {"width": -2}, "width must be a positive multiple of 2"),
        ("image", {"num_frames": 3}, "image has no num_frames; its size is given by height, width"),
        ("video", {"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ("audio", {"audio_length": 0.001}, "audio_length must be at least 0.02 s"),
        ("audio", {"height": 16}, "audio has no height"),
        ("image", {"seeds": [1, 2]}, "1 conditionings need as many seeds, got 2"),
        ("image", {"num_inference_steps": 0}, "num_inference_steps must be at least 1"),
        ("image", {"scheduler": "dddim"}, "unknown scheduler 'dddim'; did you mean 'ddim'"),
        ("image", {"negative": torch.zeros(1, 5, 32)}, "does not fit"),
        ("image", {"negative": torch.zeros(1, 8, 31)}, "negative of this decoder must be"),
        ("image", {"latents": torch.zeros(1, 4, 8, 8), "strength": 0.1}, "strength must be"),
        ("image", {"latents": torch.zeros(1, 4, 8, 8), "strength": 1.5}, "strength must be"),
        ("image", {"latents": torch.zeros(1, 3, 8, 8)}, "latents to start from"),
        ("image", {"latents": torch.zeros(1, 4, 8, 8), "height": 8}, "latents to start from"),
    ],
)
def test_wrong_arguments_of_generate(
    decoders: Decoders, modality: str, arguments: dict[str, Any], message: str
) -> None:
    decoder = decoders[modality]
    conditioning = torch.zeros(1, *decoder.conditioning_shape)
    with pytest.raises(ValueError, match=message):
        decoder.generate(conditioning, **({"seeds": [0]} | STEPS | arguments))


def test_wrong_conditioning(decoders: Decoders) -> None:
    with pytest.raises(ValueError, match=r"must be \[B, Q, 32\], got \[1, 8, 16\]"):
        decoders["image"].generate(torch.zeros(1, 8, 16), seeds=[0])
    with pytest.raises(ValueError, match=r"must be \[B, 1, 32\], got \[1, 2, 32\]"):
        decoders["audio"].generate(torch.zeros(1, 2, 32), seeds=[0])
    with pytest.raises(ValueError, match="2 conditionings need as many latents, got 1"):
        decoders["image"].denoising_loss(torch.zeros(2, 8, 32), torch.zeros(1, 4, 8, 8))


def test_wrong_media(decoders: Decoders) -> None:
    with pytest.raises(ValueError, match="no image given"):
        decoders["image"].encode_media([])
    with pytest.raises(ValueError, match="expected uint8 pictures"):
        decoders["image"].encode_media([np.zeros((16, 16, 3), np.float32)])
    with pytest.raises(ValueError, match="a clip without frames"):
        decoders["video"].encode_media([np.zeros((0, 16, 16, 3), np.uint8)])
    with pytest.raises(ValueError, match="expected a float mono wave"):
        decoders["audio"].encode_media([np.zeros((2, 5120), np.float32)])


def test_parts_that_do_not_belong_together(decoders: Decoders) -> None:
    image, audio = decoders["image"], decoders["audio"]
    parts = {"unet": image.unet, "scheduler": image.scheduler}
    with pytest.raises(ValueError, match="unknown modality 'text'"):
        LatentDiffusion("text", vae=image.vae, **parts)
    with pytest.raises(ValueError, match="4 latent channels but the VAE makes 8"):
        LatentDiffusion("image", vae=audio.vae, **parts)
    with pytest.raises(ValueError, match="vocoder/ or mel_config.json"):
        LatentDiffusion("audio", unet=audio.unet, vae=audio.vae, scheduler=audio.scheduler)
    other = KarrasVeScheduler()
    with pytest.raises(ValueError, match="KarrasVeScheduler has no beta schedule and is no Flow"):
        LatentDiffusion("image", unet=image.unet, vae=image.vae, scheduler=other)
    with pytest.raises(ValueError, match="snr_gamma must be positive"):
        image.denoising_loss(torch.zeros(1, 8, 32), torch.zeros(1, 4, 8, 8), snr_gamma=0.0)


def test_wrong_folders(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a decoder of image, not of video"):
        LatentDiffusion.from_pretrained("video", folders["image"])
    with pytest.raises(ValueError, match="is not a decoder folder: unet/config.json is missing"):
        LatentDiffusion.from_pretrained("image", tmp_path)
    with pytest.raises(ValueError, match="is neither a folder nor a decoder"):
        LatentDiffusion.from_pretrained("image", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="unknown decoder settings .'hight'."):
        LatentDiffusion.from_pretrained("image", folders["image"], hight=8)
    with pytest.raises(ValueError, match="dtype 'half' is not one of float32, bfloat16, float16"):
        LatentDiffusion.from_pretrained("image", folders["image"], dtype="half")
    with pytest.raises(ValueError, match="unknown subfolders .'unett'."):
        LatentDiffusion.from_pretrained("image", folders["image"], subfolders={"unett": "unet_ema"})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not a decoder folder"):
        tiny_decoder("image").save_pretrained(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    for part, message in (("vae", "the vae is a Other"), ("unet", "the unet is a Other")):
        config = json.loads((path / part / "config.json").read_text())
        (path / part / "config.json").write_text(json.dumps(config | {"_class_name": "Other"}))
        with pytest.raises(ValueError, match=message):
            LatentDiffusion.from_pretrained("image", path)


def test_a_deterministic_autoencoder(tmp_path: Path) -> None:
    """`AutoencoderDC` has no posterior and names its blocks otherwise."""
    parts = {name: getattr(tiny_decoder("image"), name) for name in ("unet", "scheduler")}
    torch.manual_seed(0)
    vae = AutoencoderDC(
        latent_channels=4,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(8, 16),
        decoder_block_out_channels=(8, 16),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), ()),
        decoder_qkv_multiscales=((), ()),
        scaling_factor=0.5,
    )
    unconditional = torch.zeros(1, 8, 32)
    LatentDiffusion("image", vae=vae, unconditional=unconditional, **parts).save_pretrained(
        tmp_path / "decoder"
    )
    decoder = LatentDiffusion.from_pretrained("image", tmp_path / "decoder")
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    latents = decoder.encode_media([picture])
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        torch.testing.assert_close(latents, vae.encode(x).latent * 0.5)
        y = vae.decode(latents / 0.5).sample
    (made,) = decoder.codec.decode(latents)
    wanted = ((y[0] / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(made, wanted)
    (drawn,) = decoder.generate(torch.randn(1, 8, 32), seeds=[0], num_inference_steps=2)
    assert drawn.shape == (16, 16, 3)
    loss = decoder.denoising_loss(torch.randn(1, 8, 32, requires_grad=True), latents)
    assert loss.requires_grad and torch.isfinite(loss).all()


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> LatentDiffusion:
    """The tiny picture decoder as one of flow matching, saved and loaded again."""
    image = tiny_decoder("image")
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    folder = tmp_path_factory.mktemp("flow") / "decoder"
    LatentDiffusion(
        "image",
        unet=image.unet,
        vae=image.vae,
        scheduler=scheduler,
        unconditional=image.unconditional(),
    ).save_pretrained(folder)
    return LatentDiffusion.from_pretrained("image", folder)


@torch.no_grad()
def test_a_flow_is_followed_as_its_scheduler_says(flow: LatentDiffusion) -> None:
    conditioning = torch.randn(1, 8, 32, generator=torch.Generator().manual_seed(1))
    made = drain(
        flow.latent_steps(conditioning, seeds=[5], num_inference_steps=4, guidance_scale=2.0)
    )
    sampler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    sampler.set_timesteps(4)
    x = torch.randn(made.shape[1:], generator=torch.Generator().manual_seed(5))[None]
    for now, then, time in zip(sampler.sigmas, sampler.sigmas[1:], sampler.timesteps, strict=False):
        without, with_ = (
            flow.unet(x, time, encoder_hidden_states=c).sample
            for c in (flow.unconditional(), conditioning)
        )
        x = x + (then - now) * (without + 2.0 * (with_ - without))
    torch.testing.assert_close(made, x, rtol=1e-4, atol=1e-4)


def test_a_public_flow_samples_with_its_own_scheduler(
    flow: LatentDiffusion, tmp_path: Path
) -> None:
    flow.save_pretrained(tmp_path / "public")
    (tmp_path / "public" / DEFAULTS_FILE).unlink()
    public = LatentDiffusion.from_pretrained("image", tmp_path / "public")
    assert public.defaults.scheduler is None
    assert public.defaults.num_inference_steps == 20
    drain(public.latent_steps(torch.zeros(1, 8, 32), seeds=[5], num_inference_steps=1))


def test_the_loss_of_a_flow_is_that_of_its_velocity(flow: LatentDiffusion) -> None:
    generator = torch.Generator().manual_seed(2)
    conditioning = torch.randn(2, 8, 32, generator=generator, requires_grad=True)
    clean, noise = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(2))
    timesteps = torch.tensor([0, 499])
    loss = flow.denoising_loss(conditioning, clean, timesteps=timesteps, noise=noise)
    level = torch.tensor([0.001, 0.5]).view(2, 1, 1, 1)
    said = flow.unet(
        (1 - level) * clean + level * noise,
        torch.tensor([1.0, 500.0]),
        encoder_hidden_states=conditioning,
    ).sample
    wanted = (said - (noise - clean)).square().flatten(1).mean(1)
    torch.testing.assert_close(loss, wanted)
    # Min-SNR weighs diffusion alone.
    weighted = flow.denoising_loss(
        conditioning, clean, timesteps=timesteps, noise=noise, snr_gamma=5.0
    )
    torch.testing.assert_close(weighted, loss)
    loss.sum().backward()
    assert conditioning.grad is not None and float(conditioning.grad.abs().sum()) > 0


@torch.no_grad()
def test_a_flow_edits_from_the_noise_level_of_its_strength(flow: LatentDiffusion) -> None:
    conditioning = torch.zeros(1, 8, 32)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    kept = drain(
        flow.latent_steps(
            conditioning, seeds=[0], latents=latents, strength=0.1, num_inference_steps=10
        )
    )
    changed = drain(
        flow.latent_steps(
            conditioning, seeds=[0], latents=latents, strength=1.0, num_inference_steps=10
        )
    )
    assert (kept - latents).square().mean() < (changed - latents).square().mean()


def test_a_flow_has_its_own_scheduler_alone(flow: LatentDiffusion) -> None:
    with pytest.raises(ValueError, match="trained by flow matching.*not with 'ddim'"):
        flow.generate(torch.zeros(1, 8, 32), seeds=[0], scheduler="ddim", **STEPS)


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_has_what_every_decoder_offers(modality: Modality) -> None:
    assert isinstance(tiny_decoder(modality), Decoder)


@torch.no_grad()
def test_an_edited_sound_is_as_long_as_a_new_one(tmp_path: Path) -> None:
    path = write_tiny_decoder(tmp_path / "d", "audio")
    decoder = LatentDiffusion.from_pretrained("audio", path, audio_length=0.205)
    length = decoder.generate(decoder.unconditional(), seeds=[0], **STEPS)[0].shape
    assert length == (3280,)
    latents = decoder.encode_media([np.zeros(length, np.float32)])
    given: dict[str, Any] = {"seeds": [0], "strength": 0.5, **STEPS}
    assert decoder.generate(decoder.unconditional(), latents=latents, **given)[0].shape == length
    longer = torch.cat([latents, latents], dim=2)
    made = decoder.generate(decoder.unconditional(), latents=longer, **given)[0]
    assert len(made) > length[0]
