"""Editing in conversation: does the one thing change, and does everything else stay?

    python -m emoji_mini.evaluation.editing emoji-mini OUT --number 40

The model draws a held-out scene and is then asked to change one thing. From its own two turns, the
second medium is made in three ways: drawn anew, by SDEdit, by inversion. The world's judges say
what each shows; what must not change is compared with the source itself. OUT gets ``report.json``,
``report.md`` and a strip of pictures for each trial; trials already in ``trials.jsonl`` are
skipped.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import anyweave
from anyweave import media
from anyweave.decoders.codecs.mel import MelConfig, log_mel
from anyweave.decoders.editing import Edit
from anyweave.evaluation.metrics import Proportion
from anyweave.files import write_json, write_text
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.generation.sources import likeness
from anyweave.messages import MEDIA_TYPES, Media, Modality
from anyweave.model.any_to_any import NextGPT
from emoji_mini.emoji_talk.phrases import phrases
from emoji_mini.emoji_talk.talk import KIND
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.sampling import pick, sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import (
    BACKGROUNDS,
    MOTIONS,
    ClipScene,
    PictureScene,
    Scene,
    SoundScene,
)
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import MAX_COUNT, NUMBER_WORDS, THINGS
from emoji_mini.evaluation.judging import Judges

T = TypeVar("T")
WAYS = ("anew", "sdedit", "edit")
_FACTS: dict[Modality, tuple[str, ...]] = {
    "image": ("object", "background", "count"),
    "video": ("object", "background", "motion"),
    "audio": ("sound",),
}
_EDGE = 1 / 16  # of the side: pixels that show the background alone
_NEAR = 0.05  # mean difference below which the rest counts as the same: 13 of 255 levels


@dataclass(frozen=True)
class Trial:
    """One thing of a scene is changed: `fact` names it, `words` ask for it."""

    before: Scene
    after: Scene
    fact: str
    words: str


def trials(modality: Modality, number: int, seed: int) -> Iterator[Trial]:
    """Held-out scenes with each fact in turn changed, in held-out words."""
    rng = np.random.default_rng([seed, *map(ord, modality)])
    for index in range(number):
        fact = _FACTS[modality][index % len(_FACTS[modality])]
        yield _heard(rng) if modality == "audio" else _seen(rng, modality, fact)


def _say(rng: np.random.Generator, table: str, **words: str) -> str:
    return str(pick(rng, phrases(table, "test"))).format(**words)


def _other(rng: np.random.Generator, options: Iterable[T], *but: T) -> T:
    return pick(rng, [option for option in options if option not in but])


def _seen(rng: np.random.Generator, modality: Modality, fact: str) -> Trial:
    scene: PictureScene | ClipScene
    if modality == "video":
        while (scene := sample_clip(rng, "test")).motion not in MOTIONS:
            pass  # another thing may lack this one's own motion
    else:
        while (scene := sample_picture(rng, "test")).other is not None:
            pass
    count = scene.count if isinstance(scene, PictureScene) else 1
    if fact == "background":
        place = _other(rng, BACKGROUNDS, scene.background)
        words = _say(rng, "place_instead", b=pick(rng, BACKGROUNDS[place]))
        return Trial(scene, replace(scene, background=place), fact, words)
    if isinstance(scene, ClipScene) and fact == "motion":
        motion = _other(rng, MOTIONS, scene.motion)
        return Trial(scene, replace(scene, motion=motion), fact, _say(rng, "motion_so", m=motion))
    if isinstance(scene, PictureScene) and fact == "count":
        number = _other(rng, range(1, MAX_COUNT + 1), count)
        words = _say(rng, "number", n=NUMBER_WORDS[number])
        return Trial(scene, replace(scene, count=number), fact, words)
    thing = _other(rng, THINGS, scene.object)
    words = _say(rng, "thing_instead", x=call(rng, THINGS[thing], count))
    return Trial(scene, replace(scene, object=thing), fact, words)


def _heard(rng: np.random.Generator) -> Trial:
    """One of two sounds is replaced; the other one and the order stay."""
    scene = sample_sound(rng, "test", pair_share=1.0)
    place = int(rng.integers(2))
    sounds = list(scene.sounds)
    sounds[place] = _other(rng, SOUNDS, *sounds)
    after = replace(scene, sounds=tuple(sounds))
    return Trial(scene, after, "sound", _say(rng, "sound", x=after.caption))


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: the source and what each way made, with its facts."""

    trial: Trial
    source: np.ndarray
    made: dict[str, np.ndarray]
    facts: dict[str, dict[str, bool]]
    alike: float


def run_trial(
    model: NextGPT, modality: Modality, trial: Trial, judges: Judges, options: Any, seed: int
) -> Outcome | None:
    """None where the model's words or its first medium are not what was asked for: the decoder's
    part cannot be judged then. The caller counts these.
    """
    settings = options.with_overrides(seed=seed, max_media=1, force=(modality,))
    session = ChatSession(model, settings)
    rng = np.random.default_rng(seed)
    first = session.reply(_say(rng, KIND[modality], x=trial.before.caption))
    told = session.reply(trial.words, seed=seed + 1, num_inference_steps=1)
    one, two = (reply.media(modality)[0] for reply in (first, told))
    right = all(judges.judge(trial.before, one).values())
    if not right or trial.after.caption.lower() not in told.text.lower():
        return None
    old, new = session.conditioning_of(one), session.conditioning_of(two)
    assert old is not None and new is not None
    made = make(model, modality, one, old, new, settings.num_inference_steps, seed + 1)
    rate = model.decoders[modality].rate
    facts = {}
    for way, array in made.items():
        part = MEDIA_TYPES[modality](source=array, rate=rate)
        facts[way] = _facts(trial, one, part, judges)
    return Outcome(trial, one.source, made, facts, likeness(one.caption or "", two.caption or ""))


