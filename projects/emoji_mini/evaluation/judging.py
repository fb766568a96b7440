"""What generated media of the world show: the three judges behind one interface.

    python -m emoji_mini.evaluation.judging             # measures the judges themselves: minutes
    python -m emoji_mini.evaluation.judging --only audio

writes ``trained/judges.json``, which is reported beside every figure they give.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from anyweave import media
from anyweave.evaluation.metrics import Proportion
from anyweave.files import read_object, write_json
from anyweave.messages import PAPER_MODALITIES, Media, Modality
from emoji_mini.emoji_talk.talk import SAMPLERS, as_part
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, Scene
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES
from emoji_mini.parts.clip_judge import MotionJudge, clip_facts
from emoji_mini.parts.picture_autoencoder import load_autoencoder, to_input, to_pixels
from emoji_mini.parts.seeing import Judge, PictureVerdict
from emoji_mini.parts.sound_autoencoder import load_codec
from emoji_mini.parts.sound_verifier import SoundVerifier, load_verifier

MEASURED = Path(__file__).parents[1] / "trained" / "judges.json"


@dataclass(frozen=True)
class Judges:
    """All three. `judge` returns only facts that were asked for."""

    pictures: Judge
    motions: MotionJudge
    sounds: SoundVerifier

    @classmethod
    def load(cls, parts: Path | None = None) -> Judges:
        """The judges trained in `parts`, else the project's trained ones."""
        return cls(Judge(parts), MotionJudge(parts), load_verifier(parts))

    def judge(
        self, scene: Scene, part: Media | None, free: Collection[str] = ()
    ) -> dict[str, bool]:
        """Which facts of the scene a medium shows; all False for None. `free` are facts that may be
        anything.
        """
        if isinstance(scene, PictureScene):
            facts = self._picture(scene, part)
        elif isinstance(scene, ClipScene):
            facts = self._clip(scene, part)
        else:
            heard: tuple[str, ...] = ()
            if part is not None:
                wave = np.zeros(SAMPLES, np.float32)
                made = media.load(part, sample_rate=SAMPLE_RATE)[:SAMPLES]
                wave[: len(made)] = made
                heard = self.sounds.names(wave[None])[0]
            facts = {"sound": heard == scene.sounds}
        return {name: right for name, right in facts.items() if name not in free}

    def _picture(self, scene: PictureScene, part: Media | None) -> dict[str, bool]:
        if part is None:
            return dict.fromkeys(PictureVerdict((), "").facts(scene), False)
        return self.pictures.look([media.load(part)])[0].facts(scene)

    def _clip(self, scene: ClipScene, part: Media | None) -> dict[str, bool]:
        if part is None:
            return {"object": False, "motion": False, "background": False}
        frames = media.load(part)
        chosen = np.linspace(0, len(frames) - 1, 16).round().astype(int)
        return clip_facts(self.pictures, self.motions, frames[chosen], scene)


def accuracy() -> dict[str, Any]:
    """The judges' own measured accuracy: modality -> how -> fact -> share, with trials and
    interval. Empty where it was not measured.
    """
    return read_object(MEASURED) if MEASURED.is_file() else {}


def measure(
    judges: Judges,
    number: int = 200,
    seed: int = 5,
    *,
    modalities: Collection[Modality] = PAPER_MODALITIES,
    parts: Path = MEASURED.parent,
) -> dict[str, Any]:
    """The accuracy on `number` held-out scenes of each kind: as drawn, and as reconstructed by the
    decoders' autoencoders in `parts`, or the project's trained ones.
    """
    vae, codec = load_autoencoder(parts), load_codec(parts)

    def passed(modality: str, array: NDArray[Any]) -> NDArray[Any]:
        if modality == "audio":
            wave: NDArray[Any] = codec.decode(codec.encode([array], codec.default), codec.default)[
                0
            ]
            return wave
        frames = to_input(array if modality == "video" else array[None])
        with torch.inference_mode():
            pixels = to_pixels(vae.decode(vae.encode(frames).latent).sample)
        return pixels if modality == "video" else pixels[0]

    found: dict[str, Any] = {}
    for modality in modalities:
        rng = np.random.default_rng(seed)
        facts: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
        for _ in track(range(number), f"judging {modality}", transient=True):
            scene = SAMPLERS[modality](rng, "test")
            drawn = as_part(scene, rendered=True)
            back = replace(drawn, source=passed(modality, np.asarray(drawn.source)))
            for how, part in (("as drawn", drawn), ("through the autoencoder", back)):
                for fact, right in judges.judge(scene, part).items():
                    facts[how][fact].append(right)
        found[modality] = {how: _shares(values) for how, values in facts.items()}
    return found


def _shares(facts: Mapping[str, list[bool]]) -> dict[str, Any]:
    return {fact: Proportion.of(values).to_dict() for fact, values in facts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=200, help="scenes of each kind")
    parser.add_argument("--only", choices=PAPER_MODALITIES, help="the others stay as they are")
    args = parser.parse_args()
    chosen = (args.only,) if args.only else PAPER_MODALITIES
    found = accuracy() | measure(Judges.load(), args.number, modalities=chosen)
    write_json(MEASURED, found, indent=1)


if __name__ == "__main__":
    main()
