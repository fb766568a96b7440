"""ImageBind (Girdhar et al., CVPR 2023): pictures, clips, sounds, depth maps and text in one
space, at any model size.

Written from the paper and from the names and shapes of the public checkpoint, whose weights load
unchanged (they are CC BY-NC-SA 4.0; check whether you may use them). For grouping, the system reads
*patch* features: CLS dropped, every patch through the modality's head, L2-normalised, views
averaged position by position. For `linear`, it reads the single *pooled* CLS vector.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from anyweave.encoders.imagebind_config import ImageBindConfig, sizes_of
from anyweave.encoders.imagebind_files import load_strictly, read_weights
from anyweave.encoders.imagebind_modules import (
    INITIAL_SCALE,
    STEMS,
    LogitScale,
    Trunk,
    initialise,
    make_head,
)
from anyweave.encoders.preprocess import audio_views, depth_view, image_views, video_views
from anyweave.files import read_object, write_json
from anyweave.messages import Modality
from anyweave.tensors import save_tensors

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
TOWER_OF: dict[Modality, str] = {
    "image": "vision",
    "video": "vision",
    "audio": "audio",
    "depth": "depth",
    "text": "text",
}


class ImageBind(nn.Module):
    """`ImageBind(vision_width=..., ...)`: any argument of `ImageBindConfig`. Parameter names are
    the public file's.

    Inputs, M media each (V views): image ``[M, 3, H, W]``, video ``[M, V, 3, T, H, W]``,
    audio ``[M, V, 1, mel, frames]``, depth ``[M, 1, H, W]``, text ids ``[M, context_length]``.
    """

    def __init__(self, **sizes: Any) -> None:
        super().__init__()
        config = ImageBindConfig.from_dict(sizes)
        self.config = config
        self.feature_dim = config.out_dim
        self.sample_rate = config.sample_rate if "audio" in config.towers else None
        self.modalities: tuple[Modality, ...] = tuple(
            m for m, tower in TOWER_OF.items() if tower in config.towers and m != "text"
        )
        stems: dict[str, nn.Module] = {}
        trunks: dict[str, nn.Module] = {}
        heads: dict[str, nn.Module] = {}
        scales: dict[str, nn.Module] = {}
        for tower in config.towers:
            width = getattr(config, f"{tower}_width")
            stems[tower] = STEMS[tower](config)
            trunks[tower] = Trunk(
                width,
                getattr(config, f"{tower}_depth"),
                getattr(config, f"{tower}_heads"),
                bias_kv=getattr(config, f"{tower}_bias_kv", False),
                pre_norm=tower == "vision" and config.vision_pre_norm,
            )
            heads[tower] = make_head(tower, width, config.out_dim)
            if tower in INITIAL_SCALE:
                # index 0 of the public postprocessor is the parameter-free L2 normalisation
                scales[tower] = nn.Sequential(
                    nn.Identity(), LogitScale(INITIAL_SCALE[tower], learnable=tower == "text")
                )
        self.modality_preprocessors = nn.ModuleDict(stems)
        self.modality_trunks = nn.ModuleDict(trunks)
        self.modality_heads = nn.ModuleDict(heads)
        self.modality_postprocessors = nn.ModuleDict(scales)
        self.apply(initialise)

    # ------------------------------------------------------------------ media -> tensors

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> Tensor:
        """One medium as this model's input, without a batch axis. `rate`: frames/s of a video; Hz
        of audio, if known.

        Raises `ValueError` for a wrong shape or dtype, a video without a rate, or audio at another
        sample rate.
        """
        self._tower(modality)
        c = self.config
        colours: dict[str, Any] = {"size": c.image_size, "mean": c.image_mean, "std": c.image_std}
        if modality == "image":
            return image_views(array, **colours)
        if modality == "video":
            if rate is None:
                raise ValueError("a video needs its rate in frames per second to be cut into clips")
            return video_views(
                array,
                rate=rate,
                num_clips=c.num_video_clips,
                clip_seconds=c.video_clip_seconds,
                frames_per_clip=c.frames_per_clip,
                num_crops=c.num_video_crops,
                reach_end=c.clips_reach_end,
                **colours,
            )
        if modality == "audio":
            if rate is not None and round(rate) != c.sample_rate:
                raise ValueError(
                    f"audio must be at {c.sample_rate} Hz, got {rate}; resample it first"
                )
            return audio_views(
                array,
                sample_rate=c.sample_rate,
                num_clips=c.audio_clips,
                clip_seconds=c.audio_clip_seconds,
                num_mel_bins=c.num_mel_bins,
                num_frames=c.num_frames,
                frame_length_ms=c.frame_length_ms,
                frame_shift_ms=c.frame_shift_ms,
                mean=c.audio_mean,
                std=c.audio_std,
                reach_end=c.clips_reach_end,
            )
        if modality == "depth":
            return depth_view(
                array,
                size=c.depth_size,
                baseline=c.disparity_baseline,
                focal_length=c.disparity_focal_length,
                most=c.disparity_max,
                mean=c.disparity_mean,
                std=c.disparity_std,
            )
        raise ValueError(
            "text enters as token ids of the CLIP tokenizer; there is nothing to preprocess"
        )

    def set_audio_statistics(self, mean: float, std: float) -> None:
        """Set how log-mel inputs are normalised, for a model trained on its own sounds."""
        self.config = replace(self.config, audio_mean=mean, audio_std=std)

    # ------------------------------------------------------------------ tensors -> features

    def num_patches(self, modality: Modality) -> int:
        """N of `forward`: for the public model, 256 for images and videos and 228 for sounds; 1 if
        pooled; times the number of clips if those are kept apart.
        """
        self._tower(modality)
        c = self.config
        if modality == "depth":
            patches, clips = (c.depth_size // c.depth_patch_size) ** 2, 1
        elif modality == "audio":
            patches, clips = math.prod(c.audio_grid), c.audio_clips
        else:
            patches, clips = (c.image_size // c.patch_size) ** 2, c.num_video_clips
        vectors = 1 if c.features == "pooled" else patches
        return vectors if c.average_clips or modality in ("image", "depth") else vectors * clips

    def forward(self, modality: Modality, inputs: Tensor) -> Float[Tensor, "M N D"]:
        """The features the system reads, views averaged: every patch (CLS dropped), or one vector
        with `features="pooled"`. Each passes through the head and is L2-normalised.

        `average_clips=False` keeps clips apart, concatenated along N. `logit_scale=True` scales
        sounds and depth maps as the public model does. `normalize_patches=False` skips the
        L2 normalisation of patches.
        """
        if modality == "text":
            raise ValueError("text has no patch features here; use pooled('text', ids)")
        c = self.config
        crops = c.num_video_crops if modality == "video" else 1
        vectors, count = self._vectors(
            modality, inputs, pooled=c.features == "pooled", scaled=c.logit_scale
        )
        if count % crops:
            raise ValueError(f"{count} views of a {modality} do not divide into {crops} crops each")
        by_view = vectors.unflatten(0, (-1, count // crops, crops)).mean(dim=2)  # [M, clips, N, D]
        return by_view.mean(dim=1) if c.average_clips else by_view.flatten(1, 2)

    def pooled(
        self, modality: Modality, inputs: Tensor, *, logit_scale: bool = False
    ) -> Float[Tensor, "M D"]:
        """One vector per medium: CLS (text: the end-of-text token) through the head, L2-normalised,
        mean over views.

        `logit_scale` multiplies audio by 20, depth by 5 and text by its learned scale, as the
        public model does. NExT-GPT omits it, so that every modality's vectors have norm 1.
        """
        vectors, count = self._vectors(modality, inputs, pooled=True, scaled=logit_scale)
        return vectors[:, 0].unflatten(0, (-1, count)).mean(dim=1)

    def _vectors(
        self, modality: Modality, inputs: Tensor, *, pooled: bool, scaled: bool
    ) -> tuple[Float[Tensor, "MV N D"], int]:
        """Projected patches of every view, or its single vector (N = 1), and the number of views
        per medium.
        """
        tower = self._tower(modality)
        views, count = self._views(modality, inputs)
        hidden = self.trunk(modality, views)
        if not pooled:
            hidden = hidden[:, 1:]
        elif modality == "text":  # CLIP's end-of-text token has the highest id
            rows = torch.arange(len(hidden), device=hidden.device)
            hidden = hidden[rows, views.argmax(dim=-1)][:, None]
        else:
            hidden = hidden[:, :1]
        vectors = self.modality_heads[tower](hidden)
        if pooled or self.config.normalize_patches:
            vectors = functional.normalize(vectors, dim=-1)
        if scaled and tower in self.modality_postprocessors:
            vectors = self.modality_postprocessors[tower](vectors)
        return vectors, count

    def trunk(self, modality: Modality, views: Tensor) -> Float[Tensor, "MV T W"]:
        """Tokens after the tower's last block and before its head, CLS first.

        `views` has the clips folded into axis 0.
        """
        tower = self._tower(modality)
        stem = self.modality_preprocessors[tower]
        mask = stem.mask if modality == "text" else None
        return self.modality_trunks[tower](stem(views), mask)

    def _views(self, modality: Modality, inputs: Tensor) -> tuple[Tensor, int]:
        """Views folded into the batch axis, and the number of views per medium."""
        expected = {"image": 4, "video": 6, "audio": 5, "depth": 4, "text": 2}[modality]
        if inputs.ndim != expected:
            raise ValueError(
                f"{modality} inputs have {expected} axes (see ImageBind), got {list(inputs.shape)}"
            )
        if modality in ("image", "depth", "text"):
            return inputs, 1
        return inputs.flatten(0, 1), inputs.shape[1]

    def _tower(self, modality: Modality) -> str:
        tower = TOWER_OF.get(modality)
        if tower is None or tower not in self.config.towers:
            have = [m for m, name in TOWER_OF.items() if name in self.config.towers]
            raise ValueError(f"this ImageBind has no {modality!r} tower; it has {', '.join(have)}")
        return tower

    # ------------------------------------------------------------------ files

    @classmethod
    def from_pretrained(
        cls, path: str | Path, *, dtype: torch.dtype | str = torch.float32, **overrides: Any
    ) -> Self:
        """Load a folder written by `save_pretrained`, or a single weight file: `.safetensors`, or
        the public `.pth`.

        The shapes of a bare file give its sizes. Head counts and the audio and view settings do not
        show in shapes and are the public model's unless given in `overrides`. A bare file loads
        its vision and audio towers; ``towers=("vision", "audio", "depth")`` adds depth. Loading
        is strict: only other towers of the public file (text, depth, thermal, imu) may be left out,
        and any other missing or unexpected name is an error.
        """
        path = Path(path).expanduser()
        model = cls.skeleton(path, **overrides)
        state = read_weights(path / WEIGHTS_FILE if path.is_dir() else path)
        if isinstance(dtype, str):
            if dtype not in DTYPES:
                raise ValueError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
            dtype = DTYPES[dtype]
        towers = model.config.towers
        load_strictly(model, state, towers=towers, dtype=dtype, where=str(path))
        return model.eval()

    @classmethod
    def skeleton(
        cls, path: str | Path, *, dtype: torch.dtype | str = torch.float32, **overrides: Any
    ) -> Self:
        """The encoder of `from_pretrained` on the meta device: it preprocesses and knows its
        shapes. A folder's weights are not read; a bare file's are mapped for their shapes.
        """
        path = Path(path).expanduser()
        if path.is_dir():
            config = read_object(path / CONFIG_FILE)
        elif path.is_file():
            config = sizes_of(read_weights(path), overrides.get("towers"))
        else:
            raise ValueError(
                f"no ImageBind at {path}: give a folder, a .safetensors or a .pth file"
            )
        with torch.device("meta"):  # nothing to initialise: every tensor comes from the file
            return cls(**{**config, **overrides}).eval()

    def save_pretrained(self, path: str | Path) -> None:
        """Write config.json and model.safetensors into the folder `path`."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG_FILE, asdict(self.config))
        save_tensors(self.state_dict(), folder / WEIGHTS_FILE)
