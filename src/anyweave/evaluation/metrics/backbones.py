"""Frozen networks that metrics use, by file or hub id, each with its sha256.

A TorchScript file maps a batch of media to features, or to (features, logits). A folder or hub id
is a model of transformers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anyweave import media
from anyweave.files import file_digest
from anyweave.messages import Media


class Kind(NamedTuple):
    """`usual` occurs in the name of the backbone that figures of this kind usually use."""

    usual: str
    preprocessing: str
    rate: int = 0


KINDS = {
    "clip": Kind("clip-vit-base-patch32", "the backbone's own processor"),
    "inception": Kind("inception-2015-12-05", "bicubic to 299 x 299, uint8"),
    "panns": Kind("Cnn14_16k", "mono, 16 kHz, 10 s, zeros at the end", 16_000),
    "vggish": Kind("vggish", "mono, 16 kHz, 10 s, zeros at the end", 16_000),
}
_SECONDS, _BATCH = 10, 16


@dataclass(frozen=True)
class Backbone:
    kind: str
    name: str
    sha256: str
    model: Any
    processor: Any = None

    @torch.inference_mode()
    def outputs(self, items: Iterable[np.ndarray]) -> tuple[Tensor, Tensor | None]:
        """Features ``[N, D]`` (all of them, if the backbone gives several per medium) and logits
        ``[N, C]`` of frames ``uint8[H, W, 3]`` or waves. Raises `ValueError`.
        """
        rest = iter(items)
        found = [self._batch(some) for some in iter(lambda: list(islice(rest, _BATCH)), [])]
        features = torch.cat([pair[0].flatten(0, -2) for pair in found]).double()
        logits = [pair[1] for pair in found if pair[1] is not None]
        if not torch.isfinite(features).all():
            raise ValueError(f"{self.name} gave features that are no numbers")
        return features, torch.cat(logits).double() if logits else None

    def _batch(self, items: Sequence[np.ndarray]) -> tuple[Tensor, Tensor | None]:
        if self.kind == "clip":
            inputs = self.processor(images=list(items), return_tensors="pt")
            return _normed(self.model.get_image_features(**inputs)), None
        if self.kind == "inception":
            pixels = torch.stack([_resized(item) for item in items])
        else:
            length = _SECONDS * KINDS[self.kind].rate
            waves = [np.pad(item[:length], (0, max(0, length - len(item)))) for item in items]
            pixels = torch.from_numpy(np.stack(waves))
        made = self.model(pixels)
        return made if isinstance(made, tuple) else (made, None)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors ``[N, D]`` of texts, by a CLIP."""
        made = []
        for at in range(0, len(texts), _BATCH):
            said = list(texts[at : at + _BATCH])
            inputs = self.processor(text=said, return_tensors="pt", padding=True, truncation=True)
            made.append(_normed(self.model.get_text_features(**inputs)))
        return torch.cat(made).double()


def arrays(parts: Iterable[Media], rate: int = 16_000) -> Iterator[np.ndarray]:
    """What backbones take: pictures, all frames of clips, waves; each read when its turn comes."""
    for part in parts:
        array = media.load(part, sample_rate=rate)
        yield from array if part.modality == "video" else [array]


def load_backbone(kind: str, place: str) -> Backbone:
    """Raises `ValueError` for an unknown kind or files that cannot be read."""
    if kind not in KINDS:
        raise ValueError(f"unknown backbone {kind!r}; there are {', '.join(KINDS)}")
    path = Path(place)
    if kind != "clip":
        if not path.is_file():
            raise ValueError(f"--backbone {kind}={place}: no such file; give a TorchScript file")
        try:
            model = torch.jit.load(place, map_location="cpu").eval()
        except RuntimeError as error:
            raise ValueError(f"--backbone {kind}={place} is no TorchScript: {error}") from error
        return Backbone(kind, path.name, file_digest(path), model)
    from transformers import AutoModel, AutoProcessor

    try:
        clip, processor = AutoModel.from_pretrained(place), AutoProcessor.from_pretrained(place)
    except OSError as error:
        raise ValueError(f"--backbone {kind}={place} cannot be read: {error}") from error
    digest = hashlib.sha256()  # of the weights themselves, wherever they were found
    for name, tensor in sorted(clip.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes()
                      if tensor.ndim else name.encode())  # fmt: skip
    return Backbone(kind, place.rstrip("/").split("/")[-1], digest.hexdigest(), clip.eval(),
                    processor)  # fmt: skip


def _normed(made: Any) -> Tensor:
    return functional.normalize(getattr(made, "pooler_output", made).float(), dim=-1)


def _resized(frame: np.ndarray) -> Tensor:
    from PIL import Image

    picture = Image.fromarray(frame).resize((299, 299), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
