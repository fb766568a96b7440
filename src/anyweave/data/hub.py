"""Rows of Hugging Face `datasets`: ``hf://owner/name``, a folder of `save_to_disk`, Parquet files.

``hf://owner/name:config`` chooses a configuration; the split is `ReadOptions.split`, ``train`` by
default. Media columns stay encoded, so that our own limits apply when they are read. Needs the
extra: ``pip install 'anyweave[hub]'``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anyweave.data.place import ReadOptions


def is_saved(path: str | Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return any((Path(path) / name).is_file() for name in ("dataset_info.json", "dataset_dict.json"))


class HubRows:
    """A `datasets.Dataset` by index (`anyweave.data.rows.Rows`); Arrow files are memory-mapped.

    Raises `ValueError` without the extra, or if `datasets` cannot open the name.
    """

    sealed = False

    def __init__(self, path: str, options: ReadOptions) -> None:
        datasets = _datasets()
        split = options.split or "train"
        self.folder = Path(path).parent
        self.problems: tuple[str, ...] = ()
        self._name = path
        try:
            if path.startswith("hf://"):
                name, _, config = path.removeprefix("hf://").partition(":")
                self.folder = Path()
                self._rows = datasets.load_dataset(name, config or None, split=split)
            elif path.endswith(".parquet"):
                self._rows = datasets.load_dataset("parquet", data_files=path, split="train")
            else:
                found = datasets.load_from_disk(path)
                self._rows = found[split] if isinstance(found, datasets.DatasetDict) else found
        except (OSError, KeyError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise ValueError(f"{path}: `datasets` cannot open it ({error})") from error
        for column, feature in self._rows.features.items():
            undecoded = _undecoded(feature, datasets)
            if undecoded != feature:
                self._rows = self._rows.cast_column(column, undecoded)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Any:
        return self._rows[index]

    def place(self, index: int) -> str:
        return f"{self._name}: row {index}"

    def copy(self, indices: Iterable[int], out: Path) -> None:
        raise ValueError(f"{self._name}: no copy of such a data set is made; use data convert")


def _undecoded(feature: Any, datasets: Any) -> Any:
    """The feature with its pictures, sounds and clips left as ``{"bytes", "path"}``."""
    if isinstance(feature, datasets.List):
        return datasets.List(_undecoded(feature.feature, datasets))
    if isinstance(feature, (datasets.Image, datasets.Audio, datasets.Video)):
        return type(feature)(decode=False)
    return feature


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ValueError(
            f"`datasets` is not installed ({error}); pip install 'anyweave[hub]'"
        ) from error
    return datasets
