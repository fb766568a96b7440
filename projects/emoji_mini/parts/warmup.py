"""A cheap first lesson for the input projector of emoji-mini, before stage 1 and without running
the language model.

The paper goes straight to captioning through the frozen LLM. On a CPU every such step is expensive,
so the projector first learns, for each of its concept tokens, which word of the caption to say: the
nearest row of the LLM's own embedding matrix should be that word's. Stage 1 then starts from media
that already read like words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from rich.progress import track
from torch import Tensor

from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from emoji_mini.emoji_talk.talk import RATES, SAMPLERS
from emoji_mini.emoji_world.render import render
from emoji_mini.parts.assemble import assemble
from emoji_mini.parts.fit import FitOptions, fit

SHARPNESS = 20.0  # of the softmax over cosine similarities


@torch.no_grad()
def world_features(
    model: NextGPT, sizes: Mapping[Modality, int], seed: int = 11
) -> tuple[dict[Modality, list[str]], dict[Modality, Float[Tensor, "S N D"]]]:
    """Captions of `sizes` training scenes per modality, and their frozen features (float16)."""
    captions: dict[Modality, list[str]] = {}
    features: dict[Modality, Tensor] = {}
    for modality, size in sizes.items():
        rng = np.random.default_rng([seed, len(modality)])
        scenes = [SAMPLERS[modality](rng, "train") for _ in range(size)]
        encoder: Any = model.encoders[modality]  # an Encoder, which ModuleDict does not know
        parts = []
        for start in track(range(0, size, 32), f"encoding {modality}", transient=True):
            rows = [
                encoder.preprocess(modality, render(scene), rate=RATES[modality])
                for scene in scenes[start : start + 32]
            ]
            parts.append(encoder(modality, torch.stack(rows)).half())
        captions[modality] = [scene.caption for scene in scenes]
        features[modality] = torch.cat(parts)
    return captions, features


def first_lesson(
    output: Path,
    options: FitOptions,
    sizes: Mapping[Modality, int],
    parts: Path | None = None,
) -> dict[str, float]:
    """Assemble the frozen parts in `output` and give the input projector its first lesson, on media
    of `sizes` scenes per modality.
    """
    assemble(output, parts=parts)
    model = NextGPT.from_pretrained(output)
    return warm_up(model, output, options, *world_features(model, sizes))


def caption_words(
    model: NextGPT, captions: list[str], length: int
) -> tuple[Int[Tensor, "S T"], Int[Tensor, "W"]]:  # noqa: F821
    """Each caption as `length` word numbers, and the W token ids that the numbers stand for.

    Longer captions are cut; shorter ones are padded with the newline token.
    """
    tokenizer = model.language.tokenizer
    filler = tokenizer("\n", add_special_tokens=False).input_ids[-1]
    rows = []
    for caption in captions:
        ids = tokenizer(" " + caption, add_special_tokens=False).input_ids[:length]
        rows.append(ids + [filler] * (length - len(ids)))
    words, numbers = torch.unique(torch.tensor(rows), return_inverse=True)
    return numbers, words


def warm_up(
    model: NextGPT,
    output: Path,
    options: FitOptions,
    captions_of: Mapping[Modality, list[str]],
    features: Mapping[Modality, Float[Tensor, "S N D"]],
) -> dict[str, float]:
    """Train the shared input projector of `model` in place, on the `features` of media and what
    they show, and save the model to `output`.
    """
    projector = model.input_projectors["image"]
    captions = [caption for modality in features for caption in captions_of[modality]]
    sizes = {modality: len(values) for modality, values in features.items()}
    length = model.processor.num_input_tokens["image"]
    numbers, words = caption_words(model, captions, length)
    rows_WD = model.language.embed(words[None])[0].float()
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    projector.requires_grad_(True)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for modality, values in features.items():
            picked = torch.randint(len(values), (options.batch_size,), generator=generator)
            said_MTD = projector(values[picked].float()).float()
            truth_MT = numbers[starts[modality] + picked]
            cosine = F.normalize(said_MTD, dim=-1) @ F.normalize(rows_WD, dim=-1).T
            word = F.cross_entropy((SHARPNESS * cosine).flatten(0, 1), truth_MT.flatten())
            size = F.mse_loss(said_MTD, rows_WD[truth_MT]) / rows_WD.var()
            total |= {f"{modality}/word": word, f"{modality}/size": 0.2 * size}
        return total

    means = fit(projector, losses, options, output.parent / "fit-warmup")
    projector.requires_grad_(False)
    model.save_pretrained(output)
    (output.parent / "fit-warmup" / "fit.pt").unlink()  # the next lesson is on other parts
    return means
