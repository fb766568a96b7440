"""Probe results of large language models, kept in the user's cache: the same files give the same
results.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import transformers
from transformers import PreTrainedModel

import anyweave
from anyweave.files import cache_folder, disk_stamp, read_object, write_json
from anyweave.language.feeding import Feeding
from anyweave.language.readout import Readout
from anyweave.processing.cache import fingerprint

logger = logging.getLogger(__name__)

LARGE = 50_000_000  # parameters; smaller models are quick to probe again


def tried_before(
    model: PreTrainedModel, source: str | Path, probe: Callable[[], tuple[Readout, Feeding]]
) -> tuple[Readout, Feeding]:
    """What `probe` finds for a model from `source`, now or when the same files were last read.

    Only unremarkable results are cached, so refusals and warnings recur every time.
    """
    identity = _identity(model, source)
    if identity is None or model.num_parameters() < LARGE:
        return probe()
    kept = cache_folder() / "language" / "tried" / f"{identity}.json"
    try:
        if kept.is_file():
            found = read_object(kept)
            return Readout(**found["readout"]), Feeding(**found["feeding"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read and is made again (%s)", kept, error)
    readout, feeding = probe()
    if feeding.cached:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_json(kept, {"readout": asdict(readout), "feeding": asdict(feeding)})
        except OSError as error:
            logger.warning("cannot keep what was found of %s (%s)", source, error)
    return readout, feeding


def _identity(model: PreTrainedModel, source: str | Path) -> str | None:
    """A fingerprint of files, dtype and software; None if the files cannot be identified."""
    config: Any = model.config
    files = disk_stamp(source) if Path(source).is_dir() else getattr(config, "_commit_hash", None)
    quantized = str(getattr(config, "quantization_config", None))
    versions = (anyweave.__version__, transformers.__version__)
    return files and fingerprint(
        str(source), files, type(model).__name__, str(model.dtype), quantized, versions
    )
