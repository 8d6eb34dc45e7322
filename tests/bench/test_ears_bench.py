"""The bench of the ears: what it takes for a delay, when it fails, and one small run of all of it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from lineside.bench.ears import Measured, beyond_chunk, measure, rows


def test_a_delay_begins_when_the_chunk_with_the_words_end_is_complete_at_the_phone() -> None:
    word = {"text": "a", "start_s": 1.0, "end_s": 1.3, "at": 500.0}
    # The chunk ends at 1.32 s, 0.32 s behind the beginning of the word.
    assert beyond_chunk(word, 499.67, chunk_s=0.06) == pytest.approx(0.01)


def test_a_word_that_ends_with_its_chunk_waits_for_no_other() -> None:
    word = {"text": "a", "start_s": 1.02, "end_s": 0.06 * 22, "at": 500.0}
    assert beyond_chunk(word, 499.7, chunk_s=0.06) == pytest.approx(0.0)


GOOD = Measured([3.0] * 99 + [24.0], 100, 1.0)


def test_the_bound_holds_when_every_word_came_in_time() -> None:
    assert GOOD.holds
    assert rows(GOOD)[4] == ["the same, p99 ms", "24.00", "25"]


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, delays_ms=[26.0] * 100),
        replace(GOOD, n_said=101),
        replace(GOOD, late_ms=5.1),
        replace(GOOD, delays_ms=[], n_said=0),
    ],
)
def test_it_does_not_when_words_are_late_or_lost_or_the_phones_were(bad: Measured) -> None:
    assert not bad.holds


@pytest.mark.realtime
@pytest.mark.skipif(sys.platform != "linux", reason="the bench needs Linux")
def test_a_small_run_hears_every_word() -> None:
    measured = measure(calls=2, seconds=1.5)
    assert measured.n_said == 10
    assert measured.lost == 0
    assert min(measured.delays_ms) > -2.0  # the recogniser's clock counts whole milliseconds
