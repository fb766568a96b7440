"""Verifiers: small separate classifiers that say what a picture, clip or sound of the world shows.

They share nothing with the model that they judge, and each carries its own accuracy on held-out
real renders (`accuracy`), because a judged figure is worth no more than its judge.
`training.train_verifiers` makes them.
"""

from __future__ import annotations

from emoji_mini.world.verifiers.judge import (
    FOLDER,
    AudioVerdict,
    ImageVerdict,
    Verifiers,
    VideoVerdict,
    accuracy,
    load_verifiers,
)
from emoji_mini.world.verifiers.networks import AudioVerifier, ImageVerifier, VideoVerifier
from emoji_mini.world.verifiers.training import train_verifiers

__all__ = [
    "FOLDER",
    "AudioVerdict",
    "AudioVerifier",
    "ImageVerdict",
    "ImageVerifier",
    "Verifiers",
    "VideoVerdict",
    "VideoVerifier",
    "accuracy",
    "load_verifiers",
    "train_verifiers",
]
