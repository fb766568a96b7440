"""Publishes a model on the hub, with everything needed to load it elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from huggingface_hub import HfApi

from anyweave.language.fetch import SOURCES
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import resolve_source
from anyweave.model.checkpoint import save_pretrained
from anyweave.model.sources import local_copy
from anyweave.model.spec import ModelSpec

_CARD = """---
library_name: anyweave
pipeline_tag: any-to-any
---

# {name}

Text, images, videos and sounds in and out of one language model, made with anyweave.

```python
import anyweave as aw

chat = aw.load("{repo_id}").chat()
print(chat.reply("hello").text)
```
"""


def push_to_hub(
    model: NextGPT,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    commit_message: str = "Upload of an anyweave model",
    dtype: torch.dtype | str | None = None,
) -> str:
    """Upload the model, with its local encoders and decoders, to a hub repository, which is created
    if needed. Returns the URL of the commit.

    Args:
        private: whether a new repository is private; None is the account's default.
        token: for the hub; None is the one that ``hf auth login`` stored.
        revision: the branch, created if needed; None is the main one.
        dtype: see `save_pretrained`.

    Raises:
        ValueError: the language model is a local folder, which nobody else has.
    """
    _check_language(model.spec, model.root)
    api = HfApi(token=token)
    with tempfile.TemporaryDirectory(prefix="anyweave-push-") as temporary:
        folder = save_pretrained(model, Path(temporary) / "model", dtype=dtype, include_frozen=True)
        card = _CARD.format(name=model.spec.name, repo_id=repo_id)
        (folder / "README.md").write_text(card, encoding="utf-8")
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, revision=revision, commit_message=commit_message
        )
    return str(commit.commit_url)


def _check_language(spec: ModelSpec, root: Path | None) -> None:
    part = spec.language
    source = resolve_source(part.source, root)
    if part.source in SOURCES or not isinstance(source, Path):
        return
    if source != local_copy(part.source):
        raise ValueError(
            f"the language model is the folder {source}, which travels with no checkpoint; upload "
            "it to a repository of its own and name that id in the spec's language.source"
        )
