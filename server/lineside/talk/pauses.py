"""Finding a place between words in speech: where a cut is least heard. Pure."""

from __future__ import annotations

from lineside.audio import mulaw

BYTES_PER_MS = 8
SHORTEST_MS = 60  # stop consonants are silent for up to about 50 ms inside a word
LOUDNESS = mulaw.louder_than(0x18)  # 42 dB below full scale, under the tail of any spoken sound


def first_pause(audio: bytes, start: int = 0, shortest_ms: int = SHORTEST_MS) -> int | None:
    """The middle of the first pause at or after byte `start` of mu-law audio at 8 kHz; None when there is none."""
    quiet = audio.translate(LOUDNESS)
    begin = quiet.find(bytes(shortest_ms * BYTES_PER_MS), start)
    if begin < 0:
        return None
    end = quiet.find(1, begin)
    return (begin + (end if end >= 0 else len(audio))) // 2
