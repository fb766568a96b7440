"""Sampling schedulers by name: diffusers' own classes, built from the decoder's training config."""

from __future__ import annotations

from typing import Any

import diffusers

from anyweave.errors import nearest

# name -> (class in diffusers, settings on top of the decoder's own scheduler config)
SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++-karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpm++-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}


OWN = "own"  # the class in the decoder's folder


def build_scheduler(name: str | None, trained: Any) -> Any:
    """A fresh scheduler, so that calls never share state: the named one, or `trained`'s own class
    for "own" and None.

    Raises `ValueError` for an unknown name, naming the known ones.
    """
    if name in (None, OWN):
        return type(trained).from_config(trained.config)
    if name in SCHEDULERS and "beta_schedule" not in trained.config:
        raise ValueError(
            f"this decoder was trained by flow matching: it samples with its own "
            f"{type(trained).__name__} (scheduler 'own') and not with {name!r}"
        )
    if name not in SCHEDULERS:
        raise ValueError(f"unknown scheduler {name!r}; {nearest(name, [*SCHEDULERS, OWN])}")
    class_name, settings = SCHEDULERS[name]
    return getattr(diffusers, class_name).from_config(trained.config, **settings)
