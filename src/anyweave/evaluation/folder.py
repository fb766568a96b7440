"""Replies of a model in a flat folder: what people rate, and what other tools measure.

    0000.json                 the reply's parts in order
    0000-1.png  0000-2.wav    its media, numbered
    requests.jsonl            {"id": "0000", "messages": [...]}: what was asked

torch-fidelity reads the pictures of such a folder as it is; a list of its files is a data set for
torchmetrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyweave.data import open_data
from anyweave.data.messages_jsonl import write_conversation
from anyweave.files import path_lock, read_json, write_json, write_text
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.options import GenerationOptions
from anyweave.messages import MEDIA_TYPES, Conversation, Media, Message
from anyweave.model.any_to_any import NextGPT

REQUESTS, MADE = "requests.jsonl", "made.json"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """One request and its saved reply: `parts` as in the JSON file, with full paths."""

    id: str
    asked: tuple[dict[str, Any], ...]
    """Messages, as in `requests.jsonl`."""
    parts: tuple[dict[str, Any], ...]

    def media(self) -> list[Media]:
        """The media that were made."""
        found = [part for part in self.parts if part["type"] != "text" and part.get("path")]
        return [MEDIA_TYPES[part["type"]](part["path"], caption=part["caption"]) for part in found]


def read_requests(path: str | Path) -> list[Conversation]:
    """What to ask: each line of a ``.txt`` file, the ``prompt`` of every row of a ``.jsonl`` file
    (GenEval's, and many others), or conversations of a data file in any format, up to the last turn
    of the user. Raises `ValueError` where there is none.
    """
    if (prompts := _prompts(Path(path))) is not None:
        found: list[Conversation] = [[Message("user", prompt)] for prompt in prompts]
    else:
        source: Any = open_data(str(path))
        found = [_asked(source[number], number, path) for number in range(len(source))]
    if not found:
        raise ValueError(f"{path} holds no request")
    return found


def _prompts(path: Path) -> list[str] | None:
    if path.suffix not in (".txt", ".jsonl") or not path.is_file():
        return None
    lines = [line for line in path.read_text("utf-8").split("\n") if line.strip()]
    if path.suffix == ".txt":
        return lines
    rows = [json.loads(line) for line in lines]
    if not all(isinstance(row, dict) and isinstance(row.get("prompt"), str) for row in rows):
        return None
    return [row["prompt"] for row in rows]


def _asked(conversation: Conversation, number: int, path: str | Path) -> Conversation:
    last = max((n for n, m in enumerate(conversation) if m.role == "user"), default=None)
    if last is None:
        raise ValueError(f"{path}: conversation {number + 1} has no turn of a user")
    return conversation[: last + 1]


def fill_folder(
    model: NextGPT,
    requests: Sequence[Conversation],
    folder: str | Path,
    *,
    name: str,
    options: GenerationOptions,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Save the model's reply to every request; existing replies stay. Reply n has the seed of
    `options` plus n, so two models or bridges get the same ones.

    Raises `ValueError` if the folder holds replies of another model, to other requests or with
    other options.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:04d}" for number in range(len(requests))]
    seed = options.seed or 0

    def reply(batcher: ReplyBatcher, number: int) -> None:
        *before, last = requests[number]
        chosen = replace(options, seed=seed + number)
        batcher.chat(chosen, messages=before).reply(last).save(folder, names[number])

    with path_lock(folder / MADE, doing="saving replies"):
        made = {"model": name, "weights": model.weights_sha256()}
        _same_made(folder, made, options, _rows(requests, names, folder))
        left = [n for n, stem in enumerate(names) if not (folder / f"{stem}.json").is_file()]
        with ReplyBatcher(model) as batcher:
            for done, _ in enumerate(batcher.map(partial(reply, batcher), left), 1):
                if progress is not None:
                    progress(len(names) - len(left) + done, len(names))
    return folder


def _rows(requests: Sequence[Conversation], names: Sequence[str], folder: Path) -> str:
    rows = []
    for conversation, stem in zip(requests, names, strict=True):
        written = write_conversation(
            [*conversation, Message("assistant", "-")], lambda part, at: str(part.source)
        ).row
        rows.append({"id": stem, "messages": written["messages"][:-1]})
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _same_made(folder: Path, made: dict[str, Any], options: GenerationOptions, rows: str) -> None:
    made = {**made, "options": json.loads(json.dumps(vars(options)))}
    there = folder / MADE
    if not there.is_file():
        write_text(folder / REQUESTS, rows)
        write_json(there, made, indent=1)
    elif read_json(there) != made or (folder / REQUESTS).read_text("utf-8") != rows:
        raise ValueError(
            f"{folder} holds replies of {read_json(there).get('model')!r} to other requests, "
            "with other options or with other weights; choose another --out"
        )


def read_folder(folder: str | Path) -> dict[str, Saved]:
    """The saved replies by id. Raises `ValueError` where requests or a reply are missing."""
    folder = Path(folder)
    if not (folder / REQUESTS).is_file():
        raise ValueError(f"{folder} has no {REQUESTS}: fill it with `anyweave eval folder`")
    rows = [json.loads(line) for line in (folder / REQUESTS).read_bytes().splitlines()]
    missing = [row["id"] for row in rows if not (folder / f"{row['id']}.json").is_file()]
    if missing or not rows:
        raise ValueError(
            f"{folder}: {len(missing)} of {len(rows)} replies are missing; make them with "
            "`anyweave eval folder`"
        )
    return {
        row["id"]: Saved(
            id=row["id"],
            asked=tuple(row["messages"]),
            parts=tuple(_parts(folder, read_json(folder / f"{row['id']}.json"))),
        )
        for row in rows
    }


def _parts(folder: Path, parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Parts with the paths of files beside them: the folder may have been moved."""
    for part in parts:
        path = part.get("path")
        beside = folder / Path(path).name if path else None
        yield {**part, "path": str(beside)} if beside and beside.is_file() else part
