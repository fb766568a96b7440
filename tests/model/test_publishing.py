"""Loading from and uploading to the hub, with the hub's client played by us."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import anyweave as aw
from anyweave.model import checkpoint as checkpoint_module
from anyweave.model import publishing
from anyweave.model.build import understood
from anyweave.testing.model import tiny_model


class Client:
    """`HfApi` as far as it is used; keeps what it is told and what a folder held."""

    def __init__(self, token: Any = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = [("token", {"token": token})]
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_repo", {"repo_id": repo_id, **options}))

    def create_branch(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_branch", {"repo_id": repo_id, **options}))

    def upload_folder(self, *, folder_path: Path, **options: Any) -> SimpleNamespace:
        files = (path for path in Path(folder_path).rglob("*") if path.is_file())
        self.files = {str(path.relative_to(folder_path)): path.read_bytes() for path in files}
        self.calls.append(("upload_folder", options))
        return SimpleNamespace(commit_url="hub/commit/1")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()

    def new(token: Any = None) -> Client:
        made.calls = [("token", {"token": token})]
        return made

    monkeypatch.setattr(publishing, "HfApi", new)
    return made


def test_a_model_is_uploaded_with_its_parts(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    monkeypatch.setattr(publishing, "_check_language", lambda spec, root: None)
    address = model.push_to_hub("me/mine", private=True, token="secret", revision="v1")
    assert address == "hub/commit/1"
    assert client.calls == [
        ("token", {"token": "secret"}),
        ("create_repo", {"repo_id": "me/mine", "private": True, "exist_ok": True}),
        ("create_branch", {"repo_id": "me/mine", "branch": "v1", "exist_ok": True}),
        (
            "upload_folder",
            {
                "repo_id": "me/mine",
                "revision": "v1",
                "commit_message": "Upload of an anyweave model",
            },
        ),
    ]
    spec = json.loads(client.files["spec.json"])
    sources = [part["source"] for part in (*spec["encoders"], *spec["decoders"].values())]
    assert all(source.startswith("./") for source in sources)
    for source in sources:
        assert any(name.startswith(f"{source.removeprefix('./')}/") for name in client.files)
    assert 'aw.load("me/mine")' in client.files["README.md"].decode()
    assert b"secret" not in b"".join(client.files.values())


def test_a_language_model_of_this_machine_alone_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the language model is the folder .*travels with no"):
        tiny_model().push_to_hub("me/mine")
    assert client.files == {}


def test_the_hubs_options_reach_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}
    folder = tiny_model().save_pretrained(tmp_path / "model")

    def download(repo_id: str, **options: Any) -> str:
        asked.update(options, repo_id=repo_id)
        return str(folder)

    monkeypatch.setattr(checkpoint_module, "snapshot_download", download)
    aw.NextGPT.from_pretrained(
        "me/mine", revision="v1", token="secret", cache_dir=tmp_path, lazy_encoders=True
    )
    assert asked == {
        "repo_id": "me/mine", "revision": "v1", "token": "secret", "cache_dir": tmp_path,
    }  # fmt: skip


def test_parts_are_given_only_what_they_take() -> None:
    def hub_part(source: str, *, token: str | None = None) -> None: ...
    def file_part(source: str, **overrides: Any) -> None: ...

    hub = {"token": "secret", "cache_dir": "x"}
    assert understood(hub_part, hub) == {"token": "secret"}
    assert understood(file_part, hub) == {} == understood(hub_part, {})


def test_a_type_or_its_name(tmp_path: Path) -> None:
    folder = tiny_model().save_pretrained(tmp_path / "model")
    for dtype in (torch.bfloat16, "bfloat16"):
        assert aw.load(folder, dtype=dtype).language.dtype == torch.bfloat16
    half = aw.load(folder).save_pretrained(tmp_path / "half", dtype=torch.float16)
    stored = load_file(half / "output_projectors.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    for wrong in (torch.int8, "half"):
        with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, float16"):
            aw.load(folder, dtype=wrong)


def test_a_runs_folder_says_where_its_model_is(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "run" / "model")
    with pytest.raises(ValueError, match="it has no spec.json; the run's model is .*run/model"):
        aw.load(tmp_path / "run")
