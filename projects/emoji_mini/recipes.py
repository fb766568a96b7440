"""The three stages of the shipped model, on conversations of the emoji world.

``anyweave train part emoji-mini`` makes ``runs/parts/emoji-mini`` (frozen parts and an input
projector that has had its first lesson); each stage continues the one before.
"""

from __future__ import annotations

from dataclasses import replace

from anyweave.messages import PAPER_MODALITIES
from anyweave.training.config import (
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    TrainConfig,
)
from anyweave.training.stages import DECODING_ALIGNMENT, ENCODING_ALIGNMENT, INSTRUCTION_TUNING

# Per forward pass: fits a laptop's memory (see docs/speed.md), and is faster on its cores than all
# at once.
_PADDED_TOKENS = 1024


def stage1() -> TrainConfig:
    """Captions of pictures, clips and sounds, and questions about them; only the input projector
    learns.
    """
    return TrainConfig(
        name="emoji-mini-1",
        stage=ENCODING_ALIGNMENT,
        model=ModelConfig(source="runs/parts/emoji-mini"),
        data=_data("stage1", 20_000),
        optimizer=OptimizerConfig(learning_rate=5e-4, warmup_ratio=0.05),
        steps=150,
        precision="bf16",
        checkpoint_every=50,
        log_every=10,
        output_dir="runs/emoji-mini-1",
    )


def stage2() -> TrainConfig:
    """Requests and the media that answer them: signal rows, and output projectors aligned with the
    captions' embeddings. Nothing is rendered, so nothing is denoised.
    """
    return replace(
        stage1(),
        name="emoji-mini-2",
        stage=DECODING_ALIGNMENT,
        model=ModelConfig(source="runs/emoji-mini-1/model"),
        data=_data("stage2", 6000),
        optimizer=OptimizerConfig(
            learning_rate=1e-3, learning_rates={"signal_rows": 3e-3}, warmup_ratio=0.05
        ),
        # Objects make up a seventh of the variance of a caption's embedding (the rest is count,
        # place and position), so alignment weighs more than the language loss.
        objective=ObjectiveConfig(
            alignment_mode="mse",
            alignment_weights=dict.fromkeys(PAPER_MODALITIES, 2.0),
            denoising_fraction=0.0,
        ),
        steps=60,
        output_dir="runs/emoji-mini-2",
    )


def stage3() -> TrainConfig:
    """Talk of all kinds with the language loss alone: adapters, signal rows and the input
    projector. The output projectors learn later, when signals tell captions apart.
    """
    return replace(
        stage1(),
        name="emoji-mini-3",
        stage=replace(
            INSTRUCTION_TUNING,
            trainable=("input_projectors", "signal_rows", "lora"),
            losses={"lm": 1.0},
        ),
        model=ModelConfig(source="runs/emoji-mini-2/model"),
        data=_data("stage3", 400_000),
        optimizer=OptimizerConfig(
            learning_rate=6e-4,
            learning_rates={"lora": 1e-3, "input_projectors": 3e-4, "signal_rows": 2e-3},
            warmup_ratio=0.01,
            schedule="linear",
        ),
        steps=500,
        output_dir="runs/emoji-mini-3",
    )


def known_things() -> TrainConfig:
    """Stage 3 continued for a while, mostly with requests for known and for unknown things."""
    before = stage3()
    return replace(
        before,
        name="emoji-mini-known",
        model=ModelConfig(source="runs/emoji-mini-3/model"),
        data=replace(
            before.data,
            args={**before.data.args, "seed": 1, "goes_on": True, "kinds": _REQUESTS},
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=3e-4,
            learning_rates={"lora": 6e-4, "input_projectors": 5e-5, "signal_rows": 5e-4},
        ),
        steps=150,
        output_dir="runs/emoji-mini-known",
    )


def signals() -> TrainConfig:
    """Short requests, whose states at signal tokens learn to tell captions apart: the contrast loss
    beside the language loss. Output projectors learn later, from these states.
    """
    before = known_things()
    return replace(
        before,
        name="emoji-mini-signals",
        stage=replace(
            INSTRUCTION_TUNING,
            trainable=("signal_rows", "lora"),
            losses={"lm": 1.0, "contrast": 0.3},
        ),
        model=ModelConfig(source="runs/emoji-mini-known/model"),
        data=replace(
            before.data,
            args={**before.data.args, "seed": 101, "kinds": _SHORT, "goes_on": False},
            batch_size=48,
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=1e-3,
            learning_rates={"lora": 8e-4, "signal_rows": 1.6e-3},
            warmup_ratio=0.05,
        ),
        steps=350,
        output_dir="runs/emoji-mini-signals",
    )


