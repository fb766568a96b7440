"""Where the files of a decoder come from: a folder in the diffusers layout, or a hub id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

from anyweave.files import read_object, settle
from anyweave.tensors import check_complete, explained

# Prefixes of the names of parts that only embed captions.
CAPTIONING = ("text_encoder", "tokenizer", "language_model")
PARTS = ("unet", "vae", "scheduler", "text_encoder", "tokenizer", "vocoder")


@dataclass(frozen=True, kw_only=True)
class DecoderSource:
    """Where a decoder's parts are and how its files are chosen, with the option names of diffusers
    and transformers.

    `variant`: weight files ``*.{variant}.safetensors`` ("fp16"). `use_safetensors`: None prefers
    safetensors and otherwise reads a pickle of plain tensors; True refuses pickles. `subfolders`
    renames parts (``{"unet": "unet_ema"}``). `revision`, `cache_dir`, `token` and
    `local_files_only` apply to the hub only.
    """

    where: str
    revision: str | None = None
    variant: str | None = None
    use_safetensors: bool | None = None
    cache_dir: str | None = None
    local_files_only: bool = False
    token: str | bool | None = None
    subfolders: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.subfolders) - set(PARTS)):
            raise ValueError(f"unknown subfolders {unknown}; parts are {sorted(PARTS)}")

    @property
    def folder(self) -> Path | None:
        """The local folder; None for a hub id."""
        path = Path(self.where).expanduser()
        if not path.is_dir():
            return None
        settle(path)
        return path

    def subfolder(self, part: str) -> str:
        return self.subfolders.get(part, part)

    def pinned(self, by: str | None = None) -> DecoderSource:
        """The same source, pinned to the current commit of the file `by` (default: the UNet's
        config), so that parts loaded later match those loaded now.

        Raises `ValueError` for anything that is neither a folder nor a decoder on the hub.
        """
        by = by or f"{self.subfolder('unet')}/config.json"
        found = self.file(by, required=True)
        assert found is not None
        if self.folder is not None:
            return self
        # .../snapshots/<commit>/unet/config.json
        return replace(self, revision=found.parents[len(Path(by).parts) - 1].name)

    def file(self, name: str, *, required: bool = False) -> Path | None:
        """The local path of one file, downloaded if necessary; None if there is no such file.

        Raises `ValueError` if a required file is missing or the hub fails.
        """
        if self.folder is not None:
            path = self.folder / name
            if required and not path.is_file():
                held = sorted(child.name for child in self.folder.iterdir())
                raise ValueError(
                    f"{self.folder} is not a decoder folder: {name} is missing; it holds {held}"
                )
            return path if path.is_file() else None
        try:
            return Path(hf_hub_download(self.where, name, **self._hub()))
        except EntryNotFoundError as error:
            if required:
                raise self._not_given(error) from error
            return None
        except (HFValidationError, HfHubHTTPError, OSError) as error:
            raise self._not_given(error) from error

    def config(self, part: str, name: str = "config.json") -> dict[str, Any]:
        """The JSON config of a part. Raises `ValueError` if it is missing."""
        path = self.file(f"{self.subfolder(part)}/{name}", required=True)
        assert path is not None
        return read_object(path)

    def has(self, part: str, name: str = "config.json") -> bool:
        """Whether the decoder has this part."""
        return self.file(f"{self.subfolder(part)}/{name}") is not None

    def read(self, kind: Any, part: str, **options: Any) -> Any:
        """``kind.from_pretrained`` for a network class of diffusers or transformers.

        Raises `ValueError` saying what was requested if the files lack it.
        """
        chosen = {"variant": self.variant, "use_safetensors": self.use_safetensors}
        where = str(self.folder or self.where)
        try:
            with explained(f"{where}, {part}", but=(OSError,)):
                network, info = kind.from_pretrained(
                    where,
                    subfolder=self.subfolder(part),
                    output_loading_info=True,
                    **chosen,
                    **self._hub(),
                    **options,
                )
            check_complete(f"{where}, {part}", info["missing_keys"])
            return network
        except OSError as error:
            asked = ", ".join(f"{k}={v!r}" for k, v in chosen.items() if v is not None)
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"{where} gives no {part} ({asked or 'default files'}): {reason}; try another "
                "variant, or leave variant and use_safetensors out"
            ) from error

    def read_small(self, kind: Any, part: str, **options: Any) -> Any:
        """``kind.from_pretrained`` for parts without weights: tokenizer, scheduler or config."""
        root = self.folder
        if root is None:
            wanted = [f"{self.subfolder(part)}/*{end}" for end in (".json", ".txt", ".model")]
            root = Path(snapshot_download(self.where, allow_patterns=wanted, **self._hub()))
        with explained(f"{self.where}, {part}"):
            return kind.from_pretrained(root / self.subfolder(part), **options)

    def identity(self, *parts: str) -> list[Any]:
        """Values that change when the files of `parts` change. Reads no weights."""
        if self.folder is None:
            return [self.where, self.revision, self.variant]
        root = self.folder.resolve()
        files = sorted(f for part in parts for f in (root / self.subfolder(part)).rglob("*"))
        states = [(file, file.stat()) for file in files if file.is_file()]
        return [str(root), [(str(f), s.st_size, s.st_mtime_ns) for f, s in states], self.variant]

    def _hub(self) -> dict[str, Any]:
        names = ("revision", "cache_dir", "local_files_only", "token")
        return {name: getattr(self, name) for name in names}

    def _not_given(self, error: Exception) -> ValueError:
        reason = str(error).strip().partition("\n")[0] or "no message"
        return ValueError(
            f"{self.where!r} is neither a folder nor a decoder that the model hub gave us "
            f"({type(error).__name__}: {reason}); give the path of a folder in the diffusers "
            "layout (unet/, vae/, scheduler/, ...)"
        )
