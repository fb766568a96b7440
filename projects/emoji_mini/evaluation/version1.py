"""The benchmark of emoji-mini, version 1: held-out requests in everyday words, and held-out scenes
in held-out phrasings, judged exactly.

    python -m emoji_mini.evaluation.version1 MODEL PARTS OUT --number 200 --bridge signal

PARTS holds the judges' weights. OUT gets ``report.json``, ``report.md`` and ``answers.jsonl``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import track

from anyweave.evaluation.metrics import Decisions, Proportion
from anyweave.files import check_new, write_json, write_text
from anyweave.generation import GenerationOptions
from anyweave.generation.batching import ReplyBatcher
from anyweave.messages import Media, Message, Modality, Text
from anyweave.model.any_to_any import NextGPT
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.emoji_talk.reading import declines, read
from emoji_mini.emoji_talk.talk import KIND, modality_of
from emoji_mini.emoji_world.held_out import held_out_requests
from emoji_mini.emoji_world.scenes import Scene
from emoji_mini.evaluation.judging import Judges

_MODALITIES: dict[str, Modality] = {kind: modality for modality, kind in KIND.items()}
# Figure -> the kind of conversation whose first turn asks.
_TASKS = {
    "read picture": "describe picture",
    "read clip": "describe clip",
    "read sound": "describe sound",
    "make picture": "ask picture",
    "make clip": "ask clip",
    "make sound": "ask sound",
    "make several": "several",
    "cross": "cross",
}
_MOST_DRAWN = 40  # conversations that are drawn for each one that can be used


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came before, what is said now, and what the reply should hold: `scenes` of its media in
    order, or of the user's media (`told`) where words are wanted.
    """

    task: str
    history: tuple[Message, ...] = ()
    message: Message
    wanted: tuple[Modality, ...] = ()
    scenes: tuple[Scene, ...] = ()
    told: tuple[Scene, ...] = ()
    free: tuple[str, ...] = ()
    unknown: bool = False


@dataclass
class Found:
    """Figures while they are gathered."""

    facts: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    decisions: Decisions = field(default_factory=Decisions)
    answers: list[dict[str, Any]] = field(default_factory=list)


def held_out_trials() -> Iterator[Trial]:
    """The requests that were written before any training."""
    for request in held_out_requests():
        kind = "unknown" if request.unknown else "+".join(dict.fromkeys(request.media)) or "words"
        several = len(request.media) > 1
        yield Trial(
            task=f"asked: {'several' if several else kind}",
            message=Message("user", request.say),
            wanted=tuple(_MODALITIES[m] for m in request.media) if request.scenes else (),
            scenes=request.scenes,
            free=request.free,
            unknown=bool(request.unknown),
        )


def scene_trials(task: str, number: int, seed: int) -> Iterator[Trial]:
    """The first `number` test conversations of a task."""
    source = Dialogues("test", _MOST_DRAWN * number, seed, kinds={_TASKS[task]: 1.0})
    found = 0
    for index in range(len(source)):
        dialogue = source.dialogue(index)
        question, answer = dialogue.messages[:2]
        told = dialogue.scenes[: len(question.media())]
        shown = dialogue.scenes[len(told) : len(told) + len(answer.media())]
        if task == "cross" and not shown:
            continue
        yield Trial(
            task=task,
            message=question,
            wanted=tuple(modality_of(scene) for scene in shown),
            scenes=shown,
            told=told,
        )
        found += 1
        if found == number:
            return


def follow_up_trials(number: int, seed: int) -> Iterator[Trial]:
    """Later turns that ask for a medium, after what was really said before."""
    kinds = {"ask picture": 4, "ask clip": 2, "ask sound": 2, "describe picture": 2}
    source = Dialogues("test", _MOST_DRAWN * number, seed, kinds=kinds, goes_on=True)
    found = 0
    for index in range(len(source)):
        dialogue = source.dialogue(index)
        messages = dialogue.messages
        places = [
            n for n, m in enumerate(messages) if m.role == "assistant" and n > 1 and m.media()
        ]
        if not places:
            continue
        at = places[0]
        before = sum(len(message.media()) for message in messages[:at])
        scenes = dialogue.scenes[before : before + len(messages[at].media())]
        yield Trial(
            task="follow up",
            history=tuple(messages[: at - 1]),
            message=messages[at - 1],
            wanted=tuple(modality_of(scene) for scene in scenes),
            scenes=scenes,
        )
        found += 1
        if found == number:
            return


