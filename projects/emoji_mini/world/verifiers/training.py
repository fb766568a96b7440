"""Trains the verifiers from renders, measures them on test scenes and writes weights with their
accuracy.

They will judge what diffusion decoders paint, which an autoencoder has blurred. So training
pictures and sounds are softened, shrunk and enlarged again, compressed, tinted and made noisy; the
truth stays that of the scene.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from anyweave.files import read_object, write_json
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.world.catalogue import (
    AUDIO_SAMPLES,
    BACKGROUNDS,
    MOTIONS,
    NUM_TAKES,
    OBJECTS,
    SOUNDS,
    TEST_TAKES,
)
from emoji_mini.world.render import render_audio, render_image, render_video
from emoji_mini.world.scenes import (
    AudioScene,
    ImageScene,
    Split,
    VideoScene,
    sample_audio,
    sample_image,
    sample_video,
)
from emoji_mini.world.verifiers.judge import FOLDER, SIDES
from emoji_mini.world.verifiers.networks import AudioVerifier, ImageVerifier, VideoVerifier
from emoji_mini.world.verifiers.softening import (
    compress,
    grey_frames,
    normalise,
    scramble,
    soften,
    soften_clips,
    soften_grey,
    soften_mel,
)

logger = logging.getLogger(__name__)

_OBJECTS, _SOUNDS = list(OBJECTS), list(SOUNDS)
_BACKGROUNDS, _MOTIONS = list(BACKGROUNDS), list(MOTIONS)
Labels = dict[str, Tensor]


def train_verifiers(
    folder: Path = FOLDER,
    *,
    which: tuple[str, ...] = ("image", "video", "audio"),
    num_samples: int = 120_000,
    num_train: int = 24_000,
    num_test: int = 1_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Train each verifier on `num_samples` (clips and sounds on a third of it), write
    ``folder/*.safetensors`` and `accuracy.json`; returns the latter.

    `num_train` renders are made once (an eighth as many clips, half as many sounds) and augmented
    anew each time they are seen. About 6 minutes for pictures on one idle core, 3 for each of the
    others. The clips' frames start from the picture verifier in `folder`, if it is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report_file = folder / "accuracy.json"
    report = read_object(report_file) if report_file.is_file() else {}
    for name in which:
        torch.manual_seed(seed)
        maker = {"image": _train_image, "video": _train_video, "audio": _train_audio}[name]
        network, report[name] = maker(
            folder, num_samples if name == "image" else num_samples // 3, num_train, num_test, seed
        )
        weights = {
            key: value.half().contiguous()
            for key, value in network.state_dict().items()
            if not key.endswith("num_batches_tracked")
        }
        save_tensors(weights, folder / f"{name}.safetensors")
        write_json(report_file, report, indent=1)
        logger.info("%s verifier: %s", name, report[name])
    return report


def _score(correct: Tensor) -> dict[str, float]:
    return {"accuracy": round(correct.float().mean().item(), 4), "trials": correct.numel()}


def _fit(
    network: nn.Module,
    step: Callable[[NDArray[np.int64]], Tensor],
    num_items: int,
    *,
    num_samples: int,
    seed: int,
    batch_size: int = 64,
    peak: float = 3e-3,
) -> None:
    """AdamW under a cosine schedule with a short warm-up; `step(indices)` is a batch's loss."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.02)
    rng = np.random.default_rng(seed)
    network.train()
    running = 0.0
    for seen in range(0, num_samples, batch_size):
        share = seen / num_samples
        warm = min(1.0, share / 0.05)
        for group in optimizer.param_groups:
            group["lr"] = peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        loss = step(rng.integers(num_items, size=batch_size))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running = 0.98 * running + 0.02 * loss.item()
        if seen % (batch_size * 50) == 0:
            logger.info("%5.1f%%  %6d samples  loss %.4f", 100 * share, seen, running)
    network.eval()


# --- pictures -------------------------------------------------------------------------------------


def _image_labels(scenes: list[ImageScene]) -> Labels:
    presence = torch.zeros(len(scenes), len(_OBJECTS))
    sides = torch.full((len(scenes), 4, len(_OBJECTS)), -1.0)  # -1: says nothing
    for n, scene in enumerate(scenes):
        names = [scene.object] if scene.other is None else [scene.object, scene.other]
        numbers = [_OBJECTS.index(name) for name in names]
        presence[n, numbers] = 1
        if scene.relation is not None:
            for side, here in zip(SIDES[scene.relation], (0, 1), strict=True):
                sides[n, side] = 0
                sides[n, side, numbers[here]] = 1
    return {
        "presence": presence,
        "sides": sides,
        "count": torch.tensor([s.count if s.relation is None else 2 for s in scenes]) - 1,
        "background": torch.tensor([_BACKGROUNDS.index(s.background) for s in scenes]),
    }


