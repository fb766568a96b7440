"""Are the right things in the picture: number, colour, place? In the manner of GenEval (Ghosh et
al. 2023) and of T2I-CompBench's spatial score (Huang et al. 2023), with any detector.

Records are GenEval's own (`evaluation_metadata.jsonl`): ``{"tag", "prompt", "include": [{"class",
"count", "color"?, "position"?: ["left of", 0]}], "exclude": [{"class", "count"}]}``. Figures are
comparable only between models judged by the same detector.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import PIL.Image

from anyweave.evaluation.folder import read_folder
from anyweave.evaluation.metrics import Figure, Proportion, Ratio

COLOURS = (
    *("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"),
)
_OVERLAP = 0.5  # of two boxes of one thing: the likelier stays
_MARGIN = 0.1  # of the sizes of two boxes, by which their centres must differ (GenEval)


@dataclass(frozen=True)
class Box:
    """A found thing; corners in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def size(self) -> tuple[float, float]:
        return self.right - self.left, self.bottom - self.top


class Detector(Protocol):
    """All boxes of each named thing. `colour` names the colour of what is in a box."""

    def boxes(self, picture: PIL.Image.Image, names: Sequence[str]) -> Mapping[str, list[Box]]: ...
    def colour(self, picture: PIL.Image.Image, box: Box, name: str) -> str: ...


class PipelineDetector:
    """transformers' zero-shot pipelines: `detector` such as ``google/owlv2-base-patch16-ensemble``,
    and `classifier` such as ``openai/clip-vit-base-patch32`` for colours; a hub id, a folder or a
    pipeline. Boxes below `threshold` are ignored.
    """

    def __init__(self, detector: Any, classifier: Any = None, *, threshold: float = 0.3) -> None:
        self._detect = _pipeline("zero-shot-object-detection", detector)
        self._classify = classifier and _pipeline("zero-shot-image-classification", classifier)
        self._threshold = threshold

    def boxes(self, picture: PIL.Image.Image, names: Sequence[str]) -> Mapping[str, list[Box]]:
        labels = {f"a photo of a {name}": name for name in names}
        found: dict[str, list[Box]] = {name: [] for name in names}
        for row in self._detect(
            picture, candidate_labels=list(labels), threshold=self._threshold
        ):  # the likeliest first
            left, top, right, bottom = (row["box"][k] for k in ("xmin", "ymin", "xmax", "ymax"))
            box, kept = Box(left, top, right, bottom, row["score"]), found[labels[row["label"]]]
            if all(overlap(box, other) < _OVERLAP for other in kept):
                kept.append(box)
        return found

    def colour(self, picture: PIL.Image.Image, box: Box, name: str) -> str:
        if self._classify is None:
            raise ValueError("colours are asked for: name a --classifier")
        crop = picture.crop((int(box.left), int(box.top), int(box.right) + 1, int(box.bottom) + 1))
        labels = {f"a photo of a {colour} {name}": colour for colour in COLOURS}
        return labels[self._classify(crop, candidate_labels=list(labels))[0]["label"]]


def _pipeline(task: str, model: Any) -> Any:
    if callable(model):
        return model
    import transformers

    return transformers.pipeline(task, model=model)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    both = max(width, 0.0) * max(height, 0.0)
    areas = one.size[0] * one.size[1] + other.size[0] * other.size[1]
    return both / (areas - both) if both else 0.0


def relations(one: Box, other: Box) -> set[str]:
    """Where `one` is, seen from `other`, by GenEval's rule: centres must differ by more than a
    tenth of both sizes, and in the direction named by more than half of the distance.
    """
    apart = []
    for axis in (0, 1):
        offset = one.centre[axis] - other.centre[axis]
        rest = max(abs(offset) - _MARGIN * (one.size[axis] + other.size[axis]), 0.0)
        apart.append(rest if offset > 0 else -rest)
    far = (apart[0] ** 2 + apart[1] ** 2) ** 0.5
    if far < 1e-3:
        return set()
    x, y = apart[0] / far, apart[1] / far
    sides = {"left of": -x, "right of": x, "above": -y, "below": y}
    return {name for name, share in sides.items() if share > 0.5}


def spatial_score(one: Box, other: Box, relation: str) -> float:
    """T2I-CompBench's: 0 on the wrong side or axis, 1 for boxes apart, less where they overlap."""
    dx, dy = (one.centre[axis] - other.centre[axis] for axis in (0, 1))
    along, across = (dx, dy) if relation in ("left of", "right of") else (dy, dx)
    toward = along if relation in ("right of", "below") else -along
    if toward <= abs(across):
        return 0.0
    shared = overlap(one, other)
    return 1.0 if shared < 0.1 else 0.1 / shared


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`spatial` is T2I-CompBench's score, None where no place is asked for."""

    tag: str
    right: bool
    why: str
    spatial: float | None = None


