"""A folder with one small medium of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave import media

WriteJson = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``a.png``, ``b.wav``, ``c.mp4`` and ``d.png`` in a folder."""
    draw = np.random.default_rng(0)
    for name in ("a.png", "d.png"):
        media.save("image", draw.integers(0, 255, (8, 8, 3), dtype=np.uint8), tmp_path / name)
    samples = draw.uniform(-0.5, 0.5, 800).astype(np.float32)
    media.save("audio", samples, tmp_path / "b.wav", rate=16_000)
    frames = draw.integers(0, 255, (3, 16, 16, 3), dtype=np.uint8)
    media.save("video", frames, tmp_path / "c.mp4", rate=8)
    return tmp_path


@pytest.fixture
def write_json(folder: Path) -> WriteJson:
    """``write_json(rows)`` or ``write_json(rows, "name.jsonl")``: rows as a file in the folder."""

    def write(rows: Any, name: str = "rows.json") -> Path:
        path = folder / name
        if path.suffix == ".jsonl":
            text = "".join(json.dumps(row) + "\n" for row in rows)
        else:
            text = json.dumps(rows, indent=1)
        path.write_text(text, encoding="utf-8")
        return path

    return write
