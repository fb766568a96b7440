"""Runs the benchmark: asks in batches, scores, reports. A killed run resumes where it stopped.

FOLDER/settings.json   what is asked of whom; other settings are refused
FOLDER/answers.jsonl   one line for each reply, with what is right of it
FOLDER/samples/        what was drawn, for the contact sheets
FOLDER/report.json, report.md, image.png, video.png
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from anyweave import media
from anyweave.evaluation.run import check_settings, read_journal
from anyweave.files import check_unmixed, clear, path_lock
from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.messages import Media, Message, Text
from emoji_mini.evaluation.judging import Judges, accuracy
from emoji_mini.evaluation.report import SHEETS, WorldReport
from emoji_mini.evaluation.scoring import Scored, score
from emoji_mini.evaluation.trials import Task, Trial, choose_tasks

WRITTEN = ("settings.json", "answers.jsonl", "samples/*", "report.*", *map("{}.png".format, SHEETS))
GREEDY = GenerationOptions(max_new_tokens=128, temperature=0.0)
_MAX_SAMPLES = 36  # per modality: a sheet is for looking at
_FRAMES = 6  # of a clip in a sheet
Row = dict[str, Any]


class Session(Protocol):
    """What the benchmark needs of a conversation: `ChatSession`, or a script in tests."""

    def reply(self, message: Message) -> Message: ...


MakeSession = Callable[[GenerationOptions, tuple[Message, ...]], Session]
Tick = Callable[[str], None]


def evaluate_world(
    model: Any,
    folder: str | Path | None = None,
    *,
    num_trials: int = 64,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    options: GenerationOptions = GREEDY,
    session: MakeSession | None = None,
    judges: Judges | None = None,
    identity: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    tick: Tick | None = None,
) -> WorldReport:
    """Ask at most `num_trials` questions per task (names of `trials.TASKS`, None: all) and judge
    the replies.

    Trial i of a task always has the same scene, words and seed. Questions are answered together
    unless `session` opens each conversation; tests pass a script. `tick(task)` is called after
    every reply. In `folder`, if given, answers are kept and the report is written; the same call
    asks only what is not answered yet. `identity` holds further settings that tell models apart.

    Raises `ValueError` for an unknown task, and for a folder of other settings unless `overwrite`.
    """
    if num_trials < 1:
        raise ValueError(f"num_trials must be at least 1, got {num_trials}")
    chosen = choose_tasks(tasks)
    settings = {
        "model": _name(model),
        "bridge": getattr(getattr(model, "spec", None), "bridge", None),
        "trials": num_trials,
        "seed": seed,
        "tasks": list(chosen),
        "max_new_tokens": options.max_new_tokens,
        "temperature": options.temperature,
        "num_inference_steps": options.num_inference_steps,
        "guidance_scale": options.guidance_scale,
        **(identity or {}),
    }
    rows: dict[str, Row] = {}
    with ExitStack() as stack:
        if folder is not None:
            folder = Path(folder)
            clear(folder, WRITTEN if overwrite else ())
            if not (folder / "settings.json").is_file():
                check_unmixed(folder, WRITTEN, what="reports")
            stack.enter_context(path_lock(folder / "answers", doing="is evaluating into it"))
            check_settings(folder, settings)
            rows = read_journal(folder / "answers.jsonl")
        each: Callable[..., Iterable[tuple[int, Trial, Message]]] = map
        if session is None:
            batcher = stack.enter_context(ReplyBatcher(model, max_rows=8))
            each, session = batcher.map, partial(_open, batcher)
        ask = partial(_ask, session, options, seed * 1_000_003)
        keep = partial(_keep, folder, rows)
        judges = judges or Judges.load()
        for name, task in chosen.items():
            todo = _unanswered(name, task.trials(num_trials, seed), rows, tick)
            before = time.perf_counter()
            for number, trial, reply in each(ask, todo):
                scored = score(trial, reply, judges)
                now = time.perf_counter()
                keep(
                    _key(name, number), _row(name, task, trial, reply, scored, now - before), scored
                )
                before = now
                if tick is not None:
                    tick(name)
    asked = [row for row in rows.values() if row["task"] in chosen]
    report = WorldReport(settings=settings, tasks_asked=chosen, rows=asked, judges=accuracy())
    if folder is not None:
        report.save(Path(folder))
    return report


def run_world(
    model: Any,
    folder: str | Path,
    *,
    num_trials: int = 64,
    tasks: Sequence[str] | None = None,
    **options: Any,
) -> WorldReport:
    """`evaluate_world` in `folder`, with a progress bar on stderr."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        bars = {name: bar.add_task(name, total=num_trials) for name in choose_tasks(tasks)}
        return evaluate_world(
            model,
            folder,
            num_trials=num_trials,
            tasks=tasks,
            tick=lambda name: bar.advance(bars[name]),
            **options,
        )


