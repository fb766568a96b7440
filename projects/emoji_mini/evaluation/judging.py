"""What generated media of the world, version 1, show: the three judges behind one door."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anyweave import media
from anyweave.messages import Media
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, Scene
from emoji_mini.emoji_world.sounds import SAMPLE_RATE, SAMPLES
from emoji_mini.parts.clip_judge import MotionJudge, clip_facts
from emoji_mini.parts.seeing import Judge, PictureVerdict
from emoji_mini.parts.sound_verifier import SoundVerifier, load_verifier


@dataclass(frozen=True)
class Judges:
    """All three. `judge` gives no fact of what was not asked for."""

    pictures: Judge
    motions: MotionJudge
    sounds: SoundVerifier

    @classmethod
    def load(cls, parts: Path | None = None) -> Judges:
        """Those trained in `parts`, else those that stand trained in the project."""
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
