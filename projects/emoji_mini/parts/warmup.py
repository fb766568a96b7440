"""A cheap lesson for the input projector of emoji-mini before stage 1, without running the language
model.

The paper goes straight to captioning through the frozen LLM. On a CPU every such step is expensive,
so the projector first learns, for each of its concept tokens, which word to say: the nearest row of
the LLM's own embedding matrix should be that word's. The language model then starts from media that
already read like words.

All concept tokens speak at once and cannot listen to each other, so words have fixed places
(`readings`): with the words of a caption one after the other, a long name would move all that
follow, and "a cat left of a dog" would compete with "a dog right of a cat". Where a scene can be
told from either end, the nearer telling counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from emoji_mini.emoji_world.scenes import BACKGROUNDS, MIRRORS, ClipScene, Scene, SoundScene, Split
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import NUMBER_WORDS, THINGS
from emoji_mini.parts.assemble import assemble
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.seeing import facts_table

# So many pictures: with 20,000, their numbers were learned by heart and held-out ones got worse.
SCENES: dict[Modality, int] = {"image": 52_000, "video": 5_000, "audio": 4_000}
OPTIONS = FitOptions(
    steps=2_500, batch_size=48, learning_rate=1e-3, ema_decay=0.995, checkpoint_every=250
)
SHARPNESS = 20.0  # of the softmax over cosine similarities


# Places of words, by what they tell; they add up to the concept tokens of emoji-mini. Names are cut
# at the end, backgrounds at the beginning ("on a pink background").
_COUNT, _NAME, _LINK, _PLACE, _MOTION, _SOUND = 1, 5, 1, 3, 4, 7
_NUMBERS = ("", "a", *NUMBER_WORDS[2:])


@torch.no_grad()
def world_features(
    model: NextGPT, sizes: Mapping[Modality, int], seed: int = 11, split: Split = "train"
) -> tuple[dict[Modality, list[Scene]], dict[Modality, Float[Tensor, "S N D"]]]:
    """`sizes` scenes of a split per modality, and their frozen features (float16)."""
    scenes: dict[Modality, list[Scene]] = {}
    features: dict[Modality, Tensor] = {}
    for modality, size in sizes.items():
        rng = np.random.default_rng([seed, len(modality)])
        scenes[modality] = [SAMPLERS[modality](rng, split) for _ in range(size)]
        encoder: Any = model.encoders[modality]  # an Encoder, which ModuleDict does not know
        parts = []
        for start in track(range(0, size, 32), f"encoding {modality}", transient=True):
            rows = [
                encoder.preprocess(modality, render(scene), rate=RATES[modality])
                for scene in scenes[modality][start : start + 32]
            ]
            parts.append(encoder(modality, torch.stack(rows)).half())
        features[modality] = torch.cat(parts)
    return scenes, features


def lesson(
    output: Path,
    options: FitOptions,
    sizes: Mapping[Modality, int],
    *,
    trained: Path | None = None,
    parts: Path | None = None,
) -> dict[str, float]:
    """Assemble the frozen parts in `output` and teach the input projector, on media of `sizes`
    scenes per modality: a fresh one, or that of the checkpoint `trained`, whose language model must
    then learn to read it again (recipe emoji-mini-reading).
    """
    assemble(output, trained=trained, parts=parts)
    model = NextGPT.from_pretrained(output)
    return warm_up(model, output, options, *world_features(model, sizes))


class Speller:
    """Words as token ids in fixed places, the rest of a place filled with newlines."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.filler: int = tokenizer("\n", add_special_tokens=False).input_ids[-1]

    def place(self, text: str, width: int, *, ending: bool = False) -> list[int]:
        """The first `width` tokens of `text`, or with `ending` the last, and newlines behind."""
        ids = self.tokenizer(" " + text, add_special_tokens=False).input_ids if text else []
        ids = ids[-width:] if ending else ids[:width]
        return [*ids, *[self.filler] * (width - len(ids))]

    def things(self, name: str, count: int) -> list[int]:
        words = THINGS[name].many(count).split(" ", 1)  # "three bars of chocolate"
        return self.place(_NUMBERS[count], _COUNT) + self.place(words[-1], _NAME)

    def readings(self, scene: Scene) -> list[list[int]]:
        """What the concept tokens should say of `scene`: one list of token ids, or two where a
        picture can be told from either end.
        """
        if isinstance(scene, SoundScene):
            first, second = (*(SOUNDS[name].phrase for name in scene.sounds), "")[:2]
            link = self.place("then" if second else "", _LINK)
            return [self.place(first, _SOUND) + link + self.place(second, _SOUND)]
        where = self.place(BACKGROUNDS[scene.background][0], _PLACE, ending=True)
        if isinstance(scene, ClipScene):
            gap = self.place("", _COUNT + _NAME + _LINK - _MOTION)
            moving = self.place(scene.motion, _MOTION)
            return [self.things(scene.object, 1) + moving + gap + where]
        one = self.things(scene.object, scene.count)
        if scene.other is None:
            return [one + self.place("", _LINK + _COUNT + _NAME) + where]
        other = self.things(scene.other, scene.other_count)
        related = scene.relation or "and"
        told = [one + self.place(related, _LINK) + other + where]  # "left" of "left of"
        if related != "between":
            told.append(other + self.place(MIRRORS.get(related, related), _LINK) + one + where)
        return told


