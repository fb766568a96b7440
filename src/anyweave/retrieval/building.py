"""Build an index of the media in a folder. Files that have not changed are not read again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anyweave.files import disk_stamp, path_lock, read_object
from anyweave.media.errors import MediaError
from anyweave.media.sniffing import sniff
from anyweave.messages import MEDIA_TYPES, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.processor import DEFAULT_RATE, load_array
from anyweave.retrieval.index import ENTRIES, FEATURES, Entry, Index

logger = logging.getLogger(__name__)
_SIDECAR = ".json"
_SAVE_EVERY = 256  # media: at most this many are read again after a kill


@dataclass
class BuildReport:
    """What became of the files: media by kind, how many were already known, how many of the earlier
    index are not in the folder, skips by reason.
    """

    media: Counter[str] = field(default_factory=Counter)
    known: int = 0
    gone: int = 0
    without_features: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def build_index(
    folder: str | Path, model: NextGPT, output: str | Path, tick: Callable[[], None] | None = None
) -> BuildReport:
    """Read every medium below `folder`. Its caption, source and licence come from ``NAME.json``
    beside it (``{"caption": ..., "source": ..., "licence": ...}``); by default the caption is the
    file's name. A file that is not a medium is skipped and counted. `output` may be among the
    media, and keeps its other files; a damaged index there is made anew.

    Raises `ValueError` if there is no such folder, or no medium in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    with path_lock(f"{output}.build", doing="indexing"):  # saving locks the index itself
        old = _earlier(output)
        known = {entry.path: (n, entry) for n, entry in enumerate(old.entries)}
        report, entries, features = BuildReport(), list[Entry](), dict[str, Tensor]()
        saved = 0  # of the media that were read
        files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != _SIDECAR)
        paths = [path for path in files if not _is_own(path.resolve(), Path(output).resolve())]
        for path in paths:
            if tick is not None:
                tick()
            number, entry = known.get(str(path.resolve()), (-1, None))
            stamp = _stamp(path)
            if entry is not None and entry.stamp == stamp:
                vector = old.features.get(str(number))
                report.known += 1
            else:
                try:
                    entry, vector = _read(path, model, stamp)
                except MediaError as error:
                    report.skipped[type(error).__name__] += 1
                    logger.warning("%s is left out: %s", path, error)
                    continue
            if vector is None:
                report.without_features[entry.modality] += 1
            else:
                features[str(len(entries))] = vector
            entries.append(entry)
            report.media[entry.modality] += 1
            if len(entries) - report.known - saved >= _SAVE_EVERY:
                saved += _SAVE_EVERY
                _with_rest(entries, features, old).save(output)
        if not entries:
            raise ValueError(f"no picture, clip or sound in {folder} ({len(paths)} files)")
        report.gone = len(known.keys() - {entry.path for entry in entries})
        Index(entries, features).save(output)
    return report


def _earlier(output: str | Path) -> Index:
    """The index that is in `output`, if any."""
    if (Path(output) / ENTRIES).is_file():
        try:
            return Index.load(output)
        except ValueError as error:
            logger.warning("all media are read again: %s", error)
    return Index((), {})


def _is_own(path: Path, output: Path) -> bool:
    """Whether a file is the index's own: one of its two, or a lock or temporary copy beside it."""
    if path.parent == output:
        return path.name in (ENTRIES, FEATURES)
    if not path.is_relative_to(output.parent):
        return False
    return path.relative_to(output.parent).parts[0].startswith(f".{output.name}.")


def _with_rest(entries: Sequence[Entry], features: Mapping[str, Tensor], old: Index) -> Index:
    """What was read so far, and what else the `old` index has."""
    read = {entry.path for entry in entries}
    entries, features = [*entries], {**features}
    for number, entry in enumerate(old.entries):
        if entry.path in read:
            continue
        vector = old.features.get(str(number))
        if vector is not None:
            features[str(len(entries))] = vector
        entries.append(entry)
    return Index(entries, features)


def _stamp(path: Path) -> str:
    sidecar = path.with_suffix(_SIDECAR)
    return disk_stamp(path) + (disk_stamp(sidecar) if sidecar.is_file() else "")


def _read(path: Path, model: NextGPT, stamp: str) -> tuple[Entry, Tensor | None]:
    modality = sniff(path)
    sidecar = path.with_suffix(_SIDECAR)
    told = read_object(sidecar) if sidecar.is_file() else {}
    entry = Entry(
        path=str(path.resolve()),
        modality=modality,
        caption=str(told.get("caption") or path.stem.replace("_", " ").replace("-", " ")),
        source=str(told.get("source", "")),
        licence=str(told.get("licence", told.get("license", ""))),
        stamp=stamp,
    )
    return entry, features_of(model, modality, path)


@torch.inference_mode()
def features_of(model: NextGPT, modality: Modality, source: object) -> Tensor | None:
    """Mean of the encoder's patch features, [F]; None if the model reads no such media."""
    encoder: Any = model.encoders[modality] if modality in model.encoders else None
    part = MEDIA_TYPES[modality](source)
    array, rate = load_array(part, getattr(encoder, "sample_rate", None) or DEFAULT_RATE)
    if encoder is None:
        return None
    inputs = encoder.preprocess(modality, array, rate=rate)
    weight = next(encoder.parameters(), None)
    inputs = inputs if weight is None else inputs.to(weight.device, weight.dtype)
    features: Tensor = encoder(modality, inputs[None])[0].float().mean(0).cpu()
    return features
