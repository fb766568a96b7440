"""A lesson for the output projectors: stage 2 once more, without running the language model.

    python -m emoji_mini.parts.states TRAINED OUT   # a checkpoint that talks -> the whole model

With the language model, its adapters and the signal rows frozen, the states at signal tokens are
constants. They are computed once, in one forward pass per conversation, and the output projectors
then learn from them at a hundred times the speed of a stage. Linear ones begin with the principal
directions of the captions' embeddings. Errors are measured twice: relative to the variance of the
embeddings, and along these directions, each relative to its own spread. What tells one thing from
another is a small part of the variance and would otherwise be learned last; and directions in which
no caption varies must stay where all captions have them.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from rich.progress import track
from torch import Tensor, nn

from anyweave.language.replying import for_replies
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.fusion import gather_spans
from anyweave.model.hashing import folder_sha256
from anyweave.projectors.linear import LinearOutputProjector
from anyweave.training.contrast import whitening
from anyweave.training.features import FrozenFeatures
from anyweave.training.plan import Source
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.parts.assemble import assemble
from emoji_mini.parts.fit import FitOptions, fit

logger = logging.getLogger(__name__)

MAX_LENGTH = 384
CONVERSATIONS = 18_500

# Conversations to gather states from: requests and what follows from them. What the assistant shows
# is not rendered; only its caption is read.
SPOKEN_MEDIA = {
    "ask picture": 0.52,
    "ask clip": 0.28,
    "ask sound": 0.1,
    "several": 0.05,
    "cross": 0.05,
}
# Single precision: rare directions are finer than bfloat16.
OPTIONS = FitOptions(
    steps=1000, batch_size=128, learning_rate=1e-3, ema_decay=0.99, precision="fp32"
)


@dataclass(frozen=True)
class SignalStates:
    """What the output projector of one modality learns from: `hidden` ``[T, S, D]`` in half
    precision, and for each the row of its caption in `captions`, whose embeddings are `wanted`
    ``[U, Q, C]``.
    """

    hidden: Float[Tensor, "T S D"]
    caption: Int[Tensor, "T"]  # noqa: F821
    captions: tuple[str, ...]
    wanted: Float[Tensor, "U Q C"]


@torch.no_grad()
def signal_states(
    model: NextGPT, source: Source, *, batch_size: int = 32, max_length: int = MAX_LENGTH
) -> dict[Modality, SignalStates]:
    """The states at every captioned assistant medium of `source`, one forward pass per
    conversation.

    Conversations of similar length run together; those that cannot be rendered are left out.
    """
    frozen = FrozenFeatures(model)
    language = for_replies(model.language)  # twice as fast, and the states that replies will have
    renderer = frozen.renderer(source, max_length)
    rendered = [renderer(index, load_targets=False) for index in range(len(source))]
    samples = sorted(frozen.complete(rendered, latents=False), key=lambda sample: sample.length)
    hidden: dict[Modality, list[Tensor]] = {}
    said: dict[Modality, list[str]] = {}
    for start in track(range(0, len(samples), batch_size), "signal states", transient=True):
        batch = frozen.batch(samples[start : start + batch_size], captions=False)
        states_BLD, _ = language(model.embed(batch), attention_mask=batch.attention_mask)
        for modality, target in batch.targets.items():
            spans = gather_spans(states_BLD, target.rows, target.starts, target.length).half()
            known = [row for row, caption in enumerate(target.captions) if caption is not None]
            hidden.setdefault(modality, []).append(spans[known])
            said.setdefault(modality, []).extend(str(target.captions[row]) for row in known)
    found = {}
    for modality, parts in hidden.items():
        captions = tuple(sorted(set(said[modality])))
        place = {caption: row for row, caption in enumerate(captions)}
        found[modality] = SignalStates(
            torch.cat(parts),
            torch.tensor([place[caption] for caption in said[modality]]),
            captions,
            frozen.caption_embeddings(modality, captions).float(),
        )
    return found


def teach_output_projectors(
    model: NextGPT,
    states: Mapping[Modality, SignalStates],
    options: Mapping[Modality, FitOptions],
    folder: Path,
) -> dict[str, float]:
    """Train the output projectors of `model` in place on `states`; returns the last mean losses:
    the unexplained share of the variance, in total ("alignment/image") and averaged over the
    principal directions ("directions/image"). A modality with fewer than two captions learns
    nothing, and that is told.
    """
    means: dict[str, float] = {}
    for modality, known in states.items():
        if len(known.captions) < 2:
            logger.warning("no lesson for %s: %d captions", modality, len(known.captions))
            continue
        projector: nn.Module = model.output_projectors[modality]
        if isinstance(projector, LinearOutputProjector):
            projector.start_from(known.wanted)
        projector.requires_grad_(True)
        measure = whitening(known.wanted)
        variance = known.wanted.var(0, correction=0).mean()

        def losses(
            generator: torch.Generator,
            modality: Modality = modality,
            known: SignalStates = known,
            measure: Tensor = measure,
            variance: Tensor = variance,
        ) -> dict[str, Tensor]:
            size = options[modality].batch_size
            rows = torch.randint(len(known.hidden), (size,), generator=generator)
            conditioning = model.condition(modality, known.hidden[rows].float()).float()
            difference = conditioning - known.wanted[known.caption[rows]]
            whole, along = unexplained(difference, measure, variance)
            return {f"alignment/{modality}": whole, f"directions/{modality}": along}

        means |= fit(projector, losses, options[modality], folder / f"fit-{modality}-states")
        projector.requires_grad_(False)
    return means


def unexplained(
    difference: Float[Tensor, "B Q C"],
    measure: Float[Tensor, "QC K"],
    variance: Float[Tensor, ""],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The unexplained share of the embeddings' `variance`, and the mean of the shares along their
    principal directions (`whitening`). The second alone would miss a shift that all share.
    """
    with torch.autocast(difference.device.type, enabled=False):  # rare directions are small
        along = difference.flatten(1) @ measure
    return difference.square().mean() / variance, along.square().mean()


def lesson(
    trained: Path,
    output: Path,
    options: FitOptions = OPTIONS,
    conversations: int = CONVERSATIONS,
    parts: Path | None = None,
) -> dict[str, float]:
    """Assemble the model around what `trained` has learnt, teach its output projectors, and write
    it to `output` in half precision. Returns the last losses.
    """
    assemble(output, trained=trained, parts=parts)
    model = NextGPT.from_pretrained(output)
    talk = Dialogues("train", conversations, 2, kinds=SPOKEN_MEDIA, goes_on=0.1)
    # A stopped lesson resumes, but only from the same checkpoint; its folder is removed when done.
    folder = output.parent / f"fit-{output.name}-{folder_sha256(trained)[:8]}"
    means = teach_output_projectors(
        model, signal_states(model, talk), dict.fromkeys(model.decoders, options), folder
    )
    model.save_pretrained(output, dtype="float16")
    shutil.rmtree(folder)
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--parts", type=Path, help="frozen parts other than the project's")
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--steps", type=int, default=OPTIONS.steps)
    parser.add_argument("--batch-size", type=int, default=OPTIONS.batch_size)
    parser.add_argument("--rate", type=float, default=OPTIONS.learning_rate)
    args = parser.parse_args()
    options = replace(
        OPTIONS,
        steps=args.steps,
        batch_size=args.batch_size,
        learning_rate=args.rate,
    )
    means = lesson(args.trained, args.output, options, args.conversations, args.parts)
    sys.stdout.write(json.dumps(means) + "\n")


if __name__ == "__main__":
    main()
