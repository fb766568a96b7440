"""One run of the benchmark. Every answer is on disk before the next is counted, so a killed run
resumes where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from anyweave.evaluation.decision.answering import Answers
from anyweave.evaluation.decision.requests import Request
from anyweave.evaluation.decision.scoring import Answer, DecisionReport, score
from anyweave.files import path_lock, write_json, write_text

ANSWERS = "answers.jsonl"


def measure(
    name: str,
    answers: Answers,
    requests: Sequence[Request],
    *,
    folder: str | Path,
    weights: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> DecisionReport:
    """Ask `requests` and write ``answers.jsonl``, ``report.json`` and ``report.md`` in `folder`.

    `name` is the model's name in the report, `weights` their hash where it is known. What
    ``answers.jsonl`` already holds is not asked again. Raises `ValueError` if those answers are
    another model's.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ANSWERS
    with path_lock(path, doing="measuring decisions"):
        known = _known(path, name, weights)
        left = [request for request in requests if request.id not in known]
        with path.open("a", encoding="utf-8") as file:
            for number, (request, answer) in enumerate(answers(left), 1):
                known[request.id] = answer
                identity = {"id": request.id, "model": name, "weights": weights}
                row = {**identity, **vars(answer), "wanted": request.wanted}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                if progress is not None:
                    progress(len(requests) - len(left) + number, len(requests))
        report = score(name, requests, known)
        write_json(folder / "report.json", report.to_dict(), indent=1)
        write_text(folder / "report.md", report.to_markdown())
    return report


def _known(path: Path, name: str, weights: str) -> dict[str, Answer]:
    """Answers of an earlier run. An unfinished last line is cut off."""
    if not path.is_file():
        return {}
    whole, _, broken = path.read_bytes().rpartition(b"\n")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(whole.splitlines(), 1):
        row: Any = None
        with suppress(ValueError):
            row = json.loads(line)
        if not isinstance(row, dict) or not {"id", "model", "given", "ordered"} <= row.keys():
            raise ValueError(f"{path}, line {number}: not an answer; choose another --out")
        if (row["model"], row.get("weights", "")) != (name, weights):
            now = repr(name) if row["model"] != name else "the same name with other weights"
            raise ValueError(
                f"{path} holds answers of {row['model']!r}, now {now} is asked; choose another "
                "--out"
            )
        rows.append(row)
    if broken:
        write_text(path, whole.decode() + "\n" if whole else "")
    return {
        row["id"]: Answer(
            given=tuple(row["given"]), ordered=row["ordered"], text=row.get("text", "")
        )
        for row in rows
    }
