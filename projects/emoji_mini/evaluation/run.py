"""Runs a benchmark: asks, times, scores, reports."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from anyweave import media
from anyweave.evaluation.metrics import Decisions, Proportion
from anyweave.files import check_unmixed
from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.messages import Message
from emoji_mini.evaluation.report import WRITTEN, Sample, TaskResult, WorldReport
from emoji_mini.evaluation.tasks.world import Answer, Question, Session, WorldTask, choose_tasks
from emoji_mini.world.sources import WorldDialogues
from emoji_mini.world.verifiers import Verifiers, accuracy, load_verifiers

logger = logging.getLogger(__name__)

MakeSession = Callable[[GenerationOptions, tuple[Message, ...]], Session]
Tick = Callable[[str], None]
_MAX_SAMPLES = 36


def evaluate_world(
    model: Any,
    *,
    num_trials: int = 64,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    options: GenerationOptions | None = None,
    session: MakeSession | None = None,
    verifiers: Verifiers | None = None,
    tick: Tick | None = None,
) -> WorldReport:
    """Ask `num_trials` held-out questions per task (names of `tasks.world.TASKS`, None: all) and
    judge the replies.

    Replies are greedy unless `options` say otherwise; trial i of a task always has the same scene,
    words and seed. Questions are answered together; `session` opens a conversation instead: a test
    gives a script. `tick(task)` is called after every reply. Raises `ValueError` for an unknown
    task or where the verifiers' weights are missing.
    """
    if num_trials < 1:
        raise ValueError(f"num_trials must be at least 1, got {num_trials}")
    chosen = choose_tasks(tasks)
    verifiers = verifiers or load_verifiers()
    options = options or GenerationOptions(max_new_tokens=96, temperature=0.0)
    results: dict[str, TaskResult] = {}
    decisions = Decisions()
    samples: list[Sample] = []
    answers: list[dict[str, Any]] = []
    with ExitStack() as stack:
        each: Callable[..., Iterable[tuple[Question, Message]]] = map
        if session is None:
            batcher = stack.enter_context(ReplyBatcher(model))
            each, session = batcher.map, partial(_open, batcher)
        for task in chosen:
            figures: dict[str, list[bool]] = defaultdict(list)
            started = time.perf_counter()
            settings = options if task.judge_media else replace(options, num_inference_steps=1)
            ask = partial(_ask, session, settings, seed * 1_000_003)
            for question, reply in each(ask, enumerate(questions(task, num_trials, seed))):
                facts, shown = task.score(question, reply, verifiers)
                answer = Answer(question, reply, facts, shown)
                for name, right in facts.items():
                    figures[name].append(right)
                decisions = decisions.plus(question.wanted, answer.given)
                samples += _samples(answer)
                answers.append({"task": task.name, **answer.to_dict()})
                if tick is not None:
                    tick(task.name)
            results[task.name] = TaskResult(
                task.about,
                {name: Proportion.of(outcomes) for name, outcomes in figures.items()},
                (time.perf_counter() - started) / num_trials,
            )
    return WorldReport(
        model=_name(model),
        num_trials=num_trials,
        seed=seed,
        tasks=results,
        decisions=decisions,
        verifiers=accuracy(),
        settings={
            "bridge": getattr(getattr(model, "spec", None), "bridge", None),
            "max_new_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "num_inference_steps": options.num_inference_steps,
            "guidance_scale": options.guidance_scale,
        },
        samples=_few(samples),
        answers=answers,
    )


def _open(
    batcher: ReplyBatcher, options: GenerationOptions, history: tuple[Message, ...]
) -> Session:
    return batcher.chat(options, messages=history)


def _ask(
    session: MakeSession, options: GenerationOptions, seed: int, numbered: tuple[int, Question]
) -> tuple[Question, Message]:
    number, question = numbered
    settings = replace(options, seed=seed + number)
    return question, session(settings, question.history).reply(question.message)


def run_world(
    model: Any,
    folder: str | Path,
    *,
    num_trials: int = 64,
    seed: int = 0,
    overwrite: bool = False,
    **options: Any,
) -> WorldReport:
    """`evaluate_world` with a progress bar on stderr, its report saved in `folder`. `options` as
    there. Raises `ValueError` if an earlier report is there, unless `overwrite` replaces it.
    """
    check_unmixed(folder, WRITTEN, overwrite=overwrite, what="reports")
    names = [task.name for task in choose_tasks(options.get("tasks"))]
    with Progress(console=Console(stderr=True), transient=True) as bar:
        bars = {name: bar.add_task(name, total=num_trials) for name in names}
        report = evaluate_world(
            model,
            num_trials=num_trials,
            seed=seed,
            tick=lambda name: bar.advance(bars[name]),
            **options,
        )
    report.save(folder)
    return report


def questions(task: WorldTask, number: int, seed: int) -> Iterator[Question]:
    """The first `number` trials of a task: held-out scenes in held-out words."""
    source = WorldDialogues("test", 50 * number, seed, kinds={task.kind: 1.0}, with_media=False)
    found = 0
    for index in range(len(source)):
        question = task.question(source.dialogue(index))
        # "I do not know the sound of a house" belongs to "decline", not to the tasks that want a
        # medium.
        if question is None or (task.kind == "cross" and not question.wanted):
            continue
        yield question
        found += 1
        if found == number:
            return
    raise AssertionError(f"{task.kind} dialogues gave only {found} of {number} questions")


def _samples(answer: Answer) -> list[Sample]:
    """The generated pictures and clips of an answer, for the contact sheets."""
    judged = {
        name: right for name, right in answer.facts.items() if name not in ("stated", "given")
    }
    if len(answer.question.scenes) != 1 or not answer.shown:
        return []
    part = answer.shown[0]
    if part.modality not in ("image", "video"):
        return []
    array = media.load(part)
    chosen = np.linspace(0, len(array) - 1, 6).round().astype(int)
    frames = (array,) if part.modality == "image" else tuple(array[n] for n in chosen)
    return [Sample(part.modality, frames, answer.question.scenes[0].caption, all(judged.values()))]


def _few(samples: list[Sample]) -> list[Sample]:
    """The first of each modality: a sheet is for looking at."""
    kept: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if len(kept[sample.modality]) < _MAX_SAMPLES:
            kept[sample.modality].append(sample)
    return [sample for group in kept.values() for sample in group]


def _name(model: Any) -> str:
    spec = getattr(model, "spec", None)
    return str(spec.name) if spec is not None else type(model).__name__
