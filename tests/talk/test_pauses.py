"""Where a cut is least heard."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.talk.pauses import BYTES_PER_MS, SHORTEST_MS, first_pause

LOUD, QUIET = b"\x2a", b"\xff"
SHORTEST = SHORTEST_MS * BYTES_PER_MS


def decoded(code: int) -> int:
    """Mu-law to linear, after ITU-T G.711."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def by_hand(audio: bytes, start: int, shortest: int) -> int | None:
    """The same by looking at every sample."""
    quiet = [abs(decoded(code)) < 260 for code in audio]
    for begin in range(start, len(audio) - shortest + 1):
        if all(quiet[begin : begin + shortest]):
            end = begin
            while end < len(audio) and quiet[end]:
                end += 1
            return (begin + end) // 2
    return None


def test_speech_without_a_pause_has_none() -> None:
    assert first_pause(LOUD * 8000) is None
    assert first_pause(b"") is None


def test_the_middle_of_the_first_pause_is_given() -> None:
    audio = LOUD * 1000 + QUIET * 800 + LOUD * 1000 + QUIET * 1600 + LOUD
    assert first_pause(audio) == 1400
    assert first_pause(audio, 1800) == 2800 + 800


def test_a_stop_consonant_is_no_pause() -> None:
    audio = LOUD * 1000 + QUIET * (SHORTEST - 1) + LOUD * 1000
    assert first_pause(audio) is None
    assert first_pause(LOUD * 1000 + QUIET * SHORTEST + LOUD) == 1000 + SHORTEST // 2


def test_only_what_lies_behind_the_start_counts() -> None:
    audio = QUIET * 1000 + LOUD * 100
    assert first_pause(audio, 500) == 750
    assert first_pause(audio, 1000 - SHORTEST) == 1000 - SHORTEST // 2
    assert first_pause(audio, 1000 - SHORTEST + 1) is None
    assert first_pause(audio, 5000) is None


def test_silence_up_to_the_end_is_a_pause() -> None:
    assert first_pause(LOUD * 100 + QUIET * 1000) == 600


def test_the_shortest_pause_can_be_chosen() -> None:
    audio = LOUD * 100 + QUIET * 80 + LOUD * 100
    assert first_pause(audio) is None
    assert first_pause(audio, shortest_ms=10) == 140


def test_quiet_is_what_lies_42_db_below_full_scale_on_either_side_of_zero() -> None:
    for code in range(256):
        found = first_pause(bytes([code]) * SHORTEST)
        assert (found is not None) == (abs(decoded(code)) < 32124 * 10 ** (-42 / 20)), hex(code)


@given(
    runs=st.lists(st.tuples(st.sampled_from([0xFF, 0x7F, 0xE8, 0xE7, 0x67, 0x2A]), st.integers(0, 60)), max_size=12),
    start=st.integers(0, 300),
    shortest_ms=st.integers(1, 6),
)
@settings(deadline=None)
def test_it_finds_what_looking_at_every_sample_finds(runs: list[tuple[int, int]], start: int, shortest_ms: int) -> None:
    audio = b"".join(bytes([code]) * n for code, n in runs)
    assert first_pause(audio, start, shortest_ms) == by_hand(audio, start, shortest_ms * BYTES_PER_MS)
