from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anyweave import media
from anyweave.data import MessagesJsonl, Mixture, Records
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.messages import PAPER_MODALITIES, Audio, Image, Media, Message, Modality, Video
from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.model.spec import SIZE_NAMES
from anyweave.processing.cache import FeatureCache
from anyweave.testing.conversations import tiny_conversations, tiny_media
from anyweave.testing.decoders import write_tiny_decoder
from anyweave.testing.encoders import tiny_imagebind
from anyweave.testing.model import tiny_spec
from anyweave.training.config import TrainConfig
from anyweave.training.features import FrozenFeatures
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

MakeModel = Callable[[], NextGPT]
MakeConfig = Callable[..., TrainConfig]


def _losses(config: TrainConfig) -> list[dict[str, float]]:
    return [record["losses"] for record in read_log(Path(config.output_dir) / "log.jsonl")]


def test_cached_and_uncached_runs_give_the_same_losses(
    plain_model: MakeModel, config: MakeConfig, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    plain = config(run="plain", steps=4)
    filling = config(run="filling", steps=4, cache_dir=cache)
    filled = config(run="filled", steps=4, cache_dir=cache)
    for run in (plain, filling, filled):
        model = plain_model()
        if run is filled:  # nothing may be encoded again
            model.encoders.forward = None  # type: ignore[assignment]
            for modality in model.decoders:
                model.decoders[modality].encode_media = None
                model.decoders[modality].encode_captions = None
        Trainer(model, run, tiny_conversations()).train()
    for one, other in ((plain, filling), (filling, filled)):
        assert len(_losses(one)) == 4
        for left, right in zip(_losses(one), _losses(other), strict=True):
            assert left == pytest.approx(right, rel=1e-4)


SIZES: dict[Modality, dict[str, Any]] = {
    "image": {"height": 32, "width": 16},
    "video": {"height": 16, "width": 32, "num_frames": 6},
    "audio": {"audio_length": 0.16},
}


def _latents(model: NextGPT, medium: Media, cache: FeatureCache | None = None) -> torch.Tensor:
    """What the denoising loss is trained on for an answer that shows `medium`."""
    frozen = FrozenFeatures(model, cache)
    source = [[Message("user", "show it"), Message("assistant", [medium])]]
    rendered = frozen.renderer(source)(0, load_targets=True)
    latents = frozen.complete([rendered], latents=True)[0].targets[0].latents
    assert latents is not None
    return latents


def _sized(parts: Path, sizes: dict[Modality, dict[str, Any]]) -> NextGPT:
    spec = tiny_spec(parts)
    decoders = {m: replace(d, generate=sizes.get(m, {})) for m, d in spec.decoders.items()}
    return build(replace(spec, decoders=decoders), root=parts)


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_latents_have_the_size_of_replies(parts: Path, modality: Modality) -> None:
    model = _sized(parts, SIZES)
    latents = _latents(model, tiny_media(modality, 1))
    options = GenerationOptions(max_new_tokens=1, force=(modality,), num_inference_steps=1)
    reply = ChatSession(model, options).reply("x").media(modality)[0].source
    decoded = model.decoders[modality].codec.decode(latents[None])[0]
    assert decoded.shape == reply.shape
    assert _latents(_sized(parts, {}), tiny_media(modality, 1)).shape != latents.shape


def test_every_size_of_a_spec_is_known() -> None:
    assert list(SIZE_NAMES) == [field.name for field in fields(MediaSize)]


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_latents_of_another_size_are_not_taken_from_the_cache(
    parts: Path, modality: Modality, tmp_path: Path
) -> None:
    cache, medium = FeatureCache(tmp_path), tiny_media(modality, 1)
    one, other = _sized(parts, {}), _sized(parts, SIZES)
    small, large = _latents(one, medium, cache), _latents(other, medium, cache)
    assert torch.equal(large, _latents(other, medium))
    assert large.shape != small.shape
    assert torch.equal(_latents(one, medium, cache), small)


@pytest.mark.parametrize("rate", [8000, 24000])
def test_sounds_are_learnt_at_the_decoders_rate(tmp_path: Path, rate: int) -> None:
    write_tiny_decoder(tmp_path / "decoders" / "audio", "audio", sample_rate=rate)
    model = build(tiny_spec(tmp_path), root=tmp_path)
    assert model.decoders.loaded == ()
    seconds = np.arange(44100) / 44100
    tone = Audio(0.4 * np.sin(2 * np.pi * 440 * seconds).astype(np.float32), rate=44100)
    right = model.decoders["audio"].encode_media([media.load(tone, sample_rate=rate)])[0]
    torch.testing.assert_close(_latents(model, tone), right)
    target = model.processor.render(
        [Message("user", "x"), Message("assistant", [tone])], load_targets=True
    ).targets[0]
    assert (target.rate, len(target.array)) == (rate, rate)


def test_clips_are_learnt_at_their_own_speed(plain_model: MakeModel) -> None:
    model = plain_model()
    clip = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    right = model.decoders["video"].encode_media([clip[[0, 3, 6, 9]]])[0]
    torch.testing.assert_close(_latents(model, Video(clip, rate=24.0)), right)


def test_sounds_are_heard_at_the_encoders_rate(tmp_path: Path) -> None:
    tiny_imagebind(sample_rate=8000, towers=("vision", "audio")).save_pretrained(
        tmp_path / "encoders" / "imagebind"
    )
    tone = tiny_media("audio", 1)  # at 16 kHz
    for lazy in (False, True):
        model = build(tiny_spec(tmp_path), root=tmp_path, lazy_encoders=lazy)
        heard = model.processor.preprocess(tone)
        wave = media.load(tone, sample_rate=8000)
        encoder: Any = model.encoders["audio"]
        expected = encoder.preprocess("audio", wave, rate=8000)
        torch.testing.assert_close(heard, expected)


def test_captions_are_encoded_once_per_text(
    plain_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = plain_model()
    decoder = model.decoders["image"]
    asked: list[list[str]] = []
    encode = decoder.encode_captions

    def encode_captions(texts: list[str]) -> torch.Tensor:
        asked.append(texts)
        return encode(texts)

    monkeypatch.setattr(decoder, "encode_captions", encode_captions)
    frozen = FrozenFeatures(model)
    first = frozen.caption_embeddings("image", ["a", "b", "a"])
    again = frozen.caption_embeddings("image", ["b", "c"])
    assert asked == [["a", "b"], ["c"]]
    assert torch.equal(first[0], first[2]) and torch.equal(first[1], again[0])


def test_the_renderer_skips_what_cannot_be_used(plain_model: MakeModel, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    source = [
        [Message("user", [Image(broken), "what?"]), Message("assistant", "x")],
        [Message("user", [Image(tmp_path / "absent.png"), "what?"]), Message("assistant", "x")],
        [Message("user", "long " * 500), Message("assistant", "x")],
        [Message("user", "nobody answers")],
        [Message("user", "hi"), Message("assistant", "hello")],
    ]
    renderer = FrozenFeatures(plain_model()).renderer(source, max_length=128)
    rendered = [renderer(index, load_targets=True) for index in range(5)]
    assert [item.sample is None for item in rendered] == [True, True, True, True, False]
    for item, reason in zip(
        rendered,
        ("broken.png", "absent.png", "too long", "the assistant says nothing"),
        strict=False,
    ):
        assert reason in (item.problem or "")


def test_training_names_the_place_of_what_it_refuses(
    plain_model: MakeModel, tmp_path: Path
) -> None:
    def row(*turns: tuple[str, object]) -> str:
        messages = [{"role": role, "content": content} for role, content in turns]
        return json.dumps({"messages": messages}) + "\n"

    clip = [{"type": "video", "path": "c.mp4"}]
    (tmp_path / "c.mp4").write_bytes(b"")
    path = tmp_path / "rows.jsonl"
    path.write_text(
        row(("user", "hi"), ("assistant", "yes"), ("user", "sure?"), ("assistant", ""))
        + row(("user", clip), ("assistant", "A fox."))
        + row(("system", "a"), ("system", "b"))
    )
    frozen = FrozenFeatures(plain_model())
    frozen.model.processor.encoders = {}
    records = Records(path)
    for source in (
        MessagesJsonl(path),
        records,
        Mixture({"x": records}),
        Records(path, on_disk=True),
    ):
        renderer = frozen.renderer(source)
        problems, refused = [], []
        for index in range(3):
            try:
                problems.append(renderer(index, load_targets=False).problem)
            except ValueError as error:
                refused.append(str(error))
        assert [f"{path}:1: message 3: the assistant says nothing" in str(p) for p in problems] == [
            True
        ]
        assert any(f"{path}:2: this model takes no video as input" in text for text in refused)
        assert any(f"{path}:3: message 1 is a system message" in text for text in refused)


def test_a_run_reports_what_rows_have_that_is_not_read(
    plain_model: MakeModel, config: MakeConfig, tmp_path: Path
) -> None:
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"conversations": turns, "tools": "[]"}] * 2))
    run = config("decoding_alignment", steps=2, data={"batch_size": 1})
    report = Trainer(plain_model(), run, Mixture({"x": Records(path)})).train()
    assert report.samples == 2
    assert report.skipped == {"the key 'tools' (not read; the rest of the item is kept)": 2}