def _image_data(number: int, split: Split, seed: int) -> tuple[Tensor, list[ImageScene]]:
    rng = np.random.default_rng([seed, 1, split == "test"])
    scenes = [sample_image(rng, split, relation_share=0.25) for _ in range(number)]
    pictures = [render_image(scene) for scene in scenes]
    if split == "train":
        pictures = [compress(p, rng) if rng.random() < 0.25 else p for p in pictures]
    return torch.from_numpy(np.stack(pictures)), scenes


def _train_image(
    folder: Path, num_samples: int, num_train: int, num_test: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    pixels, scenes = _image_data(num_train, "train", seed)
    labels = _image_labels(scenes)
    logger.info("rendered %d pictures", len(pixels))
    network = ImageVerifier()

    def step(indices: NDArray[np.int64]) -> Tensor:
        chosen = torch.from_numpy(indices)
        out = network(soften(normalise(pixels[chosen])))
        sides, presence = labels["sides"][chosen], labels["presence"][chosen]
        known = sides >= 0
        return (
            8 * _multi_label(out.presence, presence)
            + functional.cross_entropy(out.presence, presence / presence.sum(1, keepdim=True))
            + 4 * _multi_label(out.sides[known], sides[known])
            + functional.cross_entropy(out.count, labels["count"][chosen])
            + 0.5 * functional.cross_entropy(out.background, labels["background"][chosen])
        )

    _fit(network, step, len(pixels), num_samples=num_samples, seed=seed)
    pixels, scenes = _image_data(num_test, "test", seed)
    clean = _measure_image(network, normalise(pixels), scenes)
    softened = _measure_image(network, soften(normalise(pixels)), scenes)
    return network, {"clean": clean, "softened": softened}


def _multi_label(logits: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy in which the few present classes weigh more than the absent ones."""
    weight = torch.where(wanted > 0, 6.0, 1.0)
    return functional.binary_cross_entropy_with_logits(logits, wanted, weight=weight)


@torch.inference_mode()
def _measure_image(network: nn.Module, pixels: Tensor, scenes: list[ImageScene]) -> dict[str, Any]:
    outs = [network(chunk) for chunk in pixels.split(100)]
    presence = torch.cat([out.presence for out in outs])
    sides = torch.cat([out.sides for out in outs])
    labels = _image_labels(scenes)
    exact = ((presence > 0) == (labels["presence"] > 0)).all(1)
    single = torch.tensor([scene.relation is None for scene in scenes])
    holds = []
    for n, scene in enumerate(scenes):
        if scene.relation is not None and scene.other is not None:
            a, b = _OBJECTS.index(scene.object), _OBJECTS.index(scene.other)
            first, second = (sides[n, side] for side in SIDES[scene.relation])
            there = bool(presence[n, a] > 0) and bool(presence[n, b] > 0)
            holds.append(there and bool(first[a] > first[b]) and bool(second[b] > second[a]))
    right = presence.argmax(1) == labels["presence"].argmax(1)
    count = torch.cat([out.count for out in outs]).argmax(1) == labels["count"]
    background = torch.cat([out.background for out in outs]).argmax(1) == labels["background"]
    return {
        "object": _score(right[single]),
        "presence_exact": _score(exact),
        "count": _score(count),
        "background": _score(background),
        "relation": _score(torch.tensor(holds)),
    }


# --- clips ----------------------------------------------------------------------------------------


def _video_data(number: int, split: Split, seed: int) -> tuple[Tensor, list[VideoScene]]:
    rng = np.random.default_rng([seed, 2, split == "test"])
    scenes = [sample_video(rng, split) for _ in range(number)]
    return torch.from_numpy(np.stack([render_video(scene) for scene in scenes])), scenes


def _video_labels(scenes: list[VideoScene]) -> Labels:
    return {
        "object": torch.tensor([_OBJECTS.index(s.object) for s in scenes]),
        "motion": torch.tensor([_MOTIONS.index(s.motion) for s in scenes]),
        "background": torch.tensor([_BACKGROUNDS.index(s.background) for s in scenes]),
    }


def _warm_start(network: VideoVerifier, folder: Path) -> None:
    """Begin with what the picture verifier already sees."""
    file = folder / "image.safetensors"
    if file.is_file():
        known = ("trunk.", "presence.", "background.")
        weights = {k: v.float() for k, v in load_tensors(file).items() if k.startswith(known)}
        network.load_state_dict(weights, strict=False)


def _train_video(
    folder: Path, num_samples: int, num_train: int, num_test: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    pixels, scenes = _video_data(max(1, num_train // 8), "train", seed)
    grey = grey_frames(pixels).half()
    labels = _video_labels(scenes)
    logger.info("rendered %d clips", len(pixels))
    network = VideoVerifier()
    _warm_start(network, folder)

    def step(indices: NDArray[np.int64]) -> Tensor:
        chosen = torch.from_numpy(indices)
        frames = torch.randint(8, chosen.shape)
        presence, background = network.judge_frames(
            soften(normalise(pixels[chosen, frames]))[:, None]
        )
        wanted = functional.one_hot(labels["object"][chosen], len(_OBJECTS)).float()
        motion = network.judge_motion(soften_grey(grey[chosen].float()))
        return (
            8 * _multi_label(presence, wanted)
            + functional.cross_entropy(presence, labels["object"][chosen])
            + functional.cross_entropy(motion, labels["motion"][chosen])
            + 0.5 * functional.cross_entropy(background, labels["background"][chosen])
        )

    _fit(network, step, len(pixels), num_samples=num_samples, seed=seed, peak=1.5e-3)
    pixels, scenes = _video_data(max(1, num_test // 2), "test", seed)
    clean = _measure_video(network, normalise(pixels), scenes)
    softened = _measure_video(network, soften_clips(normalise(pixels)), scenes)
    return network, {"clean": clean, "softened": softened}


@torch.inference_mode()
def _measure_video(network: nn.Module, pixels: Tensor, scenes: list[VideoScene]) -> dict[str, Any]:
    outs = [network(chunk) for chunk in pixels.split(50)]
    labels = _video_labels(scenes)
    presence = torch.cat([out.presence for out in outs])
    motion = torch.cat([out.motion for out in outs]).argmax(1)
    background = torch.cat([out.background for out in outs]).argmax(1)
    found = presence.gather(1, labels["object"][:, None])[:, 0] > 0
    return {
        "object": _score(presence.argmax(1) == labels["object"]),
        "presence": _score(found),
        "motion": _score(motion == labels["motion"]),
        "background": _score(background == labels["background"]),
    }


# --- sounds ---------------------------------------------------------------------------------------


def _audio_data(number: int, split: Split, seed: int) -> tuple[Tensor, list[AudioScene]]:
    """Waves ``[N, S]``; training waves are also sped up or slowed down a little, which shifts their
    pitch.
    """
    rng = np.random.default_rng([seed, 3, split == "test"])
    scenes = [sample_audio(rng, split, pair_share=0.3) for _ in range(number)]
    waves = np.stack([render_audio(scene) for scene in scenes])
    if split == "train":
        steps = np.arange(AUDIO_SAMPLES)
        for wave in waves:
            rate = rng.uniform(0.88, 1.12)
            wave[:] = np.interp(steps * rate, steps, wave, right=0.0)
    return torch.from_numpy(waves), scenes


def _audio_labels(scenes: list[AudioScene]) -> Labels:
    presence = torch.zeros(len(scenes), len(_SOUNDS))
    halves = torch.full((len(scenes), 2, len(_SOUNDS)), -1.0)
    for n, scene in enumerate(scenes):
        numbers = [_SOUNDS.index(name) for name in scene.sounds]
        presence[n, numbers] = 1
        if len(numbers) == 2:
            halves[n] = 0
            halves[n, torch.arange(2), torch.tensor(numbers)] = 1
    return {"presence": presence, "halves": halves}


def _train_audio(
    folder: Path, num_samples: int, num_train: int, num_test: int, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    waves, scenes = _audio_data(max(1, num_train // 2), "train", seed)
    labels = _audio_labels(scenes)
    logger.info("rendered %d sounds", len(waves))
    network = AudioVerifier()
    with torch.inference_mode():
        mels = [network.log_mel(chunk) for chunk in waves.split(100)]
        mels += [network.log_mel(scramble(network, chunk)) for chunk in waves.split(100)]
    mel = torch.cat(mels).half().clone()
    labels = {key: torch.cat([value, value]) for key, value in labels.items()}

    def step(indices: NDArray[np.int64]) -> Tensor:
        chosen = torch.from_numpy(indices)
        out = network(soften_mel(mel[chosen].float()))
        halves = labels["halves"][chosen]
        known = halves >= 0
        return 8 * _multi_label(out.presence, labels["presence"][chosen]) + 4 * _multi_label(
            out.halves[known], halves[known]
        )

    _fit(network, step, len(mel), num_samples=num_samples, seed=seed)
    # Test takes are few (two of each sound), so pairs and seeds make the number of trials.
    assert NUM_TAKES > TEST_TAKES
    waves, scenes = _audio_data(num_test, "test", seed)
    clean = _measure_audio(network, network.log_mel(waves), scenes)
    softened = _measure_audio(
        network, soften_mel(network.log_mel(scramble(network, waves))), scenes
    )
    return network, {"clean": clean, "softened": softened}


@torch.inference_mode()
def _measure_audio(network: nn.Module, mel: Tensor, scenes: list[AudioScene]) -> dict[str, Any]:
    outs = [network(chunk) for chunk in mel.split(100)]
    labels = _audio_labels(scenes)
    presence = torch.cat([out.presence for out in outs])
    halves = torch.cat([out.halves for out in outs]).argmax(2)
    single = torch.tensor([len(scene.sounds) == 1 for scene in scenes])
    exact = ((presence > 0) == (labels["presence"] > 0)).all(1)
    ordered = (halves == labels["halves"].argmax(2)).all(1)
    return {
        "sound": _score(presence.argmax(1)[single] == labels["presence"].argmax(1)[single]),
        "presence_exact": _score(exact),
        "order": _score(ordered[~single]),
    }
