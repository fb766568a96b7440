"""The recipes of emoji-mini's frozen parts: one name, one command, the steps that the shipped
weights had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from anyweave.data.mixture import Mixture, Source
from anyweave.files import path_lock
from anyweave.messages import PAPER_MODALITIES, Conversation, Modality
from anyweave.model.any_to_any import NextGPT
from emoji_mini.parts.assemble import assemble
from emoji_mini.parts.autoencoder import train_autoencoder
from emoji_mini.parts.contrast import train_text_encoder
from emoji_mini.parts.diffusion import prepare, train_diffusion
from emoji_mini.parts.encoder import train_audio_encoder, train_image_encoder
from emoji_mini.parts.fit import FitOptions
from emoji_mini.parts.rendered import rendered_scenes
from emoji_mini.parts.states import signal_states, teach_output_projectors
from emoji_mini.parts.warmup import encoder_features, warm_up
from emoji_mini.world.catalogue import RATES
from emoji_mini.world.sources import WorldDialogues, written_source

# Rendered training scenes per modality.
_TOTALS: dict[Modality, int] = {"image": 24_000, "video": 6_000, "audio": 6_000}

# Steps, batch and rate of every part. Change a number here and the shipped weights can be made
# again with it.
OPTIONS: dict[str, FitOptions] = {
    "image-encoder": FitOptions(
        steps=1200, batch_size=64, learning_rate=1e-3, ema_decay=0.995, checkpoint_every=200
    ),
    "audio-encoder": FitOptions(
        steps=1000, batch_size=48, learning_rate=1e-3, ema_decay=0.995, checkpoint_every=200
    ),
    "image-autoencoder": FitOptions(steps=1500, batch_size=32, learning_rate=2e-3, ema_decay=0.995),
    "audio-autoencoder": FitOptions(steps=500, batch_size=32, learning_rate=2e-3, ema_decay=0.99),
    "image": FitOptions(steps=1600, batch_size=32, learning_rate=8e-4, ema_decay=0.998),
    "warm-up": FitOptions(steps=1500, batch_size=32, learning_rate=1e-3, ema_decay=0.995),
    "audio-text": FitOptions(steps=400, batch_size=96, learning_rate=1e-3, ema_decay=0.99),
    "audio": FitOptions(steps=2500, batch_size=32, learning_rate=1e-3, ema_decay=0.998),
    "image-states": FitOptions(steps=2000, batch_size=96, learning_rate=1e-3, ema_decay=0.99),
    "video-states": FitOptions(steps=2000, batch_size=96, learning_rate=1e-3, ema_decay=0.99),
    "audio-states": FitOptions(steps=600, batch_size=96, learning_rate=5e-4, ema_decay=0.99),
    "image-refined": FitOptions(steps=9500, batch_size=32, learning_rate=1e-3, ema_decay=0.999),
    "video": FitOptions(
        steps=1250,
        batch_size=8,
        learning_rate=5e-4,
        warmup_steps=50,
        ema_decay=0.99,
        checkpoint_every=50,
    ),
}

# What is talked of while the states at signal tokens are gathered: requests, and media deeper in a
# conversation.
SPOKEN_MEDIA: dict[str, float] = {
    "request_image": 0.34,
    "request_video": 0.26,
    "request_audio": 0.10,
    "several_media": 0.10,
    "cross": 0.10,
    "follow_up": 0.10,
}


def train_named_part(name: str, output: Path, *, device: str = "cpu", scale: float = 1.0) -> str:
    """Train the part `name` into `output` and say what came out; `scale` shrinks steps and data for
    a trial.

    Raises `ValueError` for a name that does not exist, or a clip decoder before the picture decoder
    it starts from.
    """
    steps: dict[str, Callable[[], object]] = {
        "image-encoder": lambda: _encoder("image", output, device, scale),
        "audio-encoder": lambda: _encoder("audio", output, device, scale),
        "image": lambda: _decoder("image", output, device, scale),
        "video": lambda: _decoder("video", output, device, scale),
        "audio": lambda: _decoder("audio", output, device, scale),
        "verifiers": lambda: _verifiers(output),
        "emoji-mini": lambda: _first_lesson(output, device, scale),
        "output-projectors": lambda: _last_lesson(output, device, scale),
    }
    if name not in steps:
        raise ValueError(f"no part {name!r}; there are {', '.join(steps)}")
    if scale <= 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    output.mkdir(parents=True, exist_ok=True)
    # Not the name itself: what is saved under it is locked by whoever saves it.
    with path_lock(output / f"training-{name}", doing="trains it"):
        return f"{name}: {steps[name]()}"


def options_of(name: str, device: str = "cpu", scale: float = 1.0) -> FitOptions:
    """The recipe's options on a device, with `scale` of its steps."""
    recipe = OPTIONS[name]
    return replace(recipe, steps=max(2, round(recipe.steps * scale)), device=device)


