"""COCO captions in the Karpathy split, ``dataset_coco.json``, and in the published form.

    {"dataset": "coco", "images": [{"filepath": "val2014", "filename": "a.jpg", "split": "test",
      "sentences": [{"raw": "A man with a red helmet."}, ...]}]}

The published ``captions_*.json`` has `images` (`id`, `file_name`) and `annotations` (`image_id`,
`caption`) instead, and no splits. Every sentence becomes a pair. The file is read into memory whole
(0.6 million sentences). The default split is the usual training set, ``train`` plus ``restval``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from anyweave.data.format import Format, Written
from anyweave.data.pairs import pair_of, read_pair
from anyweave.data.place import ReadOptions, RowError, listed, shown
from anyweave.data.rows import decode, existing_file
from anyweave.data.store import PathOf
from anyweave.files import whole_file
from anyweave.messages import Conversation

SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("train", "restval"),
    "restval": ("restval",),
    "val": ("val",),
    "test": ("test",),
}

# Keys of a picture and of a sentence that are read, or carry nothing to learn.
_IMAGE = (
    *("filepath", "filename", "split", "sentences", "id", "file_name", "imgid", "sentids"),
    *("cocoid", "width", "height", "license", "coco_url", "flickr_url", "date_captured"),
)
_SENTENCE = ("raw", "tokens", "imgid", "sentid", "id", "image_id", "caption")


class CocoCaptions:
    """A row ``{"image", "caption"}`` per sentence. Raises `ValueError` for a bad file or split."""

    sealed = False

    def __init__(self, path: str | Path, options: ReadOptions) -> None:
        self.path = existing_file(path)
        self.folder = self.path.parent
        self.problems: tuple[str, ...] = ()
        split = options.split or "train"
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; the Karpathy splits are {listed(SPLITS)}")
        whole = decode(self.path.read_bytes(), str(self.path), "get the file again")
        if not isinstance(whole, dict) or not isinstance(whole.get("images"), list):
            raise ValueError(f"{path}: an object with images is needed, got {shown(whole)}")
        self._rows: list[tuple[str, Any]] = []  # place, row
        published = isinstance(whole.get("annotations"), list)
        read = self._published if published else self._karpathy
        read(whole, SPLITS[split])

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Any:
        place, row = self._rows[index]
        if isinstance(row, str):
            raise RowError(f"{place}: {row}")
        return row

    def place(self, index: int) -> str:
        return self._rows[index][0]

    def copy(self, indices: Iterable[int], out: Path) -> None:
        save((self.row(index) for index in indices), out)

    def _karpathy(self, whole: Mapping[str, Any], splits: tuple[str, ...]) -> None:
        for number, image in enumerate(whole["images"]):
            place = f"{self.path}: images[{number}]"
            if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
                self._rows.append((place, f"an object with filename, got {shown(image)}"))
                continue
            split = image.get("split", "train")
            if split not in tuple(SPLITS):
                problem = f"unknown split {shown(split)}; the Karpathy splits are {listed(SPLITS)}"
                self._rows.append((place, problem))
                continue
            if split not in splits:
                continue
            name = str(PurePosixPath(str(image.get("filepath") or ".")) / image["filename"])
            more = {key: value for key, value in image.items() if key not in _IMAGE}
            sentences = image.get("sentences")
            if not isinstance(sentences, list) or not sentences:
                self._rows.append((place, "it has no sentences"))
                continue
            for at, sentence in enumerate(sentences):
                said = sentence if isinstance(sentence, dict) else {}
                also = {key: value for key, value in said.items() if key not in _SENTENCE}
                row = {"image": name, "caption": said.get("raw"), "split": split, **more, **also}
                self._rows.append((f"{place}.sentences[{at}]", row))

    def _published(self, whole: Mapping[str, Any], splits: tuple[str, ...]) -> None:
        names = {
            str(image.get("id")): image
            for image in whole["images"]
            if isinstance(image, dict) and image.get("file_name") is not None
        }
        for number, entry in enumerate(whole["annotations"]):
            place = f"{self.path}: annotations[{number}]"
            image = entry.get("image_id") if isinstance(entry, dict) else None
            if str(image) not in names:
                self._rows.append((place, f"no image has the id {shown(image)}"))
                continue
            found = names[str(image)]
            row = {"image": found["file_name"], "caption": entry.get("caption")}
            for about, known in ((found, _IMAGE), (entry, _SENTENCE)):
                row |= {key: value for key, value in about.items() if key not in (*known, *row)}
            self._rows.append((place, row))


def save(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows in the Karpathy form, grouping the sentences of each image."""
    images: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = PurePosixPath(row["image"])
        new = {
            "filepath": str(name.parent),
            "filename": name.name,
            "split": row.get("split", "train"),
            "sentences": [],
        }
        image = images.setdefault(str(name), new)
        image["sentences"].append({"raw": row["caption"]})
    whole = {"dataset": "coco", "images": list(images.values())}
    with whole_file(path) as file:
        file.write(json.dumps(whole, ensure_ascii=False).encode() + b"\n")


def _write(conversation: Conversation, path_of: PathOf) -> Written:
    pair, lost = pair_of(conversation)
    if pair.medium.modality != "image":
        raise ValueError(f"its medium is {pair.medium.modality}; this format is for image")
    return Written({"image": path_of(pair.medium, "0_0"), "caption": pair.caption}, lost)


COCO = Format(
    name="coco",
    about="COCO captions, Karpathy split",
    ignores=("split",),
    recognises=lambda row: False,  # recognised by its file, which is not a list
    read=read_pair,
    write=_write,
    open=CocoCaptions,
    save=save,
)
