"""Replies to fixed prompts during training: they show what the losses cannot."""

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
    """Answer each prompt in its own conversation; writes ``samples.json`` with the media beside it.

    By default greedy and with a fixed seed, so that steps of a run can be compared.
    """
    settings = options or GenerationOptions(max_new_tokens=64, temperature=0, seed=0)
    folder = Path(folder)
    clear(folder, ["[0-9][0-9]-[0-9]*.*"])  # from the same step, before the run was resumed
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
