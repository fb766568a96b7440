"""What a reply gets right. Words are read exactly (`emoji_talk.reading`), media are judged; a
requested medium that is missing is wrong in everything.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from anyweave import media
from anyweave.messages import Media, Message
from emoji_mini.emoji_talk.reading import declines, read
from emoji_mini.emoji_talk.talk import modality_of
from emoji_mini.emoji_world.render import PICTURE_SIZE, render_picture
from emoji_mini.emoji_world.scenes import PictureScene
from emoji_mini.evaluation.changing import errors, is_bigger
from emoji_mini.evaluation.judging import Judges
from emoji_mini.evaluation.trials import Trial

_MANNERS = ("not declined", "order")  # facts about the reply, not about a medium


@dataclass(frozen=True)
class Scored:
    """`shown` are the media that were judged, in the order of the trial's scenes."""

    facts: dict[str, bool]
    errors: dict[str, float] = field(default_factory=dict)
    shown: tuple[Media, ...] = ()

    @property
    def looks_right(self) -> bool:
        """Whether the media are as they should be, whatever the words."""
        return all(right for name, right in self.facts.items() if name not in _MANNERS)


def score(trial: Trial, reply: Message, judges: Judges) -> Scored:
    """Which facts are right."""
    if trial.unknown:
        return Scored({"declined or openly replaced": declines(reply.text)})
    if not trial.wanted:
        if trial.told:
            return Scored(read(reply.text, trial.told[0]))
        return Scored(
            {"words alone": not reply.media(), "says something": bool(reply.text.strip())}
        )
    facts: dict[str, list[bool]] = defaultdict(list)
    facts["not declined"].append(bool(reply.media()) or not declines(reply.text))
    facts["order"].append(tuple(part.modality for part in reply.media()) == trial.wanted)
    left: list[Media] = list(reply.media())
    shown = []
    for scene in trial.scenes:
        modality = modality_of(scene)
        part = next((part for part in left if part.modality == modality), None)
        if part is not None:
            left.remove(part)
            shown.append(part)
        verdict = judges.judge(scene, part, trial.free)
        for name, right in verdict.items():
            facts[name].append(right)
        facts["all right"].append(all(verdict.values()))
    found = {name: all(values) for name, values in facts.items()}
    if trial.kept is None:
        return Scored(found, {}, tuple(shown))
    more, errors_of = _kept(trial.kept, trial, shown, judges)
    return Scored(found | more, errors_of, tuple(shown))


def _kept(
    kept: PictureScene, trial: Trial, shown: list[Media], judges: Judges
) -> tuple[dict[str, bool], dict[str, float]]:
    """How well what should stay has stayed, and for comparison the same for a correct picture of
    the same words that knows nothing of the user's.
    """
    (wanted,) = trial.scenes
    assert isinstance(wanted, PictureScene)
    grows = wanted == kept
    anew = render_picture(replace(wanted, seed=wanted.seed + 1))
    pictures = {", drawn anew from the words": anew}
    if shown:
        made = Image.fromarray(media.load(shown[0])).resize((PICTURE_SIZE, PICTURE_SIZE))
        pictures[""] = np.asarray(made)
    found = {}
    for whose, picture in pictures.items():
        seen = judges.pictures.look([picture])[0]
        for name, error in errors(kept, wanted, seen, picture).items():
            found[f"{name}{whose}"] = error
    if not grows:
        return {}, found
    return {"bigger": bool(shown) and is_bigger(kept, pictures[""])}, found
