"""Editing in conversation: does the one thing change, and does everything else stay?

    python -m emoji_mini.evaluation.editing emoji-mini OUT --number 40

The model draws a held-out scene, then it is asked to change one thing. From its own two turns the
second medium is made in three ways: drawn anew, by SDEdit, by inversion. The world's verifiers say
what each shows; what must not change is compared with the source itself. OUT gets ``report.json``,
``report.md`` and a strip of pictures for each trial; what is in ``trials.jsonl`` is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

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
from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import (
    BACKGROUNDS,
    MOTIONS,
    NUMBER_WORDS,
    OBJECTS,
    SAMPLE_RATE,
    SOUNDS,
)
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    Scene,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
)
from emoji_mini.world.verifiers import Verifiers, load_verifiers

WAYS = ("anew", "sdedit", "edit")
_FACTS: dict[Modality, tuple[str, ...]] = {
    "image": ("object", "background", "count"),
    "video": ("object", "background", "motion"),
    "audio": ("sound",),
}
_EDGE = 6  # pixels that show the background alone
_NEAR = 0.05  # mean difference below which the rest is the same: 13 of 255 levels


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
        yield _MAKERS[modality](rng, fact)


def _pick(rng: np.random.Generator, options: Any, but: Any = None) -> Any:
    options = [option for option in options if option != but]
    return options[int(rng.integers(len(options)))]


def _say(rng: np.random.Generator, phrases: tuple[str, ...], **words: str) -> str:
    return str(_pick(rng, say.usable(phrases, "test"))).format(**words)


def _seen(rng: np.random.Generator, fact: str, *, clip: bool) -> Trial:
    scene: Any = sample_video(rng, "test") if clip else sample_image(rng, "test", relation_share=0)
    if fact == "background":
        place = _pick(rng, BACKGROUNDS, scene.background)
        words = _say(rng, say.WITH_BACKGROUND, b=BACKGROUNDS[place])
        return Trial(scene, replace(scene, background=place), fact, words)
    if fact == "motion":
        motion = _pick(rng, MOTIONS, scene.motion)
        return Trial(scene, replace(scene, motion=motion), fact, _pick(rng, say.MAKE_IT[motion]))
    if fact == "count":
        count = _pick(rng, (2, 3, 4), scene.count)
        words = _say(rng, say.WITH_COUNT, n=NUMBER_WORDS[count])
        return Trial(scene, replace(scene, count=count), fact, words)
    thing = _pick(rng, OBJECTS, scene.object)
    kind, many = OBJECTS[thing], getattr(scene, "count", 1) > 1
    words = _say(rng, say.INSTEAD, x=kind.plural if many else kind.with_article)
    return Trial(scene, replace(scene, object=thing), fact, words)


def _heard(rng: np.random.Generator, fact: str) -> Trial:
    """Of two sounds one becomes another: the other one and the order stay."""
    while len((scene := sample_audio(rng, "test", pair_share=1.0)).sounds) < 2:
        pass
    place = int(rng.integers(2))
    sounds = list(scene.sounds)
    sounds[place] = _pick(rng, [name for name in SOUNDS if name not in sounds])
    after = replace(scene, sounds=tuple(sounds))
    return Trial(scene, after, fact, _say(rng, say.AUDIO_REQUESTS, x=after.caption))


_MAKERS: dict[Modality, Callable[[np.random.Generator, str], Trial]] = {
    "image": partial(_seen, clip=False),
    "video": partial(_seen, clip=True),
    "audio": _heard,
}
_REQUESTS: dict[Modality, tuple[str, ...]] = {
    "image": say.IMAGE_REQUESTS,
    "video": say.VIDEO_REQUESTS,
    "audio": say.AUDIO_REQUESTS,
}


@dataclass(frozen=True)
class Outcome:
    """What came of a trial: the source and what each way made, with its facts."""

    trial: Trial
    source: np.ndarray
    made: dict[str, np.ndarray]
    facts: dict[str, dict[str, bool]]
    alike: float


def run_trial(
    model: NextGPT, modality: Modality, trial: Trial, verifiers: Verifiers, options: Any, seed: int
) -> Outcome | None:
    """None where the model's words or its first medium are not what was asked: then the decoder's
    part cannot be judged. That is counted by the caller.
    """
    settings = options.with_overrides(seed=seed, max_media=1, force=(modality,))
    session = ChatSession(model, settings)
    first = session.reply(
        _pick(np.random.default_rng(seed), _REQUESTS[modality]).format(x=trial.before.caption)
    )
    told = session.reply(trial.words, seed=seed + 1, num_inference_steps=1)
    one, two = (reply.media(modality)[0] for reply in (first, told))
    right = all(judge(trial.before, one, verifiers).values())
    if not right or trial.after.caption.lower() not in told.text.lower():
        return None
    old, new = session.conditioning_of(one), session.conditioning_of(two)
    assert old is not None and new is not None
    made = make(model, modality, one, old, new, settings.num_inference_steps, seed + 1)
    rate = model.decoders[modality].rate
    facts = {}
    for way, array in made.items():
        part = MEDIA_TYPES[modality](source=array, rate=rate)
        facts[way] = _facts(trial, one, part, verifiers)
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


def _facts(trial: Trial, one: Media, two: Media, verifiers: Verifiers) -> dict[str, bool]:
    verdict = judge(trial.after, two, verifiers)
    changed = verdict.pop(trial.fact)
    found = {"changed": changed, "rest kept": all(verdict.values())}
    before, after = (np.asarray(part.source, np.float32) for part in (one, two))
    if isinstance(trial.after, AudioScene):
        assert isinstance(trial.before, AudioScene)
        kept = int(trial.before.sounds[0] != trial.after.sounds[0])  # the half that stays
        found["rest kept"] = _alike(before, after, kept)
    elif trial.fact != "background":
        ring = np.ones(before.shape[-3:-1], bool)
        ring[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
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


def judge(scene: Scene, part: Media | None, verifiers: Verifiers) -> dict[str, bool]:
    """The verifiers' verdict on a medium: which facts of the scene it shows. All False for None."""
    if isinstance(scene, ImageScene):
        return _judge_image(scene, part, verifiers)
    if isinstance(scene, VideoScene):
        if part is None:
            return {"object": False, "motion": False, "background": False}
        clip = verifiers.judge_videos([_array(part)])[0]
        return {
            "object": clip.object == scene.object,
            "motion": clip.motion == scene.motion,
            "background": clip.background == scene.background,
        }
    if part is None:
        return {"sound": False}
    return {"sound": verifiers.judge_audios([_array(part)])[0].holds(scene.sounds)}


