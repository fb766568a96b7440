"""emoji-mini, version 1: its shape, the first lesson of its input projector, and its stages.

    python -m emoji_mini.version1 PARTS OUT            # put together, first lesson
    anyweave train stage1 --recipe emoji_mini.version1:stage1     # and 2, and 3

PARTS holds `image-encoder/`, `audio-encoder/` and a decoder folder per modality, and what
`parts.picture_encoder draw` has drawn.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.spec import DecoderSpec, EncoderSpec, LoraSpec, ModelSpec, ProjectorSpec
from anyweave.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from anyweave.training.stages import ENCODING_ALIGNMENT, INSTRUCTION_TUNING
from emoji_mini.emoji_talk.talk import RATES
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene
from emoji_mini.parts import audio_encoder, picture_encoder
from emoji_mini.parts.assemble import assemble, emoji_mini_spec
from emoji_mini.parts.fit import FitOptions
from emoji_mini.parts.warmup import encoder_features, warm_up

SIGNAL_TOKENS: dict[Modality, int] = {"image": 8, "video": 8, "audio": 4}
_SIZES: dict[Modality, int] = {"image": 12_000, "video": 3_000, "audio": 4_000}
_PADDED_TOKENS = 1024  # in a forward: a laptop's memory, and on its cores faster than all at once


def spec(conditioning: dict[Modality, tuple[int, int]]) -> ModelSpec:
    """The shape of version 1, before hashes; `conditioning` is tokens and width per decoder."""
    before = emoji_mini_spec()
    return replace(
        before,
        lora=LoraSpec(
            r=16,
            alpha=32.0,
            dropout=0.0,
            target_modules=(
                *("q_proj", "k_proj", "v_proj", "o_proj"),
                *("gate_proj", "up_proj", "down_proj"),
            ),
        ),
        encoders=(
            EncoderSpec(
                type="transformers",
                source="./encoders/image",
                modalities=("image", "video"),
                args={
                    "video_frames": picture_encoder.VIDEO_FRAMES,
                    "frame_pooling": picture_encoder.FRAME_POOLING,
                },
            ),
            EncoderSpec(type="imagebind", source="./encoders/audio", modalities=("audio",)),
        ),
        input_projector=ProjectorSpec(
            type="grouping",
            args={
                "dim": 256,
                "tokens": [32, 16],
                "depths": [1, 1],
                "layer_mlp_ratio": 4,
                "gumbel_scale": 0.1,
                "initial_temperature": 0.1,
                "positions": 128,
            },
            shared=True,
        ),
        decoders={
            modality: DecoderSpec(
                source=f"./decoders/{modality}",
                conditioning_tokens=tokens,
                conditioning_dim=width,
                num_inference_steps=10,
            )
            for modality, (tokens, width) in conditioning.items()
        },
        signal_tokens=SIGNAL_TOKENS,
        bridge="signal",
    )


def first_lesson(parts: Path, output: Path, options: FitOptions) -> dict[str, float]:
    """Put the frozen parts together in `output` and give the input projector its first lesson."""
    shapes = {m: _conditioning(parts / m) for m in PAPER_MODALITIES}
    assemble(parts, output, spec=spec(shapes))
    model = NextGPT.from_pretrained(output)
    captions: dict[Modality, list[str]] = {}
    features = {}
    for modality, size in _SIZES.items():
        captions[modality], arrays = _media(parts, modality, size)
        features[modality] = encoder_features(model, modality, arrays, RATES[modality])
    return warm_up(model, output, options, captions, features)


def _conditioning(folder: Path) -> tuple[int, int]:
    """How many vectors of which width a decoder's caption encoder gives."""
    config = json.loads((folder / "text_encoder" / "config.json").read_text("utf-8"))
    if "projection_dim" in config and config.get("model_type", "").startswith("clap"):
        return 1, int(config["projection_dim"])
    return int(config["max_position_embeddings"]), int(config["hidden_size"])


def _media(parts: Path, modality: Modality, size: int) -> tuple[list[str], list[np.ndarray]]:
    if modality == "audio":
        scenes, waves = audio_encoder.draw("train", size, 11)
        return [scene.caption for scene in scenes], waves
    name, kind = {"image": ("pictures", PictureScene), "video": ("clips", ClipScene)}[modality]
    rows = json.loads((parts / f"{name}.json").read_text("utf-8"))[:size]
    arrays = np.load(parts / f"{name}.npy", mmap_mode="r")[:size]
    return [kind(**row).caption for row in rows], list(arrays)


def stage1() -> TrainConfig:
    """Captions of pictures, clips and sounds, and questions about them; the input projector
    learns.
    """
    return TrainConfig(
        name="emoji-mini-1-1",
        stage=ENCODING_ALIGNMENT,
        model=ModelConfig(source="runs/version1/first"),
        data=_data("stage1", 20_000),
        optimizer=OptimizerConfig(learning_rate=5e-4, warmup_ratio=0.05),
        steps=150,
        precision="bf16",
        checkpoint_every=50,
        log_every=10,
        output_dir="runs/version1/stage1",
    )


def talking() -> TrainConfig:
    """Stage 3's talk with the language loss alone: adapters, signal rows and the input projector.
    The output projectors learn afterwards, from states that then stay.
    """
    before = stage1()
    return replace(
        before,
        name="emoji-mini-1-talking",
        stage=replace(
            INSTRUCTION_TUNING,
            trainable=("input_projectors", "signal_rows", "lora"),
            losses={"lm": 1.0},
        ),
        model=ModelConfig(source="runs/version1/stage1/model"),
        data=_data("stage3", 400_000),
        optimizer=OptimizerConfig(
            learning_rate=6e-4,
            learning_rates={"lora": 1e-3, "input_projectors": 3e-4, "signal_rows": 2e-3},
            warmup_ratio=0.01,
            schedule="linear",
        ),
        steps=4000,
        output_dir="runs/version1/talking",
    )


def _data(stage: str, size: int) -> DataConfig:
    return DataConfig(
        source="emoji_mini.emoji_talk:Dialogues",
        args={"split": "train", "size": size, "kinds": stage},
        batch_size=32,
        max_padded_tokens=_PADDED_TOKENS,
        max_length=384,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    args = parser.parse_args()
    options = FitOptions(
        steps=args.steps, batch_size=32, learning_rate=1e-3, ema_decay=0.995, checkpoint_every=250
    )
    first_lesson(args.parts, args.output, options)


if __name__ == "__main__":
    main()
