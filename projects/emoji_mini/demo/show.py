"""Holds the scripted conversations with a model and writes down what it answered."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from anyweave import media
from anyweave.files import check_unmixed, clear, write_json
from anyweave.generation import ChatSession, Done, GenerationOptions
from anyweave.generation.writing import write_message
from anyweave.messages import MEDIA_TYPES, Media, Message
from anyweave.model.any_to_any import NextGPT
from emoji_mini.demo.contact import draw_talk
from emoji_mini.demo.page import write_page
from emoji_mini.demo.record import Exchange, Record, Shown, Talk
from emoji_mini.demo.script import SCRIPTS, Script, Turn
from emoji_mini.demo.spectrogram import spectrogram
from emoji_mini.emoji_talk.talk import RATES, modality_of
from emoji_mini.emoji_world.render import render
from emoji_mini.emoji_world.sounds import SAMPLE_RATE

_WRITTEN = (
    "conversation.json",
    "index.html",
    "talks/[0-9]*.png",
    "media/[0-9]*-[0-9]*.*",
)


class Say(Protocol):
    """Prints plain text, like `print`."""

    def __call__(self, text: str) -> None: ...


def run_demo(
    model: str | Path,
    output: str | Path,
    *,
    seed: int = 0,
    say: Say,
    scripts: Sequence[Script] = SCRIPTS,
    max_new_tokens: int = 96,
    overwrite: bool = False,
    trust_remote_code: bool = False,
) -> Path:
    """Hold the conversations of `scripts` with a model and write everything under `output`.

    ``inputs/`` holds what the model was given, ``media/`` what it made, ``conversation.json`` all
    parts in order, ``index.html`` a page that needs nothing else, ``talks/`` each conversation as a
    picture. The answers are not scripted: greedy decoding, and `seed` for the media. Returns the
    path of the page. Raises `ValueError` for an unknown model, and for a folder that holds an
    earlier demo unless `overwrite` replaces it.
    """
    output = Path(output)
    # Inputs have the names that a script gives them, so they are ours only where a demo was held.
    earlier = (*_WRITTEN, "inputs/*") if (output / "conversation.json").is_file() else _WRITTEN
    check_unmixed(output, earlier, overwrite=overwrite, what="conversations")
    for name in ("inputs", "media", "talks"):
        (output / name).mkdir(parents=True, exist_ok=True)
    say(f"loading {model}")
    started = time.perf_counter()
    loaded = NextGPT.from_pretrained(model, trust_remote_code=trust_remote_code)
    clear(output, earlier)
    load_seconds = time.perf_counter() - started
    say(f"loaded in {load_seconds:.1f} s, {torch.get_num_threads()} threads")
    options = GenerationOptions(temperature=0.0, max_new_tokens=max_new_tokens, seed=seed)
    talks = []
    for number, script in enumerate(scripts, 1):
        say(f"\n--- {script.title}")
        session = ChatSession(loaded, options)
        exchanges = [
            _exchange(session, turn, output, f"{number}-{place}", say)
            for place, turn in enumerate(script.turns, 1)
        ]
        talks.append(Talk(title=script.title, figures=script.figures, exchanges=tuple(exchanges)))
    record = Record(
        model=str(model),
        seed=seed,
        threads=torch.get_num_threads(),
        load_seconds=load_seconds,
        talks=tuple(talks),
    )
    say(f"\n{sum(len(talk.exchanges) for talk in talks)} replies in {record.total_seconds:.1f} s")
    return _write(record, output)


def _write(record: Record, output: Path) -> Path:
    write_json(output / "conversation.json", record.to_dict(), indent=1)
    for number, talk in enumerate(record.talks, 1):
        drawn = np.asarray(draw_talk(talk, output))
        path = output / "talks" / f"{number:02d}.png"
        media.save("image", drawn, path, generated=True)
    return write_page(record, output)


def _exchange(session: ChatSession, turn: Turn, output: Path, name: str, say: Say) -> Exchange:
    user, given = _user_message(turn, output, name)
    say("\nyou> " + " ".join(part.text or f"[{part.path}]" for part in given))
    done = next(event for event in session.send(user) if isinstance(event, Done))
    shown = _reply(done.message, output, name)
    exchange = Exchange(
        user=given,
        reply=shown,
        seconds={name: round(value, 3) for name, value in done.usage.seconds.items()},
        tokens=done.usage.completion_tokens,
        finish_reason=done.finish_reason,
    )
    for part in shown:
        say(part.text.strip() if part.modality == "text" else f"  [{part.path}]")
    parts = ", ".join(f"{name} {value:.1f} s" for name, value in exchange.seconds.items())
    say(f"  ({parts}; {exchange.tokens} tokens)")
    return exchange


def _user_message(turn: Turn, output: Path, name: str) -> tuple[Message, tuple[Shown, ...]]:
    if turn.scene is not None:
        modality = modality_of(turn.scene)
        path = output / "inputs" / turn.name
        media.save(modality, render(turn.scene), path, rate=RATES[modality])
    elif turn.file is not None and turn.modality is not None:
        modality = turn.modality
        path = output / "inputs" / f"{name}-{turn.file.name}"  # others may be called so too
        shutil.copyfile(turn.file, path)
    else:
        return Message("user", turn.text), (Shown(modality="text", text=turn.text),)
    medium = MEDIA_TYPES[modality](path)
    shown = Shown(
        modality=modality,
        path=path.relative_to(output).as_posix(),
        poster=_poster(medium, path, output),
        truth="" if turn.scene is None else turn.scene.caption,
    )
    return Message("user", [medium, turn.text]), (shown, Shown(modality="text", text=turn.text))


def _reply(message: Message, output: Path, name: str) -> tuple[Shown, ...]:
    written = write_message(message, output / "media", stem=name)
    return tuple(
        _as_shown(part, row, output) for part, row in zip(message.parts, written, strict=True)
    )


def _as_shown(part: Any, row: dict[str, Any], output: Path) -> Shown:
    if row["type"] == "text":
        return Shown(modality="text", text=row["text"])
    path = Path(row["path"])
    return Shown(
        modality=row["type"],
        path=path.relative_to(output).as_posix(),
        poster=_poster(part, path, output),
        caption=row["caption"] or "",
    )


def _poster(part: Media, path: Path, output: Path) -> str:
    """A still of a clip or the spectrogram of a sound, beside its file; none for a picture."""
    if part.modality == "image":
        return ""
    if part.modality == "audio":
        still = spectrogram(media.load(part, sample_rate=SAMPLE_RATE), SAMPLE_RATE)
    else:
        frames = media.load(part)
        still = frames[len(frames) // 2]
    poster = path.with_name(f"{path.name}.poster.png")
    media.save("image", np.ascontiguousarray(still), poster, generated=part.generated)
    return poster.relative_to(output).as_posix()
