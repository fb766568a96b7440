"""The spec reads and writes itself, and refuses what does not fit together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anyweave.model.spec import (
    DecoderLoraSpec,
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
)
from anyweave.testing.model import tiny_spec

DECODER = DecoderSpec(source="./d", conditioning_tokens=2, conditioning_dim=4)
PLAIN = ModelSpec(name="x", language=LanguageSpec(source="lm"), template="chatml")


def test_json_round_trip(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_per_modality_input_projectors_round_trip() -> None:
    spec = replace(
        PLAIN,
        encoders=(EncoderSpec(type="imagebind", source="e", modalities=("image", "audio")),),
        input_projector={
            "image": ProjectorSpec(type="linear"),
            "audio": ProjectorSpec(type="qformer"),
        },
    )
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.input_projector_for("audio").type == "qformer"
    assert spec.input_modalities == ("image", "audio")


def test_unknown_key_names_the_nearest() -> None:
    data = PLAIN.to_dict() | {"lora": {"r": 4, "aplha": 8}}
    with pytest.raises(ValueError, match="spec.lora has no key 'aplha'; did you mean 'alpha'"):
        ModelSpec.from_dict(data)
    with pytest.raises(ValueError, match="spec has no key 'langauge'; did you mean 'language'"):
        ModelSpec.from_dict({"langauge": {}})


def test_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="spec lacks language; it has name"):
        ModelSpec.from_dict({"name": "x"})


def test_later_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format_version 99"):
        ModelSpec.from_dict(PLAIN.to_dict() | {"format_version": 99})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_projectors": {"image": ProjectorSpec(type="transformer")}}, "without a decoder"),
        ({"signal_tokens": {"image": 4}}, "signal tokens but no decoder"),
        ({"decoders": {"image": DECODER}}, "can never be asked for"),
        (
            {"decoders": {"image": DECODER}, "signal_tokens": {"image": 2}},
            "no output projector; add output_projectors\\['image'\\] or use bridge='caption'",
        ),
        ({"signal_tokens": {"image": 0}, "decoders": {"image": DECODER}}, "at least 1, got 0"),
        ({"bridge": "signals"}, "did you mean 'signal'"),
        (
            {"encoders": (EncoderSpec(type="a", source="a", modalities=("image",)),) * 2},
            "image is read by two encoders",
        ),
        ({"input_projector": {"image": ProjectorSpec(type="linear")}}, "without an encoder"),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **changes)


def test_part_values_are_checked() -> None:
    with pytest.raises(ValueError, match="lora.r must be at least 1"):
        LoraSpec(r=0)
    with pytest.raises(ValueError, match="unknown value 'text'"):
        EncoderSpec(type="a", source="a", modalities=("text",))
    with pytest.raises(ValueError, match="unknown value 'float8'"):
        LanguageSpec(source="lm", dtype="float8")


def test_words_that_a_decoder_never_learned() -> None:
    learned = replace(DECODER, words="a cat on the moon jack lantern")
    assert learned.unknown_words("A cat, 2 walruses and a jack-o-lantern; a walrus") == (
        "walruses",
        "and",
        "walrus",
    )
    assert DECODER.unknown_words("a walrus") == ()  # nobody said what it learned
    assert replace(learned, lora=DecoderLoraSpec()).unknown_words("a walrus") == ()
    with pytest.raises(ValueError, match="words"):
        replace(DECODER, words=["cat"])  # type: ignore[arg-type]
