"""Commands on existing data: stats, show, convert, validate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from anyweave.cli.console import out, print_json, print_plain, printable, progress_bar
from anyweave.cli.data.reading import FormatOption, print_lost, reads_data
from anyweave.cli.options import JsonOption


@reads_data()
def data_stats(
    *,
    read: dict[str, Any],
    path: Annotated[str, typer.Argument(help="A data file, or the folder of a dataset.")],
    read_as: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count a dataset as the paper's Table 6 does: modalities in and out, media, turns, instances.

    \b
    anyweave data stats mosit-0.1.0
    anyweave data stats mine.jsonl --json
    anyweave data stats cc3m.tsv --task generate
    """
    from anyweave.data.stats import measure_file

    found = measure_file(path, read_as, **read)
    stats = found.to_dict()
    if as_json:
        print_json({**stats, "lost": dict(found.lost)})
        return
    table = Table("dataset", "in→out modality", title="as in Table 6 of the paper")
    for name in ("images/videos/audios", "turns", "instances"):
        table.add_column(name, justify="right")
    counts = "/".join(f"{count:,}" for count in stats["media"].values())
    turns, instances = str(stats["mean_turns"]), f"{stats['instances']:,}"
    table.add_row(escape(printable(Path(path).name)), stats["in_out"], counts, turns, instances)
    out.print(table)
    print_lost(found.lost)


@reads_data()
def data_show(
    *,
    read: dict[str, Any],
    path: Annotated[str, typer.Argument(help="A data file, or the folder of a dataset.")],
    num: Annotated[int, typer.Option("--num", "-n", help="How many conversations to print.")] = 10,
    seed: Annotated[int, typer.Option(help="Same seed, same choice.")] = 0,
    read_as: FormatOption = None,
) -> None:
    """Print random conversations of a dataset as text; media appear as [image: what it shows].

    \b
    anyweave data show runs/emoji/emoji-mosit --num 3
    """
    from anyweave.data.stats import chosen
    from anyweave.data.written import write_conversation

    for index, conversation in chosen(path, num, seed, read_as, **read):
        print_plain(f"--- {index}\n{write_conversation(conversation)}\n")


@reads_data(copies=True)
def data_convert(
    *,
    read: dict[str, Any],
    source: Annotated[
        str, typer.Argument(help="A file, 'shards/{000..127}.tar', a folder, hf://owner/name.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new file.")],
    read_as: Annotated[
        str | None, typer.Option("--from", help="Format of the source; default: detected.")
    ] = None,
    write_as: Annotated[str, typer.Option("--to", help="Format of OUT.")] = "messages",
    copy_media: Annotated[
        bool, typer.Option("--copy-media", help="Copy media next to OUT; default: refer to them.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Skip what cannot be converted, and count it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a data set to another format and report what is lost. Resumes if stopped.

    \b
    anyweave data convert cc3m.json stage1.jsonl --media images
    anyweave data convert 'shards/{000..331}.tar' stage2.jsonl --task generate
    anyweave data convert mosit.json mosit.jsonl --from mosit --captions-only
    anyweave data convert mine.jsonl mine.json --to ms-swift --skip
    """
    from anyweave.data.conversion import convert
    from anyweave.data.records import Records

    records = Records(source, read_as, **read)
    with progress_bar(f"{records.format.name} to {write_as}") as progress:
        done = convert(
            records, output, write_as, copy_media=copy_media, skip=skip, progress=progress
        )
    if as_json:
        print_json(done.to_dict())
        return
    print_lost(done.lost)
    for reason, count in done.skipped.most_common():
        print_plain(f"left out: {count:,} ({reason})")
    print_plain(f"{output}: {done.written:,} of {done.records:,} records of {source}")


@reads_data()
def data_validate(
    *,
    read: dict[str, Any],
    path: Annotated[str, typer.Argument(help="A data file, or a folder with data files.")],
    read_as: FormatOption = None,
    clean: Annotated[
        Path | None,
        typer.Option(help="Write the good records here; for a folder, to a new folder."),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Reading processes; 0 reads in this one. Default: one per core.")
    ] = os.cpu_count() or 1,
    as_json: JsonOption = False,
) -> None:
    """Read every record and every medium and report all problems. Exit status 1 if there are any.

    \b
    anyweave data validate train.jsonl
    anyweave data validate data --clean good
    anyweave data validate llava_instruct_150k.json --media coco/train2017 --json
    """
    from anyweave.data.place import ReadOptions
    from anyweave.data.validation import validate

    with progress_bar("reading") as progress:
        report = validate(
            path, read_as, ReadOptions(**read), clean=clean, workers=workers, progress=progress
        ).to_dict()
    if as_json:
        print_json(report)
    else:
        for problem in report["problems"]:
            print_plain(problem["problem"])
        for reason, count in report["reasons"].items():
            print_plain(f"{count:6,}  {reason}")
        print_lost(report["lost"])
        for file, name in report["formats"].items():
            print_plain(f"{file}: read as {name}")
        print_plain(
            f"{report['good_records']:,} of {report['records']:,} records are good, "
            f"with {report['media']:,} media read"
        )
        for file in report["clean"]:
            print_plain(f"{file}: the good ones")
    if report["problems"]:
        raise typer.Exit(1)
