"""Benchmarks by name, each in its own file, which is imported when used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyweave.errors import known_places, resolve

if TYPE_CHECKING:
    from anyweave.evaluation.task import Task

ENTRY_POINT_GROUP = "anyweave.tasks"
_FILES = {
    **{"coco-captions": "coco_captions", "nocaps": "nocaps", "flickr30k": "flickr30k"},
    **{"vqav2": "vqav2", "vizwiz": "vizwiz", "ok-vqa": "ok_vqa", "mmbench": "mmbench"},
    **{"seed-bench": "seed_bench", "msrvtt-captions": "msrvtt_captions", "msvd-qa": "msvd_qa"},
    **{"msrvtt-qa": "msrvtt_qa", "nextqa": "nextqa", "audiocaps": "audiocaps"},
    **{"text-to-image": "text_to_image", "text-to-audio": "text_to_audio"},
    **{"text-to-video": "text_to_video", "image-editing": "image_editing"},
    **{"video-editing": "video_editing", "speech-editing": "speech_editing"},
}
TASKS = {name: f"anyweave.evaluation.tasks.{file}:TASK" for name, file in _FILES.items()}


def tasks() -> dict[str, str]:
    """Every task by name as ``module:attribute``: ours, and those of installed packages."""
    return known_places(TASKS, ENTRY_POINT_GROUP)


def load_task(name: str) -> Task:
    """Raises `ValueError` for an unknown name."""
    task: Task = resolve(name, TASKS, what="task", group=ENTRY_POINT_GROUP)
    return task
