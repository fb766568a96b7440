"""How fast replies are beside what one would use instead, with the same weights and the same work.

python benchmarks/against_peers.py --repeats 5 --threads 2 --out docs/speed.md

Both sides of a pair take turns within one run, so that a busy machine disturbs both alike. A ratio
is the peer's time by ours: above 1 we are faster. Every table holds wall-clock ratios and ratios of
processor time (of all threads), each as median and range over the repeats. The public flow of 2023
is written anew from its description: adapters beside the weights, every hidden state of every step
kept, signal tokens one by one, the empty caption encoded for each picture, 50 steps.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from anyweave.decoders.schedulers import build_scheduler
from anyweave.generation import ChatSession, GenerationOptions, TextDelta, TokenEngine
from anyweave.language import CausalLM
from anyweave.language.attention import attend_with
from anyweave.language.replying import for_replies
from anyweave.messages import Message
from anyweave.model import NextGPT

PROMPT = "Show me a happy red dog on a hill at night."
TOKENS = 32
FLOW_STEPS = 50
BEGIN, END = "<!-- table: peers -->", "<!-- end -->"
OPTIONS = GenerationOptions(temperature=0.0, seed=0, max_new_tokens=TOKENS, modalities=("text",))


@dataclass(frozen=True)
class Pair:
    """Two ways to do the same work; `agree` says in words how far their results are equal."""

    name: str
    peer: Callable[[], Any]
    ours: Callable[[], Any]
    agree: Callable[[Any, Any], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="emoji-mini")
    parser.add_argument("--threads", type=int, default=None, help="default: PyTorch's choice")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="measure the rows with this in their name")
    parser.add_argument("--note", default="", help="about the machine, written below the table")
    parser.add_argument("--out", type=Path, default=None, help="a page to put the table in")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    model = NextGPT.from_pretrained(given.model)
    chosen = [pair for pair in pairs(model, given.model) if given.only in pair.name]
    table = to_markdown([measure(pair, given.repeats) for pair in chosen], given)
    print(table)
    if given.out is not None:
        page = given.out.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        given.out.write_text(f"{before}{BEGIN}\n{table}{END}{rest.split(END)[1]}", encoding="utf-8")


def pairs(model: NextGPT, source: str) -> list[Pair]:
    """All comparisons that `model` can be part of."""
    # The peer's attention is its own; the view that replies use has another.
    merged = copy.deepcopy(for_replies(model.language))
    attend_with(merged, "sdpa")
    found = [
        _decoding(model, "decoding, `generate` with adapters", model.language, None),
        _decoding(model, "decoding, `generate` on merged weights", merged, None),
    ]
    if model.device.type == "cpu":
        name = "decoding in 8 bits, `generate` on merged weights"
        found.append(_decoding(model, name, merged, "int8"))
    if "image" in model.decoders:
        if isinstance(model.decoders["image"].vae, diffusers.AutoencoderKL):
            found += [_picture(model), _picture_reply(model)]
        else:
            print("no picture: diffusers has no pipeline for this decoder", file=sys.stderr)
    return [_cold_start(model, source), *found]


def measure(pair: Pair, repeats: int) -> dict[str, Any]:
    """Ratios of wall-clock and processor time, after one warm-up of each side."""
    agree = pair.agree(pair.peer(), pair.ours())
    wall, processor, seconds = [], [], []
    for _ in range(repeats):
        peer, ours = _seconds(pair.peer), _seconds(pair.ours)
        wall.append(peer[0] / ours[0])
        processor.append(peer[1] / ours[1])
        seconds.append((peer[1], ours[1]))
    middle = [statistics.median(side) for side in zip(*seconds, strict=True)]
    return {"name": pair.name, "wall": wall, "cpu": processor, "seconds": middle, "agree": agree}


def to_markdown(rows: list[dict[str, Any]], given: argparse.Namespace) -> str:
    """The table, with the machine and the versions it was made with."""
    lines = [
        "| work | processor time, times faster | wall clock, times faster | peer, ours | results |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        peer, ours = row["seconds"]
        cells = (row["name"], _range(row["cpu"]), _range(row["wall"]))
        lines.append(f"| {' | '.join(cells)} | {peer:.2f} s, {ours:.2f} s | {row['agree']} |")
    lines.append("")
    lines.append(
        f"`{given.model}`, {platform.machine()}, {torch.get_num_threads()} threads, median [least, "
        f"most] of {given.repeats} interleaved repeats; torch {torch.__version__}, diffusers "
        f"{diffusers.__version__}. {given.note}".rstrip()
    )
    return "\n".join(lines) + "\n"


def _range(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def _seconds(call: Callable[[], Any]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), sum(os.times()[:4])  # of children too
    call()
    return time.perf_counter() - wall, sum(os.times()[:4]) - processor


# What is left at the end of a process is nobody's wait, so both leave without tidying up.
_PEER_START = """
import os, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({folder!r})
model = AutoModelForCausalLM.from_pretrained({folder!r}, dtype=torch.{dtype})
said = [{{"role": "user", "content": {prompt!r}}}]
given = tokenizer.apply_chat_template(
    said, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
with torch.inference_mode():
    made = model.generate(**given, max_new_tokens=1, do_sample=False)
print("said", repr(tokenizer.decode(made[0, -1:])), flush=True)
os._exit(0)
"""
_OUR_START = """
import os
import anyweave as aw
chat = aw.load({source!r}).chat()
event = next(chat.send({prompt!r}, temperature=0.0))
print("said", repr(getattr(event, "text", event)), flush=True)
os._exit(0)
"""


def _cold_start(model: NextGPT, source: str) -> Pair:
    """A new process each, until the first token is there: the plain language model by a script of
    transformers, and the whole model.
    """
    folder = model.language.model.config._name_or_path
    dtype = str(model.language.dtype).removeprefix("torch.")
    codes = (
        _PEER_START.format(folder=folder, dtype=dtype, prompt=PROMPT),
        _OUR_START.format(source=source, prompt=PROMPT),
    )

    def run(code: str) -> str:
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **threads}
        )
        return done.stdout.strip().splitlines()[-1]

    theirs, ours = (partial(run, code) for code in codes)
    name = "cold start to the first token, a script of transformers"
    return Pair(name, theirs, ours, lambda one, other: "a token each")


def _prompt(model: NextGPT) -> Tensor:
    sample = model.processor.render([Message("user", PROMPT)], add_generation_prompt=True)
    return sample.input_ids[None]


def _decoding(model: NextGPT, name: str, peer: CausalLM, quantization: Any) -> Pair:
    """The prompt and `TOKENS` tokens, greedily. `peer` is what `generate` runs on."""
    ids = _prompt(model)
    language = for_replies(model.language, quantization=quantization)

    def theirs() -> list[int]:
        with torch.inference_mode():
            made = peer.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=TOKENS,
                min_new_tokens=TOKENS,
                do_sample=False,
                pad_token_id=0,
            )
        said: list[int] = made[0, ids.shape[1] :].tolist()
        return said

    def ours() -> list[int]:
        engine = _engine(model, language)
        engine.feed_ids(ids[0].tolist())
        said: list[int] = []
        for event in engine.generate(OPTIONS):
            if isinstance(event, TextDelta):
                assert event.token_ids is not None
                said += event.token_ids
        return said

    def agree(one: list[int], other: list[int]) -> str:
        same = next((n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), TOKENS)
        return f"first {same} of {TOKENS} tokens equal"

    return Pair(name, theirs, ours, agree)


def _engine(model: NextGPT, language: CausalLM) -> TokenEngine:
    """An engine that nothing stops; the end-of-sequence ids are as impossible as for the peer."""
    processor = model.processor
    engine = TokenEngine(
        language,
        processor.signals,
        stops=(),
        decode=processor.decode_text,
        num_text_ids=len(processor.tokenizer),
    )
    allowed = engine.allowed_ids

    def without_ends(media: Any) -> Tensor:
        mask = allowed(media)
        mask[list(model.language.eos_ids)] = False
        return mask

    engine.allowed_ids = without_ends  # type: ignore[method-assign]
    return engine


def _pipeline(decoder: Any, scheduler: str) -> Any:
    pipeline = diffusers.StableDiffusionPipeline(
        vae=decoder.vae,
        text_encoder=decoder.text_encoder,
        tokenizer=decoder.tokenizer,
        unet=decoder.unet,
        scheduler=build_scheduler(scheduler, decoder.scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _size(model: NextGPT) -> dict[str, int]:
    decoder = model.decoders["image"]
    made = decoder.generate(
        decoder.unconditional(), seeds=[0], num_inference_steps=1, guidance_scale=1.0
    )
    height, width, _ = made[0].shape
    return {"height": height, "width": width}


def _picture(model: NextGPT) -> Pair:
    """One picture of a caption's embedding by the same decoder, steps and guidance."""
    decoder = model.decoders["image"]
    steps, guidance = decoder.defaults.num_inference_steps, decoder.guidance_scale
    pipeline, size = _pipeline(decoder, decoder.defaults.scheduler), _size(model)
    embeds = decoder.encode_captions(["a happy red dog on a hill at night"])
    negative = decoder.unconditional()

    def theirs() -> Any:
        with torch.inference_mode():
            return pipeline(
                prompt_embeds=embeds,
                negative_prompt_embeds=negative,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator().manual_seed(0),
                output_type="np",
                **size,
            )[0][0]

    def ours() -> Any:
        with torch.inference_mode():
            return decoder.generate(
                embeds, seeds=[0], num_inference_steps=steps, guidance_scale=guidance
            )[0]

    def agree(one: Any, other: Any) -> str:
        return f"pixels differ by at most {abs(one * 255 - other).max():.1f} of 255"

    return Pair(f"a picture, diffusers' pipeline, {steps} steps", theirs, ours, agree)


def _picture_reply(model: NextGPT) -> Pair:
    """A few words and a picture: our reply with its defaults, and the flow of 2023."""
    decoder = model.decoders["image"]
    pipeline, size = _pipeline(decoder, "ddim"), _size(model)
    words, ids, lm = 8, _prompt(model), model.language
    guidance = decoder.guidance_scale

    @torch.inference_mode()
    def theirs() -> str:
        embeds, cache, kept = lm.embed(ids), None, []
        run = model.processor.signals.ids("image")
        for number in range(words + len(run)):
            output = lm.decoder(
                inputs_embeds=embeds.to(lm.dtype),
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=True,
            )
            cache = output.past_key_values
            kept.append(output.hidden_states)
            said = int(lm.logits(output.last_hidden_state[:, -1]).argmax())
            token = said if number < words else run[number - words]
            embeds = lm.embed(torch.tensor([[token]]))
        hidden, _ = lm(embeds, past_key_values=cache, use_cache=True)
        states = [*(step[-1][:, -1] for step in kept[1 - len(run) :]), hidden[:, -1]]
        pipeline(
            prompt_embeds=model.condition("image", torch.stack(states, dim=1)),
            negative_prompt_embeds=decoder.encode_captions([""]),
            num_inference_steps=FLOW_STEPS,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(0),
            **size,
        )
        return "a picture"

    options = replace(OPTIONS, max_new_tokens=words, modalities=None, max_media=0, force=("image",))

    def ours() -> str:
        session = ChatSession(model, options)
        session._engine = _engine(model, lm)
        session.reply(PROMPT)
        return "a picture"

    steps = decoder.defaults.num_inference_steps
    name = f"{words} tokens and a picture, the flow of 2023 ({FLOW_STEPS} steps, ours {steps})"
    return Pair(name, theirs, ours, lambda one, other: f"{one} each, of other steps")


if __name__ == "__main__":
    main()