def together() -> TrainConfig:
    """Talk of all kinds. The output projectors, which have had a lesson from signal states, learn
    on with the adapters: alignment beside the contrast loss.
    """
    before = signals()
    return replace(
        before,
        name="emoji-mini-together",
        stage=replace(
            INSTRUCTION_TUNING,
            trainable=("input_projectors", "signal_rows", "lora", "output_projectors"),
            losses={"lm": 1.0, "contrast": 0.2, "alignment": 1.0},
        ),
        model=ModelConfig(source="runs/parts/emoji-mini-signals"),
        data=replace(
            before.data,
            args={**before.data.args, "seed": 8, "kinds": _TOGETHER, "goes_on": 0.4},
            batch_size=32,
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=5e-4,
            learning_rates={"lora": 6e-4, "signal_rows": 1e-3, "input_projectors": 4e-4},
        ),
        # One over the variance of the captions' embeddings: losses are shares of it.
        objective=ObjectiveConfig(
            alignment_mode="mse",
            alignment_weights={"image": 13.0, "video": 19.0, "audio": 3.6},
            denoising_fraction=0.0,
        ),
        steps=560,
        output_dir="runs/emoji-mini-together",
    )


def asked() -> TrainConfig:
    """A last lesson of short talk, in which whoever asks for a known thing gets it. Alignment keeps
    the signals as the output projectors, which are frozen here, read them.
    """
    before = together()
    return replace(
        before,
        name="emoji-mini-asked",
        stage=replace(
            INSTRUCTION_TUNING,
            trainable=("input_projectors", "signal_rows", "lora"),
            losses={"lm": 1.0, "alignment": 1.0},
        ),
        model=ModelConfig(source="runs/emoji-mini-together/model"),
        data=replace(
            before.data,
            args={**before.data.args, "seed": 11, "kinds": _ASKED, "goes_on": 0.2},
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=3e-4,
            learning_rates={"lora": 4e-4, "signal_rows": 5e-4, "input_projectors": 5e-5},
        ),
        steps=120,
        output_dir="runs/emoji-mini-asked",
    )


def reading() -> TrainConfig:
    """Talk about media of the user's, and what else comes short when most talk is of requests:
    several media in one reply, chains from one medium to another. The input projector has just had
    its lesson again and stays as it is: the language model learns to read it.
    """
    before = together()
    return replace(
        before,
        name="emoji-mini-reading",
        stage=replace(before.stage, trainable=("signal_rows", "lora", "output_projectors")),
        model=ModelConfig(source="runs/parts/emoji-mini-reads"),
        data=replace(
            before.data, args={**before.data.args, "seed": 21, "kinds": _READING, "goes_on": 0.4}
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=4e-4,
            learning_rates={"lora": 5e-4, "signal_rows": 6e-4},
        ),
        steps=230,
        output_dir="runs/emoji-mini-reading",
    )


def recall() -> TrainConfig:
    """Talk of all kinds, whose signals recall the words of their caption. The output projectors are
    taught afterwards, from these states.
    """
    before = reading()
    return replace(
        before,
        name="emoji-mini-recall",
        stage=replace(
            before.stage, trainable=("signal_rows", "lora"), losses={"lm": 1.0, "recall": 0.5}
        ),
        model=ModelConfig(source="runs/emoji-mini-reading/model"),
        data=replace(
            before.data, args={**before.data.args, "seed": 31, "kinds": _RECALL, "goes_on": 0.3}
        ),
        optimizer=replace(
            before.optimizer,
            learning_rate=5e-4,
            learning_rates={"lora": 5e-4, "signal_rows": 2e-3},
        ),
        steps=160,
        output_dir="runs/emoji-mini-recall",
    )


def recall_more() -> TrainConfig:
    """The same lesson goes on, with more talk that asks for no medium."""
    before = recall()
    args = {**before.data.args, "seed": 37, "kinds": _RECALL_MORE}
    return replace(
        before,
        name="emoji-mini-recall-more",
        model=ModelConfig(source="runs/emoji-mini-recall/model"),
        data=replace(before.data, args=args),
        steps=150,
        output_dir="runs/emoji-mini-recall-more",
    )


