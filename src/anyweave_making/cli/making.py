"""What the commands that make data share: collections of media, a language model, the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.console import err, print_plain

CollectionOption = Annotated[
    list[Path],
    typer.Option(help="Table of media and captions (CSV, TSV, JSONL); repeatable."),
]
LicenceOption = Annotated[str, typer.Option(help="Licence of media whose row has none.")]
SourceOption = Annotated[
    str, typer.Option(help="Source of media whose row has none; default: the table's name.")
]
LLMOption = Annotated[
    str | None,
    typer.Option(help="OpenAI-compatible endpoint, e.g. http://localhost:8000/v1; default: none."),
]
LLMModelOption = Annotated[str, typer.Option(help="Its model; the key is in $OPENAI_API_KEY.")]
PriceOption = Annotated[str, typer.Option(help="Price per million tokens in and out, like 2.5,10.")]
BudgetOption = Annotated[float | None, typer.Option(help="Stop after spending this much.")]
WorkersOption = Annotated[int, typer.Option(help="Concurrent requests.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask to confirm the cost.")]


def read_collections(paths: Sequence[Path], source: str = "", licence: str = "") -> list[Any]:
    """The media of all tables; a row without a source gets the table's name."""
    from anyweave_making.collection import read_collection

    return [
        item
        for path in paths
        for item in read_collection(path, source=source or path.stem, licence=licence)
    ]


@contextmanager
def language_model(
    work: Path, address: str, model: str, price: str, budget: float | None
) -> Iterator[Any]:
    """A language model whose answers are kept in the work folder."""
    from anyweave_making.journal import Journal
    from anyweave_making.llm import LLM, Price

    if not model:
        raise ValueError("which model? give --llm-model with --llm")
    try:
        given, taken = (float(part) for part in price.split(","))
    except ValueError as error:
        raise ValueError(f"--price is two numbers like 2.5,10, got {price!r}") from error
    work.mkdir(parents=True, exist_ok=True)
    with Journal(work / "answers.jsonl") as answers:
        llm = LLM(
            base_url=address,
            model=model,
            answers=answers,
            price=Price(input=given, output=taken),
            budget=budget,
        )
        try:
            yield llm
        finally:
            llm.close()
            used = llm.usage
            err.print(
                f"{used.requests:,} requests, {used.cached:,} answers kept from before, "
                f"{used.retries:,} tried again; {used.input_tokens:,} tokens in, "
                f"{used.output_tokens:,} out, cost {used.cost:.4f}"
            )


def agree(estimate: Any, yes: bool) -> None:
    """Say what it will cost, and continue only if the user agrees."""
    err.print(
        f"{estimate.requests:,} requests, {estimate.cached:,} of them answered before; about "
        f"{estimate.input_tokens:,} tokens in and {estimate.output_tokens:,} out, about "
        f"{estimate.cost:.2f} at the given price"
    )
    if estimate.cost and not yes:
        typer.confirm("Go on?", abort=True, err=True)


def print_release(facts: dict[str, Any], folder: Path) -> None:
    """Print what was left out of a dataset, and its row of Table 6 in one line."""
    stats = facts["stats"]
    media = "/".join(f"{count:,}" for count in stats["media"].values())
    for reason, count in facts["dropped"].items():
        print_plain(f"left out: {count:,} ({reason})")
    print_plain(
        f"{folder}: {stats['instances']:,} conversations, {stats['in_out']}, {media} images/videos/"
        f"audios, {stats['mean_turns']} turns"
    )