def _size(full: int, scale: float) -> int:
    return max(64, round(full * min(1.0, scale)))


def _encoder(modality: Modality, output: Path, device: str, scale: float) -> dict[str, float]:
    cache, name = output / "scenes", f"{modality}-encoder"
    options = options_of(name, device, scale)
    sizes = {m: _size(n, scale) for m, n in _TOTALS.items()}
    if modality == "audio":
        return train_audio_encoder(output / name, cache, options, sizes["audio"])
    return train_image_encoder(output / name, cache, options, sizes)


def _decoder(modality: Modality, output: Path, device: str, scale: float) -> dict[str, float]:
    cache, folder = output / "scenes", output / modality
    size = _size(_TOTALS[modality], scale)
    options = options_of(modality, device, scale)
    if modality == "video":
        if not (output / "image" / "unet").is_dir():
            raise ValueError(
                f"the clip decoder starts from the picture decoder, but {output / 'image'} "
                "holds none; "
                "train it first with: anyweave train part image"
            )
        size = min(size, 3000)  # its picture half has learned already
        return train_diffusion("video", folder, cache, options, size, image_folder=output / "image")
    if not (folder / "vae").is_dir():
        own = options_of(f"{modality}-autoencoder", device, scale)
        train_autoencoder(modality, folder, cache, own, size)
    if modality == "audio":
        if not (output / "audio-encoder").is_dir():
            raise ValueError(
                f"the captions of sounds are taught by the audio encoder, but {output} holds none; "
                "train it first with: anyweave train part audio-encoder"
            )
        if not (folder / "unet").is_dir():
            prepare(modality, folder, None)
        text = options_of("audio-text", device, scale)
        train_text_encoder(folder, output / "audio-encoder", cache, text, size)
        return train_diffusion(modality, folder, cache, options, size, refine=True)
    train_diffusion(modality, folder, cache, options, size)
    refined = options_of(f"{modality}-refined", device, scale)
    return train_diffusion(modality, folder, cache, refined, size, refine=True)


def _first_lesson(output: Path, device: str, scale: float) -> dict[str, float]:
    """Put the frozen parts together, then give the input projector its first lesson."""
    folder = output / "emoji-mini"
    assemble(output, folder)
    sizes: dict[Modality, int] = {"image": 16_000, "video": 6000, "audio": 6000}
    totals = {m: _size(n, scale) for m, n in _TOTALS.items()}
    model = NextGPT.from_pretrained(folder)
    options = options_of("warm-up", device, scale)
    used = {m: min(n, totals[m]) for m, n in sizes.items()}
    return warm_up(
        model, folder, options, *rendered_features(model, output / "scenes", totals, used)
    )


def rendered_features(
    model: NextGPT,
    cache: Path,
    totals: Mapping[Modality, int],
    sizes: Mapping[Modality, int],
) -> tuple[dict[Modality, list[str]], dict[Modality, Tensor]]:
    """Captions and frozen features of the first `sizes` of `totals` cached scenes."""
    captions, features = {}, {}
    for modality, size in sizes.items():
        scenes, arrays = rendered_scenes(modality, "train", totals[modality], 0, cache)
        captions[modality] = [scene.caption for scene in scenes[:size]]
        features[modality] = encoder_features(model, modality, list(arrays[:size]), RATES[modality])
    return captions, features


def _last_lesson(output: Path, device: str, scale: float) -> dict[str, float]:
    """Give the output projectors of the model that the last stage left their last lesson; it is
    written to ``emoji-mini-taught``.
    """
    runs = output.parent
    trained = runs / "emoji-mini-mosit" / "model"
    if not trained.is_dir():
        raise ValueError(
            f"the output projectors are taught after the last stage, but {trained} is not there; "
            "run anyweave train stage3 --recipe emoji-mini-mosit first"
        )
    model = NextGPT.from_pretrained(trained).to(device)
    size = _size(7000, scale)
    sources: dict[str, Source[Conversation]] = {
        "asked": WorldDialogues("train", size, 2, kinds=SPOKEN_MEDIA, with_media=False),
        "written": written_source(runs / "emoji", datasets=["emoji-chats"]).epoch(0),
    }
    talk = Mixture(sources, weights={"asked": 0.7, "written": 0.3}, length=size).epoch(0)
    options = {m: options_of(f"{m}-states", device, scale) for m in PAPER_MODALITIES}
    # Not where the model goes: a checkpoint is never written over files of another kind.
    lessons = output / "output-projectors"
    means = teach_output_projectors(model, signal_states(model, talk), options, lessons)
    model.save_pretrained(output / "emoji-mini-taught")
    return means


def _verifiers(output: Path) -> object:
    from emoji_mini.world.verifiers import train_verifiers

    return train_verifiers(output / "verifiers")