def recall_again() -> TrainConfig:
    """Once more, with more weight, for the first words of long captions are recalled last; and with
    more requests for several media.
    """
    before = recall_more()
    args = {**before.data.args, "seed": 41, "kinds": _RECALL_AGAIN}
    return replace(
        before,
        name="emoji-mini-recall-again",
        stage=replace(before.stage, losses={"lm": 1.0, "recall": 1.5}),
        model=ModelConfig(source="runs/emoji-mini-recall-more/model"),
        data=replace(before.data, args=args),
        steps=140,
        output_dir="runs/emoji-mini-recall-again",
    )


# Few unknown things: a language model this small keeps few names apart, and whoever asks for a
# known thing should get it.
_REQUESTS = {
    **{"ask picture": 0.38, "ask clip": 0.08, "ask sound": 0.15, "several": 0.03, "unknown": 0.07},
    **{"vague": 0.01, "mood": 0.01, "sum": 0.03, "talk": 0.1, "spoken of": 0.02, "cross": 0.02},
    **{"describe picture": 0.03, "describe clip": 0.02, "describe sound": 0.02, "joke": 0.01},
    **{"ask about picture": 0.02, "compare": 0.01},
}
_SHORT = {"ask picture": 0.62, "ask clip": 0.2, "ask sound": 0.1, "several": 0.03, "unknown": 0.05}
_TOGETHER = {
    **{"ask picture": 0.33, "ask clip": 0.13, "ask sound": 0.05, "several": 0.06, "unknown": 0.05},
    **{"vague": 0.01, "mood": 0.01, "sum": 0.03, "cross": 0.05, "compare": 0.01},
    **{"describe picture": 0.1, "describe clip": 0.03, "describe sound": 0.03},
    **{"ask about picture": 0.03, "ask about clip": 0.01, "ask about sound": 0.01},
    **{"talk": 0.07, "spoken of": 0.03, "only words": 0.02, "joke": 0.01},
}


# No unknown things: their decoders' lists of words tell them better than the language model can.
_ASKED = {
    **{"ask picture": 0.44, "ask clip": 0.12, "ask sound": 0.1, "several": 0.06, "vague": 0.01},
    **{"sum": 0.02, "talk": 0.09, "spoken of": 0.02, "only words": 0.02, "cross": 0.02},
    **{"describe picture": 0.05, "describe clip": 0.02, "describe sound": 0.02, "joke": 0.01},
}
_READING = {
    **{"describe picture": 0.2, "describe clip": 0.07, "describe sound": 0.06, "cross": 0.09},
    **{"ask about picture": 0.06, "ask about clip": 0.02, "ask about sound": 0.02, "compare": 0.01},
    **{"ask picture": 0.17, "ask clip": 0.07, "ask sound": 0.05, "several": 0.08, "talk": 0.05},
    **{"spoken of": 0.02, "sum": 0.01, "vague": 0.01, "joke": 0.01},
}
_RECALL = {
    **{"ask picture": 0.3, "ask clip": 0.11, "ask sound": 0.13, "several": 0.13, "cross": 0.05},
    **{"describe picture": 0.08, "describe clip": 0.03, "describe sound": 0.03, "talk": 0.06},
    **{"ask about picture": 0.02, "ask about clip": 0.01, "ask about sound": 0.01},
    **{"spoken of": 0.01, "sum": 0.01, "vague": 0.01, "joke": 0.01},
}
_RECALL_MORE = {
    **{"ask picture": 0.29, "ask clip": 0.11, "ask sound": 0.1, "several": 0.1, "cross": 0.05},
    **{"describe picture": 0.08, "describe clip": 0.03, "describe sound": 0.03, "talk": 0.09},
    **{"ask about picture": 0.02, "ask about clip": 0.01, "ask about sound": 0.01},
    **{"only words": 0.03, "spoken of": 0.02, "sum": 0.01, "vague": 0.01, "joke": 0.01},
}
_RECALL_AGAIN = {
    **{"ask picture": 0.3, "ask clip": 0.09, "ask sound": 0.05, "several": 0.2, "cross": 0.06},
    **{"describe picture": 0.04, "describe clip": 0.02, "describe sound": 0.02, "talk": 0.1},
    **{"ask about picture": 0.02, "ask about clip": 0.01, "ask about sound": 0.01},
    **{"only words": 0.03, "spoken of": 0.02, "sum": 0.01, "vague": 0.01, "joke": 0.01},
}


def _data(stage: str, size: int) -> DataConfig:
    return DataConfig(
        source="emoji_mini.emoji_talk:Dialogues",
        args={"split": "train", "size": size, "kinds": stage},
        batch_size=32,
        max_padded_tokens=_PADDED_TOKENS,
        max_length=384,
    )
