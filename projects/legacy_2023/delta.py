"""The checkpoint file of the 2023 code: opened safely, checked key by key."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from anyweave.files import file_digest
from legacy_2023.files import open_tensors
from legacy_2023.layout import ADAPTED, INPUT_PROJECTION, Entry, Layout, Place, entries

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delta:
    """What the file holds, by where it goes and its name there. Tensors are mapped, not read."""

    sha256: str
    adapted: bool
    """Whether it is of stage 3: with adapters, and names that peft has changed."""
    absent: tuple[str, ...]
    tensors: Mapping[Place, Mapping[str, Tensor]]


def read_delta(path: str | Path, layout: Layout) -> Delta:
    """Open and check a checkpoint file.

    Raises `ValueError` for a file that holds more than tensors, for a tensor that is missing,
    unexpected or of another shape. Only the input projection may be absent, with a warning.
    """
    path = Path(path)
    state = open_tensors(path)
    adapted = any(name.startswith(ADAPTED) for name in state)
    expected = entries(layout, adapted=adapted)
    absent = () if set(INPUT_PROJECTION) & state.keys() else INPUT_PROJECTION
    if absent:
        logger.warning(
            "%s holds no %s: nothing in it projects media into the language model. The converted "
            "model answers text with text and media, and reads no media",
            path,
            " and no ".join(absent),
        )
    _check_names(path, state, expected.keys() - set(absent))
    _check_shapes(path, state, expected, layout)
    digest = file_digest(path)
    # There are two public uploads, of 4 and of 15 October 2023, under one name.
    logger.info("%s: stage %s, sha256 %s", path, "3" if adapted else "1 or 2", digest)
    tensors: dict[Place, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        entry = expected[name]
        tensors.setdefault(entry.place, {})[entry.name] = tensor
    return Delta(sha256=digest, adapted=adapted, absent=absent, tensors=tensors)


def _check_names(path: Path, state: Mapping[str, Tensor], expected: set[str]) -> None:
    missing, unexpected = sorted(expected - state.keys()), sorted(state.keys() - expected)
    if not missing and not unexpected:
        return
    hint = ""
    if any("embed_tokens" in name or "lm_head" in name for name in missing):
        hint = (
            ". Without the embedding and head that it was trained with it cannot answer; the "
            "upload of 4 October 2023 is reported to have a fault there, take the later one"
        )
    raise ValueError(
        f"{path} is not such a checkpoint: {len(missing)} tensors missing {missing[:3]}, "
        f"{len(unexpected)} unexpected {unexpected[:3]}{hint}"
    )


def _check_shapes(
    path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Entry], layout: Layout
) -> None:
    for name, tensor in state.items():
        entry, shape = expected[name], tuple(tensor.shape)
        if shape == entry.shape:
            continue
        hint = ""
        if entry.place == "vocabulary" and shape[0] != layout.rows:
            added = layout.rows - layout.text_rows
            hint = (
                f". It was trained with a tokenizer of {shape[0] - added} tokens, Vicuna v0's has "
                f"{layout.text_rows}: its rows mean other tokens"
            )
        raise ValueError(f"{path}: {name} has shape {shape}, expected {entry.shape}{hint}")
