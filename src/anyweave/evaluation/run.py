"""Ask a task's records, keep every answer, score. A killed run resumes where it stopped.

FOLDER/settings.json   what was asked of whom; another model or seed is refused
FOLDER/answers.jsonl   one line for each record that was answered, or could not be
FOLDER/media/          what was made
FOLDER/result.json     the cells of the tables, each with a value or the reason why it has none
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from anyweave.evaluation.metrics import Figure, Ratio
from anyweave.evaluation.metrics.backbones import KINDS, Backbone
from anyweave.evaluation.results import Cell, write_result
from anyweave.evaluation.task import Answered, Metric, Record, Speaker, Task
from anyweave.files import clear, path_lock, read_object, write_json, write_text
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.editing import edit
from anyweave.generation.options import GenerationOptions
from anyweave.generation.writing import write_message
from anyweave.messages import MEDIA_TYPES, Message
from anyweave.model.any_to_any import NextGPT

Progress = Callable[[int, int], None]
logger = logging.getLogger(__name__)


class ModelSpeaker:
    """One of our models: greedy, in batches, each record with its own seed."""

    def __init__(self, model: NextGPT, name: str, *, seed: int = 0, rows: int = 8) -> None:
        self.model, self.name, self.seed, self.rows = model, name, seed, rows
        self.weights = model.weights_sha256()
        self.reads = frozenset(model.encoders)
        self.makes = frozenset(model.spec.decoders)

    def answer(
        self, task: Task, records: Iterable[tuple[int, Record]]
    ) -> Iterator[Message | ValueError]:
        with ReplyBatcher(self.model, max_rows=self.rows) as batcher:
            yield from batcher.map(partial(self._one, batcher, task), records)

    def _one(
        self, batcher: ReplyBatcher, task: Task, numbered: tuple[int, Record]
    ) -> Message | ValueError:
        number, record = numbered
        kinds = () if task.makes is None else (task.makes,)
        options = GenerationOptions(
            temperature=0.0,
            max_new_tokens=task.max_new_tokens,
            seed=self.seed + number,
            modalities=("text", *kinds),
            force=kinds,
            max_media=len(kinds),
        )
        *history, turn = record.ask
        session = batcher.chat(options, messages=history)
        try:
            if record.source is None:
                return session.reply(turn)
            return edit(session, record.source, turn.text)
        except ValueError as error:  # a record that cannot be asked is counted, not fatal
            return error


def obstacle(task: Task, data: Path | None, speaker: Speaker | None = None) -> str | None:
    """Why a whole task cannot be run, known before anything is asked."""
    if speaker is not None:
        blind = set(task.reads) - speaker.reads
        if blind:
            return f"the model does not read {', '.join(sorted(blind))}"
        if task.makes is not None and task.makes not in speaker.makes:
            return f"the model does not make {task.makes}"
    if data is None:
        return "no data given: --data"
    return None if data.is_dir() else f"no data: there is no folder {data}"


def run_task(
    name: str,
    task: Task,
    speaker: Speaker,
    data: Path | None,
    out: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    backbones: Mapping[str, Backbone] | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> list[Cell]:
    """Ask what is not answered yet, score all, write the result; `data` is the data set's folder.

    `overwrite` removes earlier answers once the records are there to ask again.

    A task that cannot be run gives cells with the reason. Raises `ValueError` for a folder of
    another model or seed.
    """
    given = backbones or {}
    make = partial(_cells, name, task, speaker.name, seed, given)
    reason = obstacle(task, data, speaker)
    records: Sequence[Record] = ()
    if reason is None:
        assert data is not None
        try:
            records = task.records(data)
        except ValueError as error:
            reason = str(error)
        else:
            reason = None if records else f"{data} holds no record"
    if reason is not None:
        cells = make([], 0, {}, reason)
        measured = (out / "answers.jsonl").is_file()  # its result stays
        return cells if measured else write_result(out, name, task, cells)
    keys = [record.key for record in records]
    assert len(set(keys)) == len(keys), f"{name} has two records of one key"
    chosen = list(enumerate(records[:limit]))
    out.mkdir(parents=True, exist_ok=True)
    with path_lock(out / "answers", doing="is evaluating into it"):
        if overwrite:
            clear(out, _ANSWERS)
        settings = {"model": speaker.name, "weights": speaker.weights, "seed": seed}
        check_settings(out, {"task": name, **settings})
        rows = read_journal(out / "answers.jsonl")
        _ask(
            task,
            speaker,
            [pair for pair in chosen if pair[1].key not in rows],
            out,
            rows,
            partial(_tell, progress, len(chosen)),
        )
        asked = [record for _, record in chosen]
        answered, failed = _read(task, asked, rows, out)
        return write_result(out, name, task, make(answered, len(records), failed, None))


def _tell(progress: Progress | None, total: int, left: int) -> None:
    if progress is not None:
        progress(total - left, total)


def _ask(
    task: Task,
    speaker: Speaker,
    todo: list[tuple[int, Record]],
    out: Path,
    rows: dict[str, Any],
    left: Callable[[int], None],
) -> None:
    """Append an answer to the journal as soon as it arrives."""
    there = []
    with open(out / "answers.jsonl", "a", encoding="utf-8") as journal:

        def keep(record: Record, row: dict[str, Any]) -> None:
            rows[record.key] = row
            journal.write(json.dumps({"key": record.key, **row}, ensure_ascii=False) + "\n")
            journal.flush()

        for number, record in todo:
            lost = [
                p.name
                for p in record.media()
                if isinstance(p.source, str) and not Path(p.source).is_file()
            ]
            if lost:  # not kept: it may be there the next time
                rows[record.key] = {"error": f"no such file: {lost[0]}"}
            else:
                there.append((number, record))
        left(len(there))
        replies = speaker.answer(task, iter(there))
        for done, ((number, record), reply) in enumerate(zip(there, replies, strict=True), 1):
            if isinstance(reply, ValueError):
                keep(record, {"error": str(reply)})
            else:
                parts = write_message(reply, out / "media", f"{number:06d}")
                for part in parts:
                    if part.get("path") is not None:
                        part["path"] = f"media/{Path(part['path']).name}"
                keep(record, {"parts": parts})
            left(len(there) - done)


_ANSWERS = ("settings.json", "answers.jsonl", "result.json", "media/*")
"""What a run writes into its folder."""


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """Record the settings of the answers in `out`. Raises `ValueError` if it holds others."""
    path = out / "settings.json"
    found = read_object(path) if path.is_file() else settings
    if found != settings:
        raise ValueError(
            f"{out} holds answers of {found}, now it is {settings}: not mixing them; choose "
            "another --out, or replace them with --overwrite"
        )
    write_json(path, settings)


def read_journal(path: Path) -> dict[str, Any]:
    """The rows by key. A line that a kill cut off is dropped, and its record asked again."""
    if not path.is_file():
        return {}
    whole, _, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        logger.warning("%s: its last line was cut off; that record is asked again", path)
        write_text(path, whole.decode() + "\n" * bool(whole))
    rows = (json.loads(line) for line in whole.splitlines())
    return {row.pop("key"): row for row in rows}


def _read(
    task: Task, records: Sequence[Record], rows: Mapping[str, Any], out: Path
) -> tuple[list[Answered], dict[str, str]]:
    """Answers as the task reads them, and by key why a record has none."""
    answered, failed = [], {}
    for record in records:
        row = rows[record.key]
        if "error" in row:
            failed[record.key] = row["error"]
            continue
        parts = row["parts"]
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        made = tuple(
            MEDIA_TYPES[part["type"]](str(out / part["path"]), generated=True)
            for part in parts
            if part["type"] == task.makes and part["path"] is not None
        )
        if task.makes is not None and not made:
            failed[record.key] = f"the answer holds no {task.makes}"
            continue
        answered.append(Answered(record=record, text=task.read(text, record), media=made))
    return answered, failed


def _cells(
    name: str,
    task: Task,
    model: str,
    seed: int,
    backbones: Mapping[str, Backbone],
    answered: list[Answered],
    of: int,
    failed: Mapping[str, str],
    reason: str | None,
) -> list[Cell]:
    cells = []
    for metric in task.metrics:
        why = reason or metric.missing(backbones)
        figure: Figure | None = None
        used = [backbones[kind] for kind in metric.backbones if kind in backbones]
        if why is None:
            why = None if answered else f"no record was answered: {next(iter(failed.values()), '')}"
        if why is None:
            try:
                figure = _figure(metric, answered, used)
            except ValueError as error:
                why = str(error)
        cells.append(Cell(
            task=name, title=task.title, metric=metric.name, model=model, seed=seed,
            value=None if figure is None else figure.value,
            interval=None if figure is None else figure.interval,
            reason=why, n=len(answered), of=of, failed=len(failed),
            failures=tuple(f"{key}: {said}" for key, said in list(failed.items())[:5]),
            protocol=metric.protocol,
            backbones={b.kind: {"name": b.name, "sha256": b.sha256} for b in used},
            preprocessing="; ".join(KINDS[kind].preprocessing for kind in metric.backbones),
            usual=all(KINDS[b.kind].usual in b.name for b in used),
            published=dict(task.published.get(metric.name, {})), note=task.note,
            lower_is_better=metric.lower_is_better,
        ))  # fmt: skip
    return cells


def _figure(metric: Metric, answered: list[Answered], used: list[Backbone]) -> Figure:
    score = metric.score(answered, *used)
    if isinstance(score, Ratio):
        figure = Figure.of(score)
    else:
        figure = Figure(value=float(score), interval=None, trials=len(answered))
    if figure.value is None or figure.value != figure.value:
        raise ValueError(f"{metric.name} of these answers is no number")
    interval = None
    if figure.interval is not None:
        low, high = figure.interval
        interval = (low * metric.scale, high * metric.scale)
    return Figure(value=figure.value * metric.scale, interval=interval, trials=figure.trials)
