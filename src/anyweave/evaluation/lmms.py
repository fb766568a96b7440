"""One of our models in lmms-eval: ``lmms-eval --model anyweave --model_args pretrained=...``.

lmms-eval finds this by itself (entry point ``lmms_eval.models``) where both are installed. It is
not one of our extras: it wants torchvision and an old PyAV, which our pins refuse, so it needs its
own environment (docs/judging.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyweave
from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.generation.reply import Reply
from anyweave.messages import MEDIA_TYPES, Message, Modality, Part
from anyweave.model.any_to_any import NextGPT

try:
    from lmms_eval.api.model import lmms as _Base
except ModuleNotFoundError:  # the class is unused then, but the module may still be imported
    _Base = object

_NOT_A_NAME = re.compile(r"[^\w-]+")


def manifest() -> Any:
    """What lmms-eval reads."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("anyweave", chat_class_path=f"{__name__}.Anyweave")


class Anyweave(_Base):
    """Answers generation tasks, with pictures, clips and sounds in the prompt.

    Args:
        pretrained: a model by name, folder or hub id.
        media_dir: make the media of replies too, and save them there as ``TASK-DOC-NUMBER.png``;
            None answers in words alone, which is what nearly all tasks of lmms-eval score.
        batch_size: conversations at once.
        max_new_tokens: for tasks that do not say.

    Tasks of the output type "loglikelihood" are refused, and so are those of several rounds.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str = "emoji-mini",
        *,
        device: str | None = None,
        batch_size: int | str = 8,
        max_new_tokens: int = 256,
        media_dir: str | None = None,
        max_batch_size: int | None = None,
        model: NextGPT | None = None,
    ) -> None:
        super().__init__()
        self.model = model or anyweave.load(pretrained, device=device)
        self.max_rows = int(max_batch_size or batch_size)
        self.max_new_tokens = max_new_tokens
        self.media_dir = None if media_dir is None else Path(media_dir)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The words of every reply, up to the first of the task's stop strings."""
        with ReplyBatcher(self.model, max_rows=self.max_rows) as batcher:
            return list(batcher.map(partial(self._answer, batcher), requests))

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        raise NotImplementedError(
            "anyweave answers in words; choose the generating variant of this task "
            "(output_type: generate_until)"
        )

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        raise NotImplementedError("anyweave answers tasks of one round; choose such a task")

    def _answer(self, batcher: ReplyBatcher, request: Any) -> str:
        _, to_messages, settings, number, task, split = request.args
        *before, last = messages_of(to_messages(self.task_dict[task][split][number]))
        options = options_of(settings, self.max_new_tokens)
        if self.media_dir is None:
            options = options.with_overrides(modalities=("text",))
        reply = batcher.chat(options, messages=before).reply(last)
        if self.media_dir is not None and reply.media():
            assert isinstance(reply, Reply)
            reply.save(self.media_dir, _NOT_A_NAME.sub("_", f"{task}-{number}"))
        text = reply.text
        for ending in settings.get("until") or ():
            text = text.split(ending)[0] if ending else text
        return text.strip()


def options_of(settings: dict[str, Any], max_new_tokens: int) -> GenerationOptions:
    """The task's settings as our options. `top_p` and `temperature` count only when it samples."""
    sampling = settings.get("do_sample", bool(settings.get("temperature")))
    return GenerationOptions(
        max_new_tokens=int(settings.get("max_new_tokens") or max_new_tokens),
        temperature=float(settings.get("temperature") or 1.0) if sampling else 0.0,
        top_p=float(settings.get("top_p") or 1.0),
        seed=0,
    )


def messages_of(rows: Iterable[dict[str, Any]]) -> list[Message]:
    """lmms-eval's chat messages as ours. Raises `ValueError` for a part that we cannot read."""
    return [Message(row["role"], [_part(part) for part in row["content"]]) for row in rows]


def _part(part: dict[str, Any]) -> str | Part:
    kind: Modality = part["type"]
    if kind == "text":
        return str(part["text"])
    if kind not in MEDIA_TYPES:
        raise ValueError(f"a part of type {kind!r}; there are text, {', '.join(MEDIA_TYPES)}")
    if part.get("start_time") is not None or part.get("end_time") is not None:
        raise ValueError("a part of a clip (start_time, end_time) cannot be taken; cut it first")
    found = part["url"]
    if isinstance(found, dict):  # as `datasets` decodes sounds
        return MEDIA_TYPES[kind](found["array"], rate=float(found["sampling_rate"]))
    return MEDIA_TYPES[kind](found)
