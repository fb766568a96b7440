"""`anyweave convert`: checkpoints of other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import DownloadColumn, Progress

from anyweave.cli.console import err, print_plain


def convert_legacy(
    file: Annotated[Path, typer.Argument(help="pytorch_model.pt of nextgpt_7b_tiva_v0.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    base: Annotated[Path, typer.Option(help="Folder of Vicuna-7B v0.")],
    encoder: Annotated[str, typer.Option(help="The public ImageBind.")] = "imagebind_huge.pth",
) -> None:
    """Convert the NExT-GPT checkpoint that was released in 2023, key by key.

    \b
    anyweave convert legacy pytorch_model.pt nextgpt --base vicuna-7b-v0
    anyweave chat --model nextgpt --device cuda
    """
    from legacy_2023.conversion import convert
    from legacy_2023.spec import Parts

    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=err) as bar:
        task = bar.add_task("language model", total=None)
        record = convert(
            file,
            output,
            base=base,
            parts=Parts(encoder=encoder),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print_plain(f"{output}: made of {record.source}, stage {record.stage}, sha256 {record.sha256}")
