"""Replies to fixed prompts while a model trains: what its losses cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anyweave.files import clear, write_json
from anyweave.generation.chat import ChatSession
from anyweave.generation.options import GenerationOptions
from anyweave.generation.writing import write_message
from anyweave.model.any_to_any import NextGPT


def write_samples(
    model: NextGPT,
    folder: str | Path,
    prompts: Sequence[str],
    options: GenerationOptions | None = None,
) -> None:
    """Answer each prompt in a conversation of its own: ``samples.json`` and the media beside it.

    By default greedy and always with the same seed, so that two steps of a run can be compared.
    """
    settings = options or GenerationOptions(max_new_tokens=64, temperature=0, seed=0)
    folder = Path(folder)
    clear(folder, ["[0-9][0-9]-[0-9]*.*"])  # of the same step, before the run was resumed
    written = [
        {
            "prompt": prompt,
            "reply": write_message(
                ChatSession(model, settings).reply(prompt), folder, f"{number:02d}"
            ),
        }
        for number, prompt in enumerate(prompts)
    ]
    write_json(folder / "samples.json", written, indent=1)
