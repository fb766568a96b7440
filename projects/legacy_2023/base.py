"""The language model that the 2023 checkpoint was trained on, and the one derived from it.

That code trained the whole embedding and head, not only the new rows. Here base weights never
change, so the converter makes a base model of its own: Vicuna's layers as they are, with the
trained rows of text and of ``<Img> </Img>`` in place of Vicuna's. It is an ordinary model folder,
frozen from then on; the signal tokens' rows are not in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from anyweave.files import read_object, write_json
from legacy_2023.files import open_tensors
from legacy_2023.layout import ADAPTED_LAYERS, EMBEDDING, HEAD, MEDIA_TOKENS, Layout

SHARD_BYTES = 1 << 30
LAYER = (
    *(f"self_attn.{name}" for name in ADAPTED_LAYERS),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
    *("input_layernorm", "post_attention_layernorm"),
)
Progress = Callable[[int, int], None]
"""Bytes written so far, and bytes in all."""


@dataclass(frozen=True)
class Base:
    """A model folder, its tensors mapped and not read."""

    folder: Path
    config: Mapping[str, Any]
    tokenizer: PreTrainedTokenizerBase
    files: Mapping[Path, Mapping[str, Tensor]]


def read_base(folder: str | Path, layout: Layout) -> Base:
    """Open the base model. Raises `ValueError` when it is not the one that `layout` is for."""
    folder = Path(folder)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ValueError(
            f"{folder} is no model folder: it has no config.json. Give --base the folder of "
            "Vicuna-7B v0 (LLaMA-7B with lmsys/vicuna-7b-delta-v0 applied)"
        )
    config = read_object(config_file)
    files = {path: open_tensors(path) for path in _weight_files(folder)}
    found = {name: tensor for tensors in files.values() for name, tensor in tensors.items()}
    _check_sizes(folder, config, found, layout)
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    if len(tokenizer) != layout.text_rows:
        extra = list(tokenizer.get_added_vocab())
        raise ValueError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, Vicuna v0's has "
            f"{layout.text_rows}: with {len(tokenizer) - layout.text_rows} more, the checkpoint's "
            f"tokens would all mean another one. Its added tokens are {extra}; remove what is not "
            "Vicuna's from added_tokens.json, special_tokens_map.json and tokenizer_config.json, "
            "or fetch tokenizer.model anew"
        )
    return Base(folder, config, tokenizer, files)


def bytes_needed(base: Base, rows: Mapping[str, Tensor], parent: Path) -> int:
    """The space that `write_language` needs under `parent`: linked files take none."""
    size = sum(tensor.nbytes for tensor in _to_write(base, rows).values())
    if parent.stat().st_dev != base.folder.stat().st_dev:
        size += sum(path.stat().st_size for path in _unchanged(base, rows))
    return size


def write_language(
    base: Base, rows: Mapping[str, Tensor], target: Path, progress: Progress
) -> PreTrainedTokenizerBase:
    """Write the derived model and its tokenizer into the new folder `target`.

    Args:
        rows: embedding and head, ``[kept_rows, hidden]``, by their names in the model.

    Files of the base that hold neither are linked, so they cost no space on the same disk. Memory
    stays flat: tensors are mapped, and written about a gigabyte at a time.
    """
    target.mkdir()
    index: dict[str, str] = {}
    size = 0
    for path in _unchanged(base, rows):
        _link(path, target / path.name)
        index |= dict.fromkeys(base.files[path], path.name)
        size += sum(tensor.nbytes for tensor in base.files[path].values())
    pending = _to_write(base, rows)
    total, done = sum(tensor.nbytes for tensor in pending.values()), 0
    for number, shard in enumerate(_shards(pending), 1):
        name = f"converted-{number:05d}.safetensors"
        save_file(shard, target / name, {"format": "pt"})
        index |= dict.fromkeys(shard, name)
        done += sum(tensor.nbytes for tensor in shard.values())
        progress(done, total)
    write_json(
        target / "model.safetensors.index.json",
        {"metadata": {"total_size": size + total}, "weight_map": index},
    )
    vocab_size = rows[EMBEDDING].shape[0]
    changed = {"vocab_size": vocab_size, "tie_word_embeddings": False}
    write_json(target / "config.json", {**base.config, **changed})
    base.tokenizer.add_special_tokens({"additional_special_tokens": list(MEDIA_TOKENS)})
    base.tokenizer.save_pretrained(target)
    return base.tokenizer


def _weight_files(folder: Path) -> list[Path]:
    """The files that transformers would load."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if index.is_file():
            places = read_object(index)["weight_map"]
            return [folder / place for place in sorted(set(places.values()))]
        if (folder / name).is_file():
            return [folder / name]
    raise ValueError(
        f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin, whole or "
        "with an index"
    )


def _check_sizes(
    folder: Path, config: Mapping[str, Any], found: Mapping[str, Tensor], layout: Layout
) -> None:
    for key, expected in (
        ("model_type", "llama"),
        ("hidden_size", layout.hidden),
        ("num_hidden_layers", layout.layers),
    ):
        if config.get(key) != expected:
            raise ValueError(
                f"{folder} has {key} {config.get(key)!r}, the checkpoint was trained on a model "
                f"with {expected!r}: give --base Vicuna-7B v0, not another size or family"
            )
    layers = [
        f"model.layers.{number}.{name}.weight" for number in range(layout.layers) for name in LAYER
    ]
    missing = [name for name in (EMBEDDING, HEAD, *layers) if name not in found]
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} tensors of such a model, among them {missing[0]}: is a "
            "file missing?"
        )
    for name in (EMBEDDING, HEAD):
        rows = found[name].shape[0]
        if rows != layout.base_rows:
            raise ValueError(
                f"{folder} has {rows} rows in {name}, Vicuna v0 has {layout.base_rows}: "
                f"{_explain(rows, layout)}"
            )


def _explain(rows: int, layout: Layout) -> str:
    if rows == layout.text_rows:
        return (
            "LLaMA itself and Vicuna from v1.1 on have a row less, and other weights. In v0 the "
            f"row {rows} is [PAD], one more than the tokenizer knows; the checkpoint uses that id "
            f"for {MEDIA_TOKENS[0]} and brings its own row. Apply lmsys/vicuna-7b-delta-v0 to "
            "LLaMA-7B"
        )
    if rows >= layout.rows:
        added = layout.rows - layout.text_rows
        return (
            f"somebody has added tokens to it already (a tokenizer of {rows - added} tokens plus "
            f"the {added} of NExT-GPT makes {rows}). Give the untouched model: all rows of new "
            "tokens come from the checkpoint, none is appended"
        )
    return "it is another model. Apply lmsys/vicuna-7b-delta-v0 to LLaMA-7B"


def _unchanged(base: Base, rows: Mapping[str, Tensor]) -> list[Path]:
    """Files that can be used as they are: safetensors without a matrix that is replaced."""
    return [
        path
        for path, tensors in base.files.items()
        if path.suffix == ".safetensors" and not rows.keys() & tensors.keys()
    ]


def _to_write(base: Base, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = _unchanged(base, rows)
    return {
        name: rows.get(name, tensor)
        for path, tensors in base.files.items()
        if path not in kept
        for name, tensor in tensors.items()
    }


def _shards(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = []
    size = SHARD_BYTES
    for name, tensor in tensors.items():
        if size + tensor.nbytes > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    return shards


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
