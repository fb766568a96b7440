"""What all parts share: the loop that trains them, the lessons of projectors, putting together."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.messages import Image, Message, Modality, Text
from anyweave.model.any_to_any import NextGPT
from anyweave.tensors import load_tensors
from anyweave.testing.model import tiny_model
from anyweave.training.contrast import whitening
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, Scene, SoundScene
from emoji_mini.parts import (
    assemble,
    clip_denoiser,
    flow,
    picture_denoiser,
    recipes,
    states,
    warmup,
)
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.states import (
    signal_states,
    teach_output_projectors,
    unexplained,
)

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


def test_output_projectors_learn_from_states_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    more = {"image": ["two dogs at night", "a jazz quiz"]}
    # An untrained model recalls nothing.
    monkeypatch.setattr(
        "emoji_mini.parts.states.recalls", lambda model, hidden, ids: torch.ones_like(ids) > 0
    )
    with caplog.at_level(logging.INFO):
        teach_output_projectors(model, states, {"image": short}, tmp_path / "more", more)
    assert "states for 1 of 2 more captions" in caplog.text
    one = signal_states(model, source[:1])
    assert teach_output_projectors(model, one, {"image": short}, tmp_path / "one") == {}
    assert all(torch.equal(before[n], p) for n, p in model.language.named_parameters())


def test_a_trial_leaves_its_last_step(tmp_path: Path) -> None:
    whole = _regression(tmp_path, 2)  # a checkpoint is due every third
    assert torch.equal(torch.load(tmp_path / "fit.pt", weights_only=True)["average"][0], whole)


def test_rare_directions_of_embeddings_count_as_much_as_common_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    large, small = torch.randn(500, 1, 2, generator=generator).split(1, dim=2)
    embeddings = torch.cat((10 * large, 0.8 * small, 0 * small), dim=2) + 3.0
    measure = whitening(embeddings)
    assert measure.shape == (3, 2)  # nothing varies along the third number
    centred = (embeddings - embeddings.mean(0)).flatten(1)
    assert torch.allclose((centred @ measure).std(0), torch.ones(2), atol=0.01)
    # Where no embedding differs from another, a shift is seen by the first figure alone.
    shift = torch.zeros(4, 1, 3)
    shift[..., 2] = 5.0
    whole, along = unexplained(shift, measure, embeddings.var(0).mean())
    assert whole > 0.1
    assert along < 1e-6


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


def test_the_lesson_from_states_leaves_a_whole_model_with_other_output_projectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(output: Path, **_: object) -> None:
        tiny_model().save_pretrained(output)

    monkeypatch.setattr(states, "assemble", tiny)
    fast = replace(SHORT, learning_rate=0.1, warmup_steps=1, ema_decay=0.0)
    tiny(tmp_path / "talks")
    more: dict[Modality, int] = {"image": 20}
    means = states.lesson(tmp_path / "talks", tmp_path / "taught", fast, 30, more)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"talks", "taught"}
    errors, media = ("alignment", "directions"), ("image", "video", "audio")
    assert set(means) == {f"{error}/{modality}" for error in errors for modality in media}
    assert np.isfinite(list(means.values())).all()
    before = dict(tiny_model().output_projectors.named_parameters())
    after = NextGPT.from_pretrained(tmp_path / "taught").output_projectors.named_parameters()
    moved = {name.split(".")[0] for name, p in after if (before[name] - p).abs().max() > 0.05}
    assert moved == {"image", "video", "audio"}
    stored = load_tensors(tmp_path / "taught" / "output_projectors.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


def test_signal_rows_of_another_length_are_stretched(tmp_path: Path) -> None:
    trained = tiny_model(signal_tokens={"image": 2, "video": 3, "audio": 2})
    model = tiny_model(signal_tokens={"image": 5, "video": 3, "audio": 1})
    trained.save_pretrained(tmp_path / "talks")
    assemble._stretch_signal_rows(model, tmp_path / "talks")
    rows, before = (m.language.signals.input_rows.detach() for m in (model, trained))
    assert torch.equal(rows, before[[0, 0, 0, 1, 1, 2, 3, 4, 5]])


def test_a_clip_unet_takes_all_weights_of_the_picture_unet() -> None:
    image = picture_denoiser.build_unet(4)
    weights = image.state_dict()
    with pytest.raises(ValueError, match="lacks 1 of the picture UNet's weights"):
        clip_denoiser.inflate(image, {"nothing.weight": torch.zeros(1)})
    video = clip_denoiser.build_unet(16, picture_denoiser.TRAINED)
    kept = load_tensors(picture_denoiser.TRAINED / "unet" / "diffusion_pytorch_model.safetensors")
    assert set(weights) == set(kept)
    assert torch.equal(video.state_dict()["conv_in.weight"], kept["conv_in.weight"].float())


def test_the_first_lesson_sees_media_of_the_world() -> None:
    scenes, features = warmup.world_features(tiny_model(), {"image": 2, "audio": 3})
    assert {m: len(shown) for m, shown in scenes.items()} == {"image": 2, "audio": 3}
    assert len(features["image"]) == 2 and features["audio"].dtype == torch.float16


class WordTokenizer:
    """A word is a token, a newline too."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
        assert not add_special_tokens
        said = [text] if text == "\n" else text.split()
        self.words += [word for word in said if word not in self.words]
        return SimpleNamespace(input_ids=[self.words.index(word) for word in said])


