"""Trials of editing: one fact changes, in words that name it."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from anyweave.messages import Modality
from emoji_mini.evaluation.editing import trials

_FIELDS = {"sound": "sounds"}


@pytest.mark.parametrize("modality", ["image", "video", "audio"])
def test_a_trial_changes_one_fact_of_a_held_out_scene(modality: Modality) -> None:
    asked = list(trials(modality, 6, 0))
    assert asked == list(trials(modality, 6, 0))
    for trial in asked:
        before, after = asdict(trial.before), asdict(trial.after)
        assert trial.before.split == "test" and "{" not in trial.words
        assert [key for key in before if before[key] != after[key]] == [
            _FIELDS.get(trial.fact, trial.fact)
        ]
        if modality == "audio":
            assert sum(a != b for a, b in zip(before["sounds"], after["sounds"], strict=True)) == 1
