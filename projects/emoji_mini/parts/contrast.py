"""The text encoder of sounds, taught as CLAP is: a caption's vector is near the vectors of the
sounds that it describes, and far from the others'.

Trained through the denoising loss alone, unit vectors of different captions stay almost the same,
and a decoder conditioned on them plays any sound for any caption.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import ClapTextModelWithProjection, CLIPTokenizer

from anyweave.decoders.captions import caption_ids, embed_caption_ids
from anyweave.encoders.imagebind import ImageBind
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.rendered import rendered_scenes

SHARPNESS = 14.0  # 1 / 0.07, where CLIP starts


@torch.no_grad()
def sound_vectors(encoder: ImageBind, waves: np.ndarray) -> Float[Tensor, "S D"]:
    """Mean patch features of sounds by the frozen audio encoder."""
    parts = []
    for start in range(0, len(waves), 64):
        inputs = [
            encoder.preprocess("audio", np.asarray(wave, np.float32))
            for wave in waves[start : start + 64]
        ]
        parts.append(encoder("audio", torch.stack(inputs)).mean(1))
    return torch.cat(parts)


def train_text_encoder(
    folder: Path, encoder_folder: Path, cache: Path, options: FitOptions, size: int
) -> dict[str, float]:
    """Train the CLAP text tower in ``folder/text_encoder`` against the frozen audio encoder in
    `encoder_folder`, and save it again.

    Sounds of the same caption in a batch are all right answers. Returns the last mean loss.
    """
    torch.manual_seed(options.seed)
    text_encoder: Any = ClapTextModelWithProjection.from_pretrained(folder / "text_encoder")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = ImageBind.from_pretrained(encoder_folder).eval()
    scenes, waves = rendered_scenes("audio", "train", size, options.seed, cache)
    heard = sound_vectors(encoder, waves)
    heard = (heard - heard.mean(0)) / heard.std()
    captions = sorted({scene.caption for scene in scenes})
    place = {caption: row for row, caption in enumerate(captions)}
    said = torch.tensor([place[scene.caption] for scene in scenes])
    ids, masks = caption_ids(captions, tokenizer, text_encoder)
    width = text_encoder.config.projection_dim
    bridge = nn.Sequential(nn.Linear(heard.shape[1], 256), nn.GELU(), nn.Linear(256, width))
    trained = nn.ModuleDict({"text": text_encoder, "bridge": bridge}).requires_grad_(True)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(said), (options.batch_size,), generator=generator)
        text = embed_caption_ids(ids[said[rows]], masks[said[rows]], text_encoder, as_vector=True)
        sound = F.normalize(bridge(heard[rows]), dim=-1)
        logits = SHARPNESS * text.flatten(1).float() @ sound.float().T
        same = (said[rows][:, None] == said[rows][None]).float()
        both = [
            F.cross_entropy(scores, same / same.sum(1, keepdim=True))
            for scores in (logits, logits.T)
        ]
        return {"contrast": (both[0] + both[1]) / 2}

    means = fit(trained, losses, options, folder / "fit-text")
    text_encoder.save_pretrained(folder / "text_encoder")
    return means
