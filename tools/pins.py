"""Rewrite constraints.txt: the exact versions installed here of everything that anyweave and its
extras need.

.venv/bin/python tools/pins.py
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
HEADER = """\
# Exact versions for a reproducible environment, written by tools/pins.py. They hold for Python 3.11
# to 3.13. torch is named without a build label, so that it means the CPU build on one machine and
# CUDA on another.
"""
# Builds of these on the default package index are linked against CUDA. With a CPU PyTorch they do
# not import, and take transformers, peft and diffusers down with them. Version 0.0.0 does not
# exist: pip refuses to install them.
REFUSED = ("torchaudio", "torchcodec", "torchvision")
# For the extras `qlora` and `ray`, which no development environment installs: versions tried by
# hand together with the others.
BY_HAND = {"bitsandbytes": "0.50.2", "ray": "2.60.0"}


def main() -> int:
    pins: dict[str, str] = {}
    missing = collect(Requirement("anyweave[dev,docs]"), pins)
    if missing:
        print(f"not installed: {', '.join(missing)}; run make env first", file=sys.stderr)
        return 1
    del pins["anyweave"]
    pins |= BY_HAND
    lines = [f"{name}=={version.partition('+')[0]}\n" for name, version in sorted(pins.items())]
    guards = ["\n# Refused: they would replace or break a CPU PyTorch.\n"]
    guards += [f"{name}==0.0.0\n" for name in REFUSED]
    CONSTRAINTS.write_text(HEADER + "".join(lines + guards), encoding="utf-8")
    return 0


def collect(requirement: Requirement, pins: dict[str, str]) -> list[str]:
    """Add a requirement and all that it needs here to `pins`; returns the names that are not
    installed."""
    todo = [requirement]
    seen: set[tuple[str, frozenset[str]]] = set()
    missing: list[str] = []
    while todo:
        current = todo.pop()
        name = canonicalize_name(current.name)
        key = (name, frozenset(current.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        pins[name] = found.version
        for line in found.requires or ():
            needed = Requirement(line)
            extras = current.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": x}) for x in extras):
                todo.append(needed)
    return missing


if __name__ == "__main__":
    sys.exit(main())
