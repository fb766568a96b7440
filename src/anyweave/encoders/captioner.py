"""Frozen `transformers` captioners: media in, words out, by hub id or folder.

Any image-text-to-text model (with or without a chat template) or image classifier reads pictures,
and clips through some of their frames. Any speech recognition model or audio classifier reads
sounds. The configuration says which kind a model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    pipeline,
)
from transformers.models.auto import modeling_auto as auto

from anyweave.encoders.preprocess import check_picture
from anyweave.messages import Modality
from anyweave.tensors import check_complete, explained, foreign_code_explained

PROMPT = "Describe this picture in one short sentence."
_TASKS: dict[str, tuple[Any, ...]] = {
    "image-text-to-text": (auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,),
    "image-classification": (auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,),
    "automatic-speech-recognition": (
        auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
        auto.MODEL_FOR_CTC_MAPPING,
    ),
    "audio-classification": (auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,),
}
_CLASSIFIERS = ("image-classification", "audio-classification")
_READS: dict[str, tuple[Modality, ...]] = {
    "image": ("image", "video"),
    "audio": ("audio",),
    "automatic": ("audio",),
}


class Captioner(nn.Module):
    """`model` with its `processor` (image-text-to-text) or in its `pipe` (other tasks).

    Args:
        task: the transformers name of the model's task.
        prompt: the prompt of an image-text-to-text model; None means `PROMPT` with a chat template
            and no prompt without one.
        max_new_tokens: maximum length of a description.
        video_frames: how many frames of a clip to describe, first to last.
        labels: how many of the likeliest classes a classifier names.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        task: str,
        processor: Any = None,
        pipe: Any = None,
        prompt: str | None = None,
        max_new_tokens: int = 48,
        video_frames: int = 3,
        labels: int = 2,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.processor, self.pipe = processor, pipe
        self.prompt = prompt
        self.max_new_tokens = max_new_tokens
        self.video_frames = video_frames
        self.labels = labels
        self.modalities = _READS[task.partition("-")[0]]
        hears = "audio" in self.modalities
        self.sample_rate = int(pipe.feature_extractor.sampling_rate) if hears else None

    @torch.inference_mode()
    def describe(self, modality: Modality, array: np.ndarray, *, rate: float | None = None) -> str:
        """One medium in words: picture ``uint8[H, W, 3]``, clip ``uint8[T, H, W, 3]``, sound
        ``float32[S]`` at `sample_rate`. Changes in a clip are described in order.
        """
        if modality not in self.modalities:
            raise ValueError(f"this captioner reads {', '.join(self.modalities)}, not {modality!r}")
        if modality == "audio":
            return self._heard(array)
        check_picture(array, 3 if modality == "image" else 4, "pictures are uint8[..., H, W, 3]")
        frames = [array]
        if modality == "video":
            index = np.linspace(0, len(array) - 1, min(self.video_frames, len(array)))
            frames = list(array[index.round().astype(int)])
        seen = [self._seen(PIL.Image.fromarray(frame)) for frame in frames]
        told = [words for place, words in enumerate(seen) if words not in seen[:place]]
        return ", then ".join(told)

    def _heard(self, wave: np.ndarray) -> str:
        sound = {"raw": wave, "sampling_rate": self.sample_rate}
        if self.task in _CLASSIFIERS:
            return self._labels(sound)
        self._here()
        # Whisper hears 30 seconds at a time and needs timestamps to continue beyond them.
        long = self.pipe.type == "seq2seq_whisper" and len(wave) > 30 * (self.sample_rate or 1)
        return str(self.pipe(sound, **({"return_timestamps": True} if long else {}))["text"])

    def _seen(self, picture: PIL.Image.Image) -> str:
        return self._labels(picture) if self.task in _CLASSIFIERS else self._caption(picture)

    def _labels(self, given: Any) -> str:
        self._here()
        found = self.pipe(given, top_k=self.labels)
        return ", ".join(str(label["label"]) for label in found)

    def _here(self) -> None:
        # A pipeline keeps the device its model was on when it was created.
        self.pipe.device = next(self.model.parameters()).device

    def _caption(self, picture: PIL.Image.Image) -> str:
        weight = next(self.model.parameters())
        if getattr(self.processor, "chat_template", None):
            content = [
                {"type": "image", "image": picture},
                {"type": "text", "text": self.prompt or PROMPT},
            ]
            inputs = self.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        else:
            text = {} if self.prompt is None else {"text": self.prompt}
            inputs = self.processor(images=picture, return_tensors="pt", **text)
        inputs = {
            name: value.to(weight.device, weight.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
            if isinstance(value, Tensor)
        }
        generate: Any = self.model.generate
        made = generate(**inputs, max_new_tokens=self.max_new_tokens, do_sample=False)[0]
        given = inputs.get("input_ids")
        if given is not None and torch.equal(made[: given.shape[1]], given[0]):
            made = made[given.shape[1] :]
        return " ".join(
            str(self.processor.tokenizer.decode(made, skip_special_tokens=True)).split()
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        task: str | None = None,
        dtype: str | torch.dtype = "auto",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> Self:
        """Load a folder or hub id. `task` is needed only if a configuration fits several. `dtype`
        defaults to the weights' own. `options` are those of the class.

        Raises `ValueError` for files that cannot be read, and for a model of another task.
        """
        hub: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir}
        hub["trust_remote_code"] = trust_remote_code
        with explained(f"the captioner {path}"), foreign_code_explained(path):
            task = task or _task(path, AutoConfig.from_pretrained(path, **hub))
            if task not in _TASKS:
                raise ValueError(f"a captioner has no task {task!r}; there are {', '.join(_TASKS)}")
            if task != "image-text-to-text":
                cache = {} if cache_dir is None else {"model_kwargs": {"cache_dir": cache_dir}}
                pipe = pipeline(
                    task,
                    model=str(path),
                    dtype=dtype,
                    revision=revision,
                    token=token,
                    device="cpu",
                    trust_remote_code=trust_remote_code,
                    **cache,
                )
                return cls(pipe.model, task=task, pipe=pipe, **options).eval()
            model, info = AutoModelForImageTextToText.from_pretrained(
                path, dtype=dtype, output_loading_info=True, **hub
            )
            check_complete(str(path), info["missing_keys"])
            processor: Any = AutoProcessor.from_pretrained(path, **hub)
            if not hasattr(processor, "image_processor"):  # no combined processor
                images: Any = AutoImageProcessor.from_pretrained(path, **hub)
                processor = _Halves(images, AutoTokenizer.from_pretrained(path, **hub))
            return cls(model, task=task, processor=processor, **options).eval()

    def save_pretrained(self, path: str | Path) -> None:
        """Save the model and its preprocessors, readable by `from_pretrained`."""
        self.model.save_pretrained(path)  # type: ignore[operator]
        pipe = self.pipe
        held = (pipe.feature_extractor, pipe.image_processor, pipe.tokenizer) if pipe else ()
        for part in held or (self.processor,):
            if part is not None:
                part.save_pretrained(path)


class _Halves:
    """An image processor and a tokenizer, for models without a processor that holds both."""

    def __init__(self, images: Any, tokenizer: Any) -> None:
        self.images, self.tokenizer = images, tokenizer

    def __call__(self, images: Any, return_tensors: str, text: str | None = None) -> Any:
        made = self.images(images=images, return_tensors=return_tensors)
        return made if text is None else {**made, **self.tokenizer(text, return_tensors="pt")}

    def save_pretrained(self, path: str | Path) -> None:
        self.images.save_pretrained(path)
        self.tokenizer.save_pretrained(path)


def _task(path: str | Path, config: Any) -> str:
    """The task of a configuration's model, from the class it was saved as, else from its type."""
    named: Sequence[str] = getattr(config, "architectures", None) or ()
    able = [
        task
        for task, mappings in _TASKS.items()
        if any(type(config) in mapping for mapping in mappings)
    ]
    for task in able:
        classes = {
            kind.__name__
            for mapping in _TASKS[task]
            if type(config) in mapping
            for kind in _flat(mapping[type(config)])
        }
        if classes & set(named):
            return task
    if able and not named:
        return able[0]
    raise ValueError(
        f"{path} holds a {', '.join(named) or type(config).__name__}, which puts no media into "
        f"words; a captioner is a model of {', '.join(_TASKS)}"
    )


def _flat(kinds: Any) -> Sequence[Any]:
    return kinds if isinstance(kinds, (tuple, list)) else (kinds,)
