from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from emoji_mini.emoji_talk.phrases import tables
from emoji_mini.emoji_world.captions import describe
from emoji_mini.emoji_world.held_out import Request, held_out_requests, leaks, plain
from emoji_mini.emoji_world.sampling import sample_clip, sample_picture, sample_sound
from emoji_mini.emoji_world.scenes import ACTS, BACKGROUNDS, MOTIONS, RELATIONS
from emoji_mini.emoji_world.sounds import SOUNDS
from emoji_mini.emoji_world.things import find_thing


def test_there_are_enough_of_every_kind() -> None:
    requests = held_out_requests()
    assert len(requests) >= 300
    kinds = Counter("unknown" if one.unknown else "+".join(one.media) for one in requests)
    for kind, least in (("picture", 100), ("clip", 40), ("sound", 40), ("", 60), ("unknown", 50)):
        assert kinds[kind] >= least, kind
    assert sum(number for kind, number in kinds.items() if "+" in kind) >= 15
    said = Counter(plain(one.say) for one in requests)
    assert said.most_common(1)[0][1] == 1


def test_what_is_unknown_is_not_in_the_world() -> None:
    unknown = [one.unknown for one in held_out_requests() if one.unknown]
    assert [name for name in unknown if find_thing(name)] == []


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)


def test_no_table_of_phrases_gives_a_request_away() -> None:
    said: list[object] = [*tables().values()]
    said += [BACKGROUNDS, RELATIONS, MOTIONS, ACTS]  # frames: see the captions below
    said += [(sound.phrase, *sound.words) for sound in SOUNDS.values()]
    assert leaks(_texts(said)) == []


@pytest.mark.parametrize("sample", [sample_picture, sample_clip, sample_sound])
def test_no_caption_is_a_request(sample) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    assert leaks(describe(rng, sample(rng, "train")) for _ in range(1500)) == []


def test_a_leak_would_be_found() -> None:
    request: Request = held_out_requests()[0]
    assert leaks([request.say.upper() + "!"]) == [(request.say, request.say.upper() + "!")]
    words = request.say.split()
    template = f"{' '.join(words[:4])} {{x}} {' '.join(words[-2:])}"
    assert (request.say, template) in leaks([template])
    assert leaks(["{x}!", "Show me {x}"]) == []