def make(
    model: NextGPT,
    modality: Modality,
    source: Media,
    old: Tensor,
    new: Tensor,
    steps: int | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """The second medium in each way."""
    decoder = model.decoders[modality]
    with torch.inference_mode():
        latents = decoder.encode_media([media.load(source)])
        how: dict[str, dict[str, Any]] = {
            "anew": {},
            "sdedit": {"latents": latents, "strength": 0.6},
            "edit": {"latents": latents, "edit": Edit(old)},
        }
        return {
            way: decoder.generate(new, seeds=[seed], num_inference_steps=steps, **more)[0]
            for way, more in how.items()
        }


def _facts(trial: Trial, one: Media, two: Media, judges: Judges) -> dict[str, bool]:
    verdict = judges.judge(trial.after, two)
    changed = verdict.pop(trial.fact)
    found = {"changed": changed, "rest kept": all(verdict.values())}
    before, after = (np.asarray(part.source, np.float32) for part in (one, two))
    if isinstance(trial.after, SoundScene):
        assert isinstance(trial.before, SoundScene)
        kept = int(trial.before.sounds[0] != trial.after.sounds[0])  # the half that stays
        found["rest kept"] = _alike(before, after, kept)
    elif trial.fact != "background":
        ring = np.ones(before.shape[-3:-1], bool)
        edge = round(_EDGE * len(ring))
        ring[edge:-edge, edge:-edge] = False
        found["place kept"] = bool(
            np.abs(before[..., ring, :] - after[..., ring, :]).mean() / 255 < _NEAR
        )
    found["both"] = all(found.values())
    return found


def _alike(one: np.ndarray, two: np.ndarray, half: int) -> bool:
    """Whether half of a sound is the same performance: pitches and onsets in the same places."""
    mels = []
    for wave in (one, two):
        middle = len(wave) // 2
        piece = torch.from_numpy(wave[middle * half : middle * (half + 1)])
        mels.append(log_mel(piece[None], MelConfig()).flatten())
    return float(np.corrcoef(mels[0], mels[1])[0, 1]) > 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--number", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--modality", choices=list(_FACTS), action="append")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    log = args.output / "trials.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(row["modality"], row["number"]) for row in rows}
    model = anyweave.load(args.model)
    judges = Judges.load()
    options = GenerationOptions(temperature=0.0, num_inference_steps=args.steps, max_new_tokens=40)
    for modality in args.modality or _FACTS:
        for number, trial in enumerate(trials(modality, args.number, args.seed)):
            if (modality, number) in done:
                continue
            outcome = run_trial(model, modality, trial, judges, options, 1000 + number)
            row = {"modality": modality, "number": number, "fact": trial.fact}
            if outcome is not None:
                row |= {"alike": outcome.alike, "facts": outcome.facts}
                if modality != "audio":
                    strip(outcome).save(args.output / f"{modality}-{number:03}.png")
            rows.append(row)
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
    figures = {m: tally([r for r in rows if r["modality"] == m]) for m in _FACTS}
    write_json(args.output / "report.json", figures)
    write_text(args.output / "report.md", table(figures))


def tally(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares with intervals: fact -> figure -> way."""
    gathered: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    judged = [row for row in rows if "facts" in row]
    for row in judged:
        for way, facts in row["facts"].items():
            for name, right in facts.items():
                for fact in (row["fact"], "all"):
                    gathered[fact, name, way].append(right)
    shares: dict[str, Any] = {"trials": len(rows), "judged": len(judged)}
    for (fact, name, way), values in gathered.items():
        entry = shares.setdefault(fact, {}).setdefault(name, {})
        entry[way] = Proportion.of(values).to_dict()
    return shares


def table(figures: dict[str, Any]) -> str:
    """As Markdown."""
    lines = [f"| what is changed | figure | {' | '.join(WAYS)} | n |", "|---" * 6 + "|"]
    for modality, shares in figures.items():
        for fact, named in shares.items():
            for name, ways in named.items() if isinstance(named, dict) else ():
                cells = [_cell(ways[way]) for way in WAYS]
                n = ways["anew"]["trials"]
                lines.append(f"| {modality}: {fact} | {name} | {' | '.join(cells)} | {n} |")
    judged = [f"{m}: {s['judged']} of {s['trials']} judged" for m, s in figures.items()]
    return "\n".join(lines) + f"\n\n{'; '.join(judged)}\n"


def _cell(share: dict[str, Any]) -> str:
    low, high = share["interval_95"]
    return f"{share['share']:.2f} [{low:.2f}, {high:.2f}]"


def strip(outcome: Outcome) -> Image.Image:
    """The source and each way's result side by side; for clips, the middle frame."""
    shown = [outcome.source, *outcome.made.values()]
    row = np.concatenate([a[len(a) // 2] if a.ndim == 4 else a for a in shown], 1)
    return Image.fromarray(row)


if __name__ == "__main__":
    main()
