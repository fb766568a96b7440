"""Options say what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from anyweave.generation.options import GenerationOptions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": -1}, "temperature must be at least 0, got -1"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"top_p": 1.5}, "top_p must be between 0 and 1"),
        ({"strength": -0.1}, "strength must be between 0 and 1"),
        ({"strength": 0}, "strength must be above 0"),
        ({"height": 0}, "height must be above 0"),
        ({"modalities": ("picture",)}, "modalities names 'picture'; it takes: text, image"),
        ({"force": ("text",)}, "force names 'text'; it takes: image, video, audio"),
        ({"force": ("audio",), "modalities": ("image",)}, "force names audio, which modalities="),
        ({"repetition_penalty": 0}, "repetition_penalty must be from 0.01 to 100, got 0"),
        ({"repetition_penalty": 1e-40}, "repetition_penalty must be from 0.01"),
        ({"force": ("image",) * 3}, "force names 'image' 3 times; once is enough"),
    ],
)
def test_bad_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GenerationOptions(**changes)


def test_overrides_are_checked() -> None:
    options = GenerationOptions(seed=1)
    assert options.with_overrides(seed=2).seed == 2
    with pytest.raises(
        ValueError, match="no generation option 'temprature'; did you mean 'temperature'"
    ):
        options.with_overrides(temprature=1.0)


def test_sizes_go_where_they_have_a_meaning() -> None:
    options = GenerationOptions(
        height=32, num_frames=8, audio_length=1.5, num_inference_steps=3, fps=4
    )
    assert options.decoder_arguments("image") == {"num_inference_steps": 3, "height": 32}
    assert options.decoder_arguments("audio") == {"num_inference_steps": 3, "audio_length": 1.5}
    assert options.rate("video", 8.0) == 4
    assert options.rate("audio", 16000.0) == 16000.0
    assert options.rate("image", None) is None


def test_one_name_is_a_list_of_one() -> None:
    options = GenerationOptions(force="image")  # type: ignore[arg-type]
    assert options.force == ("image",)
