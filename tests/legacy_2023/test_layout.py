"""Names and shapes at full size, from the architecture itself on the meta device."""

from __future__ import annotations

import math

import pytest
import torch

from anyweave.model.build import build_output_projectors
from anyweave.processing import SignalTokens
from anyweave.projectors import resolve
from legacy_2023.layout import Layout, entries
from legacy_2023.spec import Parts, legacy_spec

from .conftest import Published


@pytest.mark.parametrize(("adapted", "tensors"), [(True, 647), (False, 391)])
def test_every_key_and_shape_of_the_published_model(adapted: bool, tensors: int) -> None:
    layout = Layout()
    with torch.device("meta"):
        shapes = {
            k: tuple(v.shape) for k, v in Published(layout, adapted=adapted).trained().items()
        }
    expected = entries(layout, adapted=adapted)
    assert {name: entry.shape for name, entry in expected.items()} == shapes
    assert len(expected) == tensors
    if adapted:
        assert sum(math.prod(shape) for shape in shapes.values()) == 396_045_568


def test_our_parts_have_the_names_and_shapes_that_are_written() -> None:
    layout = Layout()
    spec = legacy_spec(layout, Parts(), adapted=True, reads_media=True, language_sha256="")
    own: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        for modality, projector in build_output_projectors(spec, layout.hidden).items():
            own |= {f"{modality}.{k}": tuple(v.shape) for k, v in projector.state_dict().items()}
        linear = resolve("input", "linear")(layout.features, layout.hidden, tokens=1)
    own |= {f"image.{name}": tuple(v.shape) for name, v in linear.state_dict().items()}
    written = {
        entry.name: entry.shape
        for entry in entries(layout, adapted=True).values()
        if entry.place in ("input_projectors", "output_projectors")
    }
    assert written == own


def test_signal_ids_are_the_published_ones() -> None:
    layout = Layout()
    signals = SignalTokens(layout.signals, layout.kept_rows)
    assert signals.ids("image") == (32002, 32003, 32004, 32005)
    assert (signals.ids("video")[0], signals.ids("video")[-1]) == (32006, 32029)
    assert (signals.ids("audio")[0], signals.ids("audio")[-1]) == (32030, 32037)
    assert layout.rows == 32038
