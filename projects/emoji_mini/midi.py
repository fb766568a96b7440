"""Standard MIDI files, as the synthesiser reads them."""

from __future__ import annotations

from collections.abc import Iterable

TICKS_PER_SECOND = 960


def midi_file(events: Iterable[tuple[int, bytes]]) -> bytes:
    """A file of format 0, 480 ticks per half second; it ends half a second after the last event.

    Args:
        events: (tick, message) in the order of their ticks.
    """
    track, now = b"", 0
    for tick, data in events:
        track += _variable_length(tick - now) + data
        now = tick
    track += _variable_length(TICKS_PER_SECOND // 2) + b"\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1]) + (480).to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def _variable_length(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.append((value & 0x7F) | 0x80)
    return bytes(reversed(out))
