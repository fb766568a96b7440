"""How long a reply takes, part by part, on this machine now.

python benchmarks/reply_latency.py --model emoji-mini --threads 2 [--repeats 5] [--json out.json]

Every figure is the median of the repeats after one warm-up; compared pairs alternate within one
run, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from anyweave.generation import ChatSession, Done, GenerationOptions, TextDelta, TokenEngine
from anyweave.language.replying import for_replies
from anyweave.messages import Message
from anyweave.model import NextGPT
from anyweave.processing import collate

PROMPT = "Please tell me in a few simple words how a dog and a cat can be good friends."
SPEECH_TOKENS = 32
NAMES = {"image": "picture", "video": "clip", "audio": "sound"}
OPTIONS = GenerationOptions(temperature=0.0, seed=0, max_new_tokens=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="emoji-mini")
    parser.add_argument("--threads", type=int, default=None, help="default: PyTorch's choice")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    figures = measure(given.model, given.repeats)
    print(to_markdown(figures))
    text = json.dumps(figures, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n", encoding="utf-8")


def measure(source: str, repeats: int) -> dict[str, Any]:
    """All figures; seconds unless the name says otherwise."""
    started = time.perf_counter()
    model = NextGPT.from_pretrained(source)
    loaded = time.perf_counter() - started
    load = [loaded, *_seconds(lambda: NextGPT.from_pretrained(source), repeats - 1)]
    figures: dict[str, Any] = {
        "model": source,
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "load_first": loaded,
        "load": statistics.median(load),
        "prompt_tokens": _prompt(model).input_ids.shape[0],
        "first_text_token_cold": _first_token(model),
        "first_text_token": statistics.median(_first_token(model) for _ in range(repeats)),
    }
    _speech_seconds(model)
    speech = statistics.median(_speech_seconds(model) for _ in range(repeats))
    figures["tokens_per_second"] = SPEECH_TOKENS / speech
    for modality in model.decoders:
        started = time.perf_counter()
        steps = model.decoders[modality].defaults.num_inference_steps
        model.decoders[modality]
        figures[f"{modality}_decoder_load"] = time.perf_counter() - started
        figures[f"{modality}_steps"] = steps
        _medium(model, modality)
        figures[modality] = statistics.median(_medium(model, modality) for _ in range(repeats))
    figures["previews"] = {
        modality: _alternating(
            partial(_medium, model, modality, previews=True),
            partial(_medium, model, modality),
            repeats,
        )
        for modality in model.decoders
        if modality != "audio"
    }
    figures["ratios"] = _ratios(model, repeats)
    return figures


def to_markdown(figures: dict[str, Any]) -> str:
    """The figures as a table."""
    rows = [
        ("load, language model and encoders", f"{figures['load']:.2f} s"),
        (
            f"first text token after a prompt of {figures['prompt_tokens']} tokens",
            f"{figures['first_text_token']:.2f} s (first ever "
            f"{figures['first_text_token_cold']:.2f} s)",
        ),
        ("speech", f"{figures['tokens_per_second']:.1f} tokens/s"),
    ]
    for modality, name in NAMES.items():
        if modality in figures:
            steps = figures[f"{modality}_steps"]
            steps = f"{steps} steps" if steps else "default steps"
            rows.append((f"one {name}, {steps}", f"{figures[modality]:.2f} s"))
    rows += [
        (f"one {NAMES[modality]}, shown in the making", f"{ratio:.3f} times as long")
        for modality, ratio in figures["previews"].items()
    ]
    rows += [(name, f"{ratio:.2f} times faster") for name, ratio in figures["ratios"].items()]
    head = f"{figures['model']}, {figures['threads']} threads, median of {figures['repeats']}"
    return "\n".join((f"| {head} | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)))


def _seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def _first_token(model: NextGPT) -> float:
    started = time.perf_counter()
    options = replace(OPTIONS, max_new_tokens=16, modalities=("text",))
    events: Iterable[Any] = ChatSession(model, options).send(PROMPT)
    next(event for event in events if isinstance(event, TextDelta))
    return time.perf_counter() - started


def _medium(model: NextGPT, modality: Any, previews: bool = False) -> float:
    """Seconds of conditioning and decoding alone."""
    options = replace(OPTIONS, modalities=(modality,), force=(modality,), previews=previews)
    session = ChatSession(model, options)
    for event in session.send("Hello."):
        last = event
    assert isinstance(last, Done)
    return float(last.usage.seconds[modality])


def _prompt(model: NextGPT) -> Any:
    return model.processor.render([Message("user", PROMPT)], add_generation_prompt=True)


def _engine(model: NextGPT, use_cache: bool = True) -> TokenEngine:
    """An engine that has read the prompt and that nothing stops."""
    processor = model.processor
    engine = TokenEngine(
        for_replies(model.language),
        processor.signals,
        stops=(),
        decode=processor.decode_text,
        num_text_ids=len(processor.tokenizer),
        use_cache=use_cache,
    )
    with torch.inference_mode():
        engine.feed(model.embed(collate([_prompt(model)], pad_id=0)))
    return engine


def _speech_seconds(model: NextGPT, use_cache: bool = True) -> float:
    """Seconds to speak `SPEECH_TOKENS` tokens after the prompt was read."""
    options = replace(OPTIONS, max_new_tokens=SPEECH_TOKENS, modalities=())
    engine = _engine(model, use_cache)
    started = time.perf_counter()
    for _ in engine.generate(options):
        pass
    return time.perf_counter() - started


def _ratios(model: NextGPT, repeats: int) -> dict[str, float]:
    """How many times faster what we do is than the plain way."""
    found = {}
    for modality in model.processor.signals.modalities:
        ids = model.processor.signals.ids(modality)
        engine = _engine(model)
        length = engine.length

        def whole(engine: TokenEngine = engine, ids: Any = ids, length: int = length) -> None:
            engine.feed_ids(ids)
            engine.keep(length)

        def single(engine: TokenEngine = engine, ids: Any = ids, length: int = length) -> None:
            for token_id in ids:
                engine.feed_ids([token_id])
            engine.keep(length)

        name = f"{NAMES[modality]} run of {len(ids)} signal tokens in one forward"
        found[name] = _alternating(
            lambda: _seconds(single, 1)[0], lambda: _seconds(whole, 1)[0], repeats
        )
    found[f"key-value cache over {SPEECH_TOKENS} tokens"] = _alternating(
        lambda: _speech_seconds(model, False), lambda: _speech_seconds(model, True), repeats
    )
    return found


def _alternating(slow: Callable[[], float], fast: Callable[[], float], repeats: int) -> float:
    """Median of the ratio of two ways' seconds, after one warm-up of each."""
    slow()
    fast()
    return statistics.median(slow() / fast() for _ in range(repeats))


if __name__ == "__main__":
    main()
