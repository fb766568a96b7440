"""Conversations of the emoji world as map-style sources: item i depends on (seed, split, i) and
nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from anyweave.data import MessagesJsonl
from anyweave.data.mixture import Mixture, Source
from anyweave.data.stats import DATASET_FILE
from anyweave.messages import Conversation, Modality
from emoji_mini.world.dialogues import KINDS
from emoji_mini.world.draft import Dialogue, Draft
from emoji_mini.world.scenes import Split

Stage = Literal["stage1", "stage2", "stage3"]

# Shares of the kinds of talk in each training stage (paper section 4: encoding side, decoding side,
# instructions).
STAGE_KINDS: dict[str, dict[str, float]] = {
    "stage1": {
        "caption_image": 0.34,
        "caption_video": 0.22,
        "caption_audio": 0.22,
        "ask_image": 0.12,
        "ask_video": 0.05,
        "ask_audio": 0.05,
    },
    "stage2": {
        "request_image": 0.40,
        "request_video": 0.25,
        "request_audio": 0.25,
        "several_media": 0.10,
    },
    # A quarter is words alone ("talk" and "refuse"): that is where the model learns not to draw.
    "stage3": {
        "talk": 0.16,
        "refuse": 0.09,
        "request_image": 0.10,
        "request_video": 0.07,
        "request_audio": 0.07,
        "several_media": 0.05,
        "cross": 0.09,
        "follow_up": 0.14,
        "caption_image": 0.03,
        "caption_video": 0.02,
        "caption_audio": 0.02,
        "ask_image": 0.04,
        "ask_video": 0.02,
        "ask_audio": 0.02,
        "compare": 0.01,
        "mood": 0.015,
        "plan": 0.01,
        "joke": 0.01,
        "homework": 0.015,
        "talk_then_show": 0.03,
    },
}
# What comes beside written dialogues: media to be described, which few of those are about alone.
_LOOKED_AT: dict[str, float] = {**STAGE_KINDS["stage1"], "compare": 0.03, "cross": 0.15}


class WorldDialogues:
    """`size` conversations of a split, drawn from `kinds` (names of `dialogues.KINDS` with weights;
    None: stage 3).

    `with_media` renders the assistant's media too, all or those of some modalities; without it they
    hold only their captions, which is all that caption alignment needs. User media are always
    rendered. Raises `ValueError` for an unknown kind.
    """

    def __init__(
        self,
        split: Split,
        size: int,
        seed: int = 0,
        *,
        kinds: Mapping[str, float] | None = None,
        with_media: bool | Collection[Modality] = True,
    ) -> None:
        kinds = STAGE_KINDS["stage3"] if kinds is None else kinds
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise ValueError(f"unknown kinds of talk {unknown}; there are {', '.join(KINDS)}")
        if size < 0:
            raise ValueError(f"size must be at least 0, got {size}")
        self.split: Split = split
        self.size = size
        self.seed = seed
        self.with_media = with_media
        self.kinds = tuple(kinds)
        weights = np.array([kinds[kind] for kind in self.kinds], float)
        self._weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Conversation:
        return self.dialogue(index).messages

    def dialogue(self, index: int) -> Dialogue:
        """Conversation `index` with its truth. Raises `IndexError` past the end."""
        if index < 0:
            index += self.size
        if not 0 <= index < self.size:
            raise IndexError(f"index {index} of a source of {self.size} conversations")
        kind, draft = self._draft(index)
        return draft.finish(kind, with_media=self.with_media)

    def length(self, index: int) -> int:
        """About how many tokens conversation `index` has, without rendering anything."""
        said = [part for _, parts in self._draft(index)[1].turns for part in parts]
        return sum(len(part) // 4 + 4 if isinstance(part, str) else 12 for part in said)

    def _draft(self, index: int) -> tuple[str, Draft]:
        rng = np.random.default_rng([self.seed, self.split == "test", index])
        kind = self.kinds[int(rng.choice(len(self.kinds), p=self._weights))]
        while True:
            draft = Draft(rng, self.split)
            KINDS[kind](draft)
            if draft.allowed:
                return kind, draft


def stage_source(
    stage: str,
    split: Split,
    size: int,
    seed: int = 0,
    *,
    with_media: bool | Collection[Modality] = True,
) -> WorldDialogues:
    """The mixture of a stage, see `STAGE_KINDS`. Raises `ValueError` for an unknown stage."""
    if stage not in STAGE_KINDS:
        raise ValueError(f"unknown stage {stage!r}; there are {', '.join(STAGE_KINDS)}")
    return WorldDialogues(split, size, seed, kinds=STAGE_KINDS[stage], with_media=with_media)


def written_source(
    folder: str | Path, *, datasets: Collection[str], looked_at: int = 0, seed: int = 0
) -> Mixture[Conversation]:
    """The data sets that `anyweave data emoji` wrote into `folder`, and `looked_at` conversations
    about given media; every one once an epoch.

    Raises `ValueError` if a data set is not there, or if there would be nothing at all.
    """
    sources: dict[str, Source[Conversation]] = {}
    for name in datasets:
        path = Path(folder) / name / DATASET_FILE
        if not path.is_file():
            raise ValueError(f"there is no {path}; write it with: anyweave data emoji {folder}")
        sources[name] = MessagesJsonl(path, check_media=False)
    if looked_at:
        sources["looked at"] = WorldDialogues(
            "train", looked_at, seed, kinds=_LOOKED_AT, with_media=False
        )
    return Mixture(sources, seed=seed)