def reading_words(
    model: NextGPT, scenes: Sequence[Scene], length: int
) -> tuple[Int[Tensor, "S 2 T"], Int[Tensor, "W"]]:  # noqa: F821
    """The two readings of each scene (twice the same where there is one) as `length` word numbers,
    and the W token ids that the numbers stand for.

    Longer readings are cut; shorter ones are padded with the newline token.
    """
    speller = Speller(model.language.tokenizer)
    rows = []
    for scene in scenes:
        told = [(r + [speller.filler] * length)[:length] for r in speller.readings(scene)]
        rows.append([told[0], told[-1]])
    words, numbers = torch.unique(torch.tensor(rows), return_inverse=True)
    return numbers, words


def warm_up(
    model: NextGPT,
    output: Path,
    options: FitOptions,
    scenes_of: Mapping[Modality, Sequence[Scene]],
    features: Mapping[Modality, Float[Tensor, "S N D"]],
) -> dict[str, float]:
    """Train the shared input projector of `model` in place, on the `features` of media and what
    they show, and save the model to `output`.
    """
    projector = model.input_projectors["image"]
    scenes = [scene for modality in features for scene in scenes_of[modality]]
    sizes = {modality: len(values) for modality, values in features.items()}
    length = model.processor.num_input_tokens["image"]
    numbers, words = reading_words(model, scenes, length)
    rows_WD = model.language.embed(words[None])[0].float()
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    projector.requires_grad_(True)

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for modality, values in features.items():
            pictures = modality == "image"  # which hold the most, and are the slowest to learn
            size = options.batch_size if pictures else max(1, options.batch_size // 4)
            picked = torch.randint(len(values), (size,), generator=generator)
            said_MTD = projector(values[picked].float()).float()
            truth_M2T = numbers[starts[modality] + picked]
            told = reading_losses(said_MTD, truth_M2T, rows_WD)
            share = 3.0 if pictures else 1.0
            total |= {f"{modality}/{name}": share * loss for name, loss in told.items()}
        return total

    means = fit(projector, losses, options, output.parent / "fit-warmup")
    projector.requires_grad_(False)
    model.save_pretrained(output)
    (output.parent / "fit-warmup" / "fit.pt").unlink()  # the next lesson is on other parts
    return means


def reading_losses(
    said_MTD: Float[Tensor, "M T D"],
    truth_M2T: Int[Tensor, "M 2 T"],
    rows_WD: Float[Tensor, "W D"],
) -> dict[str, Tensor]:
    """How far concept tokens are from the words they should say: "word", the cross-entropy among
    the words' embeddings `rows_WD`, and "size", a fifth of the squared error relative to their
    variance. Of the two tellings of each medium, the likelier counts.
    """
    cosine = F.normalize(said_MTD, dim=-1) @ F.normalize(rows_WD, dim=-1).T
    chances_MTW = F.log_softmax(SHARPNESS * cosine, dim=-1)
    word, nearer = (-chances_MTW.gather(2, truth_M2T.mT)).mean(1).min(dim=1)
    truth_MT = truth_M2T[torch.arange(len(said_MTD)), nearer]
    size = F.mse_loss(said_MTD, rows_WD[truth_MT]) / rows_WD.var()
    return {"word": word.mean(), "size": 0.2 * size}


@torch.no_grad()
def measure(model: NextGPT, number: int, seed: int = 5) -> str:
    """How many of `number` held-out media the concept tokens tell without an error, by the nearest
    of all words that scenes are told with: a Markdown table.
    """
    sizes: dict[Modality, int] = dict.fromkeys(SCENES, number)
    scenes_of, features = world_features(model, sizes, seed, "test")
    rng = np.random.default_rng(seed)
    others = [SAMPLERS[modality](rng, "train") for modality in sizes for _ in range(4000)]
    scenes = [*(scene for shown in scenes_of.values() for scene in shown), *others]
    length = model.processor.num_input_tokens["image"]
    numbers, words = reading_words(model, scenes, length)
    rows_WD = F.normalize(model.language.embed(words[None])[0].float(), dim=-1)
    right: list[dict[str, bool]] = []
    for place, (modality, values) in enumerate(features.items()):
        said = model.input_projectors[modality](values.float()).float()
        told = (F.normalize(said, dim=-1) @ rows_WD.T).argmax(-1)
        truth = numbers[place * number : (place + 1) * number]
        right += [{modality: one} for one in (told[:, None] == truth).all(2).any(1).tolist()]
    return facts_table("told without an error", {f"{number} each": right})
