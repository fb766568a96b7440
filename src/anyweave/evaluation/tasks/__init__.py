"""Benchmarks by name, a file for each family, which is imported when used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyweave.errors import known_places, resolve

if TYPE_CHECKING:
    from anyweave.evaluation.task import Task

ENTRY_POINT_GROUP = "anyweave.tasks"
_FAMILIES = {
    "captions": ("coco-captions", "nocaps", "flickr30k", "msrvtt-captions", "audiocaps"),
    "questions": ("vqav2", "vizwiz", "ok-vqa", "msvd-qa", "msrvtt-qa"),
    "choices": ("mmbench", "seed-bench", "nextqa"),
    "making": ("text-to-image", "text-to-audio", "text-to-video"),
    "editing": ("image-editing", "video-editing", "speech-editing"),
}
TASKS = {
    name: f"{__name__}.{family}:{name.upper().replace('-', '_')}"
    for family, names in _FAMILIES.items()
    for name in names
}


def tasks() -> dict[str, str]:
    """Every task by name as ``module:attribute``: ours, and those of installed packages."""
    return known_places(TASKS, ENTRY_POINT_GROUP)


def load_task(name: str) -> Task:
    """Raises `ValueError` for an unknown name."""
    task: Task = resolve(name, TASKS, what="task", group=ENTRY_POINT_GROUP)
    return task