def _open(
    batcher: ReplyBatcher, options: GenerationOptions, history: tuple[Message, ...]
) -> Session:
    return batcher.chat(options, messages=history)


def _ask(
    session: MakeSession, options: GenerationOptions, seed: int, numbered: tuple[int, Trial]
) -> tuple[int, Trial, Message]:
    number, trial = numbered
    chosen = options.with_overrides(seed=seed + number)
    if not trial.wanted:  # only the decision counts, so decoders do not run
        chosen = chosen.with_overrides(decode_media=False)
    return number, trial, session(chosen, trial.history).reply(trial.message)


def _unanswered(
    name: str, trials: Iterable[Trial], rows: Mapping[str, Row], tick: Tick | None
) -> Iterator[tuple[int, Trial]]:
    for number, trial in enumerate(trials):
        if _key(name, number) not in rows:
            yield number, trial
        elif tick is not None:
            tick(name)


def _key(task: str, number: int) -> str:
    return f"{task} {number}"


def _row(
    name: str, task: Task, trial: Trial, reply: Message, scored: Scored, seconds: float
) -> Row:
    """A reply in words for a person to read; media appear as ``<modality: caption>``."""
    return {
        "task": name,
        "turns": [in_words(message) for message in (*trial.history, trial.message)],
        "reply": in_words(reply),
        "wanted": [scene.caption for scene in trial.scenes],
        "right": scored.facts,
        "errors": scored.errors,
        # Unknown things may be replaced: no choice of media is wrong there.
        "decision": [sorted(trial.wanted), sorted({part.modality for part in reply.media()})]
        if task.everyday
        else None,
        "seconds": round(seconds, 3),
    }


def _keep(folder: Path | None, rows: dict[str, Row], key: str, row: Row, scored: Scored) -> None:
    """Append an answer as soon as it arrives, after saving its picture or clip."""
    if folder is not None:
        drawn = [part for part in scored.shown if part.modality in SHEETS]
        if len(drawn) == len(scored.shown) == 1 and _has_room(rows, drawn[0].modality):
            path = f"samples/{key.replace(' ', '-')}.png"
            (folder / "samples").mkdir(exist_ok=True)
            media.save("image", _strip(drawn[0]), folder / path, generated=True)
            row["sample"] = [drawn[0].modality, path, scored.looks_right]
        with open(folder / "answers.jsonl", "a", encoding="utf-8") as journal:
            journal.write(json.dumps({"key": key, **row}, ensure_ascii=False) + "\n")
    rows[key] = row


def _has_room(rows: Mapping[str, Row], modality: str) -> bool:
    kept = Counter(row["sample"][0] for row in rows.values() if "sample" in row)
    return kept[modality] < _MAX_SAMPLES


def _strip(part: Media) -> NDArray[np.uint8]:
    """A picture, or some frames of a clip side by side."""
    array: NDArray[np.uint8] = media.load(part)
    if part.modality == "image":
        return array
    chosen = np.linspace(0, len(array) - 1, _FRAMES).round().astype(int)
    return np.concatenate(list(array[chosen]), axis=1)


def in_words(message: Message) -> str:
    """The message as one line."""
    return " ".join(
        part.text if isinstance(part, Text) else f"<{part.modality}: {part.caption}>"
        for part in message.parts
    )


def _name(model: Any) -> str:
    spec = getattr(model, "spec", None)
    return str(spec.name) if spec is not None else type(model).__name__
