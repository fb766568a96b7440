"""Which PyTorch a fresh machine gets, without installing any."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def install_torch(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_torch", root / "tools/install_torch.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def describe(attempts: list[tuple[str, Callable[[], str | None]]]) -> list[str]:
    return [name for name, _ in attempts]


def test_a_cpu_machine_prefers_small_builds(
    install_torch: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_torch.platform, "system", lambda: "Linux")
    assert describe(install_torch.attempts("2.13.0", gpu=False)) == [
        "pip, a wheel labelled +cpu",
        "uv, PyTorch's CPU builds",
        "pip, default build",
    ]


@pytest.mark.parametrize(("system", "gpu"), [("Linux", True), ("Darwin", False)])
def test_elsewhere_the_default_build_is_right(
    install_torch: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, gpu: bool
) -> None:
    monkeypatch.setattr(install_torch.platform, "system", lambda: system)
    assert describe(install_torch.attempts("2.13.0", gpu=gpu)) == ["pip, default build"]


def test_nothing_is_done_where_the_right_version_is_installed(
    install_torch: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = install_torch.pinned_version((root / "constraints.txt").read_text())
    monkeypatch.setattr(install_torch, "installed_version", lambda: f"{wanted}+cpu")
    monkeypatch.setattr(install_torch, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(install_torch, "attempts", lambda *_: pytest.fail("tried to install"))
    assert install_torch.main() == 0
    assert capsys.readouterr().out == ""


def test_failure_lists_every_way_tried_and_what_to_do(
    install_torch: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install_torch, "installed_version", lambda: None)
    monkeypatch.setattr(install_torch, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(install_torch, "pip_install", lambda *_: "No matching distribution")
    monkeypatch.setattr(install_torch, "uv_install", lambda *_: "timed out")
    assert install_torch.main() == 1
    told = capsys.readouterr().err
    assert "+cpu:\n  No matching distribution" in told
    assert "CPU builds:\n  timed out" in told
    assert "-m pip install torch==" in told


def test_a_constraints_file_without_torch_is_refused(install_torch: ModuleType) -> None:
    with pytest.raises(ValueError, match="no line 'torch==VERSION'"):
        install_torch.pinned_version("torchvision==0.0.0\n")
