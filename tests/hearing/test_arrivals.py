"""When each byte of the caller's audio came."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.hearing.arrivals import KEPT, Arrivals

FRAME = 160  # bytes, 20 ms
NOW = 1000.0


def in_real_time(arrivals: Arrivals, n_frames: int, since: float) -> float:
    """Frames every 20 ms; returns when the next one is due."""
    for n in range(n_frames):
        arrivals.came(FRAME, since + n * 0.02)
    return since + n_frames * 0.02


def test_audio_in_real_time_is_timed_by_its_first_frame() -> None:
    arrivals = Arrivals()
    in_real_time(arrivals, 500, NOW)
    assert arrivals.at(FRAME) == NOW
    assert arrivals.at(FRAME * 250) == pytest.approx(NOW + 249 * 0.02)
    assert arrivals.at(FRAME * 500) == pytest.approx(NOW + 499 * 0.02)


def test_what_has_not_come_has_no_time() -> None:
    arrivals = Arrivals()
    assert arrivals.at(1) is None
    in_real_time(arrivals, 1, NOW)
    assert arrivals.at(FRAME + 1) is None


def test_audio_that_was_held_up_is_timed_by_when_it_came() -> None:
    arrivals = Arrivals()
    in_real_time(arrivals, 50, NOW)
    stalled_until = NOW + 3.0  # after a second of audio; then two seconds of it come at once
    for _ in range(100):
        arrivals.came(FRAME, stalled_until)
    in_real_time(arrivals, 50, stalled_until + 0.02)
    assert arrivals.at(FRAME * 50) == pytest.approx(NOW + 0.98)
    assert arrivals.at(FRAME * 50 + 1) == pytest.approx(stalled_until)
    assert arrivals.at(FRAME * 150) == pytest.approx(stalled_until, abs=0.02)
    assert arrivals.at(FRAME * 200) == pytest.approx(stalled_until + 1.0, abs=0.04)


def test_audio_in_real_time_takes_no_room() -> None:
    arrivals = Arrivals()
    in_real_time(arrivals, 5, NOW)
    before = sys.getsizeof(arrivals._pieces)
    in_real_time(arrivals, 10_000, NOW + 0.1)
    assert sys.getsizeof(arrivals._pieces) == before
    assert len(arrivals._pieces) == 1


def test_however_irregular_it_comes_the_record_is_bounded_and_the_newest_is_known() -> None:
    arrivals = Arrivals()
    for n in range(3 * KEPT):
        arrivals.came(FRAME, NOW + n)
    assert len(arrivals._pieces) == KEPT
    assert arrivals.at(1) is None
    assert arrivals.at(FRAME * 3 * KEPT) == NOW + 3 * KEPT - 1


def test_what_nobody_will_ask_for_is_forgotten_and_the_rest_is_not() -> None:
    arrivals = Arrivals()
    for n in range(10):
        arrivals.came(FRAME, NOW + n)
    arrivals.forget(5 * FRAME)
    assert len(arrivals._pieces) == 5
    assert arrivals.at(5 * FRAME) is None
    assert arrivals.at(5 * FRAME + 1) == NOW + 5


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 3)), min_size=1, max_size=60), st.data())
def test_every_byte_is_timed_to_within_two_frames_of_when_its_piece_came(
    pieces: list[tuple[int, float]], data: st.DataObject
) -> None:
    arrivals, now, came = Arrivals(), NOW, []
    for n_bytes, wait in pieces:
        now += wait
        arrivals.came(n_bytes, now)
        came += [(now, n_bytes)] * n_bytes
    nth = data.draw(st.integers(1, len(came)))
    at, (truth, n_bytes) = arrivals.at(nth), came[nth - 1]
    assert at is not None
    assert truth - n_bytes / 8000 - 0.021 <= at <= truth + 0.021
