"""A lesson for the output projectors: stage 2 once more, without running the language model.

With the language model, its adapters and the signal rows frozen, the states at signal tokens are
constants. They are computed once, in one forward pass per conversation, and the output projectors
then learn from them at a hundred times the speed of a stage. Linear ones begin with the principal
directions of the captions' embeddings. Errors are measured twice: relative to the variance of the
embeddings, and along these directions, each relative to its own spread. What tells one thing from
another is a small part of the variance and would otherwise be learned last; and directions in which
no caption varies must stay where all captions have them.

States that recall words (`training/recall.py`) can be put together anew: half of every batch are
captions that no conversation had, made of the states that said their words elsewhere.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from rich.progress import track
from torch import Tensor, nn

from anyweave.language.replying import for_replies
from anyweave.messages import MEDIA_TYPES, Message, Modality, Text
from anyweave.model.any_to_any import NextGPT
from anyweave.model.fusion import gather_spans
from anyweave.model.hashing import folder_sha256
from anyweave.processing.processor import Processor
from anyweave.projectors.linear import LinearOutputProjector
from anyweave.training.contrast import whitening
from anyweave.training.features import FrozenFeatures
from anyweave.training.plan import Source
from anyweave.training.recall import recall_places, recalled_ids
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.emoji_talk.talk import SAMPLERS
from emoji_mini.emoji_world.captions import describe
from emoji_mini.parts.assemble import assemble
from emoji_mini.parts.fit import FitOptions, fit

logger = logging.getLogger(__name__)

MAX_LENGTH = 384
CONVERSATIONS = 4_400
MORE_CAPTIONS: dict[Modality, int] = {"image": 24_000, "video": 12_000, "audio": 4_000}
MORE_SEED = 3
SAID = 3  # runs that say each token of those captions, at least

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
    steps=1500, batch_size=128, learning_rate=1e-3, ema_decay=0.99, precision="fp32"
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

    def said(self) -> list[str]:
        """The caption of every run."""
        return [self.captions[row] for row in self.caption.tolist()]

    def joined(self, other: SignalStates) -> SignalStates:
        """The runs of both."""
        new = [row for row, name in enumerate(other.captions) if name not in self.captions]
        captions = (*self.captions, *(other.captions[row] for row in new))
        place = {caption: row for row, caption in enumerate(captions)}
        return SignalStates(
            torch.cat([self.hidden, other.hidden]),
            torch.cat([self.caption, torch.tensor([place[name] for name in other.said()])]),
            captions,
            torch.cat([self.wanted, other.wanted[new]]),
        )


class WordStates:
    """States of real runs, by the word that each recalls."""

    def __init__(
        self,
        hidden: Float[Tensor, "T S D"],
        ids: Int[Tensor, "T P"],
        recalled: Bool[Tensor, "T P"] | None = None,
    ) -> None:
        """ids: what the first P states of each run should recall; recalled: which of them do (by
        default all).
        """
        self.hidden = hidden
        self.places = ids.shape[1]
        places = torch.arange(self.places).expand_as(ids)
        self._vocab = int(ids.max()) + 1
        which = (torch.ones_like(ids) if recalled is None else recalled).flatten().nonzero()[:, 0]
        self._at_place = _Groups(self._key(ids, places).flatten(), which)
        self._anywhere = _Groups(ids.flatten(), which)

    def _key(self, ids: Tensor, places: Tensor) -> Tensor:
        return places * self._vocab + ids

    def knows(self, ids: Int[Tensor, "B P"]) -> Bool[Tensor, "B"]:  # noqa: F821
        """Of which captions every word is recalled somewhere, at whatever place."""
        return self._anywhere.has(ids).all(1)

    def compose(
        self, ids: Int[Tensor, "B P"], generator: torch.Generator
    ) -> Float[Tensor, "B S D"]:
        """A run for each row of known `ids`: every state from a random run that said the word at
        that place, or at another one where none did; the last states from a random run.
        """
        places = torch.arange(self.places).expand_as(ids)
        key = self._key(ids, places)
        anywhere = self._anywhere.pick(ids, generator)
        picked = torch.where(self._at_place.has(key), self._at_place.pick(key, generator), anywhere)
        words = self.hidden[picked // self.places, picked % self.places]
        rest = torch.randint(len(self.hidden), (len(ids),), generator=generator)
        return torch.cat([words, self.hidden[rest, self.places :]], 1)


class _Groups:
    """Positions of equal values, to draw one of them at random."""

    def __init__(
        self,
        values: Int[Tensor, "N"],  # noqa: F821
        which: Int[Tensor, "M"],  # noqa: F821
    ) -> None:
        """which: the positions that may be drawn."""
        self.order = which[values[which].argsort()]
        self.values, self.counts = values[self.order].unique_consecutive(return_counts=True)
        self.starts = self.counts.cumsum(0) - self.counts

    def has(self, wanted: Tensor) -> Tensor:
        return torch.isin(wanted, self.values)

    def pick(self, wanted: Tensor, generator: torch.Generator) -> Tensor:
        place = self._place(wanted)
        chance = torch.rand(wanted.shape, generator=generator)
        return self.order[self.starts[place] + (chance * self.counts[place]).long()]

    def _place(self, wanted: Tensor) -> Tensor:
        return torch.searchsorted(self.values, wanted).clamp(max=len(self.values) - 1)


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


def covering(
    processor: Processor,
    captions: Sequence[str],
    times: int,
    said: Sequence[str] = (),
) -> list[str]:
    """Of `captions`, in their order, those with a token that fewer than `times` of `said` and of
    the ones before them have.
    """
    seen: Counter[int] = Counter()
    chosen = []
    for place, caption in enumerate([*said, *captions]):
        ids = set(processor.tokenizer(f" {caption}", add_special_tokens=False).input_ids)
        if place < len(said):
            seen.update(ids)
        elif any(seen[token] < times for token in ids):
            seen.update(ids)
            chosen.append(caption)
    return chosen


def shown(modality: Modality, caption: str) -> list[Message]:
    """A short conversation in which the assistant shows what `caption` says."""
    medium = MEDIA_TYPES[modality](None, caption=caption)
    return [
        Message("user", f"Could you show me {caption}?"),
        Message("assistant", [Text(f"Here is {caption}."), medium]),
    ]


@dataclass(frozen=True)
class Composed:
    """Captions whose states are put together: `ids` ``[N, P]``, embeddings `wanted`
    ``[N, Q, C]``.
    """

    words: WordStates
    ids: Int[Tensor, "N P"]
    wanted: Float[Tensor, "N Q C"]

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """States ``[size, S, D]`` of random captions, and their embeddings."""
        rows = torch.randint(len(self.ids), (size,), generator=generator)
        return self.words.compose(self.ids[rows], generator).float(), self.wanted[rows].float()


def _composed(
    model: NextGPT, modality: Modality, known: SignalStates, captions: Sequence[str]
) -> Composed | None:
    if not captions:
        return None
    places = recall_places(known.hidden.shape[1])
    ids = recalled_ids(model.processor, known.captions, places)[known.caption]
    recalled = recalls(model, known.hidden[:, :places], ids)
    words = WordStates(known.hidden, ids, recalled)
    ids = recalled_ids(model.processor, captions, places)
    sayable = words.knows(ids)
    told = [caption for caption, can in zip(captions, sayable.tolist(), strict=True) if can]
    logger.info(
        "%s: %.0f%% of states recall their word; states for %d of %d more captions, the others "
        "have words that no state recalls",
        *(modality, 100 * recalled.float().mean(), len(told), len(captions)),
    )
    if not told:
        return None
    wanted = caption_embeddings(FrozenFeatures(model), modality, told)
    return Composed(words, ids[sayable], wanted)


@torch.no_grad()
def recalls(
    model: NextGPT, hidden: Float[Tensor, "T P D"], ids: Int[Tensor, "T P"]
) -> Bool[Tensor, "T P"]:
    """Which states name their word of `ids`: by the language model's head, among all of `ids`."""
    names, wanted = ids.unique(return_inverse=True)
    head = model.language.model.get_output_embeddings()
    rows = head.weight[names].float()
    named = [(states.float() @ rows.T).argmax(-1) for states in hidden.split(256)]
    return torch.cat(named) == wanted


