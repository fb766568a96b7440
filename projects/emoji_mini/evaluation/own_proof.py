"""What `anyweave train own` teaches the shipped model, and what it forgets of what it knew.

    python -m emoji_mini.evaluation.own_proof OUT        # 30 minutes of training, then figures
    python -m emoji_mini.evaluation.own_proof OUT        # again: goes on where it was stopped
    python -m emoji_mini.evaluation.own_proof OUT --minutes 5 --trials 8

OUT gets ``data/`` (what a person would bring, see `own_data`), ``keep/`` (some of what the model
was trained on), ``own/`` (the run), ``proof.md`` and a sheet of what was drawn. The judges
(`own_judging`) are measured on real renders first.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from anyweave import media
from anyweave.cli.console import print_plain
from anyweave.evaluation.metrics import Proportion
from anyweave.files import write_json, write_text
from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.messages import Audio, Image, Media, Message
from anyweave.model.any_to_any import NextGPT
from anyweave.model.spec import Bridge
from anyweave_making import own
from anyweave_making.own.look import evenly
from anyweave_making.own.plan import PLAN_FILE
from emoji_mini.emoji_talk.reading import things_named
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SOUNDS
from emoji_mini.evaluation.own_data import (
    NEW_SOUNDS,
    NEW_THINGS,
    Shown,
    asked_for,
    write_data,
    write_keep,
)
from emoji_mini.evaluation.own_judging import right
from emoji_mini.evaluation.run import evaluate_world

Figures = dict[str, Proportion]
Say = Callable[[str], None]
OLD_TASKS = ("describe image", "describe audio", "make image", "make audio", "talk", "decline")
_OPTIONS = GenerationOptions(max_new_tokens=96, temperature=0, seed=0)
_ASK = {False: "What is in this picture?", True: "What do you hear?"}
_WORDINGS = {
    False: (
        "My daughter would love {x}. Paint it for her?",
        "For the invitation I need an image with {x} on it.",
        "{x}: how would that look?",
        "Sketch something for me: {x}.",
    ),
    True: (
        "For a radio play I need {x}.",
        "{x}: what is that like? Let me listen.",
        "Could we hear {x} now?",
        "Give my ears {x}.",
    ),
}


def learn(output: Path, minutes: float, settings: Sequence[str], say: Say) -> Path:
    """Write the data and train on it, or resume; returns the trained model's folder."""
    if not (output / "data").is_dir():
        write_data(output / "data")
        write_keep(output / "keep")
    found = own.look_at(output / "data", keep=output / "keep" / "messages.jsonl")
    run = output / "own"
    if (run / "model" / "spec.json").is_file():
        return run / "model"
    resume = (run / PLAN_FILE).is_file()
    if resume:
        plan = own.Plan.load(run)
    else:
        plan = own.make_plan(found, "emoji-mini", run, minutes=minutes, settings=tuple(settings))
    say(plan.to_markdown(found))
    own.train_own(found, "emoji-mini", run, plan, resume=resume, say=say)
    return run / "model"


def request(shown: Shown) -> str:
    """A request in words that no data set has."""
    wordings = _WORDINGS[shown.is_sound]
    return wordings[shown.take % len(wordings)].format(x=shown.caption)


def named(text: str, shown: Shown) -> bool:
    """Whether the words name the thing, or the sound, and no other."""
    said = text.lower()
    if shown.is_sound:
        phrases = NEW_SOUNDS | {name: sound.phrase for name, sound in SOUNDS.items()}
        return [name for name, phrase in phrases.items() if phrase in said] == [shown.name]
    new = [name for name in NEW_THINGS if re.search(rf"\b{name}\b", said)]
    return new == [shown.name] and not things_named(said)


def measure(model: NextGPT, trials: int | None = None) -> tuple[Figures, list[Any]]:
    """What the model draws and plays when asked and names when shown, on held-out requests and
    media. `trials`: at most this many pictures, and as many sounds.
    """
    wanted = [*_some(False, trials), *_some(True, trials)]
    with ReplyBatcher(model) as batcher:

        def reply(message: Message) -> Message:
            return batcher.chat(_OPTIONS).reply(message)

        made = list(batcher.map(reply, [Message("user", request(shown)) for shown in wanted]))
        told = list(batcher.map(reply, [Message("user", _question(shown)) for shown in wanted]))
    arrays = [_array(answer, shown) for answer, shown in zip(made, wanted, strict=True)]
    drawn = dict(zip(wanted, map(right, wanted, arrays), strict=True))
    figures: Figures = {}
    for is_sound, word in ((False, "drawn"), (True, "played")):
        rows = [shown for shown in wanted if shown.is_sound == is_sound]
        figures[f"{word} when asked"] = Proportion.of(drawn[shown] for shown in rows)
    for is_sound, word in ((False, "pictures"), (True, "sounds")):
        places = [n for n, shown in enumerate(wanted) if shown.is_sound == is_sound]
        outcomes = [named(told[n].text, wanted[n]) for n in places]
        figures[f"named when shown, {word}"] = Proportion.of(outcomes)
    return figures, [array for array, s in zip(arrays, wanted, strict=True) if not s.is_sound]


