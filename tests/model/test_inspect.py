"""Counting a spec without weights gives what the built model has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.model.build import build
from anyweave.model.inspect import inspect_model, inspect_spec, trained_share
from anyweave.model.spec import LanguageSpec
from anyweave.testing.model import tiny_spec


def test_spec_and_model_agree(tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    planned = inspect_spec(spec, tmp_path)
    built = inspect_model(build(spec, root=tmp_path))
    # Files also hold a few floating-point buffers.
    counts = {row.part: row.parameters for row in built}
    assert {row.part: row.parameters for row in planned} == pytest.approx(counts, rel=1e-3)
    roles = {row.part for row in built if row.role}
    assert all(row.parameters == counts[row.part] for row in planned if row.part in roles)
    assert [row.role for row in built if row.role] == [
        "input_projectors",
        "output_projectors",
        "signal_rows",
        "lora",
    ]
    assert 0 < trained_share(planned) < 1


def test_loaded_and_stored_decoders_count_alike(tmp_path: Path) -> None:
    model = build(tiny_spec(tmp_path), root=tmp_path)
    before = {row.part: row.parameters for row in inspect_model(model)}
    for modality in model.decoders:
        model.decoders[modality]
    after = inspect_model(model)
    assert {row.part: row.parameters for row in after} == pytest.approx(before, rel=1e-3)
    assert all(row.loaded for row in after)


def test_what_cannot_be_counted_is_none(tmp_path: Path) -> None:
    spec = replace(tiny_spec(tmp_path), language=LanguageSpec(source="nobody/nothing"))
    rows = {row.part: row.parameters for row in inspect_spec(spec, tmp_path)}
    assert rows["language model"] is None
    assert rows["output projectors"] is None
    assert rows["image decoder"]
