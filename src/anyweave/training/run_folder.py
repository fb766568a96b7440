"""The run folder: one process trains in it, and no run overwrites another's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyweave.files import path_lock, read_object, sweep
from anyweave.training.resume import check_same_run, checkpoints

CONFIG_FILE = "config.json"
_RUN_KEYS = ("stage", "optimizer", "output_dir")  # no other config.json has them all


@contextmanager
def claimed(run: Path, config: Mapping[str, Any], *, resume: bool) -> Iterator[None]:
    """Within the block, `run` is locked for us; killed jobs' half-written files in it are removed.

    Raises `ValueError`, before anything is written, if another process trains in it, if it holds a
    run and `resume` is off, or if it holds a different run or unrelated files.
    """
    check_run_folder(run, config, resume=resume)
    run.parent.mkdir(parents=True, exist_ok=True)
    with path_lock(run, doing="trains in it"):
        check_run_folder(run, config, resume=resume)
        for folder in (run, run / "checkpoints"):
            sweep(folder)
        yield


def check_run_folder(run: Path, config: Mapping[str, Any], *, resume: bool) -> None:
    """Raise `ValueError` unless a run with `config` may write into `run`."""
    cache = config.get("cache_dir")  # features are often computed before the run begins
    own = None if cache is None else Path(cache).resolve()
    held = [entry for entry in run.iterdir() if entry.resolve() != own] if run.is_dir() else [run]
    if not run.exists() or not held:
        return
    path = run / CONFIG_FILE
    found = read_object(path) if path.is_file() else {}
    if not all(key in found for key in _RUN_KEYS):
        names = sorted(entry.name for entry in held)[:4] if run.is_dir() else ["a file"]
        raise ValueError(
            f"{run} holds {', '.join(names)} and no run: not writing into it; choose another "
            "output_dir (--out)"
        )
    done = checkpoints(run)
    if done and not resume:
        raise ValueError(
            f"{run} already holds a run ({done[-1].name}); pass resume=True (--resume) to continue "
            "it, or choose another output_dir"
        )
    if not done:  # otherwise the checkpoint is compared when it is loaded
        check_same_run(run, found, config)
