"""Loads the model that a command talks to or measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import anyweave
from anyweave.cli.console import err


def load_model(
    model: str, device: str, bridge: str | None = None, *, trust_remote_code: bool = False
) -> Any:
    """Load a checkpoint by name, folder or hub id, with a status line on standard error."""
    with err.status("loading the model"):
        load = anyweave.load  # through the top-level API, which imports fast
        hide_loading_bars()
        return load(
            model,
            device=device,
            bridge=cast(Any, bridge),  # checked where it is used
            trust_remote_code=trust_remote_code,
        )


def load_finder(index: Path | None, model: Any) -> Any:
    """A finder that searches the index for `model`; None without an index."""
    if index is None:
        return None
    from anyweave.retrieval import Decision, Finder, Index

    return Finder(Index.load(index), model, Decision())


def hide_loading_bars() -> None:
    """Disable the progress bars that transformers shows for every weights file."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
