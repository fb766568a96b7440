"""Specs by name: what they promise, and the way to their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.decoders.families import FAMILIES
from anyweave.messages import PAPER_MODALITIES
from anyweave.model import NextGPT
from anyweave.model.architectures import ARCHITECTURES, architecture, build_decoder
from anyweave.model.build import resolve_source
from anyweave.model.catalogue import SPECS, named_spec
from anyweave.model.inspect import inspect_checkpoint
from anyweave.model.sources import is_here, local_copy, models_folder
from anyweave.model.spec import DecoderSpec, EncoderSpec, LanguageSpec, ModelSpec
from anyweave.processing.template import TEMPLATES
from anyweave.testing.language import write_tiny_language_model
from anyweave.testing.model import tiny_spec


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("ANYWEAVE_MODELS", str(folder))
    return folder


@pytest.fixture
def public_tiny(models: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """A spec by name, `tiny`, whose parts have public names and lie in the folder of models."""
    spec = tiny_spec(models / "someone")

    def public(part: EncoderSpec | DecoderSpec | LanguageSpec) -> str:
        return part.source.replace("./", "someone/")

    spec = replace(
        spec,
        language=replace(spec.language, source=public(spec.language)),
        encoders=tuple(replace(part, source=public(part)) for part in spec.encoders),
        decoders={m: replace(part, source=public(part)) for m, part in spec.decoders.items()},
    )
    monkeypatch.setitem(SPECS, "tiny", spec)
    return spec


@pytest.mark.parametrize("name", SPECS)
def test_named_specs_are_whole(name: str) -> None:
    spec = named_spec(name)
    assert spec.name == name
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert spec.template in {*TEMPLATES, "native"}
    sources = [spec.language.source, *(e.source for e in spec.encoders)]
    sources += [decoder.source for decoder in spec.decoders.values()]
    # What is not public is shipped with the package.
    assert all(source in ARCHITECTURES or local_copy(source) for source in sources)
    assert set(spec.input_modalities) == ({*PAPER_MODALITIES} if spec.encoders else set())
    assert "".join(spec.output_modalities) if spec.calls == "words" else spec.lora


@pytest.mark.parametrize("name", SPECS)
def test_conditioning_is_what_the_denoiser_takes(name: str) -> None:
    for modality, part in named_spec(name).decoders.items():
        found = architecture(resolve_source(part.source, None)) or architecture(part.source)
        assert found is not None
        if found.pipeline in FAMILIES:
            decoder = build_decoder(modality, part)
            assert decoder.modality == modality
            assert decoder.takes(part.conditioning_tokens, part.conditioning_dim)
            assert decoder.num_timesteps == 1000
            continue
        unet = found.components["unet"].config
        if unet.get("class_embed_type"):
            width, tokens = unet["projection_class_embeddings_input_dim"], 1
        else:
            width = unet["cross_attention_dim"]
            tokens = found.components["text_encoder"].config["max_position_embeddings"]
        assert (part.conditioning_tokens, part.conditioning_dim) == (tokens, width)


def test_what_their_names_promise() -> None:
    """Licences, kinds of media, and what is on the device at once in replies."""
    reports = {name: inspect_checkpoint(name) for name in ("studio-24gb", "laptop-8gb", "cpu")}
    studio = reports["studio-24gb"]
    assert all(part.permissive for part in studio.parts if not part.trained)
    assert set(named_spec("studio-24gb").decoders) == {"image", "video", "audio"}
    known = {
        name: {row.precision: row.reply_offloaded / 2**30 for row in report.memory}
        for name, report in reports.items()
    }
    assert known["studio-24gb"]["int4"] < 19 and known["studio-24gb"]["bf16"] < 24
    assert known["laptop-8gb"]["int4"] < 5.5 and known["laptop-8gb"]["bf16"] < 7.5
    assert reports["cpu"].parameters < 3e9
    assert known["cpu"]["fp32"] == next(iter(reports["cpu"].memory)).reply / 2**30
    steps = {m: part.num_inference_steps for m, part in named_spec("cpu").decoders.items()}
    assert steps == {"image": 1, "audio": 10}


def test_the_paper_s_choices() -> None:
    spec = named_spec("paper-7b")
    assert dict(spec.signal_tokens) == {"image": 4, "video": 24, "audio": 8}
    assert spec.lora is not None
    assert (spec.lora.r, spec.lora.alpha, spec.lora.dropout) == (32, 32.0, 0.1)
    assert spec.lora.target_modules == ("q_proj", "k_proj", "v_proj", "o_proj")
    assert spec.encoders[0].type == "imagebind"


def test_an_unknown_name_leads_to_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown spec 'paper-7B'; did you mean 'paper-7b'?"):
        named_spec("paper-7B")
    with pytest.raises(ValueError, match="known: paper-7b, qwen3-4b, permissive-3b, studio-24gb"):
        named_spec("zzz")
    with pytest.raises(ValueError, match=r"not a spec \(paper-7b, qwen3-4b, permissive-3b, studio"):
        NextGPT.from_pretrained("papers-7b")


def test_a_spec_by_name_loads_its_parts(
    public_tiny: ModelSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = NextGPT.from_pretrained("tiny")
    assert "tiny starts untrained" in caplog.text
    assert model.spec == public_tiny
    assert model.decoders["audio"].conditioning_shape[0] == 1
    # Saved, the parts keep their public names, so that the checkpoint works elsewhere.
    saved = model.save_pretrained(tmp_path / "saved")
    again = NextGPT.from_pretrained(saved)
    assert again.spec == public_tiny
    assert again.decoders["image"].conditioning_shape == model.decoders["image"].conditioning_shape


def test_the_papers_media_are_trained_as_large_as_they_are_made() -> None:
    decoders = SPECS["paper-7b"].decoders
    assert {modality: part.size for modality, part in decoders.items()} == {
        "image": {},  # the UNet's own 512 x 512
        "video": {"height": 320, "width": 576, "num_frames": 24},
        "audio": {"audio_length": 10.0},
    }
    other = replace(decoders["audio"], generate={"audio_length": 5.0, "scheduler": "ddim"})
    assert other.size == {"audio_length": 5.0}  # how they are sampled changes no latents


def test_a_folder_goes_before_a_name(
    public_tiny: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    NextGPT.from_pretrained("tiny").save_pretrained(tmp_path / "tiny")
    monkeypatch.setitem(SPECS, "tiny", replace(public_tiny, template="plain"))
    monkeypatch.chdir(tmp_path)
    assert NextGPT.from_pretrained("tiny").spec.template == "chatml"


def test_missing_weights_say_what_to_get_and_where_to_put_it(models: Path) -> None:
    source = "lmsys/vicuna-7b-v1.5"
    assert not is_here(source)
    with pytest.raises(ValueError) as caught:
        NextGPT.from_pretrained("paper-7b")
    message = str(caught.value)
    assert f"the weights of the language model, {source}, are not on this machine" in message
    assert f"'hf download {source} --local-dir DIR'" in message
    assert f"put DIR at {models / source}" in message
    write_tiny_language_model(models / source)  # what was asked for is there now: the next one
    assert is_here(source)
    with pytest.raises(ValueError) as caught:
        NextGPT.from_pretrained("paper-7b")
    message = str(caught.value)
    assert "the weights of the encoder, imagebind_huge.pth, are not on this machine" in message
    assert f"imagebind/imagebind_huge.pth to {models / 'imagebind_huge.pth'}" in message


def test_a_missing_decoder_is_missed_when_first_used(
    public_tiny: ModelSpec, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "someone/decoders/video").rename(models / "elsewhere")
    model = NextGPT.from_pretrained("tiny")
    assert model.decoders["image"] is not None
    with pytest.raises(ValueError) as caught:
        model.decoders["video"]
    assert "the weights of the video decoder, someone/decoders/video, are not" in str(caught.value)


def test_a_broken_part_that_is_there_is_another_error(public_tiny: ModelSpec, models: Path) -> None:
    (models / "someone/decoders/image/unet/config.json").unlink()
    with pytest.raises(ValueError) as caught:
        NextGPT.from_pretrained("tiny").decoders["image"]
    assert "not on this machine" not in str(caught.value)


def test_the_folder_of_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANYWEAVE_MODELS", raising=False)
    monkeypatch.setenv("ANYWEAVE_CACHE", str(tmp_path))
    assert models_folder() == tmp_path / "models"
