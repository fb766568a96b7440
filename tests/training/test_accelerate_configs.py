"""The shipped accelerate configs say to accelerate's own launcher what the trainer reads back."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env


def _environment(path: Path) -> dict[str, str]:
    """What a launched process would find in its environment."""
    arguments = launch_command_parser().parse_args(["--config_file", str(path), "-m", "x"])
    arguments, _, _ = _validate_launch_command(arguments)
    return prepare_multi_gpu_env(arguments)


@pytest.fixture
def launched(
    request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    environment = _environment(root / "recipes" / "accelerate" / f"{request.param}.yaml")
    for name, value in environment.items():
        if name.startswith(("ACCELERATE_", "FSDP_")):
            monkeypatch.setenv(name, value)
    return environment


@pytest.mark.parametrize("launched", ["fsdp2"], indirect=True)
def test_fsdp2(launched: dict[str, str]) -> None:
    assert launched["ACCELERATE_USE_FSDP"] == "true"
    plugin = FullyShardedDataParallelPlugin()
    assert (plugin.fsdp_version, plugin.reshard_after_forward) == (2, True)
    assert not plugin.activation_checkpointing and not plugin.cpu_ram_efficient_loading


@pytest.mark.parametrize("launched", ["replicas"], indirect=True)
def test_replicas(launched: dict[str, str]) -> None:
    assert launched.get("ACCELERATE_USE_FSDP", "false") == "false"


def test_precision_is_left_to_the_recipe(root: Path) -> None:
    paths = sorted((root / "recipes" / "accelerate").glob("*.yaml"))
    assert [path.stem for path in paths] == ["fsdp2", "replicas"]
    for path in paths:
        assert _environment(path)["ACCELERATE_MIXED_PRECISION"] == "no"
