"""Install the pinned PyTorch into the running environment: the CPU build where there is no NVIDIA
GPU.

On Linux the default package index holds only the CUDA build, some gigabytes that a CPU machine has
no use for. So three ways are tried in order: a wheel labelled `+cpu` that pip can already see (a
local folder or a mirror), `uv`, which knows where PyTorch keeps its CPU builds, and finally the
default build, with a notice. Standard library only. Does nothing where the right version is already
installed.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"


def main() -> int:
    wanted = pinned_version(CONSTRAINTS.read_text(encoding="utf-8"))
    have = installed_version()
    gpu = has_nvidia_gpu()
    if have and have.partition("+")[0] == wanted:
        if gpu and have.endswith("+cpu"):
            print("note: this environment has PyTorch's CPU build, so the GPU will not be used")
        return 0
    print(f"installing PyTorch {wanted} ({'CUDA' if gpu else 'CPU'} build)", flush=True)
    failures: list[str] = []
    for describe, attempt in attempts(wanted, gpu):
        failure = attempt()
        if failure is None:
            return 0
        failures.append(f"- {describe}:\n{_indented(failure)}")
    print(f"PyTorch {wanted} could not be installed. Tried:", *failures, sep="\n", file=sys.stderr)
    print(
        "Install it by hand into this environment, then run the same command again:\n"
        f"  {sys.executable} -m pip install torch=={wanted}",
        file=sys.stderr,
    )
    return 1


def pinned_version(constraints: str) -> str:
    """The version on the `torch==` line of the constraints file. Raises `ValueError` without
    one."""
    found = re.search(r"^torch==([\w.]+)\s*(?:#.*)?$", constraints, flags=re.MULTILINE)
    if found is None:
        raise ValueError(f"{CONSTRAINTS} has no line 'torch==VERSION'; add it back")
    return found.group(1)


def installed_version() -> str | None:
    """The installed version, or None when there is none or it does not import."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None
    done = subprocess.run([sys.executable, "-c", "import torch"], capture_output=True)
    return version if done.returncode == 0 else None


def has_nvidia_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    done = subprocess.run([program, "-L"], capture_output=True, text=True)
    return done.returncode == 0 and "GPU" in done.stdout


def attempts(wanted: str, gpu: bool) -> list[tuple[str, Callable[[], str | None]]]:
    """The ways to try, in order: pairs of a description and a function that returns why it failed,
    or None."""
    if gpu or platform.system() != "Linux":  # elsewhere the default build is the CPU build
        return [("pip, default build", lambda: pip_install(f"torch=={wanted}"))]
    return [
        ("pip, a wheel labelled +cpu", lambda: pip_install(f"torch=={wanted}+cpu")),
        ("uv, PyTorch's CPU builds", lambda: uv_install(f"torch=={wanted}")),
        ("pip, default build", lambda: _with_notice(f"torch=={wanted}")),
    ]


def pip_install(*requirements: str) -> str | None:
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-input", "--constraint", str(CONSTRAINTS), *requirements]
    return _failure(command)


def uv_install(requirement: str) -> str | None:
    """Through uv, itself installed beside the environment: it is not part of the project."""
    with tempfile.TemporaryDirectory() as folder:
        problem = pip_install("--target", folder, "uv")
        if problem:
            return problem
        command = [str(Path(folder) / "bin" / "uv"), "pip", "install", "--quiet"]
        command += ["--python", sys.executable, "--torch-backend=cpu"]
        return _failure([*command, "--constraint", str(CONSTRAINTS), requirement])


def _with_notice(requirement: str) -> str | None:
    print("no CPU build in reach: installing the default build, a download of some gigabytes")
    return pip_install(requirement)


def _failure(command: list[str]) -> str | None:
    """Run a command; returns its last lines of output if it failed."""
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return "\n".join(lines[-4:]) or f"exit status {done.returncode}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
