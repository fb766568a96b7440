"""Everything that is refused, and what the message tells the user to do."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from legacy_2023.conversion import convert

from .conftest import TINY, write_base

State = dict[str, Any]
LORA = "llama_model.base_model.model.model.layers.1.self_attn.v_proj.lora_B.default.weight"
EMBEDDING = "llama_model.base_model.model.model.embed_tokens.weight"


def refuse(file: Path, base: Path, out: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(file, out, base=base, layout=TINY)
    assert not out.exists()
    assert not list(out.parent.glob(".*.tmp"))


def drop(name: str) -> Callable[[State], Any]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def put(name: str, value: Any) -> Callable[[State], Any]:
    return lambda state: {**state, name: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop(LORA), r"1 tensors missing \['llama_model.*lora_B.default.weight'\], 0 unexpected"),
        (drop("llama_proj.bias"), r"1 tensors missing \['llama_proj.bias'\]"),
        (drop(EMBEDDING), "the upload of 4 October 2023 is reported to have a fault there"),
        (put("mm_projector.weight", torch.zeros(2)), r"1 unexpected \['mm_projector.weight'\]"),
        (
            put("llama_model.lm_head.weight", torch.zeros(2)),
            r"1 unexpected \['llama_model.lm_head.weight'\]",
        ),
        (put("llama_proj.bias", torch.zeros(7)), r"llama_proj.bias has shape \(7,\), expected"),
        (
            put(EMBEDDING, torch.zeros(TINY.rows + 4, TINY.hidden)),
            f"trained with a tokenizer of {TINY.text_rows + 4} tokens, Vicuna v0's has",
        ),
        (put("llama_proj.bias", torch.zeros(32, dtype=torch.int64)), "is of type torch.int64"),
        (lambda state: {"model": state}, "'model' is of type OrderedDict, expected a tensor"),
        (lambda state: list(state.values()), "holds a list, expected a mapping"),
        (lambda state: {}, "holds a dict, expected a mapping of names to tensors"),
    ],
)
def test_another_file(
    change: Callable[[State], Any], message: str, delta_file: Path, base: Path, tmp_path: Path
) -> None:
    state = torch.load(delta_file, weights_only=True)
    torch.save(change(state), tmp_path / "changed.pt")
    refuse(tmp_path / "changed.pt", base, tmp_path / "out", message)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(Path("trap").absolute()), "w"))


def test_pickled_code_never_runs(
    delta_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = torch.load(delta_file, weights_only=True)
    torch.save({**state, "more": Trap()}, tmp_path / "trap.pt")
    refuse(tmp_path / "trap.pt", base, tmp_path / "out", "holds more than tensors.*: refused")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
        (b"<!DOCTYPE html>", "is damaged, incomplete or no weight file"),
        (pickle.dumps({}), "is damaged, incomplete or no weight file"),
        (b"", "is damaged, incomplete or no weight file"),
    ],
)
def test_what_is_no_checkpoint(content: bytes, message: str, base: Path, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.pt").write_bytes(content)
    refuse(tmp_path / "pytorch_model.pt", base, tmp_path / "out", message)


def test_half_a_download(delta_file: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "half.pt").write_bytes(delta_file.read_bytes()[:-5000])
    refuse(tmp_path / "half.pt", base, tmp_path / "out", "is damaged, incomplete")
    refuse(tmp_path / "none.pt", base, tmp_path / "out", "there is no file .*none.pt")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (TINY.text_rows, r"LLaMA itself and Vicuna from v1.1 on have a row less.*is \[PAD\]"),
        (TINY.rows, "somebody has added tokens to it already"),
        (TINY.rows + 4, "a tokenizer of 361 tokens plus the 38 of NExT-GPT makes 399"),
        (TINY.base_rows + 1, "it is another model"),
    ],
)
def test_another_vocabulary(rows: int, message: str, delta_file: Path, tmp_path: Path) -> None:
    write_base(tmp_path / "other", TINY, rows)
    refuse(delta_file, tmp_path / "other", tmp_path / "out", message)


@pytest.mark.parametrize(
    ("key", "value"), [("model_type", "mistral"), ("hidden_size", 48), ("num_hidden_layers", 3)]
)
def test_another_size_or_family(
    key: str, value: object, delta_file: Path, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base, tmp_path / "other")
    config = json.loads((base / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, key: value}))
    message = f"has {key} {value!r}, the checkpoint was trained on a model with"
    refuse(delta_file, tmp_path / "other", tmp_path / "out", message)


def test_a_tokenizer_with_more_tokens(delta_file: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "other")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "other")
    tokenizer.add_tokens(["[PAD]"])
    tokenizer.save_pretrained(tmp_path / "other")
    message = r"has 358 tokens, Vicuna v0's has 357.*added tokens are .*\[PAD\]"
    refuse(delta_file, tmp_path / "other", tmp_path / "out", message)


def test_incomplete_bases(delta_file: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refuse(delta_file, tmp_path / "empty", tmp_path / "out", "has no config.json. Give --base")
    shutil.copy(base / "config.json", tmp_path / "empty")
    refuse(delta_file, tmp_path / "empty", tmp_path / "out", "holds no weights")
    shutil.copytree(base, tmp_path / "less")
    sorted((tmp_path / "less").glob("*.safetensors"))[1].unlink()
    refuse(delta_file, tmp_path / "less", tmp_path / "out", "there is no file .*less/model-00002")
    index = tmp_path / "less" / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    kept = {name: place for name, place in places.items() if "-00002-" not in place}
    index.write_text(json.dumps({"weight_map": kept}))
    message = "tensors of such a model, among them .*: is a file missing"
    refuse(delta_file, tmp_path / "less", tmp_path / "out", message)


def test_a_folder_that_holds_something(delta_file: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists already: not overwriting it"):
        convert(delta_file, tmp_path / "mine", base=base, layout=TINY)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_too_little_space(
    delta_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    refuse(delta_file, base, tmp_path / "out", "but only 0.0 GB are free")
