"""Checkpoints: what was trained, complete or not at all, on the right frozen parts."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from anyweave.batch import ModelOutput
from anyweave.files import settle, sweep
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.messages import Audio, Image, Message
from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.model.checkpoint import WEIGHTS, _own, load_pretrained, read_spec
from anyweave.model.hashing import HASHES_FILE, check_hashes, folder_sha256
from anyweave.model.roles import ROLES
from anyweave.processing import collate
from anyweave.testing.model import tiny_spec

# One file each in every checkpoint; adapters in decoders are opt-in, with a file for each decoder.
WHOLE = tuple(role for role in ROLES if role != "decoder_lora")


@pytest.fixture(scope="module")
def written_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    tiny_spec(folder)
    return folder


@pytest.fixture
def parts(tmp_path: Path, written_parts: Path) -> Path:
    """Frozen parts that a test may damage."""
    return Path(shutil.copytree(written_parts, tmp_path / "parts"))


@pytest.fixture
def model(parts: Path) -> NextGPT:
    model = build(tiny_spec(parts), root=parts, seed=1)
    with torch.no_grad():
        for role in ROLES:
            for parameter in model.parameters_of(role).values():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def unhashed(folder: Path) -> Path:
    """As an older version wrote it."""
    (folder / HASHES_FILE).unlink()
    return folder


def outputs(model: NextGPT) -> ModelOutput:
    picture = Image(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3))
    reply = Message("assistant", ["ok", Image(caption="a"), Audio(caption="b")])
    sample = model.processor.render([Message("user", [picture, "go"]), reply])
    return model(collate([sample], pad_id=0))


def assert_same(one: NextGPT, other: NextGPT, atol: float = 0.0) -> None:
    a, b = outputs(one), outputs(other)
    torch.testing.assert_close(a.logits, b.logits, atol=atol, rtol=atol)
    for modality in a.conditioning:
        torch.testing.assert_close(
            a.conditioning[modality], b.conditioning[modality], atol=atol, rtol=atol
        )


def test_save_then_load_gives_the_same_outputs(model: NextGPT, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "checkpoint")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["spec.json", "processor.json", "sha256.json", *(f"{role}.safetensors" for role in WHOLE)]
    )
    assert_same(model, NextGPT.from_pretrained(folder))
    assert not list(tmp_path.glob(".*tmp"))
    stored = set(load_file(folder / "input_projectors.safetensors"))
    assert all(name.startswith("image.") for name in stored)  # the shared one, once


def test_half_precision_halves_the_files(model: NextGPT, tmp_path: Path) -> None:
    full = model.save_pretrained(tmp_path / "full") / "output_projectors.safetensors"
    half = model.save_pretrained(tmp_path / "half", dtype="float16")
    assert (half / full.name).stat().st_size < 0.6 * full.stat().st_size
    loaded = load_pretrained(half)
    assert next(iter(loaded.parameters_of("lora").values())).dtype == torch.float32
    assert_same(model, loaded, atol=0.05)


def test_a_checkpoint_that_travels(model: NextGPT, parts: Path, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "whole", include_frozen=True)
    spec = read_spec(tmp_path / "whole")
    assert spec.decoders["image"].source == "./decoders/image"
    assert spec.decoders["image"].sha256 == folder_sha256(parts / "decoders" / "image")
    shutil.rmtree(parts / "decoders")
    shutil.rmtree(parts / "encoders")
    moved = (tmp_path / "whole").rename(tmp_path / "elsewhere")
    loaded = load_pretrained(moved)
    assert_same(model, loaded)
    assert loaded.decoders["audio"].rate == 16000


def test_saving_again_keeps_other_files(model: NextGPT, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "run", include_frozen=True)
    (folder / "training").mkdir()
    (folder / "training" / "state.json").write_text("{}")
    again = load_pretrained(folder)
    again.save_pretrained(folder)
    assert (folder / "training" / "state.json").is_file()
    assert read_spec(folder).decoders["image"].source == "./decoders/image"
    assert_same(model, load_pretrained(folder))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".run")] == []


def test_a_foreign_folder_is_not_overwritten(model: NextGPT, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"holds no spec.json: not overwriting it"):
        model.save_pretrained(tmp_path)


def test_another_frozen_part_is_refused(model: NextGPT, parts: Path, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "checkpoint")
    path = parts / "encoders" / "imagebind" / "model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file({**tensors, name: tensors[name] + 1}, path)
    with pytest.raises(
        ValueError, match="frozen encoder 'imagebind'.*expected sha256 .*verify=False"
    ):
        load_pretrained(folder)
    load_pretrained(folder, verify=False)


def test_another_decoder_is_refused_when_it_is_loaded(
    model: NextGPT, parts: Path, tmp_path: Path
) -> None:
    folder = model.save_pretrained(tmp_path / "checkpoint")
    path = parts / "decoders" / "image" / "unconditional.safetensors"
    save_file({name: t + 1 for name, t in load_file(path).items()}, path)
    loaded = load_pretrained(folder)
    loaded.decoders["audio"]
    with pytest.raises(ValueError, match="frozen image decoder"):
        loaded.decoders["image"]


def test_the_hash_ignores_library_versions(parts: Path) -> None:
    tiny_spec(parts)
    before = folder_sha256(parts / "language")
    path = parts / "language" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "transformers_version": "99"}))
    assert folder_sha256(parts / "language") == before
    path.write_text(json.dumps({**config, "rms_norm_eps": 1.0}))
    assert folder_sha256(parts / "language") != before


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.gguf"])
def test_weights_in_other_forms_are_hashed_where_they_are_the_weights(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"one")
    one = folder_sha256(tmp_path)
    (tmp_path / name).write_bytes(b"two")
    assert folder_sha256(tmp_path) != one
    (tmp_path / "model.safetensors").write_bytes(b"x")
    one = folder_sha256(tmp_path)
    (tmp_path / name).unlink()
    assert folder_sha256(tmp_path) == one


@pytest.mark.parametrize("role", WHOLE)
def test_roles_load_strictly(model: NextGPT, tmp_path: Path, role: str) -> None:
    folder = unhashed(model.save_pretrained(tmp_path / "checkpoint"))
    path = folder / f"{role}.safetensors"
    tensors = load_file(path)
    name = sorted(tensors)[0]
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(ValueError, match="1 tensors missing"):
        load_pretrained(folder)
    if role != "lora":  # what follows is told by the same lines for every role
        return
    save_file({**tensors, "extra": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"1 unexpected \['extra'\]"):
        load_pretrained(folder)
    save_file({**tensors, name: torch.zeros(3, 3, 3)}, path)
    with pytest.raises(ValueError, match=r"has shape \(3, 3, 3\)"):
        load_pretrained(folder)
    path.unlink()
    with pytest.raises(ValueError, match=f"lacks {role}.safetensors"):
        load_pretrained(folder)


def test_weights_without_a_place_are_refused(model: NextGPT, tmp_path: Path) -> None:
    folder = unhashed(model.save_pretrained(tmp_path / "checkpoint"))
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps({**spec, "lora": None}))
    with pytest.raises(ValueError, match="unexpected"):
        load_pretrained(folder)


def test_another_tokenisation_is_refused(model: NextGPT, tmp_path: Path) -> None:
    folder = unhashed(model.save_pretrained(tmp_path / "checkpoint"))
    facts = json.loads((folder / "processor.json").read_text())
    (folder / "processor.json").write_text(json.dumps({**facts, "end_of_turn_id": 7}))
    with pytest.raises(ValueError, match="trained with end_of_turn_id=7, but its parts now give"):
        load_pretrained(folder)


def test_no_such_model() -> None:
    with pytest.raises(
        ValueError, match=r"no model 'nobody/nothing': not an embedded name \(emoji-mini\)"
    ):
        load_pretrained("nobody/nothing")


def test_missing_relative_part(model: NextGPT, parts: Path) -> None:
    spec = tiny_spec(parts)
    shutil.rmtree(parts / "encoders")
    with pytest.raises(ValueError, match="lacks its part './encoders/imagebind'"):
        build(spec, root=parts)
    with pytest.raises(ValueError, match="pass root="):
        build(spec)


def test_a_part_without_a_hash_is_known_by_its_place_and_its_files(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cache keys: the same relative source in another folder, or rewritten, is another encoder."""

    def keys(root: Path) -> tuple[str, ...]:
        names = build(tiny_spec(root), root=root).fingerprints
        return names["features"]["image"], names["caption"]["image"]

    moved = Path(shutil.copytree(parts, tmp_path / "moved"))
    here, there = keys(parts), keys(moved)
    assert here[0] != there[0] and here[1] != there[1]
    monkeypatch.chdir(tmp_path)
    assert keys(Path("parts")) == here
    weights = parts / "encoders" / "imagebind" / "model.safetensors"
    tensors = {name: tensor + 1 for name, tensor in load_file(weights).items()}
    save_file(tensors, weights)
    assert keys(parts)[0] != here[0] and keys(parts)[1] == here[1]