@pytest.mark.parametrize(
    ("scene", "wanted"),
    [
        (
            PictureScene(
                object="cat", relation="left of", other="dog", other_count=1, background="snow"
            ),
            ["a cat left a dog in the snow", "a dog right a cat in the snow"],
        ),
        (
            PictureScene(object="cat", count=2, other="dog", other_count=1, background="night"),
            ["two cats and a dog at night", "a dog and two cats at night"],
        ),
        (
            PictureScene(object="cat", relation="between", other="dog", other_count=2),
            ["a cat between two dogs a white background"],
        ),
        (PictureScene(object="grapes", count=3), ["three bunches of grapes a white background"]),
        (
            ClipScene(object="heart", motion="beating", background="beach"),
            ["a heart beating on a beach"],
        ),
        (SoundScene(sounds=("bell", "dog")), ["a bell ringing then a dog barking"]),
        (SoundScene(sounds=("dog",)), ["a dog barking"]),
    ],
)
def test_a_scene_reads_as_words_in_fixed_places(scene: Scene, wanted: list[str]) -> None:
    tokenizer = WordTokenizer()
    told = warmup.Speller(tokenizer).readings(scene)
    assert [" ".join(tokenizer.words[i] for i in ids).split() for ids in told] == [
        text.split() for text in wanted
    ]
    assert all(len(ids) <= 16 for ids in told)


def test_both_tellings_start_where_the_other_did() -> None:
    scene = PictureScene(object="grapes", count=2, other="dog", other_count=1)
    one, other = warmup.Speller(WordTokenizer()).readings(scene)
    assert one[:6] == other[7:13] and one[7:13] == other[:6] and one[13:] == other[13:]


def test_the_nearer_telling_is_learnt() -> None:
    """A projector that already tells a picture from its other end has nothing to learn."""
    model = tiny_model()
    scene = PictureScene(object="cat", relation="left of", other="dog", other_count=1)
    length = model.processor.num_input_tokens["image"]
    numbers, words = warmup.reading_words(model, [scene], length)
    assert numbers.shape == (1, 2, length) and not torch.equal(numbers[0, 0], numbers[0, 1])
    rows = model.language.embed(words[None])[0].float()
    for telling in numbers[0]:
        told = warmup.reading_losses(rows[telling][None], numbers, rows)
        assert float(told["size"]) == pytest.approx(0.0, abs=1e-6)
        assert float(told["word"]) < 0.05
    wrong = warmup.reading_losses(-rows[numbers[0, :1]], numbers, rows)
    assert float(wrong["word"]) > 1.0


