"""The recipes of emoji-mini's parts: one name, one command, the steps that the shipped weights had.

All of them work in one folder of parts. It holds ``image/``, ``video/`` and ``audio/`` (the
decoders' training data, then the decoders), the two encoders, the judges, and the data drawn for
them. What it lacks is taken from the project's trained parts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anyweave.files import path_lock
from anyweave.messages import Modality
from anyweave.model.any_to_any import NextGPT
from emoji_mini.emoji_world import assets
from emoji_mini.parts import (
    audio_encoder,
    clip_denoiser,
    clip_judge,
    flow,
    picture_autoencoder,
    picture_denoiser,
    picture_encoder,
    seeing,
    sound_autoencoder,
    sound_denoiser,
    sound_verifier,
    states,
    warmup,
)
from emoji_mini.parts.assemble import ship
from emoji_mini.parts.fit import FitOptions

Size = Callable[[int], int]
"""Scales a number of scenes down for a trial."""


@dataclass(frozen=True)
class Part:
    """How a part is trained: steps, batch and rate, and the function. Change a number here to
    remake the shipped weights with it.
    """

    train: Callable[..., object]
    """``train(parts, options, size)``; of a lesson also the folder of the model that it writes, and
    the checkpoint that it follows.
    """
    options: FitOptions
    measure: Callable[[Path, int], object] | None = None
    """``measure(folder, number)``: what the part gets right of so many held-out scenes."""
    folder: str = ""
    """Where it is, in the folder of parts."""
    after: str | None = None
    """Of a lesson of the projectors: the recipe whose checkpoint it follows, or "" for none."""


def _picture_autoencoder(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "image"
    if not (folder / "train.npy").is_file():
        picture_autoencoder.write_bank(assets.emoji_folder(), folder, size(16_000), size(512))
    if not (folder / "frames.npy").is_file():
        picture_autoencoder.write_world_bank(folder, size(10_000), size(512))
    picture_autoencoder.train(folder, options)
    return picture_autoencoder.measure(folder, 256)


def _draw(parts: Path, size: Size) -> None:
    if not (parts / "clips.json").is_file():
        picture_encoder.draw(parts, size(30_000), size(3_000))


def _picture_encoder(parts: Path, options: FitOptions, size: Size) -> object:
    _draw(parts, size)
    picture_encoder.train(parts, options)
    return "an encoder, and the judge of pictures"


def _motion_judge(parts: Path, options: FitOptions, size: Size) -> object:
    _draw(parts, size)
    clip_judge.train(parts, options)
    return clip_judge.measure(parts, size(400))


def _audio_encoder(parts: Path, options: FitOptions, size: Size) -> object:
    audio_encoder.train(parts, options, size(6_000))
    return audio_encoder.measure(parts, size(400))


def _picture_denoiser(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "image"
    if not (folder / "latents.npy").is_file():
        picture_denoiser.encode(folder, size(24_000))
    picture_denoiser.train(folder, options)
    picture_denoiser.assemble(folder)
    return folder


def _clip_denoiser(parts: Path, options: FitOptions, size: Size) -> object:
    folder, pictures = parts / "video", _picture_decoder(parts)
    if (parts / "image" / "vae").is_dir():
        shutil.copytree(parts / "image" / "vae", folder / "vae", dirs_exist_ok=True)
    if not (folder / "latents.npy").is_file():
        clip_denoiser.encode(folder, size(14_000))
    clip_denoiser.train(folder, pictures, options)
    clip_denoiser.assemble(folder, pictures)
    return folder


def _picture_decoder(parts: Path) -> Path:
    own = parts / "image"
    return own if (own / "unet").is_dir() else picture_denoiser.TRAINED


def _measure_clips(folder: Path, number: int) -> str:
    return clip_denoiser.measure(folder, _picture_decoder(folder.parent), number)


def _sound_autoencoder(parts: Path, options: FitOptions, size: Size) -> object:
    folder = parts / "audio"
    if not (folder / "mel_config.json").is_file():
        sound_autoencoder.write_bank(folder, size(1_500), size(200))
    sound_autoencoder.train(folder, options)
    return sound_autoencoder.measure(folder, size(200))


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


def _measure_verifier(folder: Path, number: int) -> str:
    return sound_verifier.measure(folder, number, sound_autoencoder.load_codec(folder))


def _lesson_on_media(
    parts: Path, options: FitOptions, size: Size, into: Path, trained: Path | None
) -> object:
    sizes = {modality: size(number) for modality, number in warmup.SCENES.items()}
    return warmup.lesson(into, options, sizes, trained=trained, parts=parts)


def _measure_reading(folder: Path, number: int) -> str:
    return warmup.measure(NextGPT.from_pretrained(folder), number)


def _lesson_from_states(
    parts: Path, options: FitOptions, size: Size, into: Path, trained: Path
) -> object:
    more = {modality: size(number) for modality, number in states.MORE_CAPTIONS.items()}
    return states.lesson(trained, into, options, size(states.CONVERSATIONS), more, parts)


def _checkpoint_of(parts: Path, recipe: str) -> Path | None:
    """What the run of `recipe` wrote."""
    trained = parts.parent / recipe / "model"
    if recipe and not trained.is_dir():
        raise ValueError(
            f"this lesson follows the one of recipe {recipe}, but {trained} is not there; run "
            f"anyweave train stage3 --recipe {recipe} first, or choose a checkpoint (--trained)"
        )
    return trained if recipe else None


PARTS: dict[str, Part] = {
    "picture-autoencoder": Part(
        _picture_autoencoder,
        FitOptions(steps=20_000, batch_size=16, learning_rate=1e-3, ema_decay=0.998),
        picture_autoencoder.measure,
        "image",
    ),
    "picture-encoder": Part(
        _picture_encoder,
        FitOptions(steps=2_500, batch_size=32, learning_rate=1e-3, warmup_steps=200),
        seeing.measure,
    ),
    "audio-encoder": Part(
        _audio_encoder,
        FitOptions(steps=1_500, batch_size=32, learning_rate=1e-3, ema_decay=0.995),
        audio_encoder.measure,
    ),
    "picture-denoiser": Part(
        _picture_denoiser,
        FitOptions(
            steps=27_000, batch_size=32, learning_rate=8e-4, ema_decay=0.999, warmup_steps=200
        ),
        picture_denoiser.measure,
        "image",
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
        _measure_clips,
        "video",
    ),
    "sound-autoencoder": Part(
        _sound_autoencoder,
        FitOptions(
            steps=2_000, batch_size=16, learning_rate=2e-3, ema_decay=0.998, checkpoint_every=200
        ),
        sound_autoencoder.measure,
        "audio",
    ),
    "sound-denoiser": Part(
        _sound_denoiser,
        FitOptions(
            steps=6_000, batch_size=32, learning_rate=1.5e-3, ema_decay=0.998, checkpoint_every=100
        ),
        sound_denoiser.measure,
        "audio",
    ),
    # A linear discriminant: its steps are the sounds it hears.
    "sound-verifier": Part(
        _sound_verifier, FitOptions(steps=1_500, batch_size=1), _measure_verifier, "audio"
    ),
    "motion-judge": Part(
        _motion_judge,
        FitOptions(steps=1_500, batch_size=32, learning_rate=1e-3),
        clip_judge.measure,
    ),
    "emoji-mini": Part(_lesson_on_media, warmup.OPTIONS, _measure_reading, "emoji-mini", after=""),
    "output-projectors": Part(
        _lesson_from_states,
        states.OPTIONS,
        folder="emoji-mini-signals",
        after="emoji-mini-signals",
    ),
    "input-projector": Part(
        _lesson_on_media,
        warmup.OPTIONS,
        _measure_reading,
        "emoji-mini-reads",
        after="emoji-mini-asked",
    ),
    "output-projectors-last": Part(
        _lesson_from_states,
        replace(states.OPTIONS, steps=5_000),
        folder="emoji-mini-taught",
        after="emoji-mini-recall-again",
    ),
}


def train_named_part(
    name: str, output: Path, *, scale: float = 1.0, trained: Path | None = None
) -> str:
    """Train the part `name` into `output` and describe the result; `scale` shrinks steps and data
    for a trial. A lesson of the projectors follows the checkpoint `trained`, by default that of the
    recipe before it. Resumable.

    Raises `ValueError` for an unknown name, or if something else must be trained first.
    """
    part = _named(name, trained)
    if scale <= 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    steps = max(2, round(part.options.steps * scale))
    options = replace(part.options, steps=steps)
    output.mkdir(parents=True, exist_ok=True)

    def size(full: int) -> int:
        return max(64, round(full * min(1.0, scale)))

    # Not the name itself: whoever saves under it locks it.
    with path_lock(output / f"training-{name}", doing="trains it"):
        if part.after is None:
            found = part.train(output, options, size)
        else:
            follows = trained or _checkpoint_of(output, part.after)
            found = part.train(output, options, size, output / part.folder, follows)
        return f"{name}:\n{found}"


def measure_named_part(name: str, parts: Path, number: int, *, trained: Path | None = None) -> str:
    """What the part `name` gets right of `number` held-out scenes, as it is now in the folder
    `parts`; what draws or plays also leaves sheets there to look at. A denoiser is measured even
    while it trains, the input projector in the model that its lesson wrote or in the checkpoint
    `trained`.

    Raises `ValueError` for a name that is unknown or has no measure.
    """
    part = _named(name, trained)
    if part.measure is None or number < 1:
        measured = ", ".join(name for name, part in PARTS.items() if part.measure is not None)
        raise ValueError(f"cannot measure {name} on {number} scenes; one or more, of {measured}")
    return f"{name}:\n{part.measure(trained or parts / part.folder, number)}"


def ship_named_part(name: str, parts: Path) -> str:
    """Write the decoder that training or measuring a denoiser left into the project, in float16.

    Raises `ValueError` for another part.
    """
    denoisers: dict[str, Modality] = {
        "picture-denoiser": "image",
        "clip-denoiser": "video",
        "sound-denoiser": "audio",
    }
    if name not in denoisers:
        raise ValueError(f"{name} does not ship alone; there are {', '.join(denoisers)}")
    return f"{name}: {ship(denoisers[name], parts)}"


def _named(name: str, trained: Path | None) -> Part:
    if name not in PARTS:
        raise ValueError(f"no part {name!r}; there are {', '.join(PARTS)}")
    if trained is not None and PARTS[name].after is None:
        raise ValueError(f"{name} is no lesson of the projectors, so it takes no checkpoint")
    return PARTS[name]