def judge(record: Mapping[str, Any], picture: PIL.Image.Image, detector: Detector) -> Verdict:
    """One picture against one record; `why` says what is wrong."""
    include, exclude = record["include"], record.get("exclude", ())
    names = list(dict.fromkeys(item["class"] for item in (*include, *exclude)))
    found = detector.boxes(picture, names)
    wrong: list[str] = []
    placed: list[list[Box]] = []
    spatial: float | None = None
    for item in include:
        count = item.get("count", 1)
        boxes = found[item["class"]][:count]  # the likeliest, as GenEval takes them
        if colour := item.get("color"):
            named = [detector.colour(picture, box, item["class"]) for box in boxes]
            boxes = [box for box, seen in zip(boxes, named, strict=True) if seen == colour]
        if len(boxes) < count:
            told = f"{colour} {item['class']}" if colour else item["class"]
            wrong.append(f"{count} {told} wanted, {len(boxes)} seen")
        if position := item.get("position"):
            relation, others = position[0], placed[position[1]]
            pairs = [(a, b) for a in boxes for b in others]
            if not pairs or not all(relation in relations(a, b) for a, b in pairs):
                wrong.append(f"no {item['class']} {relation} the other")
            spatial = spatial_score(*pairs[0], relation) if pairs else 0.0
        placed.append(boxes)
    for item in exclude:
        if len(found[item["class"]]) >= item["count"]:
            wrong.append(f"fewer than {item['count']} {item['class']} wanted")
    return Verdict(tag=record["tag"], right=not wrong, why="; ".join(wrong), spatial=spatial)


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """GenEval's records. Raises `ValueError` naming the line of one that is not."""
    records = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), 1):
        row = json.loads(line) if line.strip() else None
        if not isinstance(row, dict) or not {"tag", "prompt", "include"} <= row.keys():
            raise ValueError(f"{path}, line {number}: a record has tag, prompt and include")
        records.append(row)
    return records


def pictures_of(folder: str | Path, records: Sequence[Mapping[str, Any]]) -> list[list[Path]]:
    """The pictures of every record: from a folder that `anyweave eval folder` filled from the same
    file, or in GenEval's own layout, ``00000/samples/0000.png``. Raises `ValueError` where neither
    fits.
    """
    folder = Path(folder)
    if (folder / "requests.jsonl").is_file():
        saved = list(read_folder(folder).values())
        asked = [one.asked[-1]["content"] for one in saved]
        if asked != [record["prompt"] for record in records]:
            raise ValueError(f"{folder} answers other requests than these records")
        return [[Path(p.source) for p in one.media() if p.modality == "image"] for one in saved]
    found = [sorted((folder / f"{n:05d}" / "samples").glob("*.png")) for n in range(len(records))]
    if missing := [number for number, paths in enumerate(found) if not paths]:
        raise ValueError(
            f"{folder}: {len(missing)} of {len(records)} records have no picture "
            f"({missing[0]:05d}/samples/*.png)"
        )
    return found


def score_pictures(
    records: Sequence[Mapping[str, Any]],
    pictures: Sequence[Sequence[Path]],
    detector: Detector,
    tick: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Figure], list[Verdict]]:
    """Share right per tag, their mean as GenEval's "overall", and the spatial score; with the
    verdicts. A record whose reply holds no picture is wrong.
    """
    verdicts = []
    for number, (record, paths) in enumerate(zip(records, pictures, strict=True), 1):
        for path in paths:
            with PIL.Image.open(path) as picture:
                verdicts.append(judge(record, picture.convert("RGB"), detector))
        if not paths:
            verdicts.append(Verdict(tag=record["tag"], right=False, why="no picture was made"))
        if tick is not None:
            tick(number, len(records))
    return _figures(verdicts), verdicts


def _figures(verdicts: Iterable[Verdict]) -> dict[str, Figure]:
    tags: dict[str, list[bool]] = defaultdict(list)
    spatial = []
    for verdict in verdicts:
        tags[verdict.tag].append(verdict.right)
        spatial += [] if verdict.spatial is None else [(verdict.spatial, 1.0)]
    figures = {tag: Figure.of(Proportion.of(right)) for tag, right in tags.items()}
    # Every tag weighs the same, however many records it has.
    weighed = [(float(r) / len(v), 1 / len(v)) for v in tags.values() for r in v]
    return {
        **figures,
        "overall": Figure.of(Ratio.of(weighed)),
        "spatial score": Figure.of(Ratio.of(spatial)),
    }