def _judge_image(scene: ImageScene, part: Media | None, verifiers: Verifiers) -> dict[str, bool]:
    picture = None if part is None else verifiers.judge_images([_array(part)])[0]
    facts = {"background": picture is not None and picture.background == scene.background}
    if scene.relation is None or scene.other is None:
        facts["object"] = picture is not None and picture.object == scene.object
        facts["count"] = picture is not None and picture.count == scene.count
        return facts
    facts["object"] = (
        picture is not None and picture.shows(scene.object) and picture.shows(scene.other)
    )
    facts["relation"] = picture is not None and picture.relation_holds(
        scene.object, scene.relation, scene.other
    )
    return facts


def _array(part: Media) -> np.ndarray:
    """Pixels, frames or samples at the verifiers' rate."""
    return media.load(part, sample_rate=SAMPLE_RATE)


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
    verifiers = load_verifiers()
    options = GenerationOptions(temperature=0.0, num_inference_steps=args.steps, max_new_tokens=40)
    for modality in args.modality or _FACTS:
        for number, trial in enumerate(trials(modality, args.number, args.seed)):
            if (modality, number) in done:
                continue
            outcome = run_trial(model, modality, trial, verifiers, options, 1000 + number)
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
    """Source and ways, beside each other; of clips the middle frame."""
    shown = [outcome.source, *outcome.made.values()]
    row = np.concatenate([a[len(a) // 2] if a.ndim == 4 else a for a in shown], 1)
    return Image.fromarray(row)


if __name__ == "__main__":
    main()