def test_a_mistake_in_the_data_stops_the_run(plain_model: MakeModel) -> None:
    """Its words do not make it a long conversation."""

    class Wrong(list[list[Message]]):
        def __getitem__(self, index: object) -> list[Message]:  # type: ignore[override]
            raise ValueError("the list is too long")

    renderer = FrozenFeatures(plain_model()).renderer(Wrong([[]]))
    with pytest.raises(ValueError, match="item 0: the list is too long"):
        renderer(0, load_targets=True)


def test_a_run_reports_what_it_skipped(
    plain_model: MakeModel, config: MakeConfig, tmp_path: Path
) -> None:
    bad = [Message("user", [Image(tmp_path / "gone.png")]), Message("assistant", "x")]
    good = [Message("user", "hi"), Message("assistant", "hello")]
    run = config("decoding_alignment", steps=4, data={"batch_size": 1})
    report = Trainer(plain_model(), run, [bad, good]).train()
    assert report.samples == 2 and sum(report.skipped.values()) == 2
    assert "gone.png" in next(iter(report.skipped))


def test_data_workers_change_nothing(plain_model: MakeModel, config: MakeConfig) -> None:
    alone = config(run="alone", steps=2)
    helped = config(run="helped", steps=2, data={"num_workers": 1})
    for run in (alone, helped):
        Trainer(plain_model(), run, tiny_conversations()).train()
    assert _losses(alone) == _losses(helped)
