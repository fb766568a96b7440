"""Trains the variants of an ablation, each in its own folder; finished work is not repeated."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from anyweave.files import read_object, write_json
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import build
from anyweave.model.checkpoint import SPEC_FILE, find_checkpoint, load_role, read_spec
from anyweave.model.hashing import folder_sha256
from anyweave.model.roles import TrainedRole
from anyweave.model.spec import ModelSpec
from anyweave.training.config import ModelConfig
from anyweave.training.launch import run
from emoji_mini.ablation_recipes import Variant
from emoji_mini.parts.warmup import warm_up, world_features

logger = logging.getLogger(__name__)
_IDENTITY = "variant.json"


def start(
    base: str, changes: Mapping[str, Any], keep: Sequence[TrainedRole] = (), seed: int = 0
) -> NextGPT:
    """The model that a variant begins as: the spec of the checkpoint `base` with some fields
    changed, the trained weights of the roles `keep`, and fresh ones for the others.

    Raises `ValueError` for a field that a spec does not have, or a kept role that no longer fits.
    """
    folder = find_checkpoint(base)
    spec = ModelSpec.from_dict({**read_spec(folder).to_dict(), **changes})
    model = build(spec, root=folder, seed=seed)
    for role in keep:
        load_role(model, role, folder)
    return model


def trained(variant: Variant, folder: Path, cache: Path) -> NextGPT:
    """The model of a variant, trained in `folder` if it is not yet.

    `cache` holds frozen features, and may be shared by all variants. Raises `ValueError` where
    `folder` holds another variant, `KeyboardInterrupt` when the training was stopped by hand (the
    same call resumes it).
    """
    _claim(folder, variant)
    if variant.config is None:
        return start(**variant.start)
    finished = folder / "run" / "model"
    if not (finished / SPEC_FILE).is_file():
        config = replace(
            variant.config, output_dir=str(finished.parent), cache_dir=str(cache / "features")
        )
        if variant.lesson is not None:
            taught = _first_lesson(variant, folder / "start")
            config = replace(config, model=ModelConfig(source=str(taught)))
        report = run(config, resume=True)
        if not report.finished:
            raise KeyboardInterrupt
    return NextGPT.from_pretrained(finished)


def _first_lesson(variant: Variant, folder: Path) -> Path:
    assert variant.lesson is not None
    if not (folder / SPEC_FILE).is_file():
        logger.info("first lesson of %s", variant.name)
        model = start(**variant.start)
        warm_up(model, folder, variant.lesson, *world_features(model, dict(variant.scenes)))
    return folder


def _claim(folder: Path, variant: Variant) -> None:
    """Record what `folder` is for, or check that it is for this variant."""
    base = folder_sha256(find_checkpoint(variant.start["base"]))
    wanted = json.loads(json.dumps({**asdict(variant), "base_sha256": base}))
    path = folder / _IDENTITY
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, wanted)
        return
    found = read_object(path)
    if found != wanted:
        changed = sorted(key for key in wanted if found.get(key) != wanted[key])
        raise ValueError(
            f"{folder} holds another run of this variant: its {', '.join(changed)} differ. Choose "
            f"another folder (--out), or remove this one"
        )