def test_a_part_with_a_hash_is_known_by_it_wherever_it_is(parts: Path, tmp_path: Path) -> None:
    build(tiny_spec(parts), root=parts).save_pretrained(tmp_path / "a", include_frozen=True)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one, other = (NextGPT.from_pretrained(tmp_path / name) for name in "ab")
    assert one.fingerprints == other.fingerprints


@pytest.mark.slow
def test_a_model_is_old_or_new_wherever_its_writer_dies(
    model: NextGPT, tmp_path: Path, dying_at: Callable[[int, Callable[[], object]], bool]
) -> None:
    """`save_pretrained` over a model, in processes killed before each of their steps on the disk:
    what is found afterwards is one model, whole, with the parts that travel with it.
    """
    folder = model.save_pretrained(tmp_path / "model", include_frozen=True)
    (folder / "notes.txt").write_text("mine")
    name, weight = next(iter(model.parameters_of("signal_rows").items()))

    def stored() -> float:
        settle(folder)
        check_hashes(folder, _own())
        assert read_spec(folder).decoders["image"].source == "./decoders/image"
        assert (folder / "decoders" / "image" / "unet" / "config.json").is_file()
        assert (folder / "notes.txt").read_text() == "mine"
        return float(load_file(folder / "signal_rows.safetensors")[name].flatten()[0])

    travelling = load_pretrained(folder)
    values = []
    for number in count():
        with torch.no_grad():
            weight = travelling.parameters_of("signal_rows")[name]
            weight.fill_(1000 + number)
        before = stored()
        died = dying_at(number, lambda: travelling.save_pretrained(folder))
        assert stored() in (before, 1000 + number), f"another model after step {number}"
        values.append(stored())
        if not died:
            break
    assert values[-1] == 1000 + len(values) - 1 and len(values) > 20
    sweep(folder)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert_same(travelling, load_pretrained(folder))


