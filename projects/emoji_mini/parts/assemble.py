"""Put the parts of `emoji-mini` together: half-precision copies and the spec that names them.

    python -m emoji_mini.parts.assemble OUT --trained CHECKPOINT   # the whole model, as it ships

A part comes from the folder of parts (``--parts``) if that holds it, else from the project's
trained parts.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anyweave.decoders.folder import forget_origin
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.files import read_object, replaced_folder, write_json
from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.model.build import build
from anyweave.model.checkpoint import (
    SPEC_FILE,
    check_target,
    load_role,
    read_spec,
    role_tensors,
)
from anyweave.model.hashing import folder_sha256
from anyweave.model.roles import ROLES, TrainedRole, role_file
from anyweave.model.spec import (
    DecoderSpec,
    EncoderSpec,
    LanguageSpec,
    LoraSpec,
    ModelSpec,
    ProjectorSpec,
    caption_words,
)
from anyweave.tensors import load_tensors, save_tensors
from emoji_mini.emoji_world.captions import vocabulary
from emoji_mini.parts import picture_autoencoder, picture_encoder
from emoji_mini.parts.fit import halved

logger = logging.getLogger(__name__)

TRAINED = Path(__file__).parents[1] / "trained"
_STANDS_AS = {  # folder names there; clip frames share the pictures' autoencoder
    "audio-encoder": "audio_encoder",
    "image": "picture_denoiser",
    "video": "clip_denoiser",
    "audio": "sound_decoder",
}
# As many as the longest captions have tokens, and one that recalls no word (training/recall.py).
SIGNAL_TOKENS: dict[Modality, int] = {"image": 14, "video": 12, "audio": 12}
OUTPUT_SIZES = {"rank": 192, "hidden_dim": 192, "num_layers": 2, "ffn_dim": 768}


def spec(conditioning: dict[Modality, tuple[int, int]]) -> ModelSpec:
    """The shape of `emoji-mini`, before hashes: everything small enough to ship and to answer on a
    laptop's CPU. `conditioning` is tokens and width per decoder.
    """
    attention, mlp = "q_proj k_proj v_proj o_proj", "gate_proj up_proj down_proj"
    layers = f"{attention} {mlp}".split()
    return ModelSpec(
        name="emoji-mini",
        language=LanguageSpec(source="smollm2-135m-instruct", dtype="bfloat16"),
        template="chatml",
        lora=LoraSpec(r=16, alpha=32.0, dropout=0.0, target_modules=tuple(layers)),
        encoders=(
            EncoderSpec(
                type="transformers",
                source="./encoders/image",
                modalities=("image", "video"),
                args={
                    "video_frames": picture_encoder.VIDEO_FRAMES,
                    "frame_pooling": picture_encoder.FRAME_POOLING,
                },
            ),
            EncoderSpec(type="imagebind", source="./encoders/audio", modalities=("audio",)),
        ),
        input_projector=ProjectorSpec(
            type="grouping",
            args={
                "dim": 256,
                "tokens": [32, 16],
                "depths": [1, 1],
                "layer_mlp_ratio": 4,
                "gumbel_scale": 0.1,
                "initial_temperature": 0.1,
                "positions": 128,
            },
            shared=True,
        ),
        output_projectors={
            modality: ProjectorSpec(
                type="mixing",
                args={"num_tokens": SIGNAL_TOKENS[modality], **OUTPUT_SIZES},
            )
            for modality in conditioning
        },
        decoders={
            modality: DecoderSpec(
                source=f"./decoders/{modality}",
                conditioning_tokens=tokens,
                conditioning_dim=width,
                num_inference_steps=12,
                words=" ".join(sorted(set(caption_words(vocabulary(modality))))),
            )
            for modality, (tokens, width) in conditioning.items()
        },
        signal_tokens=SIGNAL_TOKENS,
        # The signal path is there (``--bridge signal``), but words still draw more of what is asked
        # for: see the model card.
        bridge="caption",
        fine_tuning={
            "optimizer.learning_rate": 2e-4,
            "optimizer.learning_rates": {
                "lora": 3e-4,
                "input_projectors": 5e-5,
                "signal_rows": 5e-4,
            },
            "optimizer.clip": 0.0,
            "objective.alignment_weights": dict.fromkeys(conditioning, 2.0),
            "objective.denoising_fraction": 0.02,
            "data.max_length": 448,
            "data.batch_size": 16,
            "data.max_padded_tokens": 1536,
        },
    )


def place(name: str, folder: Path, parts: Path | None = None) -> None:
    """Put a whole frozen part into `folder`: the one in `parts`, else the project's trained one.
    Raises `ValueError` if there is neither.
    """
    if parts is not None and (parts / name).is_dir():
        left = shutil.ignore_patterns("fit-*")
        shutil.copytree(parts / name, folder, ignore=left, dirs_exist_ok=True)
    elif name == "image-encoder":
        picture_encoder.save_encoder(picture_encoder.load_reader(parts), folder)
    else:
        source = TRAINED / _STANDS_AS[name]
        if not source.is_dir():
            raise ValueError(
                f"{TRAINED} lacks {source.name}/: train it (projects/emoji_mini/README.md says "
                f"how), or give a folder of parts that holds {name}/"
            )
        shutil.copytree(source, folder, dirs_exist_ok=True)
        if not (folder / "vae").is_dir() and name in PAPER_MODALITIES:
            shutil.copytree(picture_autoencoder.TRAINED, folder / "vae")


def ship(modality: Modality, parts: Path) -> Path:
    """Write a decoder from a folder of parts into the project, in float16, and return its folder.
    The pictures' autoencoder already stands there.
    """
    folder = TRAINED / _STANDS_AS[modality]
    decoder = LatentDiffusion.from_pretrained(modality, parts / modality, dtype="float16")
    decoder.save_pretrained(folder)
    if modality != "audio":
        shutil.rmtree(folder / "vae")
    return folder


def assemble(output: Path, *, trained: Path | None = None, parts: Path | None = None) -> ModelSpec:
    """Write a checkpoint to `output`: the frozen parts in half precision, and the trained roles
    around them.

    The roles' weights come from the checkpoint `trained` (also in half precision), or are fresh; so
    are output projectors that led to decoders of another shape. Raises `ValueError` for a missing
    part.
    """
    check_target(output)
    for name, target in {
        "image-encoder": "encoders/image",
        "audio-encoder": "encoders/audio",
        **{modality: f"decoders/{modality}" for modality in PAPER_MODALITIES},
    }.items():
        (output / target).parent.mkdir(parents=True, exist_ok=True)
        with replaced_folder(output / target) as fresh:
            place(name, fresh, parts)
            _halve(fresh)
    shape = _sharing(
        spec({m: _conditioning(output / "decoders" / m) for m in PAPER_MODALITIES}), output
    )
    hashed = [replace(e, sha256=folder_sha256(output / e.source)) for e in shape.encoders]
    decoders = {
        m: replace(d, sha256=folder_sha256(output / d.source)) for m, d in shape.decoders.items()
    }
    shape = replace(shape, encoders=tuple(hashed), decoders=decoders)
    model = build(shape, root=output)
    if trained is not None:
        for role in _fitting(shape, trained):
            load_role(model, role, trained)
        if read_spec(trained).signal_tokens != shape.signal_tokens:
            _stretch_signal_rows(model, trained)
    write_json(output / SPEC_FILE, shape.to_dict())
    model.save_pretrained(output, dtype="float16" if trained is not None else None)
    return shape


def _fitting(shape: ModelSpec, trained: Path) -> list[TrainedRole]:
    """The roles `trained` can provide: output projectors only if they are of the same sizes."""

    def outputs(of: ModelSpec) -> object:
        sizes = {m: (d.conditioning_tokens, d.conditioning_dim) for m, d in of.decoders.items()}
        return sizes, of.output_projectors

    before = read_spec(trained)
    missing = set()
    if outputs(before) != outputs(shape):
        logger.warning("output projectors are new: those of %s are of another shape", trained)
        missing.add("output_projectors")
    if before.signal_tokens != shape.signal_tokens:
        missing.add("signal_rows")
    return [role for role in ROLES if role not in missing]


@torch.no_grad()
def _stretch_signal_rows(model: NextGPT, trained: Path) -> None:
    """Begin with the signal rows of a checkpoint whose runs have other lengths: each token with the
    rows of the one at the same share of its run, the first and last ones with those of theirs.
    """
    before = read_spec(trained).signal_tokens
    stored = load_tensors(trained / role_file("signal_rows"))
    starts = dict(zip(before, np.cumsum([0, *before.values()]).tolist(), strict=False))
    rows = [
        starts[modality] + round(place * (before[modality] - 1) / max(1, length - 1))
        for modality, length in model.spec.signal_tokens.items()
        for place in range(length)
    ]
    for name, tensor in role_tensors(model, "signal_rows").items():
        tensor.copy_(stored[name][rows])
    logger.warning("signal rows are stretched: runs of %s have other lengths", trained)


def _sharing(shape: ModelSpec, output: Path) -> ModelSpec:
    """Clip frames are drawn in the pictures' latents, so their autoencoder is stored once."""
    pictures, clips = (output / "decoders" / m / "vae" for m in ("image", "video"))
    if folder_sha256(pictures) != folder_sha256(clips):
        return shape
    shutil.rmtree(clips)
    video = replace(shape.decoders["video"], args={"subfolders": {"vae": "../image/vae"}})
    return replace(shape, decoders={**shape.decoders, "video": video})


def _halve(folder: Path) -> None:
    """Convert the weights to float16."""
    for file in folder.rglob("*.safetensors"):
        save_tensors(halved(load_tensors(file)), file, {"format": "pt"})
    forget_origin(folder)


def _conditioning(folder: Path) -> tuple[int, int]:
    """How many vectors a decoder's caption encoder gives, and their width."""
    config = read_object(folder / "text_encoder" / "config.json")
    return int(config["max_position_embeddings"]), int(config["hidden_size"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--trained", type=Path, help="a checkpoint: what its roles have learnt")
    parser.add_argument("--parts", type=Path, help="frozen parts other than the project's")
    args = parser.parse_args()
    shape = assemble(args.output, trained=args.trained, parts=args.parts)
    sys.stdout.write(json.dumps(shape.to_dict(), indent=1) + "\n")


if __name__ == "__main__":
    main()
