"""`anyweave data t2m`: captions wrapped into requests and replies with media."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import progress_bar
from anyweave.cli.data.reading import AllowOutsideOption
from anyweave_making.cli.making import (
    BudgetOption,
    CollectionOption,
    LicenceOption,
    LLMModelOption,
    LLMOption,
    PriceOption,
    SourceOption,
    WorkersOption,
    YesOption,
    agree,
    language_model,
    print_release,
    read_collections,
)


def data_t2m(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the dataset, a new one.")
    ],
    collection: CollectionOption,
    work: Annotated[
        Path | None, typer.Option(help="Keeps progress and answers; default: OUT.work.")
    ] = None,
    per_item: Annotated[int, typer.Option(help="Exchanges for each medium.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same dataset.")] = 0,
    name: Annotated[str, typer.Option(help="Name in the card.")] = "t2m",
    version: Annotated[str, typer.Option(help="Version in the card.")] = "0.1.0",
    copy_media: Annotated[
        bool, typer.Option("--copy-media", help="Copy the media into the dataset.")
    ] = False,
    allow_outside: AllowOutsideOption = False,
    licence: LicenceOption = "",
    source: SourceOption = "",
    llm: LLMOption = None,
    llm_model: LLMModelOption = "",
    price: PriceOption = "0,0",
    budget: BudgetOption = None,
    workers: WorkersOption = 4,
    yes: YesOption = False,
) -> None:
    """Wrap captions into requests and replies with media (T2M, paper section 5.2).

    \b
    anyweave data t2m t2m-0.1.0 --collection cc3m.csv --collection audiocaps.tsv
    anyweave data t2m t2m-0.2.0 --collection cc3m.csv --llm http://localhost:8000/v1 \\
        --llm-model qwen --price 0.4,1.6 --budget 20
    """
    from anyweave_making.t2m import ANSWER_TOKENS, LLMWriter, build_t2m, t2m_prompts

    items = read_collections(collection, source, licence)
    work = work or output.with_name(f"{output.name}.work")
    with ExitStack() as stack:
        writer = None
        if llm is not None:
            model = stack.enter_context(language_model(work, llm, llm_model, price, budget))
            prompts = t2m_prompts(items, per_item=per_item, seed=seed)
            agree(model.estimate(prompts, output_tokens=ANSWER_TOKENS), yes)
            writer = LLMWriter(model)
        facts = build_t2m(
            items,
            output,
            work=work,
            writer=writer,
            per_item=per_item,
            seed=seed,
            workers=workers if llm else 1,
            name=name,
            version=version,
            copy_media=copy_media,
            allow_outside=allow_outside,
            progress=stack.enter_context(progress_bar("exchanges")),
        )
    print_release(facts, output)
