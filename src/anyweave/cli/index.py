"""``anyweave index``: search a user's own media by content."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from anyweave.cli.console import err, print_json, print_plain
from anyweave.cli.loading import load_model
from anyweave.cli.options import JsonOption

app = typer.Typer(no_args_is_help=True, help="Find media of your own instead of making them.")
ModelOption = Annotated[str, typer.Option("--model", "-m", help="'emoji-mini', a folder, a hub id")]
IndexOption = Annotated[Path, typer.Option("--out", "-o", help="The index, a folder.")]


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(help="Media, in folders below it too.")],
    output: IndexOption,
    model: ModelOption = "emoji-mini",
    as_json: JsonOption = False,
) -> None:
    """Read all media of a folder. Run it again after a stop, or when files have changed.

    \b
    anyweave index build photos --out photos-index
    anyweave chat --index photos-index
    Captions, sources and licences are read from beside the media, for cat.png from cat.json:
      {"caption": "a cat on a chair", "source": "my camera", "licence": "CC-BY-4.0"}
    Without it the file's name is the caption.
    """
    from anyweave.retrieval import build_index

    loaded = load_model(model, "cpu")
    with err.status("reading media"):
        report = build_index(folder, loaded, output)
    if as_json:
        print_json(vars(report))
        return
    print_plain(f"{output}: {', '.join(f'{n} {m}' for m, n in report.media.items())}")
    if report.known:
        print_plain(f"{report.known} were known already")
    if report.gone:
        print_plain(f"{report.gone} of the earlier index are not in {folder}, and left it")
    for what, counts in (("skipped", report.skipped), ("no encoder for", report.without_features)):
        if counts:
            print_plain(f"{what}: {', '.join(f'{n} {name}' for name, n in counts.items())}")


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="What it should show.")],
    index: Annotated[Path, typer.Option("--index", "-i", help="What `index build` made.")],
    model: ModelOption = "emoji-mini",
    modality: Annotated[str, typer.Option(help="image, video or audio")] = "image",
    limit: Annotated[int, typer.Option(min=1, help="So many, the best first.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """The media in an index that best match some words, with source and licence.

    \b
    anyweave index search "a hedgehog" --index photos-index
    """
    from anyweave.messages import MEDIA_MODALITIES
    from anyweave.retrieval import Finder, Index
    from anyweave.retrieval.index import words_of

    if not words_of(words):
        raise ValueError(f"there is no word in {words!r}; say in letters what it should show")
    if modality not in MEDIA_MODALITIES:
        raise ValueError(f"--modality is one of {', '.join(MEDIA_MODALITIES)}, got {modality!r}")
    loaded_index = Index.load(index)
    finder = Finder(loaded_index, load_model(model, "cpu"), None)
    matches = finder.search(cast("Any", modality), words, limit)
    if as_json:
        print_json([{"score": match.score, **vars(match.entry)} for match in matches])
        return
    for match in matches:
        entry = match.entry
        told = f" ({entry.source}; {entry.licence})" if entry.source or entry.licence else ""
        print_plain(f"{match.score:.2f} {entry.caption}: {entry.path}{told}")
    if not matches:
        print_plain(f"there is no {modality} in {index}")
