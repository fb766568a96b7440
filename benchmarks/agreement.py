"""Do faster replies say the same? Held-out requests, greedily, with and without each speed-up.

python benchmarks/agreement.py --requests 100

Compared with replies whose steps take the usual kernel and the weights as they are. No decoder
runs.
"""

from __future__ import annotations

import argparse
from typing import Any

from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.language import single_row
from anyweave.messages import Message
from anyweave.model import NextGPT
from emoji_mini.emoji_talk import Dialogues

Said = tuple[str, tuple[str, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="emoji-mini")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    model = NextGPT.from_pretrained(given.model)
    requests = in_words(given.requests, given.seed)
    single = ask(model, requests)
    int8 = ask(model, requests, quantization="int8")
    with ReplyBatcher(model) as batcher:
        together = ask(model, requests, batcher)
    single_row._pays = lambda: False  # type: ignore[assignment]
    usual = ask(model, requests)
    print(f"| replies to {len(requests)} requests | same media | same words |\n|---|---|---|")
    for name, said in (
        ("kernel for one row", single),
        ("8-bit weights", int8),
        ("16 conversations together", together),
    ):
        pairs = list(zip(said, usual, strict=True))
        media = sum(one[1] == other[1] for one, other in pairs)
        words = sum(one[0] == other[0] for one, other in pairs)
        print(f"| {name} | {media} | {words} |")


def in_words(number: int, seed: int) -> list[Message]:
    """First messages of held-out dialogues that hold no media."""
    source = Dialogues("test", 3 * number, seed)
    first = (source[index][0] for index in range(len(source)))
    return [message for message in first if not message.media()][:number]


def ask(
    model: NextGPT, requests: list[Message], batcher: ReplyBatcher | None = None, **options: Any
) -> list[Said]:
    """What is said to each request, and which media were meant."""
    chosen = GenerationOptions(temperature=0.0, max_new_tokens=48, decode_media=False, **options)
    opened = (batcher or model).chat
    each = map if batcher is None else batcher.map
    replies = each(lambda request: opened(chosen).reply(request), requests)
    return [(reply.text, tuple(m.modality for m in reply.media())) for reply in replies]


if __name__ == "__main__":
    main()
