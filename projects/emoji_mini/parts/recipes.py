"""The recipes of emoji-mini's parts: one name, one command, the steps that the shipped weights had.

All of them work in one folder of parts. It holds ``image/``, ``video/`` and ``audio/`` (the
decoders' training data, then the decoders), the two encoders, the judges, and the data drawn for
them. What it lacks is taken from the project's trained parts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyweave.files import path_lock
from emoji_mini.emoji_world import assets
from emoji_mini.parts import (
    audio_encoder,
    clip_denoiser,
    clip_judge,
    flow,
    picture_autoencoder,
    picture_denoiser,
    picture_encoder,
    sound_autoencoder,
    sound_denoiser,
    sound_verifier,
    states,
    warmup,
)
from emoji_mini.parts.fit import FitOptions

Size = Callable[[int], int]
"""Scales a number of scenes down for a trial."""
Train = Callable[[Path, FitOptions, Size], Any]


@dataclass(frozen=True)
class Part:
    """How a part is trained: steps, batch and rate, and the function. Change a number here to
    remake the shipped weights with it.
    """

    train: Train
    options: FitOptions


def _picture_autoencoder(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "image"
    if not (folder / "train.npy").is_file():
        picture_autoencoder.write_bank(assets.emoji_folder(), folder, size(16_000), size(512))
    if not (folder / "frames.npy").is_file():
        picture_autoencoder.write_world_bank(folder, size(10_000), size(512))
    picture_autoencoder.train(folder, options, crop=64)
    names = ("world_held_out", "held_out")
    return {name: picture_autoencoder.measure(folder, name) for name in names}


def _draw(parts: Path, size: Size) -> None:
    if not (parts / "clips.json").is_file():
        picture_encoder.draw(parts, size(30_000), size(3_000))


def _picture_encoder(parts: Path, options: FitOptions, size: Size) -> object:
    _draw(parts, size)
    picture_encoder.train(parts, options)
    return "an encoder, and the judge of pictures"


def _motion_judge(parts: Path, options: FitOptions, size: Size) -> str:
    _draw(parts, size)
    clip_judge.train(parts, options)
    return "\n" + clip_judge.measure(parts, size(400))


def _audio_encoder(parts: Path, options: FitOptions, size: Size) -> str:
    audio_encoder.train(parts, options, size(6_000))
    return "\n" + audio_encoder.measure(parts, size(400))


def _picture_denoiser(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "image"
    if not (folder / "latents.npy").is_file():
        picture_denoiser.encode(folder, size(24_000))
    picture_denoiser.train(folder, options)
    picture_denoiser.assemble(folder)
    return folder


def _clip_denoiser(parts: Path, options: FitOptions, size: Size) -> object:
    folder, pictures = parts / "video", parts / "image"
    if (pictures / "vae").is_dir():
        shutil.copytree(pictures / "vae", folder / "vae", dirs_exist_ok=True)
    if not (pictures / "unet").is_dir():
        pictures = picture_denoiser.TRAINED
    if not (folder / "latents.npy").is_file():
        clip_denoiser.encode(folder, size(14_000))
    clip_denoiser.train(folder, pictures, options)
    clip_denoiser.assemble(folder, pictures)
    return folder


def _sound_autoencoder(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "audio"
    if not (folder / "mel_config.json").is_file():
        sound_autoencoder.write_bank(folder, size(1_500), size(200))
    sound_autoencoder.train(folder, options)
    return sound_autoencoder.measure(folder)


def _sound_denoiser(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "audio"
    if not (folder / "latents.npy").is_file():
        sound_denoiser.encode(folder, size(6_000))
    flow.train(folder, sound_denoiser.build_unet, options)
    sound_denoiser.assemble(folder)
    return folder


def _sound_verifier(parts: Path, options: FitOptions, size: Size) -> object:
    sound_verifier.train(parts / "audio", size(options.steps))
    return sound_verifier.measure(parts / "audio", size(200))


def _lesson_on_media(
    parts: Path, options: FitOptions, size: Size, *, into: str, after: str | None = None
) -> object:
    trained = None if after is None else _lesson_before(parts, after)
    sizes = {modality: size(number) for modality, number in warmup.SCENES.items()}
    return warmup.lesson(parts / into, options, sizes, trained=trained, parts=parts)


def _lesson_before(parts: Path, recipe: str) -> Path:
    """The checkpoint that the run of `recipe` wrote."""
    trained = parts.parent / recipe / "model"
    if not trained.is_dir():
        raise ValueError(
            f"this lesson follows the one of recipe {recipe}, but {trained} is not there; run "
            f"anyweave train stage3 --recipe {recipe} first"
        )
    return trained


def _lesson_from_states(
    parts: Path, options: FitOptions, size: Size, *, after: str, into: str
) -> object:
    trained = _lesson_before(parts, after)
    more = {modality: size(number) for modality, number in states.MORE_CAPTIONS.items()}
    talk = size(states.CONVERSATIONS)
    return states.lesson(trained, parts / into, options, talk, more, parts)


PARTS: dict[str, Part] = {
    "picture-autoencoder": Part(
        _picture_autoencoder,
        FitOptions(steps=20_000, batch_size=16, learning_rate=1e-3, ema_decay=0.998),
    ),
    "picture-encoder": Part(
        _picture_encoder,
        FitOptions(steps=2_500, batch_size=32, learning_rate=1e-3, warmup_steps=200),
    ),
    "audio-encoder": Part(
        _audio_encoder,
        FitOptions(steps=1_500, batch_size=32, learning_rate=1e-3, ema_decay=0.995),
    ),
    "picture-denoiser": Part(
        _picture_denoiser,
        FitOptions(
            steps=27_000, batch_size=32, learning_rate=8e-4, ema_decay=0.999, warmup_steps=200
        ),
    ),
    "clip-denoiser": Part(
        _clip_denoiser,
        FitOptions(
            steps=2_600,
            batch_size=16,
            learning_rate=6e-4,
            ema_decay=0.998,
            warmup_steps=100,
            checkpoint_every=250,
        ),
    ),
    "sound-autoencoder": Part(
        _sound_autoencoder,
        FitOptions(
            steps=2_000, batch_size=16, learning_rate=2e-3, ema_decay=0.998, checkpoint_every=200
        ),
    ),
    "sound-denoiser": Part(
        _sound_denoiser,
        FitOptions(
            steps=6_000, batch_size=32, learning_rate=1.5e-3, ema_decay=0.998, checkpoint_every=100
        ),
    ),
    # A linear discriminant: its steps are the sounds it hears.
    "sound-verifier": Part(_sound_verifier, FitOptions(steps=1_500, batch_size=1)),
    "motion-judge": Part(_motion_judge, FitOptions(steps=1_500, batch_size=32, learning_rate=1e-3)),
    "emoji-mini": Part(partial(_lesson_on_media, into="emoji-mini"), warmup.OPTIONS),
    "output-projectors": Part(
        partial(_lesson_from_states, after="emoji-mini-signals", into="emoji-mini-signals"),
        states.OPTIONS,
    ),
    "input-projector": Part(
        partial(_lesson_on_media, after="emoji-mini-asked", into="emoji-mini-reads"), warmup.OPTIONS
    ),
    "output-projectors-last": Part(
        partial(_lesson_from_states, after="emoji-mini-recall-again", into="emoji-mini-taught"),
        replace(states.OPTIONS, steps=5_000),
    ),
}


def train_named_part(name: str, output: Path, *, scale: float = 1.0) -> str:
    """Train the part `name` into `output` and describe the result; `scale` shrinks steps and data
    for a trial. Resumable.

    Raises `ValueError` for an unknown name, or if something else must be trained first.
    """
    if name not in PARTS:
        raise ValueError(f"no part {name!r}; there are {', '.join(PARTS)}")
    if scale <= 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    part = PARTS[name]
    steps = max(2, round(part.options.steps * scale))
    options = replace(part.options, steps=steps)
    output.mkdir(parents=True, exist_ok=True)

    def size(full: int) -> int:
        return max(64, round(full * min(1.0, scale)))

    # Not the name itself: whoever saves under it locks it.
    with path_lock(output / f"training-{name}", doing="trains it"):
        return f"{name}: {part.train(output, options, size)}"
