"""The forward pass: batching, cached features, gradients and what stays frozen."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from anyweave.batch import IGNORE_INDEX, Sample
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.messages import Audio, Image, Message, Video
from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.model.fusion import gather_spans, scatter_media
from anyweave.model.roles import ROLES
from anyweave.processing import collate
from anyweave.testing.model import tiny_model, tiny_spec


def picture(seed: int) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 255, (32, 40, 3), dtype=np.uint8))


def clip(seed: int) -> Video:
    rng = np.random.default_rng(seed)
    return Video(rng.integers(0, 255, (8, 32, 32, 3), dtype=np.uint8), rate=8.0)


def sound(seed: int) -> Audio:
    wave = np.random.default_rng(seed).normal(0, 0.1, 16000).astype(np.float32)
    return Audio(wave, rate=16000.0)


def conversations() -> list[list[Message]]:
    return [
        [Message("user", [picture(0), "what is it?"]), Message("assistant", "a cat")],
        [
            Message("user", [sound(1), picture(1), "draw it, then play it, please"]),
            Message("assistant", ["Here.", Image(caption="a dog"), "And.", Audio(caption="bark")]),
        ],
        [Message("user", [clip(2), "hm"]), Message("assistant", [Video(caption="it runs"), "."])],
        [
            Message("user", "hello"),
            Message("assistant", ["Two:", Image(caption="x"), Image(caption="y")]),
        ],
    ]


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


@pytest.fixture(scope="module")
def samples(model: NextGPT) -> list[Sample]:
    return [model.processor.render(messages) for messages in conversations()]


def test_batch_of_n_equals_n_batches_of_one(model: NextGPT, samples: list[Sample]) -> None:
    together = model(collate(samples, pad_id=0))
    alone = [model(collate([sample], pad_id=0)) for sample in samples]
    torch.testing.assert_close(
        together.logits, torch.cat([one.logits for one in alone]), atol=1e-4, rtol=1e-4
    )
    assert torch.equal(together.labels, torch.cat([one.labels for one in alone]))
    for modality, conditioning in together.conditioning.items():
        parts = [one.conditioning[modality] for one in alone if modality in one.conditioning]
        torch.testing.assert_close(conditioning, torch.cat(parts), atol=1e-4, rtol=1e-4)
    assert {m: tuple(c.shape) for m, c in together.conditioning.items()} == {
        "image": (3, 8, 32),
        "video": (1, 8, 32),
        "audio": (1, 1, 32),
    }


def test_padding_id_does_not_matter(model: NextGPT, samples: list[Sample]) -> None:
    one, other = (model(collate(samples, pad_id=pad)) for pad in (0, 258))
    torch.testing.assert_close(one.logits, other.logits)


def test_logits_only_where_labels_are(model: NextGPT, samples: list[Sample]) -> None:
    batch = collate(samples, pad_id=0)
    output = model(batch)
    assert len(output.logits) == int((batch.labels[:, 1:] != IGNORE_INDEX).sum())
    # Recomputed by hand for the first supervised position of the first row.
    first = int((batch.labels[0] != IGNORE_INDEX).nonzero()[0, 0])
    hidden, _ = model.language(model.embed(batch), attention_mask=batch.attention_mask)
    torch.testing.assert_close(output.logits[0], model.language.logits(hidden[0, first - 1]))
    assert int(output.labels[0]) == int(batch.input_ids[0, first])


def test_cached_features_equal_computed_ones(model: NextGPT, samples: list[Sample]) -> None:
    batch = collate(samples, pad_id=0)
    media = {
        modality: replace(entry, inputs=None, features=model.encode(modality, entry))
        for modality, entry in batch.media.items()
    }
    torch.testing.assert_close(model(batch).logits, model(replace(batch, media=media)).logits)


def test_media_reaches_the_logits(model: NextGPT) -> None:
    def logits(seed: int) -> Tensor:
        messages = [Message("user", [picture(seed), "what?"]), Message("assistant", "a")]
        return model(collate([model.processor.render(messages)], pad_id=0)).logits

    assert not torch.allclose(logits(0), logits(1))


def test_condition_adds_the_input_rows(model: NextGPT) -> None:
    hidden = torch.randn(2, 4, 32)
    ids = torch.tensor(model.processor.signals.ids("image"))
    rows = model.language.signals.input_rows[ids - model.language.base_vocab_size]
    expected = model.output_projectors["image"](hidden + rows)
    torch.testing.assert_close(model.condition("image", hidden), expected)


def test_scatter_and_gather_are_inverse(model: NextGPT, samples: list[Sample]) -> None:
    batch = collate(samples, pad_id=0)
    projected = model.embed_media(batch)
    embeds = scatter_media(model.embed_tokens(batch.input_ids), batch.media, projected)
    for modality, entry in batch.media.items():
        back = gather_spans(embeds, entry.rows, entry.starts, entry.length)
        torch.testing.assert_close(back, projected[modality])


def test_scatter_refuses_a_wrong_length(model: NextGPT, samples: list[Sample]) -> None:
    batch = collate(samples[:1], pad_id=0)
    wrong = {"image": torch.zeros(1, 7, 32)}
    with pytest.raises(ValueError, match="gives 7 tokens, the processor left 3 places"):
        scatter_media(model.embed_tokens(batch.input_ids), batch.media, wrong)


def test_starts_frozen_and_stays_in_eval() -> None:
    model = tiny_model()
    assert not any(p.requires_grad for p in model.parameters())
    model.parameters_of("input_projectors")
    for parameter in model.parameters_of("output_projectors").values():
        parameter.requires_grad_(True)
    model.train()
    training = {name for name, module in model.named_modules() if module.training and name}
    assert all(n.startswith(("output_projectors.", "language")) for n in training)
    assert model.output_projectors["image"].training
    assert not model.encoders["image"].training
    assert not model.input_projectors["image"].training
    dropouts = [m for m in model.language.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts
    assert not any(m.training for m in dropouts)
    for parameter in model.parameters_of("lora").values():
        parameter.requires_grad_(True)
    assert any(
        m.training for m in model.train().language.modules() if isinstance(m, torch.nn.Dropout)
    )
    assert not any(module.training for module in model.eval().modules())


def test_roles_are_disjoint_and_get_gradients(samples: list[Sample]) -> None:
    model = tiny_model()
    roles = {role: model.parameters_of(role) for role in ROLES}
    ids = [id(p) for parameters in roles.values() for p in parameters.values()]
    assert len(ids) == len(set(ids))
    for parameters in roles.values():
        for parameter in parameters.values():
            parameter.requires_grad_(True)
    model.train()
    output = model(collate(samples, pad_id=0))
    (
        output.logits.logsumexp(-1).mean()
        + sum(c.square().mean() for c in output.conditioning.values())
    ).backward()
    assert roles.pop("decoder_lora") == {}  # nothing has them unless it is asked for
    for role, parameters in roles.items():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters.values()), role
    assert all(p.grad is None for p in model.encoders.parameters())
    with pytest.raises(ValueError, match="unknown role 'encoders'"):
        model.parameters_of("encoders")  # type: ignore[arg-type]


def test_shared_projector_counts_once() -> None:
    shared = tiny_model()
    assert shared.input_projectors["image"] is shared.input_projectors["audio"]
    assert all(name.startswith("image.") for name in shared.parameters_of("input_projectors"))


def test_normalized_conditioning(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    audio = replace(spec.output_projectors["audio"], normalize=True)
    changed = replace(spec, output_projectors={**spec.output_projectors, "audio": audio})
    conditioning = build(changed, root=tmp_path).condition("audio", torch.randn(2, 3, 32))
    torch.testing.assert_close(conditioning.norm(dim=-1), torch.ones(2, 1))


def test_decoders_load_when_asked_for() -> None:
    model = tiny_model()
    at_first = model.decoders.loaded
    assert at_first == ()
    decoder = model.decoders["image"]
    assert model.decoders["image"] is decoder
    loaded = model.decoders.loaded
    assert loaded == ("image",)
    assert set(model.decoders) == {"image", "video", "audio"}
    model.decoders.unload("image")
    assert model.decoders.loaded == ()
    model.to(torch.float32)
    with pytest.raises(KeyError, match="no decoder for text"):
        model.decoders["text"]


def test_a_named_revision_reaches_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec(tmp_path)
    asked: list[str | None] = []
    load = LatentDiffusion.from_pretrained

    def from_pretrained(*given: Any, **options: Any) -> LatentDiffusion:
        asked.append(options.get("revision"))
        return load(*given, **options)

    monkeypatch.setattr(LatentDiffusion, "from_pretrained", from_pretrained)
    pinned = {**spec.decoders, "image": replace(spec.decoders["image"], revision="v1")}
    model = build(replace(spec, decoders=pinned), root=tmp_path)
    assert (model.decoders["image"].modality, model.decoders["audio"].modality) == (
        "image",
        "audio",
    )
    assert asked == ["v1", None]


def test_wrong_decoder_size_is_refused(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    wrong = {**spec.decoders, "image": replace(spec.decoders["image"], conditioning_tokens=5)}
    model = build(replace(spec, decoders=wrong), root=tmp_path)
    with pytest.raises(ValueError, match=r"conditioned by \(8, 32\).*the spec says \(5, 32\)"):
        model.decoders["image"]


def test_a_decoder_is_built_with_what_its_spec_says(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    part = replace(
        spec.decoders["audio"], num_inference_steps=7, generate={"audio_length": 0.16, "eta": 1.0}
    )
    model = build(replace(spec, decoders={**spec.decoders, "audio": part}), root=tmp_path)
    with pytest.raises(ValueError, match=r"unknown decoder settings \['eta'\]"):
        model.decoders["audio"]
    part = replace(part, guidance_scale=1.5, generate={"audio_length": 0.16})
    model = build(replace(spec, decoders={**spec.decoders, "audio": part}), root=tmp_path)
    decoder = model.decoders["audio"]
    assert (decoder.defaults.num_inference_steps, decoder.guidance_scale) == (7, 1.5)
    made = decoder.generate(decoder.unconditional(), seeds=[0])
    assert len(made[0]) == 2560
    latents = model.encode_targets("audio", [np.zeros(5120, dtype=np.float32)], [16000.0])
    assert latents.shape[1:] == decoder.codec.latent_shape(MediaSize(audio_length=0.16))


def test_half_precision_is_not_emulated_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Processors without instructions for bfloat16 take several times as long for it."""
    spec = tiny_spec(tmp_path / "parts")
    half = replace(spec, language=replace(spec.language, dtype="bfloat16"))
    build(half, root=tmp_path / "parts").save_pretrained(tmp_path / "half")
    monkeypatch.setattr("anyweave.model.build.multiplies_bfloat16", lambda: True)
    assert NextGPT.from_pretrained(tmp_path / "half").language.dtype == torch.bfloat16
    monkeypatch.setattr("anyweave.model.build.multiplies_bfloat16", lambda: False)
    with caplog.at_level(logging.INFO):
        assert NextGPT.from_pretrained(tmp_path / "half").language.dtype == torch.float32
    assert "no bfloat16 instructions" in caplog.text
    asked = NextGPT.from_pretrained(tmp_path / "half", dtype="bfloat16")
    assert asked.language.dtype == torch.bfloat16
