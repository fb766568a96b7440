"""A damaged or lying checkpoint is one `ValueError`, never another exception and never silence."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anyweave.encoders.transformers_backbone import TransformersBackbone
from anyweave.language import CausalLM
from anyweave.model import NextGPT
from anyweave.model.build import build
from anyweave.model.checkpoint import load_pretrained
from anyweave.model.hashing import HASHES_FILE
from anyweave.model.inspect import inspect_checkpoint
from anyweave.model.spec import ModelSpec
from anyweave.testing.model import tiny_spec

NAMES = (
    "spec.json",
    "processor.json",
    HASHES_FILE,
    "input_projectors.safetensors",
    "lora.safetensors",
    "signal_rows.safetensors",
    "encoders/0-imagebind/config.json",
    "encoders/0-imagebind/model.safetensors",
    "decoders/image/decoder.json",
    "decoders/image/model_index.json",
    "decoders/image/unet/config.json",
    "decoders/image/unet/diffusion_pytorch_model.safetensors",
    "decoders/image/tokenizer/tokenizer.json",
    "decoders/audio/mel_config.json",
    "decoders/audio/scheduler/scheduler_config.json",
    "decoders/audio/unconditional.safetensors",
    "language/config.json",
    "language/model.safetensors",
    "language/tokenizer.json",
)


def flip(data: bytes, at: float) -> bytes:
    place = int(at * (len(data) - 1))
    return data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "last byte lost": lambda data: data[:-1],
    "first byte": lambda data: flip(data, 0),
    "byte in the middle": lambda data: flip(data, 0.5),
    "last byte": lambda data: flip(data, 1),
    "noise": lambda data: bytes(range(256)) * 4,
    "another file": lambda data: b'{"a": [1, 2]}',
    "deep": lambda data: b"[" * 100_000,
    "list": lambda data: b"[]",
    "number": lambda data: b"1e999",
    "huge header": lambda data: struct.pack("<Q", 1 << 60) + data[8:],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with all its parts inside."""
    folder = tmp_path_factory.mktemp("whole")
    model = build(tiny_spec(folder / "checkpoint"), root=folder / "checkpoint", seed=1)
    (folder / "checkpoint" / "spec.json").write_text("{}")  # ours already
    model.save_pretrained(folder / "checkpoint", include_frozen=True)
    # The encoders are inside already: they keep their names.
    (folder / "checkpoint" / "encoders" / "imagebind").rename(folder / "imagebind")
    shutil.copytree(folder / "imagebind", folder / "checkpoint" / "encoders" / "0-imagebind")
    text = (folder / "checkpoint" / "spec.json").read_text()
    (folder / "checkpoint" / "spec.json").write_text(text.replace("/imagebind", "/0-imagebind"))
    (folder / "checkpoint" / HASHES_FILE).unlink()
    load_pretrained(folder / "checkpoint").save_pretrained(folder / "checkpoint")
    return folder / "checkpoint"


@pytest.fixture
def good(whole: Path) -> dict[str, Any]:
    return json.loads((whole / "spec.json").read_text())


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "checkpoint"))


def read_all(folder: Path, **options: Any) -> NextGPT:
    """Load a model with every network of its decoders."""
    model = load_pretrained(folder, **options)
    for modality in model.decoders:
        decoder = model.decoders[modality]
        assert list(decoder.parameters())  # reads all
    return model


def test_the_undamaged_one_loads(folder: Path) -> None:
    read_all(folder)


