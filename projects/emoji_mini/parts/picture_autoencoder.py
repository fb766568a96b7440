"""The autoencoder of pictures and frames: 128 px to 16 x 16 latents."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from emoji_mini.emoji_world.render import render_clip, render_picture
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture
from emoji_mini.emoji_world.scenes import Split
from emoji_mini.parts.fit import FitOptions, fit

logger = logging.getLogger(__name__)

TRAINED = Path(__file__).parents[1] / "trained" / "picture_autoencoder"
SIZE = 128
LATENT_CHANNELS = 16
HELD_OUT_SHARE = 12  # every twelfth emoji is seen only in the measurement
EDGE_WEIGHT = 0.5
LATENT_NOISE = 0.06  # of a latent's spread: what a denoiser leaves, so that decoding tolerates it
SPREAD_WEIGHT = 1e-3
CROP = 64
WHOLE_EVERY = 8  # steps, on average: whole pictures, to learn borders


def build_autoencoder(
    in_channels: int = 3,
    latent_channels: int = LATENT_CHANNELS,
    channels: tuple[int, ...] = (48, 48, 96, 192),
    encoder_layers: tuple[int, ...] = (0, 1, 2, 2),
    decoder_layers: tuple[int, ...] = (0, 2, 3, 3),
) -> AutoencoderDC:
    """A deep-compression autoencoder without layers at full resolution: a CPU spends most time
    there, and the pixel-shuffle shortcuts carry what those layers would.
    """
    depth = len(channels)
    return AutoencoderDC(
        in_channels=in_channels,
        latent_channels=latent_channels,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        encoder_layers_per_block=encoder_layers,
        decoder_layers_per_block=decoder_layers,
        encoder_qkv_multiscales=((),) * depth,
        decoder_qkv_multiscales=((),) * depth,
    )


def paint(rng: np.random.Generator, sprites: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One picture, ``uint8[128, 128, 3]``: a gradient, now and then with a horizon and blobs, and
    one to six emoji of any size, some of them with a soft shadow.
    """
    canvas = _backdrop(rng)
    count = int(rng.choice([1, 1, 2, 2, 3, 4, 5, 6]))
    low, high = {1: (0.4, 0.95), 2: (0.3, 0.6), 3: (0.25, 0.5)}.get(count, (0.2, 0.4))
    for _ in range(count):
        sprite = sprites[int(rng.integers(len(sprites)))]
        edge = round(float(rng.uniform(low, high)) * SIZE)
        picture = Image.fromarray(sprite, "RGBA").resize((edge, edge), Image.Resampling.LANCZOS)
        if rng.random() < 0.15:
            picture = picture.rotate(float(rng.uniform(-180, 180)), Image.Resampling.BICUBIC)
        if rng.random() < 0.15:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left, top = (int(rng.integers(-edge // 8, SIZE - edge + edge // 8 + 1)) for _ in range(2))
        if rng.random() < 0.3:
            _shade(canvas, left, top + edge, edge)
        canvas.paste(picture, (left, top), picture)
    return np.asarray(canvas)


def _backdrop(rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.2:
        level = int(rng.integers(225, 256))
        canvas = Image.new("RGB", (SIZE, SIZE), (level, level, level))
    else:
        top, bottom = rng.uniform(0, 255, (2, 3))
        if rng.random() < 0.5:
            bottom = np.clip(top + rng.uniform(-60, 60, 3), 0, 255)
        ramp = np.linspace(0, 1, SIZE)[:, None] ** float(rng.uniform(0.6, 1.6))
        rows = np.repeat((top + (bottom - top) * ramp)[:, None], SIZE, 1)
        canvas = Image.fromarray(rows.astype(np.uint8), "RGB")
    if rng.random() < 0.5:
        draw = ImageDraw.Draw(canvas)
        if rng.random() < 0.6:
            horizon = int(rng.uniform(0.4, 0.9) * SIZE)
            draw.rectangle((0, horizon, SIZE, SIZE), fill=_colour(rng))
        for _ in range(int(rng.integers(0, 12))):
            x, y = rng.uniform(0, SIZE, 2)
            w, h = rng.uniform(1, 24, 2)
            draw.ellipse((x, y, x + w, y + h), fill=_colour(rng))
        if rng.random() < 0.5:
            canvas = canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2))))
    return canvas


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