def caption_embeddings(
    frozen: FrozenFeatures, modality: Modality, captions: Sequence[str]
) -> Float[Tensor, "U Q C"]:
    """The embeddings of many captions, in half precision."""
    parts = [
        frozen.caption_embeddings(modality, tuple(captions[start : start + 256])).half()
        for start in track(range(0, len(captions), 256), f"{modality} captions", transient=True)
    ]
    return torch.cat(parts)


def teach_output_projectors(
    model: NextGPT,
    states: Mapping[Modality, SignalStates],
    options: Mapping[Modality, FitOptions],
    folder: Path,
    more: Mapping[Modality, Sequence[str]] | None = None,
) -> dict[str, float]:
    """Train the output projectors of `model` in place on `states`; returns the last mean losses:
    the unexplained share of the variance, in total ("alignment/image") and averaged over the
    principal directions ("directions/image"). A modality with fewer than two captions learns
    nothing, and that is told.

    more: captions whose states are put together from the words of `states`, for half of every
    batch. Those with a word that no state recalls are left out, and their number is told.
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
        composed = _composed(model, modality, known, (more or {}).get(modality, ()))
        variance = known.wanted.var(0, correction=0).mean()

        def losses(
            generator: torch.Generator,
            modality: Modality = modality,
            known: SignalStates = known,
            measure: Tensor = measure,
            variance: Tensor = variance,
            composed: Composed | None = composed,
        ) -> dict[str, Tensor]:
            size = options[modality].batch_size // (1 if composed is None else 2)
            rows = torch.randint(len(known.hidden), (size,), generator=generator)
            hidden, wanted = known.hidden[rows].float(), known.wanted[known.caption[rows]]
            if composed is not None:
                others = composed.draw(size, generator)
                hidden, wanted = (
                    torch.cat(pair) for pair in zip((hidden, wanted), others, strict=True)
                )
            difference = model.condition(modality, hidden).float() - wanted
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
    more_captions: Mapping[Modality, int] = MORE_CAPTIONS,
    parts: Path | None = None,
) -> dict[str, float]:
    """Assemble the model around what `trained` has learnt, teach its output projectors, and write
    it to `output` in half precision. Returns the last losses.

    `more_captions` are drawn beside the conversations; those with words that hardly any
    conversation has are shown in short ones.
    """
    assemble(output, trained=trained, parts=parts)
    model = NextGPT.from_pretrained(output)
    talk = Dialogues("train", conversations, 2, kinds=SPOKEN_MEDIA, goes_on=0.1)
    # A stopped lesson resumes, but only from the same checkpoint; its folder is removed when done.
    folder = output.parent / f"fit-{output.name}-{folder_sha256(trained)[:8]}"
    rng = np.random.default_rng(MORE_SEED)
    more = {
        modality: [describe(rng, SAMPLERS[modality](rng, "train")) for _ in range(size)]
        for modality, size in more_captions.items()
    }
    states = signal_states(model, talk)
    source = [
        shown(modality, caption)
        for modality, captions in more.items()
        for caption in covering(model.processor, captions, SAID, states[modality].said())
    ]
    if source:
        rest = signal_states(model, source)
        states |= {modality: states[modality].joined(other) for modality, other in rest.items()}
    means = teach_output_projectors(
        model, states, dict.fromkeys(model.decoders, options), folder, more
    )
    model.save_pretrained(output, dtype="float16")
    shutil.rmtree(folder)
    return means
