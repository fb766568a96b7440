"""Where the weights of public parts are on this machine, and what to do when they are missing.

A public source (a hub id, or a file such as ``imagebind_huge.pth``) is looked up in the models
folder first: ``$ANYWEAVE_MODELS/<source>``, by default ``~/.cache/anyweave/models/<source>``. Hub
ids not found there come through the hub's client and its cache.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

import anyweave
from anyweave.files import cache_folder
from anyweave.language.fetch import SOURCES
from anyweave.tensors import explained

WEIGHTS = Path(anyweave.__file__).parent / "weights"
EMBEDDED = {"emoji-mini": "emoji_mini"}
# Public files that are not on the hub under this name.
DOWNLOADS = {
    "imagebind_huge.pth": "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
}


def models_folder() -> Path:
    """``$ANYWEAVE_MODELS``, else ``models`` in the cache folder."""
    return Path(os.environ.get("ANYWEAVE_MODELS") or cache_folder() / "models")


def local_copy(source: str) -> Path | None:
    """The public part `source` in the models folder, or a part of an embedded model
    (``emoji-mini/decoders/image``); None if it is not there.
    """
    name, _, part = source.partition("/")
    if part and name in EMBEDDED and (WEIGHTS / EMBEDDED[name] / part).is_dir():
        return WEIGHTS / EMBEDDED[name] / part
    path = models_folder() / source
    # An absolute source replaces the folder when joined: that is not a copy.
    return path if path.is_relative_to(models_folder()) and path.exists() else None


def is_here(source: str | Path) -> bool:
    """Whether a resolved source can be read without a network. For a hub id: whether the hub's
    cache has its configuration.
    """
    if Path(source).expanduser().exists() or local_copy(str(source)):
        return True
    if source in SOURCES:
        return _converted(str(source)).is_dir()
    names = ("config.json", "model_index.json", "unet/config.json")
    try:
        return any(isinstance(try_to_load_from_cache(str(source), name), str) for name in names)
    except HFValidationError:
        return False


def _converted(name: str) -> Path:
    return cache_folder() / "language" / f"{name}-{SOURCES[name].sha256[:12]}"


def how_to_get(source: str) -> str:
    """One sentence: what to download, and where to put it."""
    place = models_folder() / source
    if source in DOWNLOADS:
        return f"Download {DOWNLOADS[source]} to {place}"
    return (
        f"Where the model hub can be reached, {source} is downloaded when first used (log in with "
        f"'hf auth login' if it asks for that); otherwise run "
        f"'hf download {source} --local-dir DIR' there and put DIR at {place}"
    )


@contextmanager
def missing_weights_explained(part: str, source: str | Path) -> Iterator[None]:
    """Within the block, loading errors raise a `ValueError` that names the part, and says how to
    get a public source that is not on this machine.
    """
    try:
        with explained(f"the {part} from {source}"):
            yield
    except ValueError as error:
        if isinstance(source, Path) or is_here(source):
            raise
        raise ValueError(
            f"the weights of the {part}, {source}, are not on this machine. {how_to_get(source)}. "
            f"($ANYWEAVE_MODELS names another folder than {models_folder()}.) The loader said: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