def _shade(canvas: Image.Image, left: int, bottom: int, edge: int) -> None:
    mask = Image.new("L", canvas.size, 0)
    box = (left + edge // 8, bottom - edge // 8, left + edge - edge // 8, bottom + edge // 16)
    ImageDraw.Draw(mask).ellipse(box, fill=90)
    canvas.paste((0, 0, 0), (0, 0), mask.filter(ImageFilter.GaussianBlur(3)))


def write_bank(emoji: Path, output: Path, size: int, held_out: int, seed: int = 0) -> None:
    """Paint `size` training and `held_out` other pictures, each a ``uint8[N, 128, 128, 3]``, of the
    folder of pictures in npm's ``@lobehub/fluent-emoji-3d``.
    """
    output.mkdir(parents=True, exist_ok=True)
    files = sorted(emoji.glob("*.webp")) or sorted(emoji.glob("*.png"))
    if not files:
        raise ValueError(f"no emoji in {emoji}; unpack npm's @lobehub/fluent-emoji-3d there")
    sprites = [np.asarray(Image.open(file).convert("RGBA")) for file in files]
    kept = [s for n, s in enumerate(sprites) if n % HELD_OUT_SHARE]
    others = [s for n, s in enumerate(sprites) if not n % HELD_OUT_SHARE]
    for name, pool, number in (("train", kept, size), ("held_out", others, held_out)):
        bank = np.lib.format.open_memmap(
            output / f"{name}.tmp.npy", mode="w+", dtype=np.uint8, shape=(number, SIZE, SIZE, 3)
        )
        for row in range(number):
            bank[row] = paint(np.random.default_rng((seed, row, len(pool))), pool)
        bank.flush()
        (output / f"{name}.tmp.npy").rename(output / f"{name}.npy")


def write_world_bank(output: Path, size: int, held_out: int, seed: int = 0) -> None:
    """Render pictures of the world for both splits and, for training, 64 px frames of its clips."""
    banks: tuple[tuple[str, Split, int], ...] = (
        ("world", "train", size),
        ("world_held_out", "test", held_out),
    )
    for name, split, number in banks:
        rng = np.random.default_rng((seed, number))
        bank = np.stack([render_picture(sample_picture(rng, split)) for _ in range(number)])
        np.save(output / f"{name}.npy", bank)
    rng = np.random.default_rng((seed, 1))
    clips = [render_clip(sample_clip(rng, "train"))[::5] for _ in range(size // 4)]
    np.save(output / "frames.npy", np.concatenate(clips))


def losses_of(vae: AutoencoderDC, x: Float[Tensor, "B c H W"]) -> dict[str, Float[Tensor, ""]]:
    """L1 on pixels and on their differences (edges are what blur destroys), and a light pull of the
    latents to unit spread.
    """
    latent = vae.encode(x).latent
    spread = latent.detach().float().std()
    noise = torch.randn_like(latent) * torch.rand(len(latent), 1, 1, 1) * LATENT_NOISE * spread
    y = vae.decode(latent + noise).sample.float()
    edges = sum((torch.diff(y, dim=d) - torch.diff(x, dim=d)).abs().mean() for d in (2, 3))
    z = latent.float()
    pull = z.mean((0, 2, 3)).square().mean() + (z.var((0, 2, 3)) - 1).square().mean()
    return {"l1": F.l1_loss(y, x), "edges": EDGE_WEIGHT * edges, "spread": SPREAD_WEIGHT * pull}


def train(output: Path, options: FitOptions, start: Path | None = None) -> None:
    """Train on crops, and now and then on whole pictures.

    `start` is an autoencoder whose weights are taken where their shapes fit, such as one with
    another number of latent channels.
    """
    torch.manual_seed(options.seed)
    vae = build_autoencoder().to(memory_format=torch.channels_last)
    if start is not None:
        mine = vae.state_dict()
        theirs = AutoencoderDC.from_pretrained(start).state_dict()
        fitting = {n: v for n, v in theirs.items() if n in mine and mine[n].shape == v.shape}
        vae.load_state_dict(fitting, strict=False)
        logger.info("%d of %d tensors from %s", len(fitting), len(mine), start)
    painted = np.load(output / "train.npy", mmap_mode="r")
    world = np.load(output / "world.npy", mmap_mode="r")
    frames = np.load(output / "frames.npy", mmap_mode="r")

    def batch(generator: torch.Generator) -> Tensor:
        whole = int(torch.randint(WHOLE_EVERY, (), generator=generator)) == 0
        edge = SIZE if whole else CROP
        # Most of it is the world itself, a tenth frames of its clips, the rest any emoji.
        share = float(torch.rand((), generator=generator))
        bank = world if share < 0.65 else painted
        if not whole and share > 0.9:
            bank = frames
        number = max(1, options.batch_size * CROP**2 // edge**2)
        rows = torch.randint(len(bank), (number,), generator=generator).tolist()
        room = bank.shape[1] - edge + 1
        corners = torch.randint(room, (number, 2), generator=generator).tolist()
        picked = np.stack(
            [bank[r, y : y + edge, x : x + edge] for r, (y, x) in zip(rows, corners, strict=True)]
        )
        pixels = torch.from_numpy(picked).permute(0, 3, 1, 2)
        return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)

    fit(vae, lambda g: losses_of(vae, batch(g)), options, output / "fit")
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        latents = torch.cat([vae.encode(batch(generator)).latent.flatten() for _ in range(8)])
    vae.register_to_config(scaling_factor=round(1 / float(latents.float().std()), 5))
    vae.to(memory_format=torch.contiguous_format).save_pretrained(output / "vae")


def measure(output: Path, number: int) -> dict[str, dict[str, float]]:
    """PSNR in dB of test scenes and of emoji that training did not see (mean over held-out
    pictures, and of the worst tenth), and sheets of originals above their reconstructions, at twice
    their size.
    """
    weights = output / "vae"
    if weights.is_dir():
        vae = AutoencoderDC.from_pretrained(weights)
    else:  # in the middle of training: the moving average of the last checkpoint
        vae = build_autoencoder()
        state = torch.load(output / "fit" / "fit.pt", weights_only=True)
        with torch.no_grad():
            for parameter, value in zip(vae.parameters(), state["average"], strict=True):
                parameter.copy_(value)
    names = ("world_held_out", "held_out")
    return {name: _measure(vae.eval(), output, name, number) for name in names}


def _measure(vae: AutoencoderDC, output: Path, name: str, number: int) -> dict[str, float]:
    bank = np.load(output / f"{name}.npy", mmap_mode="r")[:number]
    made = []
    with torch.no_grad():
        for chunk in np.array_split(bank, max(1, len(bank) // 16)):
            made.append(to_pixels(vae.decode(vae.encode(to_input(np.array(chunk))).latent).sample))
    back = np.concatenate(made)
    error = ((back.astype(np.float64) - bank) ** 2).mean((1, 2, 3))
    psnr = np.sort(10 * np.log10(255**2 / np.maximum(error, 1e-9)))
    pairs = [np.concatenate([bank[n], back[n]], 0) for n in range(min(10, len(bank)))]
    sheet = Image.fromarray(np.concatenate(pairs, 1))
    sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST).save(
        output / f"sheet-{name}.png"
    )
    tenth = max(1, len(psnr) // 10)
    return {"psnr": float(psnr.mean()), "worst_tenth": float(psnr[:tenth].mean())}


def autoencoder_of(parts: Path, trained: Path = TRAINED) -> Path:
    """The folder of the autoencoder in `parts`, else of the project's trained one."""
    return parts / "vae" if (parts / "vae").is_dir() else trained


def load_autoencoder(parts: Path, trained: Path = TRAINED) -> AutoencoderDC:
    """The autoencoder of `autoencoder_of`, frozen, in float32."""
    vae: AutoencoderDC = AutoencoderDC.from_pretrained(
        autoencoder_of(parts, trained), torch_dtype=torch.float32
    )
    return vae.eval().requires_grad_(False)


def to_input(pixels: NDArray[np.uint8]) -> Float[Tensor, "B 3 H W"]:
    """Pictures ``uint8[B, H, W, 3]`` in -1 to 1."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(x: Float[Tensor, "B 3 H W"]) -> NDArray[np.uint8]:
    """The inverse of `to_input`."""
    made: NDArray[np.uint8] = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().movedim(1, 3).numpy()
    return made


@torch.no_grad()
def encode_pixels(vae: AutoencoderDC, pixels: NDArray[np.uint8]) -> Float[Tensor, "B c h w"]:
    """Latents of unit spread, computed in bfloat16, of ``uint8[B, H, W, 3]``."""
    with torch.autocast("cpu", torch.bfloat16):
        latents: Tensor = vae.encode(to_input(pixels)).latent.float()
    return latents * vae.config.scaling_factor
