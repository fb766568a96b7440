from __future__ import annotations

import pytest

from anyweave.benchmarking.random_model import random_model
from anyweave.benchmarking.scaling import narrow_architecture, narrow_spec
from anyweave.model.architectures import architecture
from anyweave.model.catalogue import SPECS, named_spec


def test_the_paper_s_language_model_keeps_all_but_its_width() -> None:
    found = architecture("lmsys/vicuna-7b-v1.5")
    assert found is not None
    model = narrow_architecture(found, 0.05).build()["model"]
    config = model.config
    assert (config.hidden_size, config.num_attention_heads) == (256, 2)  # heads of 128, as before
    assert (config.num_hidden_layers, config.vocab_size) == (32, 32000)


@pytest.mark.parametrize("modality", ["image", "video", "audio"])
def test_narrow_decoders_take_the_same_conditioning_and_latents(modality: str) -> None:
    part = named_spec("paper-7b").decoders[modality]
    found = architecture(part.source)
    assert found is not None
    full = found.components["unet"].config
    unet = narrow_architecture(found, 0.05).build(only=["unet"])["unet"]
    widths = [32, 32, 32, 64] if modality == "audio" else [32, 32, 64, 64]
    assert list(unet.config.block_out_channels) == widths
    assert (unet.config.in_channels, unet.config.sample_size) == (
        full["in_channels"],
        full["sample_size"],
    )
    if isinstance(full["cross_attention_dim"], int):
        assert unet.config.cross_attention_dim == full["cross_attention_dim"]
    assert sum(p.numel() for p in unet.parameters()) < 0.01 * found.parameters["unet"]


def test_projectors_of_every_spec_get_narrower() -> None:
    for spec in (spec for spec in SPECS.values() if spec.calls == "signals"):
        narrow = narrow_spec(spec, 0.1)
        first = narrow.input_projector_for(narrow.input_modalities[0])
        assert first.args["dim"] == 64
        for part in narrow.output_projectors.values():
            assert (part.args["hidden_dim"], part.args["ffn_dim"]) == (64, 192)
        assert narrow.decoders == spec.decoders


@pytest.mark.parametrize("name", ["cascade-24gb", "cascade-mini"])
def test_a_cascade_cannot_be_timed_with_random_weights(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a cascade, whose captions need"):
        random_model(named_spec(name))
