"""Make the project's virtual environment: `.venv`, PyTorch, then anyweave itself, all at pinned
versions.

Standard library only: it runs under whatever Python the machine has, and says what is missing.
Called by the Makefile; run again at any time, it only installs what has changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)
INTERPRETERS = ("python3.13", "python3.12", "python3.11")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extras", default="", help="comma-separated extras, such as dev,docs")
    args = parser.parse_args()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return _run_under_another_python()
    venv: Path = args.venv.absolute()
    python = venv / "bin" / "python"
    if not _works(python):
        print(f"creating {venv.name} with Python {sys.version.split()[0]}", flush=True)
        problem = _create(venv)
        if problem:
            print(problem, file=sys.stderr)
            return 1
    if subprocess.run([str(python), str(ROOT / "tools" / "install_torch.py")]).returncode:
        return 1
    target = f"{ROOT}[{args.extras}]" if args.extras else str(ROOT)
    print(f"installing anyweave {args.extras}".rstrip(), flush=True)
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    command += ["--no-input", "--constraint", str(ROOT / "constraints.txt"), "--editable", target]
    if subprocess.run(command, env=_quiet_pip()).returncode:
        print(
            "\npip could not install the packages above. If it is a network error, run the same "
            "command again: what has been downloaded is kept.",
            file=sys.stderr,
        )
        return 1
    stamps = ["core", "dev"] if "dev" in args.extras.split(",") else ["core"]
    for stamp in stamps:
        (venv / f".anyweave-{stamp}").touch()
    return 0


def _run_under_another_python() -> int:
    """Start again with a supported interpreter from PATH, or say which versions are supported."""
    for name in INTERPRETERS:
        found = shutil.which(name)
        if found and _works(Path(found)):
            return subprocess.run([found, *sys.argv]).returncode
    have = ".".join(map(str, sys.version_info[:3]))
    print(
        f"anyweave needs Python {_dotted(OLDEST)} to {_dotted(NEWEST)}; {sys.executable} is {have} "
        f"and none of {', '.join(INTERPRETERS)} is on PATH.\n"
        "Install one of them, or name it: make PYTHON=/path/to/python3.12 demo",
        file=sys.stderr,
    )
    return 1


def _create(venv: Path) -> str | None:
    """Create the environment; returns the reason as a sentence if that fails."""
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0 and _works(venv / "bin" / "python", "import pip"):
        return None
    output = done.stdout + done.stderr
    if "ensurepip" in output or "No module named" in output:
        version = _dotted(sys.version_info[:2])
        return (
            f"{sys.executable} has no venv or ensurepip module, so no environment can be made.\n"
            f"On Debian and Ubuntu: apt-get install python{version}-venv. "
            "Or name another Python: make PYTHON=/path/to/python3.12 demo"
        )
    return f"creating {venv} failed:\n{output.strip()}"


def _works(python: Path, code: str = "pass") -> bool:
    """Whether this interpreter starts and runs `code`; a moved or half-made environment does
    not."""
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", code], capture_output=True).returncode == 0


def _quiet_pip() -> dict[str, str]:
    return {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    sys.exit(main())