def test_a_full_disk_leaves_the_old_model(
    model: NextGPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.save_pretrained(tmp_path / "model")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ValueError, match="cannot be written: No space left on device"):
            model.save_pretrained(folder)
    assert_same(model, load_pretrained(folder))
    assert not list(folder.glob(".*"))


def test_an_older_checkpoint_loads_with_a_note(
    model: NextGPT, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unhashed(model.save_pretrained(tmp_path / "checkpoint"))
    assert_same(model, load_pretrained(folder))
    assert "has no sha256.json: it was written by an older version" in caplog.text


def test_the_embedded_model_is_as_it_was_written() -> None:
    check_hashes(WEIGHTS / "emoji_mini", _own())


def test_an_encoder_that_was_just_checked_is_read_when_it_encodes(
    model: NextGPT, tmp_path: Path
) -> None:
    folder = model.save_pretrained(tmp_path / "checkpoint")
    loaded, unchecked = load_pretrained(folder), load_pretrained(folder, verify=False)
    assert not loaded.encoders["image"].loaded
    assert not hasattr(unchecked.encoders["image"], "loaded")
    with torch.inference_mode():
        assert_same(model, loaded)
    weights = list(loaded.encoders["image"].parameters())
    assert weights and not any(weight.is_inference() for weight in weights)


def test_loading_draws_no_first_values(model: NextGPT, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "checkpoint")
    state = torch.random.get_rng_state()
    loaded = load_pretrained(folder)
    assert torch.equal(state, torch.random.get_rng_state())
    for role in ROLES:
        own, found = model.parameters_of(role), loaded.parameters_of(role)
        assert all(torch.equal(own[name], found[name]) for name in own)


def test_an_autoencoder_that_decoders_share_stays_with_each_that_travels(tmp_path: Path) -> None:
    """Clips may be drawn in the pictures' latents, with one autoencoder on disk for both."""
    spec = tiny_spec(tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts" / "decoders" / "video" / "vae")
    args = {"subfolders": {"vae": "../image/vae"}}
    video = replace(spec.decoders["video"], args=args)
    spec = replace(spec, decoders={**spec.decoders, "video": video})
    model = build(spec, root=tmp_path / "parts")
    options = GenerationOptions(
        force=("video",), seed=1, max_new_tokens=2, max_media=0, temperature=0.0
    )
    before = ChatSession(model, options).reply("a clip").videos[0]
    folder = model.save_pretrained(tmp_path / "whole", include_frozen=True)
    for weights in (folder / "decoders" / "image").rglob("*.safetensors"):
        weights.unlink()  # the pictures' own are not looked at
    whole = NextGPT.from_pretrained(folder)
    assert whole.spec.decoders["video"].args == {"subfolders": {}}
    after = ChatSession(whole, options).reply("a clip").videos[0]
    assert np.array_equal(before.array, after.array)
