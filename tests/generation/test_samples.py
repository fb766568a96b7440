from __future__ import annotations

import json
from pathlib import Path

from anyweave.generation import GenerationOptions
from anyweave.generation.samples import write_samples
from anyweave.testing.model import tiny_model


def test_replies_and_media_are_written(tmp_path: Path) -> None:
    options = GenerationOptions(max_new_tokens=4, temperature=0, seed=0, force=("image",))
    model = tiny_model()
    for folder in ("one", "two"):
        write_samples(model, tmp_path / folder, ["a dot", "a line"], options)
    written = json.loads((tmp_path / "one" / "samples.json").read_text())
    assert [entry["prompt"] for entry in written] == ["a dot", "a line"]
    pictures = sorted(path.name for path in (tmp_path / "one").glob("*.png"))
    assert pictures == ["00-1.png", "01-1.png"]
    for name in pictures:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
