"""The cache that grows in place holds what transformers' own holds."""

from __future__ import annotations

import torch
from transformers.cache_utils import DynamicLayer

from anyweave.language.growing import GrowingLayer


def test_what_is_taken_in_cut_and_taken_in_again_is_what_the_plain_layer_holds() -> None:
    ours, plain = GrowingLayer(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)
    copied = 0
    for new, cut in ((5, 0), (1, 0), (1, 2), (3, 8), (90, 0), (1, 90), (40, 0)):
        keys = torch.randn(1, 2, new, 8, generator=generator)
        values = torch.randn(1, 2, new, 4, generator=generator)
        before = ours.keys
        found, expected = ours.update(keys, values), plain.update(keys, values)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        copied += before is not None and before.data_ptr() != found[0].data_ptr()
        ours.crop(-cut)
        plain.crop(-cut)
        assert ours.get_seq_length() == plain.get_seq_length()
    assert copied == 1
    ours.reset()
    assert ours.get_seq_length() == 0
    keys, values = torch.ones(1, 2, 3, 8), torch.ones(1, 2, 3, 4)
    torch.testing.assert_close(ours.update(keys, values)[0], keys)
