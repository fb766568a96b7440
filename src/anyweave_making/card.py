"""The card of a dataset: its `dataset.json`, written for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

__all__ = ["card"]


def card(facts: dict[str, Any]) -> str:
    """README.md of the dataset that `facts` (see `release`) describes."""
    parts = [
        f"# {facts['name']} {facts['version']}",
        facts["description"],
        "## In numbers",
        _numbers(facts["stats"]),
        "## How it was made",
        _table(("setting", "value"), ((k, _plain(v)) for k, v in facts["made"].items())),
        "## What was left out",
        _dropped(facts["dropped"]),
        "## Media: where they come from",
        _media(facts["media"]),
        "## Files",
        _FILES,
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_FILES = """
`messages.jsonl` holds one conversation a line, `records.jsonl` what is known about each, in the
same order, `media.jsonl` the origin, licence and sha256 of each medium, `dataset.json` the sha256
of every file.

```python
from anyweave.data import MessagesJsonl

conversations = MessagesJsonl("messages.jsonl")
```
"""


def _numbers(stats: dict[str, Any]) -> str:
    kinds = list(stats["media"])
    media = "/".join(f"{count:,}" for count in stats["media"].values())
    row = (stats["in_out"], media, str(stats["mean_turns"]), f"{stats['instances']:,}")
    turns = ", ".join(f"{count:,} of {turns}" for turns, count in stats["turns"].items())
    uses = _table(
        ("said by", *kinds),
        ((role, *(f"{uses[m]:,}" for m in kinds)) for role, uses in stats["uses"].items()),
    )
    head = ("in→out modality", "/".join(f"{m}s" for m in kinds), "turns", "instances")
    between = f"Conversations by turns: {turns}. Places that media stand in:"
    return f"{_table(head, [row])}\n\n{between}\n\n{uses}"


def _dropped(dropped: dict[str, int]) -> str:
    if not dropped:
        return "Nothing."
    return _table(("reason", "conversations"), ((k, f"{v:,}") for k, v in dropped.items()))


def _media(groups: list[dict[str, Any]]) -> str:
    if not groups:
        return "There are no media."
    rows = (
        (
            group["modality"],
            group["how"],
            group["source"] or "not stated",
            group["licence"] or "not stated",
            f"{group['count']:,}",
        )
        for group in groups
    )
    table = _table(("modality", "how", "source", "licence", "media"), rows)
    unknown = sum(group["count"] for group in groups if not group["licence"])
    if not unknown:
        return table
    return (
        f"{table}\n\nNobody stated a licence for {unknown:,} media: do not hand them on unchecked."
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
