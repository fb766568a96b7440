"""The recipes of the frozen parts, on a handful of scenes and steps."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.encoders.imagebind import ImageBind
from anyweave.encoders.transformers_backbone import TransformersBackbone
from anyweave.messages import Image, Message, Text
from anyweave.testing.model import tiny_model
from emoji_mini.parts import recipes
from emoji_mini.parts.autoencoder import build_autoencoder, train_autoencoder
from emoji_mini.parts.contrast import sound_vectors, train_text_encoder
from emoji_mini.parts.diffusion import (
    TEXT_LENGTH,
    build_tokenizer,
    build_unet,
    inflate,
    prepare,
    train_diffusion,
    world_words,
)
from emoji_mini.parts.encoder import (
    FRAME_POOLING,
    NOTHING,
    UNKNOWN,
    VIDEO_FRAMES,
    build_audio_encoder,
    labels_of,
    patch_labels,
    pixels,
    train_audio_encoder,
    train_image_encoder,
)
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.recipes import OPTIONS, train_named_part
from emoji_mini.parts.rendered import rendered_scenes
from emoji_mini.parts.states import signal_states, teach_output_projectors, whitening
from emoji_mini.world.catalogue import OBJECTS
from emoji_mini.world.scenes import ImageScene, sample_image

SHORT = FitOptions(steps=2, batch_size=2, precision="fp32", log_every=1, checkpoint_every=1)


def _regression(folder: Path, steps: int, interrupt_after: int | None = None) -> torch.Tensor:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    calls = 0

    def losses(generator: torch.Generator) -> dict[str, torch.Tensor]:
        nonlocal calls
        if interrupt_after is not None and calls == interrupt_after:
            raise KeyboardInterrupt
        calls += 1
        x = torch.randn(4, 3, generator=generator)
        return {"mse": (module(x) - x.sum(1, keepdim=True)).square().mean()}

    options = FitOptions(
        steps=steps, batch_size=4, precision="fp32", checkpoint_every=3, warmup_steps=2
    )
    fit(module, losses, options, folder)
    return module.weight.detach().clone()


def test_fit_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = _regression(tmp_path / "whole", 10)
    with pytest.raises(KeyboardInterrupt):
        _regression(tmp_path / "cut", 10, interrupt_after=7)
    assert torch.equal(_regression(tmp_path / "cut", 10), whole)


def test_every_caption_word_is_one_token(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(tmp_path, world_words())
    for word in world_words():
        assert len(tokenizer.tokenize(word)) == 1, word
    rng = np.random.default_rng(0)
    longest = max((sample_image(rng, "train").caption for _ in range(500)), key=len)
    assert len(tokenizer(longest).input_ids) <= TEXT_LENGTH


def test_rendered_scenes_are_drawn_once_and_read_back(tmp_path: Path) -> None:
    scenes, arrays = rendered_scenes("audio", "train", 3, 0, tmp_path)
    again, same = rendered_scenes("audio", "train", 3, 0, tmp_path)
    assert again == scenes
    assert np.array_equal(arrays, same)


def test_patches_know_what_they_show() -> None:
    labels = patch_labels(ImageScene(object="cat", count=1)).reshape(8, 8)
    assert labels[4, 4] == list(OBJECTS).index("cat")
    assert labels[0, 0] == NOTHING
    assert (labels == UNKNOWN).any()
    truth = labels_of(ImageScene(object="cat", relation="above", other="dog"))
    assert truth["object"].sum() == 2
    assert int(truth["count"]) == 0


def test_a_clip_unet_takes_all_weights_of_the_picture_unet() -> None:
    image, video = build_unet("image", (4, 16, 16)), build_unet("video", (4, 8, 12, 12))
    weights = image.state_dict()
    assert inflate(video, weights) == len(weights)
    assert torch.equal(video.state_dict()["conv_in.weight"], weights["conv_in.weight"])
    with pytest.raises(ValueError, match="lacks 1 of the picture UNet's weights"):
        inflate(video, {"nothing.weight": torch.zeros(1)})


def test_encoders_are_taught_and_read_media(tmp_path: Path) -> None:
    sizes = {"image": 4, "video": 4, "audio": 4}
    train_image_encoder(tmp_path / "image-encoder", tmp_path / "scenes", SHORT, sizes)
    encoder = TransformersBackbone.from_pretrained(
        tmp_path / "image-encoder", video_frames=VIDEO_FRAMES, frame_pooling=FRAME_POOLING
    )
    _, clips = rendered_scenes("video", "train", 4, 0, tmp_path / "scenes")
    # What it is taught with is what it will be given.
    torch.testing.assert_close(
        pixels(clips, [0])[0], encoder.preprocess("video", np.asarray(clips[0])), atol=1e-5, rtol=0
    )
    assert encoder.num_patches("image") == encoder.num_patches("video") == 64
    train_audio_encoder(tmp_path / "audio-encoder", tmp_path / "scenes", SHORT, 4)
    _, waves = rendered_scenes("audio", "train", 4, 0, tmp_path / "scenes")
    vectors = sound_vectors(ImageBind.from_pretrained(tmp_path / "audio-encoder"), waves)
    assert vectors.shape == (4, encoder.feature_dim)


def test_captions_of_sounds_move_apart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "audio").mkdir()
    build_audio_encoder().save_pretrained(tmp_path / "audio-encoder")
    vae = build_autoencoder(1, (8, 8, 8))
    vae.save_pretrained(tmp_path / "audio" / "vae")
    prepare("audio", tmp_path / "audio", None)
    options = replace(
        SHORT,
        steps=30,
        batch_size=16,
        warmup_steps=1,
        ema_decay=0.0,
        learning_rate=3e-3,
        log_every=6,
    )
    args = (tmp_path / "audio", tmp_path / "audio-encoder", tmp_path / "scenes")
    first = train_text_encoder(*args, replace(options, steps=1), 24)["contrast"]
    shutil.rmtree(tmp_path / "audio" / "fit-text")
    # By 0.4 or more on every kind of processor tried; a few steps less are within the noise.
    assert train_text_encoder(*args, options, 24)["contrast"] < first - 0.2


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_a_decoder_is_trained_saved_and_generates(tmp_path: Path, modality: str) -> None:
    folder, cache = tmp_path / modality, tmp_path / "scenes"
    train_autoencoder(modality, folder, cache, SHORT, size=8)
    means = train_diffusion(modality, folder, cache, SHORT, size=8)
    assert np.isfinite(means["denoising"])
    decoder = LatentDiffusion.from_pretrained(modality, folder)
    made = decoder.generate(
        decoder.encode_captions(["a dog at night"]), seeds=[0], num_inference_steps=2
    )
    assert made[0].shape == {"image": (64, 64, 3), "audio": (32768,)}[modality]


def test_autoencoder_latents_have_a_quarter_of_each_side() -> None:
    vae = build_autoencoder(3, (8, 8, 8))
    assert vae.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mean.shape == (1, 4, 16, 16)


def test_errors_of_the_recipes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no part 'vision'; there are image-encoder"):
        train_named_part("vision", tmp_path)
    with pytest.raises(ValueError, match="train it first with: anyweave train part image"):
        train_named_part("video", tmp_path)
    with pytest.raises(ValueError, match="scale must be above 0"):
        train_named_part("image-encoder", tmp_path, scale=0)
    with pytest.raises(ValueError, match="precision is fp32 or bf16"):
        FitOptions(steps=1, batch_size=1, precision="int8")
    assert all(options.steps > 0 for options in OPTIONS.values())


def test_output_projectors_learn_from_states_alone(tmp_path: Path) -> None:
    model = tiny_model()
    before = {name: p.clone() for name, p in model.language.named_parameters()}
    source = [
        [
            Message("user", f"draw {n}"),
            Message("assistant", [Text("Here."), Image(np.zeros((8, 8, 3), np.uint8), caption=n)]),
        ]
        for n in ("a dog", "two cats at night")
    ]
    states = signal_states(model, source)
    assert set(states) == {"image"}
    assert states["image"].hidden.shape[:2] == (2, len(model.processor.signals.ids("image")))
    short, long = (replace(SHORT, steps=steps, batch_size=4) for steps in (1, 40))
    first = teach_output_projectors(model, states, {"image": short}, tmp_path / "short")
    then = teach_output_projectors(model, states, {"image": long}, tmp_path / "long")
    assert then["alignment/image"] < first["alignment/image"]
    assert all(torch.equal(before[n], p) for n, p in model.language.named_parameters())


def test_rare_directions_of_embeddings_count_as_much_as_common_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    large, small = torch.randn(500, 1, 2, generator=generator).split(1, dim=2)
    embeddings = torch.cat((10 * large, 0.8 * small, 0 * small), dim=2) + 3.0
    measure = whitening(embeddings)
    assert measure.shape == (3, 2)  # nothing varies along the third number
    centred = (embeddings - embeddings.mean(0)).flatten(1)
    assert torch.allclose((centred @ measure).std(0), torch.ones(2), atol=0.01)


def test_a_part_is_not_continued_with_other_options(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)

    def loss(generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"size": module.weight.square().mean()}

    options = FitOptions(steps=4, batch_size=2, checkpoint_every=2)
    fit(module, loss, options, tmp_path)
    fit(module, loss, replace(options, log_every=1), tmp_path)
    with pytest.raises(ValueError, match="begun with other options: steps was 4, is 8"):
        fit(module, loss, replace(options, steps=8), tmp_path)
    (tmp_path / "fit.pt").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="fit.pt cannot be loaded"):
        fit(module, loss, options, tmp_path)


def test_what_a_part_saves_under_its_own_name_is_not_locked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_lesson(output: Path, device: str, scale: float) -> str:
        tiny_model().save_pretrained(output / "emoji-mini")
        return "saved"

    monkeypatch.setattr(recipes, "_first_lesson", first_lesson)
    assert recipes.train_named_part("emoji-mini", tmp_path) == "emoji-mini: saved"