@pytest.mark.parametrize(
    "name",
    [n if "audio" not in n else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_damage_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    for damage in DAMAGES.values():
        path.write_bytes(damage(content))
        with pytest.raises(ValueError, match=r"damaged|not the one|was changed|cannot be|lacks"):
            read_all(folder)


@pytest.mark.parametrize("name", [name for name in NAMES if name != HASHES_FILE])
def test_a_lost_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=r"lacks|not a checkpoint|not the one"):
        read_all(folder)


def test_swapped_files_are_refused(folder: Path) -> None:
    one, other = folder / "lora.safetensors", folder / "signal_rows.safetensors"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.raises(ValueError, match=r"lora.safetensors is damaged or was changed"):
        read_all(folder)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_without_hashes_damage_never_ends_in_another_error(
    folder: Path, name: str, damage: str
) -> None:
    """An older checkpoint, or verify=False: a flipped bit may pass, a traceback may not."""
    path = folder / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    (folder / HASHES_FILE).unlink()
    try:
        read_all(folder, verify=False)
    except ValueError as error:
        assert len(str(error)) > 20


@pytest.mark.parametrize("damage", ["half", "huge header"])
@pytest.mark.parametrize("name", [n for n in NAMES if "/" not in n and n != HASHES_FILE])
def test_our_own_files_without_hashes(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    (folder / HASHES_FILE).unlink()
    with pytest.raises(ValueError, match=path.name):
        load_pretrained(folder)


WRONG: tuple[Any, ...] = (None, True, -1, 0, 10**9, 1.5, "x" * 5000, "", [], {}, [[1]], {"a": {}})


def fields(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    found = [path] if path else []
    for key, item in pairs:
        found += fields(item, (*path, key))
    return found


def test_every_field_of_a_spec_with_every_wrong_value(good: dict[str, Any]) -> None:
    """Read or refused with a `ValueError`: nothing else comes out of a spec."""
    refused = 0
    for path in fields(good):
        for wrong in WRONG:
            spec = json.loads(json.dumps(good))
            place = spec
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = wrong
            try:
                assert isinstance(ModelSpec.from_dict(spec), ModelSpec)
            except ValueError as error:
                assert len(str(error)) < 2000
                refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signal_tokens": {"image": 10**9, "video": 5, "audio": 3}}, "at most 10000"),
        ({"signal_tokens": {"image": True, "video": 5, "audio": 3}}, "must be"),
        ({"signal_tokens": {"image": -4, "video": 5, "audio": 3}}, "at least 1, got -4"),
        ({"system_prompt": "x" * 200_000}, "at most 100,000"),
        ({"name": 7}, "spec.name must be str, got int 7"),
        ({"language": {"source": "./../../etc"}}, "leaves the checkpoint's folder"),
        ({"language": {"source": "../x"}}, "leaves the checkpoint's folder"),
        ({"language": {"source": "./"}}, "names nothing"),
        ({"language": {"source": "./language", "dtype": 3}}, "language.dtype must be"),
        ({"lora": {"r": 10**9}}, "lora.r must be at most"),
        ({"lora": {"alpha": float("nan")}}, "lora.alpha must be"),
        ({"lora": {"target_modules": "q_proj"}}, "target_modules must be"),
        ({"encoders": "x"}, "spec.encoders must be a list"),
        ({"decoders": []}, "spec.decoders must be a mapping"),
    ],
)
def test_absurd_specs(good: dict[str, Any], change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ModelSpec.from_dict({**good, **change})


@pytest.mark.parametrize(
    "arguments",
    [
        {"dim": 10**9},
        {"dim": -1},
        {"dim": 0},
        {"dim": "16"},
        {"dim": 1e6, "num_heads": 2},
        {"dim": 900_000, "num_heads": 2},
        {"depths": [1, 100_000]},
        {"depths": []},
        {"tokens": [0, -3]},
        {"num_heads": 0},
        {"nothing": 1},
    ],
)
def test_projectors_of_absurd_sizes(
    whole: Path, good: dict[str, Any], arguments: dict[str, Any]
) -> None:
    good["input_projector"]["args"] |= arguments
    with pytest.raises(ValueError, match=r"projector"):
        build(ModelSpec.from_dict(good), root=whole)


@pytest.mark.parametrize("part", ["encoders", "decoders"])
def test_a_spec_cannot_allow_foreign_code(good: dict[str, Any], part: str) -> None:
    place = good[part][0] if part == "encoders" else good[part]["image"]
    place["args"] = {"trust_remote_code": True}
    with pytest.raises(ValueError, match="may not allow foreign code to run"):
        ModelSpec.from_dict(good)


@pytest.mark.parametrize("part", ["language", "encoder"])
def test_foreign_code_is_refused_and_not_asked_for(
    folder: Path, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``auto_map`` makes transformers ask whether to run code, which an answer would let it."""

    def asked(*_: Any) -> str:
        pytest.fail("the user was asked")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr("transformers.dynamic_module_utils.signal", None)
    foreign = tmp_path / "foreign"
    shutil.copytree(folder / "language", foreign)
    config = json.loads((foreign / "config.json").read_text())
    named = {"AutoConfig": "evil.Config", "AutoModel": "evil.M", "AutoModelForCausalLM": "evil.M"}
    (foreign / "config.json").write_text(
        json.dumps({**config, "model_type": "unheard-of", "auto_map": named})
    )
    ran = tmp_path / "ran"
    (foreign / "evil.py").write_text(f"open({str(ran)!r}, 'w')")
    load = CausalLM.from_pretrained if part == "language" else TransformersBackbone.from_pretrained
    with pytest.raises(ValueError, match="which is not run.*--trust-remote-code"):
        load(foreign)
    assert not ran.exists()
    with pytest.raises(ValueError):
        load(foreign, trust_remote_code=True)
    assert ran.exists()


@pytest.mark.parametrize("damage", ["half", "noise", "list", "deep", "another file"])
@pytest.mark.parametrize(
    "name", ["spec.json", "decoders/image/unet/config.json", "language/config.json"]
)
def test_looking_at_a_damaged_model(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    try:  # a part of an unknown kind is shown without numbers
        assert inspect_checkpoint(folder).parts
        assert damage == "another file" and name != "spec.json"
    except ValueError as error:
        assert path.name in str(error) or path.parent.name in str(error) or "spec" in str(error)


@pytest.mark.parametrize("named", ["logging", "DiffusionPipeline", "no_such", 7, "utils"])
def test_a_config_names_no_class_but_networks(folder: Path, named: object) -> None:
    path = folder / "decoders" / "image" / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": named}))
    with pytest.raises(ValueError, match="unet"):
        inspect_checkpoint(folder)
    (folder / HASHES_FILE).unlink()
    with pytest.raises(ValueError, match="the unet is a"):
        load_pretrained(folder, verify=False).decoders["image"]