def _some(sounds: bool, most: int | None) -> list[Shown]:
    every = [shown for shown in asked_for() if shown.is_sound == sounds]
    return [every[n] for n in evenly(len(every), most or len(every))]


def _question(shown: Shown) -> list[Any]:
    rendered: Any = shown.render()
    medium: Media = Audio(rendered, rate=SAMPLE_RATE) if shown.is_sound else Image(rendered)
    return [medium, _ASK[shown.is_sound]]


def _array(answer: Message, shown: Shown) -> NDArray[Any] | None:
    modality = "audio" if shown.is_sound else "image"
    part = next((part for part in answer.media() if part.modality == modality), None)
    return None if part is None else media.load(part, sample_rate=SAMPLE_RATE)


def judges_accuracy(trials: int | None = None) -> Figures:
    """The judges' accuracy on real renders of what is asked for."""
    found = {}
    for sounds, name in ((False, "pictures"), (True, "sounds")):
        rows = _some(sounds, trials)
        found[f"the judge of {name}, on real ones"] = Proportion.of(
            right(shown, shown.render()) for shown in rows
        )
    return found


def old_figures(model: NextGPT, trials: int) -> Figures:
    """Every figure of some tasks of ``anyweave eval world``."""
    report = evaluate_world(model, num_trials=trials, tasks=OLD_TASKS)
    return {
        f"{task} / {name}": value
        for task, result in report.tasks.items()
        for name, value in result.figures.items()
    }


def sheet(rows: Sequence[Sequence[NDArray[np.uint8] | None]], path: Path) -> None:
    """Pictures in rows, empty where there was none."""
    side = next(p.shape[0] for row in rows for p in row if p is not None)
    page = PilImage.new("RGB", (side * max(map(len, rows)), side * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            if pixels is not None:
                page.paste(PilImage.fromarray(pixels), (x * side, y * side))
    page.save(path, quality=90)


def prove(
    output: Path, *, minutes: float, trials: int | None, old_trials: int, settings: Sequence[str]
) -> str:
    """Train, measure and write ``proof.md``; returns its text."""
    trained = learn(output, minutes, settings, print_plain)
    kept = output / "figures.json"
    figures: dict[str, dict[str, dict[str, Any]]] = (
        json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
    )
    drawn: list[Any] = []

    def keep(name: str, found: Figures) -> None:
        figures[name] = {key: value.to_dict() for key, value in found.items()}
        write_json(kept, figures)

    if "judges" not in figures:
        keep("judges", judges_accuracy(trials))
    for bridge in get_args(Bridge):
        for when, source in (("before", "emoji-mini"), ("after", str(trained))):
            what = ("new", "old") if old_trials else ("new",)
            left = [name for name in what if f"{name}, {bridge}, {when}" not in figures]
            model = NextGPT.from_pretrained(source, bridge=bridge) if left else None
            for name in left:
                assert model is not None
                if name == "new":
                    found, pictures = measure(model, trials)
                    drawn.append(pictures)
                else:
                    found = old_figures(model, old_trials)
                keep(f"{name}, {bridge}, {when}", found)
    if drawn:
        sheet(drawn, output / "asked.webp")
    text = report(figures)
    write_text(output / "proof.md", text)
    return text


def report(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The figures as Markdown tables, each before and after."""
    lines = ["| judges | right |", "|---|---|"]
    lines += [f"| {name} | {_shown(value)} |" for name, value in figures["judges"].items()]
    for what in ("new", "old"):
        for bridge in get_args(Bridge):
            before, after = (figures.get(f"{what}, {bridge}, {w}") for w in ("before", "after"))
            if before is None or after is None:
                continue
            lines += ["", f"| {what}, bridge {bridge} | before | after |", "|---|---|---|"]
            lines += [
                f"| {name} | {_shown(before[name])} | {_shown(after[name])} |" for name in before
            ]
    return "\n".join(lines) + "\n"


def _shown(value: Mapping[str, Any]) -> str:
    low, high = value["interval_95"]
    return f"{value['share']:.2f} [{low:.2f}, {high:.2f}] of {value['trials']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=30, help="of training")
    parser.add_argument("--trials", type=int, help="pictures, and sounds; default: all")
    parser.add_argument("--old-trials", type=int, default=64, help="per task of eval world")
    parser.add_argument("--set", action="append", default=[], help="settings of train own")
    args = parser.parse_args()
    told = prove(
        args.output,
        minutes=args.minutes,
        trials=args.trials,
        old_trials=args.old_trials,
        settings=args.set,
    )
    print_plain(told)


if __name__ == "__main__":
    main()
