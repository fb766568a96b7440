"""Three folders' worth of saved replies to the same three requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anyweave.generation.writing import write_message
from anyweave.messages import Audio, Image, Message, Video

ASKED = ("Draw a red square.", "Let me hear a beep.", "Show a square that moves.")


@pytest.fixture
def filled(tmp_path: Path) -> Callable[[str, int], Path]:
    """`filled(name, shade)`: a folder of replies, each with a medium of that shade."""

    def fill(name: str, shade: int) -> Path:
        folder = tmp_path / name
        picture = np.full((48, 48, 3), (shade, 40, 40), np.uint8)
        clip = np.zeros((8, 32, 32, 3), np.uint8)
        for number in range(8):
            clip[number, 12:20, 3 * number : 3 * number + 8] = shade
        wave = np.sin(np.arange(8000) * shade / 200).astype(np.float32) / 2
        media = (Image(picture), Audio(wave, rate=16000), Video(clip, rate=8.0))
        rows = []
        for number, (asked, part) in enumerate(zip(ASKED, media, strict=True)):
            parts = write_message(
                Message("assistant", ["Here it is. ", part]), folder, f"{number:04d}"
            )
            (folder / f"{number:04d}.json").write_text(json.dumps(parts))
            messages = [{"role": "user", "content": asked}]
            rows.append(json.dumps({"id": f"{number:04d}", "messages": messages}))
        (folder / "requests.jsonl").write_text("\n".join(rows) + "\n")
        return folder

    return fill
