from __future__ import annotations

import logging
from pathlib import Path

import pytest

from anyweave.language import CausalLM, tried
from anyweave.language.feeding import Feeding
from anyweave.language.readout import Readout
from anyweave.testing.language import write_tiny_language_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANYWEAVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tried, "LARGE", 1)
    write_tiny_language_model(tmp_path / "language")
    return tmp_path / "language"


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    probe = CausalLM._probe

    def counted(self: CausalLM) -> tuple[Readout, Feeding]:
        seen.append(1)
        return probe(self)

    monkeypatch.setattr(CausalLM, "_probe", counted)
    return seen


def test_the_same_files_are_tried_once(folder: Path, probes: list[int]) -> None:
    first, second = (CausalLM.from_pretrained(folder) for _ in range(2))
    assert len(probes) == 1
    assert (second.readout, second.feeding) == (first.readout, first.feeding)
    CausalLM.from_pretrained(folder, dtype="bfloat16")
    assert len(probes) == 2  # other numbers
    write_tiny_language_model(folder, seed=1)
    CausalLM.from_pretrained(folder)
    assert len(probes) == 3  # other files


def test_small_models_and_those_in_memory_leave_nothing(
    folder: Path, probes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    CausalLM.from_pretrained(folder)
    assert not (folder.parent / "cache").exists()


def test_what_was_kept_and_is_damaged_is_found_again(
    folder: Path, probes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    CausalLM.from_pretrained(folder)
    (kept,) = (folder.parent / "cache").rglob("*.json")
    for damage in ("{", '{"readout": {"other": 1}, "feeding": {}}', "{}"):
        kept.write_text(damage)
        with caplog.at_level(logging.WARNING):
            assert CausalLM.from_pretrained(folder).feeding.cached
        assert "is made again" in caplog.text
    assert len(probes) == 4


def test_a_model_that_needs_a_word_gets_it_every_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (Readout(), Feeding(False, False))
    asked: list[int] = []

    def probe(self: CausalLM) -> tuple[Readout, Feeding]:
        asked.append(1)
        return found

    monkeypatch.setattr(CausalLM, "_probe", probe)
    for _ in range(2):
        CausalLM.from_pretrained(folder)
    assert len(asked) == 2
