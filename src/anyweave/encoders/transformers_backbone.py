"""Any `transformers` image or audio backbone as a frozen encoder, by hub id or folder.

The backbone's own processor prepares the media; its last hidden state gives the patch features. An
image backbone also reads video, frame by frame and in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoModel

from anyweave.encoders.preprocess import check_picture
from anyweave.messages import Modality
from anyweave.tensors import check_complete, explained, foreign_code_explained

# What a two-tower model (CLIP, CLAP, SigLIP) calls the tower we want.
TOWERS: dict[str, tuple[str, ...]] = {
    "image": ("vision_model",),
    "audio": ("audio_model", "encoder"),
}
Reads = Literal["image", "audio"]


class TransformersBackbone(nn.Module):
    """`model` and its `processor` behind the `Encoder` protocol.

    `reads`: "image" (then `modalities` may hold image and video) or "audio". `skip_tokens` drops
    that many leading tokens (CLS, registers) of the hidden state; None drops those beyond the patch
    grid of an image backbone that states its patch size, otherwise none. Sounds are padded or cut
    to `audio_seconds`, so that N is constant. Maps ``[M, C, H, W]`` of convolutional backbones are
    read row by row. `frame_pooling` k averages k x k neighbouring patches of a video's frames, to
    keep a clip of many frames about as short as a picture.
    """

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        *,
        reads: Reads = "image",
        modalities: Sequence[Modality] | None = None,
        video_frames: int = 8,
        frame_pooling: int = 1,
        audio_seconds: float = 10.0,
        skip_tokens: int | None = None,
    ) -> None:
        super().__init__()
        if reads not in ("image", "audio"):
            raise ValueError(f"a transformers backbone reads image or audio, got {reads!r}")
        possible: tuple[Modality, ...] = ("image", "video") if reads == "image" else ("audio",)
        self.modalities: tuple[Modality, ...] = tuple(modalities or possible)
        foreign = set(self.modalities) - set(possible)
        if foreign:
            raise ValueError(f"a backbone that reads {reads} serves {possible}, not {foreign}")
        self.model = model
        self.processor = processor
        self.reads: Reads = reads
        self.video_frames = video_frames
        self.frame_pooling = frame_pooling
        self.audio_seconds = audio_seconds
        self.skip_tokens = skip_tokens
        self.sample_rate = int(processor.sampling_rate) if reads == "audio" else None

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> Tensor:
        """One medium, prepared by the backbone's own processor. Video: `video_frames` frames, first
        to last, ``[F, ...]``.

        Audio must be at the processor's sampling rate; `ValueError` otherwise.
        """
        self._check(modality)
        if modality == "audio":
            return self._audio_inputs(array, rate)
        check_picture(array, 3 if modality == "image" else 4, "pictures are uint8[..., H, W, 3]")
        frames = [array]
        if modality == "video":
            index = np.linspace(0, len(array) - 1, self.video_frames).round().astype(int)
            frames = list(array[index])
        # A processor left to guess mistakes the rows of a 1 or 3 pixel high picture for channels.
        made = self.processor(images=frames, return_tensors="pt", input_data_format="channels_last")
        pixels = made["pixel_values"]
        return pixels if modality == "video" else pixels[0]

    def _audio_inputs(self, wave: np.ndarray, rate: float | None) -> Tensor:
        expected = self.sample_rate
        assert expected is not None
        if rate is not None and round(rate) != expected:
            raise ValueError(
                f"this backbone hears {expected} Hz, got {rate}; resample the audio first"
            )
        if wave.ndim != 1 or len(wave) == 0:
            raise ValueError(f"audio is mono float32[S] with S > 0, got shape {list(wave.shape)}")
        length = round(self.audio_seconds * expected)
        padded = np.zeros(length, dtype=np.float32)
        padded[: min(length, len(wave))] = wave[:length]
        made = self.processor(padded, sampling_rate=expected, return_tensors="pt")
        for name in ("input_features", "input_values"):
            if name in made:
                tensor: Tensor = made[name]
                return tensor[0]
        raise ValueError(
            f"the processor made {list(made)}, neither input_values nor input_features"
        )

    def num_patches(self, modality: Modality) -> int:
        """N of `forward`, measured once with a forward pass of an empty medium."""
        self._check(modality)
        if modality != "video":
            return self._shape[0]
        return self.video_frames * self._shape[0] // self.frame_pooling**2

    @property
    def feature_dim(self) -> int:
        """D of `forward`."""
        return self._shape[1]

    @cached_property
    def _shape(self) -> tuple[int, int]:
        if self.reads == "image":
            empty = self.preprocess("image", np.zeros((64, 64, 3), dtype=np.uint8))
        else:
            empty = self.preprocess("audio", np.zeros(1, dtype=np.float32))
        was_training = self.model.training
        weight = next(self.model.parameters())
        with torch.no_grad():
            hidden = self.eval()._hidden(empty[None].to(weight.device, weight.dtype))
        self.train(was_training)
        return hidden.shape[1], hidden.shape[2]

    def forward(self, modality: Modality, inputs: Tensor) -> Float[Tensor, "M N D"]:
        """Patch features of M preprocessed media; a video's frames are concatenated along N."""
        self._check(modality)
        if modality != "video":
            return self._hidden(inputs)
        frames = self._pool(self._hidden(inputs.flatten(0, 1)))
        return frames.unflatten(0, inputs.shape[:2]).flatten(1, 2)

    def _pool(self, patches: Float[Tensor, "F N D"]) -> Float[Tensor, "F N2 D"]:
        side, k = math.isqrt(patches.shape[1]), self.frame_pooling
        if k == 1:
            return patches
        if side * side != patches.shape[1] or side % k:
            raise ValueError(
                f"frame_pooling {k} needs a square grid of patches with sides that divide by it, "
                f"got {patches.shape[1]} patches per frame"
            )
        grid = patches.transpose(1, 2).unflatten(2, (side, side))
        return functional.avg_pool2d(grid, k).flatten(2).transpose(1, 2)

    def _hidden(self, inputs: Tensor) -> Tensor:
        hidden = self.model(inputs).last_hidden_state
        if hidden.ndim == 4:
            hidden = hidden.flatten(2).transpose(1, 2)
        return hidden[:, self._skipped(inputs, hidden) :]

    def _skipped(self, inputs: Tensor, hidden: Tensor) -> int:
        if self.skip_tokens is not None:
            return self.skip_tokens
        patch = getattr(getattr(self.model, "config", None), "patch_size", None)
        if self.reads != "image" or not isinstance(patch, int):
            return 0
        grid = (inputs.shape[-2] // patch) * (inputs.shape[-1] // patch)
        return max(hidden.shape[1] - grid, 0) if grid else 0

    def _check(self, modality: Modality) -> None:
        if modality not in self.modalities:
            raise ValueError(f"this backbone reads {', '.join(self.modalities)}, not {modality!r}")

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        reads: Reads = "image",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> Self:
        """Load a model and its processor from a folder or hub id. `options` are those of the class;
        `revision`, `token` and `cache_dir` apply to the hub only.

        Only the tower of a two-tower model that reads the medium is kept. `trust_remote_code` lets
        a model run Python code of its own. Raises `ValueError` for files that cannot be read or
        lack weights.
        """
        hub: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir}
        hub["trust_remote_code"] = trust_remote_code
        with explained(f"the encoder {path}"), foreign_code_explained(path):
            whole, info = AutoModel.from_pretrained(path, output_loading_info=True, **hub)
            # Poolers come after the hidden state used here, and many files lack them.
            check_complete(str(path), (k for k in info["missing_keys"] if "pooler" not in k))
            return cls._of(whole, path, reads, hub, options)

    @classmethod
    def skeleton(
        cls,
        path: str | Path,
        *,
        reads: Reads = "image",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> Self:
        """The encoder of `from_pretrained` on the meta device: it preprocesses and knows its
        shapes.
        """
        hub: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir}
        hub["trust_remote_code"] = trust_remote_code
        with explained(f"the encoder {path}"), foreign_code_explained(path):
            config = AutoConfig.from_pretrained(path, **hub)
            with torch.device("meta"):
                whole = AutoModel.from_config(config, trust_remote_code=trust_remote_code)
            return cls._of(whole, path, reads, hub, options)

    @classmethod
    def _of(
        cls,
        whole: Any,
        path: str | Path,
        reads: Reads,
        hub: dict[str, Any],
        options: dict[str, Any],
    ) -> Self:
        loader: Any = AutoImageProcessor if reads == "image" else AutoFeatureExtractor
        processor = loader.from_pretrained(path, **hub)
        names = [
            name for name in TOWERS[reads] if isinstance(getattr(whole, name, None), nn.Module)
        ]
        two_towers = hasattr(whole, "text_model") or (
            getattr(whole.config, "is_encoder_decoder", False) and reads == "audio"
        )
        model = getattr(whole, names[0]) if two_towers and names else whole
        return cls(model, processor, reads=reads, **options).eval()

    def save_pretrained(self, path: str | Path) -> None:
        """Save the backbone and its processor, readable by `from_pretrained` and transformers."""
        self.model.save_pretrained(path)  # type: ignore[operator]
        self.processor.save_pretrained(path)
