"""`anyweave data mosit`: modality-switching dialogues, from drafts to a release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.console import print_plain, progress_bar
from anyweave.cli.data.reading import AllowOutsideOption
from anyweave.cli.loading import load_model
from anyweave.cli.options import DeviceOption
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

app = typer.Typer(no_args_is_help=True, help="Make modality-switching dialogues.")

HeldOutOption = Annotated[
    list[Path] | None,
    typer.Option(help="Evaluation set that must not leak; repeatable."),
]


@app.command(name="build")
def data_mosit_build(
    work: Annotated[
        Path, typer.Argument(help="Work folder, which keeps everything until the release.")
    ],
    num: Annotated[int, typer.Option("--num", "-n", help="How many drafts to write.")] = 5000,
    seed: Annotated[int, typer.Option(help="Same seed, same drafts.")] = 0,
    topics: Annotated[
        Path | None, typer.Option(help="TOML file of topics; default: the 104 built in.")
    ] = None,
    ground: Annotated[
        list[Path] | None,
        typer.Option(help="Collection whose captions the drafts use; repeatable."),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Template dialogues for the language model.")
    ] = None,
    llm: LLMOption = None,
    llm_model: LLMModelOption = "",
    price: PriceOption = "0,0",
    budget: BudgetOption = None,
    workers: WorkersOption = 4,
    yes: YesOption = False,
) -> None:
    """Write drafts of dialogues with captions in place of their media; a stopped run can resume.

    \b
    anyweave data mosit build work --num 6000 --ground photos.csv --ground sounds.csv
    anyweave data mosit build work --llm https://api.example.com/v1 --llm-model large --price 2,8
    """
    from anyweave_making import mosit
    from anyweave_making.mosit.build import draft_topics
    from anyweave_making.mosit.prompting import ANSWER_TOKENS

    chosen = mosit.read_topics(topics)
    if ground:
        chosen = mosit.grounded(chosen, read_collections(ground))
    with ExitStack() as stack:
        writer: Any = mosit.Grammar(chosen)
        if llm is not None:
            model = stack.enter_context(language_model(work, llm, llm_model, price, budget))
            writer = mosit.Prompter(model, mosit.read_examples(examples))
            named = enumerate(draft_topics(chosen, num, seed))
            prompts = (writer.prompt(topic, (seed, i)) for i, topic in named)
            agree(model.estimate(prompts, output_tokens=ANSWER_TOKENS), yes)
        bar = stack.enter_context(progress_bar("drafts"))
        workers = workers if llm else 1
        count = mosit.build_drafts(
            writer, chosen, work, num=num, seed=seed, workers=workers, progress=bar
        )
    print_plain(f"{count:,} of {num:,} drafts in {work}; next: anyweave data mosit fill {work}")


@app.command(name="fill")
def data_mosit_fill(
    work: Annotated[Path, typer.Argument(help="The folder of the drafts.")],
    collection: CollectionOption = [],  # noqa: B006  (typer wants a list)
    allow_outside: AllowOutsideOption = False,
    generate: Annotated[
        str | None,
        typer.Option(
            help="Model that generates media that are not found: 'emoji-mini' or a folder."
        ),
    ] = None,
    min_score: Annotated[
        float, typer.Option(help="How similar a found caption must be, 0 to 1.")
    ] = 0.5,
    max_uses: Annotated[
        int | None, typer.Option(help="How often one file may be used in total.")
    ] = None,
    licence: LicenceOption = "",
    source: SourceOption = "",
    device: DeviceOption = "cpu",
) -> None:
    """Give every caption a medium: the nearest in your collections, else a generated one.

    \b
    anyweave data mosit fill work --collection photos.csv --collection sounds.csv
    anyweave data mosit fill work --collection photos.csv --generate paper-7b --device cuda
    """
    from anyweave_making import mosit

    settings = {
        "collections": [str(path) for path in collection],
        "generate": generate,
        "min_score": min_score,
        "max_uses": max_uses,
    }
    with _generator(generate, device) as generator, progress_bar("dialogues") as bar:
        filler = _filler(
            work,
            collection,
            source,
            licence,
            generator,
            min_score,
            max_uses,
            allow_outside=allow_outside,
        )
        count = mosit.fill_drafts(work, filler, settings=settings, progress=bar)
    print_plain(
        f"{count:,} dialogues have all their media; next: anyweave data mosit review {work}"
    )


@app.command(name="review")
def data_mosit_review(
    work: Annotated[Path, typer.Argument(help="The folder of the filled dialogues.")],
    port: Annotated[int, typer.Option(help="Port on this machine; 0 chooses one.")] = 8765,
    held_out: HeldOutOption = None,
) -> None:
    """Accept, edit or reject dialogues in the browser; every decision is saved at once.

    \b
    anyweave data mosit review work
    """
    from anyweave_making import mosit
    from anyweave_making.journal import Journal
    from anyweave_making.mosit.publish import filled_dialogues
    from anyweave_making.mosit.review import DECISIONS

    try:
        from anyweave_making.mosit.review_server import review_server
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the review page needs {error.name}, which is not installed: "
            "pip install 'anyweave[serve]'"
        ) from error
    filters, hidden = mosit.Filters(), mosit.read_held_out(held_out or [])
    selection = mosit.select(filled_dialogues(work), filters, hidden)
    with Journal(work / DECISIONS) as decisions:
        server = review_server(mosit.Review(selection.kept, decisions), port)
        for reason, count in selection.counts().items():
            print_plain(f"left out: {count:,} ({reason})")
        print_plain(f"{len(selection.kept):,} dialogues at {server.url} , Ctrl+C to stop")
        server.serve_forever()


@app.command(name="release")
def data_mosit_release(
    work: Annotated[Path, typer.Argument(help="The folder of the filled dialogues.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the dataset, a new one.")
    ],
    name: Annotated[str, typer.Option(help="Name in the card.")] = "mosit",
    version: Annotated[str, typer.Option(help="Version in the card.")] = "0.1.0",
    held_out: HeldOutOption = None,
    only_reviewed: Annotated[
        bool, typer.Option("--only-reviewed", help="Omit what nobody accepted.")
    ] = False,
    min_turns: Annotated[int, typer.Option(help="Fewest turns.")] = 3,
    max_turns: Annotated[int, typer.Option(help="Most turns.")] = 7,
    max_similarity: Annotated[
        float, typer.Option(help="Largest similarity of two dialogues, 0 to 1.")
    ] = 0.8,
    max_imbalance: Annotated[
        float, typer.Option(help="Largest ratio of the commonest kind of media to the rarest.")
    ] = 3.0,
    collection: CollectionOption = [],  # noqa: B006  (typer wants a list)
    allow_outside: AllowOutsideOption = False,
) -> None:
    """Filter the dialogues and write the dataset: conversations, media, origins, hashes and a card.

    \b
    anyweave data mosit release work mosit-0.1.0 --version 0.1.0 --held-out test.jsonl
    """
    from anyweave_making import mosit

    filters = mosit.Filters(
        min_turns=min_turns,
        max_turns=max_turns,
        max_similarity=max_similarity,
        max_imbalance=max_imbalance,
    )
    facts = mosit.publish(
        work,
        output,
        filters,
        name=name,
        version=version,
        held_out=mosit.read_held_out(held_out) if held_out else None,
        only_reviewed=only_reviewed,
        filler=_filler(work, collection, allow_outside=allow_outside) if collection else None,
    )
    print_release(facts, output)


@contextmanager
def _generator(generate: str | None, device: str) -> Iterator[Any]:
    """What generates media, for several dialogues at once; None if nothing was named."""
    if generate is None:
        yield None
        return
    from anyweave.generation.batching import ReplyBatcher
    from anyweave_making.mosit import Generator

    with ReplyBatcher(load_model(generate, device, "caption")) as batcher:
        yield Generator(make=batcher.depict, source=generate, each=batcher.map)


def _filler(
    work: Path,
    collection: Sequence[Path],
    source: str = "",
    licence: str = "",
    generator: Any = None,
    min_score: float = 0.5,
    max_uses: int | None = None,
    *,
    allow_outside: bool,
) -> Any:
    from anyweave_making.mosit import Filler

    if not collection and generator is None:
        raise ValueError("nothing to fill from: give --collection, --generate or both")
    return Filler(
        read_collections(collection, source, licence),
        folder=work / "media",
        generator=generator,
        min_score=min_score,
        max_uses=max_uses,
        allow_outside=allow_outside,
    )
