"""Speech of VCTK changed to other words: a speaker's sentence becomes the speaker's next one, for
which VCTK has the real recording.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from anyweave.evaluation.metrics.media import MCD
from anyweave.evaluation.task import Record, Task, first_file
from anyweave.messages import Audio, Message


def records(folder: Path) -> list[Record]:
    speakers = sorted((folder / "txt").glob("p*"))
    if not speakers:
        raise ValueError(f"{folder / 'txt'}: no speakers (p225, ...) there")
    return [
        _record(folder, speaker.name, before, after)
        for speaker in speakers
        for before, after in pairwise(sorted(speaker.glob("*.txt")))
    ]


def _record(folder: Path, speaker: str, before: Path, after: Path) -> Record:
    words = after.read_text(encoding="utf-8").strip()
    return Record(key=after.stem, ask=(Message("user", f'Say "{words}" instead.'),),
                  source=_sound(folder, speaker, before.stem), references=(words,),
                  real=_sound(folder, speaker, after.stem))  # fmt: skip


def _sound(folder: Path, speaker: str, stem: str) -> Audio:
    names = (
        f"wav48_silence_trimmed/{speaker}/{stem}_mic1.flac",  # 0.92
        f"wav48/{speaker}/{stem}.wav",  # 0.80
    )
    return Audio(first_file(folder, *names))


TASK = Task(
    title="Changing speech",
    folder="vctk",
    layout="txt/p*/*.txt, wav48_silence_trimmed/p*/*_mic1.flac",
    records=records,
    makes="audio",
    max_new_tokens=64,
    metrics=(MCD,),
    published={"MCD": {"16": 0.3}},
    note="the paper says neither what is edited nor how its MCD is scaled (3 to 8 is usual): the "
    "difference means nothing, figures of one's own models compare with each other",
)