def evaluate(
    model: NextGPT, judges: Judges, trials: Iterable[Trial], options: GenerationOptions
) -> Found:
    """Ask everything, in batches, and judge the replies."""
    listed = list(trials)
    found = Found()

    def ask(numbered: tuple[int, Trial]) -> Message:
        number, trial = numbered
        settings = options.with_overrides(seed=number)
        with_words = not trial.wanted  # only the decision counts: decoders are spared
        if with_words:
            settings = settings.with_overrides(decode_media=False)
        return batcher.chat(settings, messages=trial.history).reply(trial.message)

    with ReplyBatcher(model, max_rows=8) as batcher:
        replies = batcher.map(ask, enumerate(listed))
        for trial, reply in zip(track(listed, "asking", transient=True), replies, strict=True):
            facts = score(trial, reply, judges)
            for name, right in facts.items():
                found.facts[f"{trial.task} / {name}"].append(right)
            if trial.task.startswith("asked") and not trial.unknown:
                given = {part.modality for part in reply.media()}
                found.decisions = found.decisions.plus(set(trial.wanted), given)
            found.answers.append(
                {
                    "task": trial.task,
                    "said": [_in_words(m) for m in (*trial.history, trial.message)],
                    "reply": _in_words(reply),
                    "wanted": [scene.caption for scene in trial.scenes],
                    "right": facts,
                }
            )
    return found


def score(trial: Trial, reply: Message, judges: Judges) -> dict[str, bool]:
    """Which facts are right. A medium that was asked for and not given is wrong in every one."""
    if trial.unknown:
        return {"declined or openly replaced": declines(reply.text)}
    if not trial.wanted:
        if trial.told:
            return read(reply.text, trial.told[0])
        return {"words alone": not reply.media(), "says something": bool(reply.text.strip())}
    facts: dict[str, list[bool]] = defaultdict(list)
    facts["not declined"].append(bool(reply.media()) or not declines(reply.text))
    facts["order"].append(tuple(part.modality for part in reply.media()) == trial.wanted)
    left: list[Media] = list(reply.media())
    for scene in trial.scenes:
        modality = modality_of(scene)
        part = next((part for part in left if part.modality == modality), None)
        if part is not None:
            left.remove(part)
        verdict = judges.judge(scene, part, trial.free)
        for name, right in verdict.items():
            facts[name].append(right)
        facts["all right"].append(all(verdict.values()))
    return {name: all(values) for name, values in facts.items()}


def report(found: Found, settings: Mapping[str, Any]) -> str:
    """Figures with intervals, as Markdown."""
    d = found.decisions
    lines = [
        "# emoji-mini, version 1",
        "",
        ", ".join(f"{name} {value}" for name, value in settings.items()),
        "",
        "| figure | right | n |",
        "|---|---|---|",
        f"| decision F1 on held-out requests | {d.f1 or 0:.3f} | {d.replies} |",
        f"| false draws | {d.false_draw_share} | {d.words_only} |",
        *(
            f"| {name} | {Proportion.of(values)} | {len(values)} |"
            for name, values in sorted(found.facts.items())
        ),
    ]
    return "\n".join(lines) + "\n"


def _in_words(message: Message) -> str:
    return " ".join(
        part.text if isinstance(part, Text) else f"<{part.modality}: {part.caption}>"
        for part in message.parts
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("parts", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bridge", choices=["signal", "caption"], default="signal")
    parser.add_argument("--temperature", type=float, default=0.0)
    args = parser.parse_args()
    check_new(args.output)
    trials = list(held_out_trials())
    for task in _TASKS:
        trials += scene_trials(task, args.number, args.seed)
    trials += follow_up_trials(args.number, args.seed)
    model = NextGPT.from_pretrained(args.model, bridge=args.bridge)
    options = GenerationOptions(max_new_tokens=128, temperature=args.temperature)
    found = evaluate(model, Judges.load(args.parts), trials, options)
    settings = {"bridge": args.bridge, "temperature": args.temperature, "seed": args.seed}
    args.output.mkdir(parents=True)
    write_text(args.output / "report.md", report(found, settings))
    write_json(
        args.output / "report.json",
        {
            "settings": settings,
            "decisions": found.decisions.to_dict(),
            "figures": {n: Proportion.of(v).to_dict() for n, v in sorted(found.facts.items())},
        },
    )
    rows = (json.dumps(answer, ensure_ascii=False) for answer in found.answers)
    write_text(args.output / "answers.jsonl", "".join(f"{row}\n" for row in rows))


if __name__ == "__main__":
    main()
