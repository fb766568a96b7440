"""The verifier of sounds: which of the world's sounds is heard in each half of four seconds.

    python -m emoji_mini.parts.sound_verifier train PARTS     # resumable
    python -m emoji_mini.parts.sound_verifier measure PARTS   # its own accuracy

It shares nothing with the decoder that it judges, not even the spectrogram. PARTS holds the bank of
`sound_autoencoder`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from anyweave.decoders.audio import AudioCodec
from anyweave.decoders.mel import MelConfig, log_mel
from anyweave.evaluation.metrics import wilson_interval
from anyweave.files import read_json
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.emoji_world.sounds import SAMPLES, SOUNDS
from emoji_mini.parts.fit import FitOptions, fit
from emoji_mini.parts.sound_autoencoder import load_codec
from emoji_mini.world.verifiers.networks import Trunk
from emoji_mini.world.verifiers.softening import soften_mel

TRAINED = Path(__file__).parents[1] / "trained" / "sound_verifier"
WEIGHTS = "verifier.safetensors"
NAMES = tuple(SOUNDS)
# Its own ears: other bands, another window and hop than the decoder's.
_MEL = MelConfig(num_mels=64, n_fft=800, hop_length=200, mel_scale="htk", fmin=30.0, floor=1e-3)
_WIDTHS = (16, 32, 64, 128)


class SoundVerifier(nn.Module):
    """Logits ``[B, 2, 48]``: the sound of the first and of the second half. A single sound is heard
    in both.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(1, _WIDTHS)
        # Pitch is the vertical axis: folding it into channels keeps it, and leaves a row of time.
        self.fold = nn.Conv2d(_WIDTHS[-1], 128, (_MEL.num_mels // 16, 1))
        self.name = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * 128, 2 * len(NAMES)))

    def forward(self, mel: Float[Tensor, "B 1 64 T"]) -> Float[Tensor, "B 2 48"]:
        time = torch.relu(self.fold(self.trunk(mel)))[:, :, 0]
        halves = time.tensor_split(2, dim=2)
        seen = [pooled for half in halves for pooled in (half.mean(2), half.amax(2))]
        logits: Tensor = self.name(torch.cat(seen, 1)).unflatten(1, (2, len(NAMES)))
        return logits


def mels_heard(waves: NDArray[np.floating]) -> Float[Tensor, "N 1 64 T"]:
    """Log-mel spectrograms of ``[N, SAMPLES]``, each of mean 0 and deviation 1: loudness is no
    clue.
    """
    chunks = torch.from_numpy(np.asarray(waves, np.float32)).split(64)
    mel = torch.cat([log_mel(chunk, _MEL) for chunk in chunks]).transpose(2, 3)
    mean, deviation = mel.mean((1, 2, 3), keepdim=True), mel.std((1, 2, 3), keepdim=True)
    return (mel - mean) / (deviation + 0.05)


def train(parts: Path, options: FitOptions) -> None:
    """Train on the bank's training sounds, blurred, tilted and noised as decoders leave them."""
    torch.manual_seed(options.seed)
    network = SoundVerifier()
    mels = mels_heard(np.load(parts / "sounds.npy", mmap_mode="r"))
    labels = _labels(parts / "sounds.json")

    def losses(generator: torch.Generator) -> dict[str, Tensor]:
        rows = torch.randint(len(mels), (options.batch_size,), generator=generator)
        logits = network(soften_mel(mels[rows])).float()
        return {"name": F.cross_entropy(logits.flatten(0, 1), labels[rows].flatten())}

    fit(network, losses, options, parts / "fit-verifier")
    weights = {
        name: value.half()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_tensors(weights, parts / WEIGHTS)


def _labels(file: Path) -> Tensor:
    """The sounds of both halves, ``[N, 2]``."""
    return torch.tensor(
        [[NAMES.index(names[0]), NAMES.index(names[-1])] for names in read_json(file)]
    )


def load_verifier(parts: Path) -> SoundVerifier:
    """The verifier in `parts`, else the one that stands trained in the project."""
    folder = parts if (parts / WEIGHTS).is_file() else TRAINED
    network = SoundVerifier()
    stored = {name: value.float() for name, value in load_tensors(folder / WEIGHTS).items()}
    network.load_state_dict(stored, strict=False)  # all but the count of batches seen
    return network.eval()


@torch.no_grad()
def names_heard(network: SoundVerifier, waves: NDArray[np.floating]) -> list[tuple[str, ...]]:
    """What is heard in each sound: one name, or two in order."""
    best = torch.cat([network(chunk) for chunk in mels_heard(waves).split(64)]).argmax(2)
    return [tuple(dict.fromkeys((NAMES[first], NAMES[second]))) for first, second in best.tolist()]


def measure(parts: Path, number: int, codec: AudioCodec | None = None) -> dict[str, Any]:
    """How often held-out sounds of the world are named right: as they are, and through `codec`,
    the decoder's own autoencoder and vocoder.
    """
    waves = np.load(parts / "sounds_held_out.npy", mmap_mode="r")[:number].astype(np.float32)
    truth = [tuple(names) for names in read_json(parts / "sounds_held_out.json")[:number]]
    network = load_verifier(parts)
    versions = {"real": waves}
    if codec is not None:
        size = codec.default
        versions["through the codec"] = np.stack(codec.decode(codec.encode(waves, size), size))
    found = {}
    for name, version in versions.items():
        heard = names_heard(network, version[:, :SAMPLES])
        right = sum(one == other for one, other in zip(heard, truth, strict=True))
        low, high = wilson_interval(right, len(truth))
        share = round(right / len(truth), 3)
        found[name] = {"right": share, "from": round(low, 3), "to": round(high, 3)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["train", "measure"])
    parser.add_argument("parts", type=Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--number", type=int, default=200)
    args = parser.parse_args()
    if args.verb == "train":
        options = FitOptions(
            steps=args.steps, batch_size=32, learning_rate=2e-3, ema_decay=0.99, precision="fp32"
        )
        train(args.parts, options)
    else:
        found = measure(args.parts, args.number, load_codec(args.parts))
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