def test_what_the_projector_tells_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A projector that says the nearer telling of every medium is right in all."""
    model = tiny_model()
    shown: dict[str, torch.Tensor] = {}
    found = warmup.reading_words

    def remembered(model: NextGPT, scenes: list[Scene], length: int) -> tuple[torch.Tensor, ...]:
        numbers, words = found(model, scenes, length)
        shown["told"] = model.language.embed(words[None])[0].float()[numbers[:, -1]]
        return numbers, words

    monkeypatch.setattr(warmup, "reading_words", remembered)
    assert "| 3 each | 0.00 [0.00, 0.56] |" in warmup.measure(model, number=3)
    for place, modality in enumerate(("image", "video", "audio")):
        said = shown["told"][3 * place : 3 * place + 3]
        monkeypatch.setitem(
            model.input_projectors._modules, modality, _Says(said if modality != "video" else -said)
        )
    assert warmup.measure(model, number=3).splitlines()[-1] == (
        "| 3 each | 1.00 [0.44, 1.00] | 0.00 [0.00, 0.56] | 1.00 [0.44, 1.00] |"
    )


class _Says(nn.Module):
    def __init__(self, said: torch.Tensor) -> None:
        super().__init__()
        self.said = said

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.said


def test_parts_come_from_the_project_or_from_a_folder_of_parts(tmp_path: Path) -> None:
    own = tmp_path / "parts" / "audio-encoder"
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    assemble.place("audio-encoder", tmp_path / "one", tmp_path / "parts")
    assert (tmp_path / "one" / "config.json").read_text() == "{}"
    assemble.place("audio-encoder", tmp_path / "other")
    assert (tmp_path / "other" / "model.safetensors").is_file()
    assemble.place("image-encoder", tmp_path / "eyes")
    assert (tmp_path / "eyes" / "preprocessor_config.json").is_file()


def test_a_part_that_stands_nowhere_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "TRAINED", tmp_path)
    with pytest.raises(ValueError, match=r"lacks clip_denoiser/: train it .* holds video/"):
        assemble.place("video", tmp_path / "video")


def test_what_a_part_cannot_do_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot measure output-projectors on 8 .* pict"):
        recipes.measure_named_part("output-projectors", tmp_path, 8)
    with pytest.raises(ValueError, match="motion-judge is no lesson"):
        recipes.train_named_part("motion-judge", tmp_path, trained=tmp_path)
    with pytest.raises(ValueError, match="motion-judge does not ship alone; .* sound-denoiser"):
        recipes.ship_named_part("motion-judge", tmp_path)
    with pytest.raises(ValueError, match="follows the one of recipe emoji-mini-asked, .*--trained"):
        recipes.train_named_part("input-projector", tmp_path)


def test_the_clip_denoiser_is_trained_measured_and_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, folder = picture_denoiser.TRAINED, tmp_path / "video"
    clip_denoiser.encode(folder, size=2)
    assert np.load(folder / "latents.npy").shape == (2, 16, 16, 8, 8)
    clip_denoiser.train(folder, pictures, replace(SHORT, steps=1))
    table = clip_denoiser.measure(folder, pictures, 2, num_inference_steps=1)
    assert table.startswith("| drawn from held-out captions | object | motion | background |")
    assert "| 2 clips | " in table
    monkeypatch.setattr(assemble, "TRAINED", tmp_path / "trained")
    recipes.ship_named_part("clip-denoiser", tmp_path)
    shipped = tmp_path / "trained" / "clip_denoiser"
    assert not (shipped / "vae").exists()
    assemble.place("video", tmp_path / "whole")
    whole = LatentDiffusion.from_pretrained("video", tmp_path / "whole")
    assert flow.make(whole, ["a dog"], num_inference_steps=1).shape == (1, 16, 64, 64, 3)
    # It goes on from what has been shipped; its caption encoder may stay as it is.
    again = tmp_path / "again"
    again.mkdir()
    for name in ("latents.npy", "captions.jsonl"):
        shutil.copy(folder / name, again)
    kept = load_tensors(shipped / "unet" / "diffusion_pytorch_model.safetensors")
    unet = clip_denoiser.build_unet(16, shipped).state_dict()
    assert all(torch.equal(unet[name], tensor.float()) for name, tensor in kept.items())
    clip_denoiser.train(again, shipped, replace(SHORT, steps=1), keep_captions=True)
    clip_denoiser.assemble(again, shipped)
    words = [load_tensors(f / "text_encoder" / "model.safetensors") for f in (again, shipped)]
    assert all(torch.equal(words[0][name], tensor.float()) for name, tensor in words[1].items())
