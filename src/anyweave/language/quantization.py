"""The frozen language model in 4 bits (QLoRA, Dettmers et al., NeurIPS 2023): the base takes a
quarter of its bfloat16 memory; adapters and rows stay float32.

``bitsandbytes``, installed by the extra ``qlora``, does the arithmetic through transformers' own
config. Quantised weights are frozen like any others: bit-identical after any training step.
"""

from __future__ import annotations

import logging
from typing import Any, Literal, get_args

import torch
from transformers import BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available

logger = logging.getLogger(__name__)

Quantization = Literal["nf4"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)


def quantization_config(name: str) -> Any:
    """transformers' `BitsAndBytesConfig` for 4-bit NormalFloat with double quantisation, computing
    in bfloat16.

    Embedding and head keep the model's own dtype, since signal rows extend them. Raises
    `ValueError` for an unknown name, or if bitsandbytes is not installed.
    """
    if name == "int8":
        raise ValueError(
            "quantization='int8' is an option of replies, not of loading: 8-bit copies are made "
            "beside the weights; give GenerationOptions(quantization='int8')"
        )
    if name not in QUANTIZATIONS:
        raise ValueError(
            f"unknown quantization {name!r}; there is {', '.join(QUANTIZATIONS)}, or None for the "
            "weights as they are"
        )
    if not is_bitsandbytes_available():
        raise ValueError(
            "quantization='nf4' needs bitsandbytes, which is not installed or too old; install it "
            "with pip install 'anyweave[qlora]', or leave quantization out and train in bfloat16"
        )
    if not torch.accelerator.is_available():
        logger.warning(
            "no GPU found: bitsandbytes computes 4-bit layers on the CPU too, but slowly; good for "
            "a try, not for training"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def is_quantized(model: torch.nn.Module) -> bool:
    """Whether a transformers model holds 4-bit weights."""
    return bool(getattr(model, "is_loaded_in_4bit", False))
