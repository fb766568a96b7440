"""A reply, part by part: perception, prefill, speech and every decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from anyweave.benchmarking.hardware import measured, reset_peak_memory
from anyweave.benchmarking.report import BenchReport, Phase
from anyweave.decoders.sampling import drain
from anyweave.generation import GenerationOptions, TokenEngine
from anyweave.language.replying import for_replies
from anyweave.messages import Modality
from anyweave.model import NextGPT


@torch.inference_mode()
def bench_reply(
    model: NextGPT,
    *,
    prompt_tokens: int = 128,
    speech_tokens: int = 64,
    media: Sequence[Modality] | None = None,
    denoising_steps: int | None = None,
    repeats: int = 3,
    precision: str = "bf16",
    scale: float = 1.0,
    **size: Any,
) -> BenchReport:
    """Time the parts of a reply, one medium each.

    Args:
        media: the modalities to read and to make; None means all the model has.
        denoising_steps: per medium; None means the spec's.
        size: of generated media, such as ``height=256`` or ``num_frames=8``; by default the spec's.
        precision: only reported.
        scale: only reported.

    Raises:
        ValueError: the model neither reads nor makes one of `media`.
    """
    model.eval()
    device = model.device
    reset_peak_memory(device)
    wanted = tuple(model.spec.input_modalities + model.spec.output_modalities)
    for modality in media or ():
        if modality not in wanted:
            raise ValueError(
                f"{model.spec.name} neither reads nor makes {modality}; it knows "
                f"{', '.join(dict.fromkeys(wanted))}"
            )
    chosen = [m for m in dict.fromkeys(wanted) if media is None or m in media]
    phases = [
        _reading(model, modality, repeats)
        for modality in chosen
        if modality in model.spec.input_modalities
    ]
    phases += _speaking(model, prompt_tokens, speech_tokens, repeats)
    for modality in chosen:
        if modality in model.spec.output_modalities:
            phases.append(_making(model, modality, denoising_steps, repeats, size))
    return BenchReport.of(
        model,
        "bench reply",
        phases,
        precision=precision,
        scale=scale,
        settings={"prompt": f"{prompt_tokens} tokens", "batch": 1, **size},
    )


def _reading(model: NextGPT, modality: Modality, repeats: int) -> Phase:
    encoder: Any = model.encoders[modality]
    array, rate = _blank(modality)
    inputs = encoder.preprocess(modality, array, rate=rate)[None].to(model.device)

    def read() -> None:
        model.project(modality, encoder(modality, inputs))

    read()  # creates the weights
    seconds, flop = measured(model.device, read, repeats=repeats)
    return Phase(name=f"read {modality}", seconds=seconds, flop=flop, samples=1)


def _speaking(model: NextGPT, prompt: int, speech: int, repeats: int) -> list[Phase]:
    ids = torch.randint(0, 256, (prompt,)).tolist()
    engine = TokenEngine(
        for_replies(model.language),
        model.processor.signals,
        stops=(),
        decode=model.processor.decode_text,
        num_text_ids=len(model.processor.tokenizer),
    )
    options = GenerationOptions(temperature=0.0, max_new_tokens=speech, modalities=("text",))

    def prefill() -> None:
        engine.reset()
        engine.feed_ids(ids)

    def speak() -> None:
        engine.keep(prompt)
        engine.feed_ids([ids[0]])
        for _ in engine.generate(options):
            pass

    seconds, flop = measured(model.device, prefill, repeats=repeats)
    phases = [Phase(name="prefill", seconds=seconds, flop=flop, tokens=prompt)]
    seconds, flop = measured(model.device, speak, repeats=repeats)
    return [*phases, Phase(name="speech", seconds=seconds, flop=flop, tokens=speech + 1)]


def _making(
    model: NextGPT, modality: Modality, steps: int | None, repeats: int, size: dict[str, Any]
) -> Phase:
    count = model.processor.signals.count(modality)
    states = torch.randn(1, count, model.language.hidden_size, device=model.device)
    decoder = model.decoders[modality]
    steps = steps or decoder.defaults.num_inference_steps
    options = GenerationOptions(num_inference_steps=steps, **size)
    arguments = options.decoder_arguments(modality)

    def make() -> None:
        conditioning = model.condition(modality, states)
        drain(decoder.generate_steps(conditioning, seeds=[0], **arguments))

    seconds, flop = measured(model.device, make, repeats=repeats)
    name = f"make {modality}, {steps} steps"
    return Phase(name=name, seconds=seconds, flop=flop, samples=1)


def _blank(modality: Modality) -> tuple[np.ndarray, float | None]:
    """Something to read and its rate; two seconds long, if it has a duration."""
    if modality == "audio":
        return np.zeros(32000, dtype=np.float32), 16000.0
    if modality == "video":
        return np.zeros((16, 224, 224, 3), dtype=np.uint8), 8.0
    return np.zeros((224, 224, 3), dtype=np.uint8), None
