"""The bench of interruptions: what its callers do and count, what its table says, and one small run of all of it."""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf

import pytest

from lineside.bench import script
from lineside.bench.interruptions import Measured, holds, measure, rows
from lineside.bench.interruptions_phone import EARLIEST, MARGIN, STUCK, Interrupter, beginning
from lineside.standin.tone import ToneVoice

FIRST, SECOND = "1", "2"


def speech(key: str) -> bytes:
    return ToneVoice().speak(script.ANSWERS[key]).audio("mulaw", 8000)


def spoken_to() -> Interrupter:
    """A caller who hears the answer to the first key since 10.0."""
    caller = Interrupter(FIRST + SECOND, random.Random(1))
    assert caller.press(9.0) == FIRST
    caller.play(speech(FIRST)[:24_000], 10.0)
    return caller


# -- the caller --------------------------------------------------------------------------------------------------------


def test_the_next_key_comes_at_a_random_moment_of_the_answer() -> None:
    caller = spoken_to()
    assert 10.0 + EARLIEST <= caller.key_at <= 10.0 + script.seconds(FIRST) - MARGIN


def test_a_delay_is_from_the_key_to_the_clear() -> None:
    caller = spoken_to()
    assert caller.press(11.0) == SECOND
    caller.cleared(11.25)
    assert caller.cuts == [(11.0, 0.25)]
    assert caller.dry_at == 11.25


def test_audio_between_the_key_and_the_clear_is_not_stale() -> None:
    caller = spoken_to()
    caller.press(11.0)
    caller.play(speech(FIRST)[24_000:25_600], 11.1)
    caller.cleared(11.2)
    caller.play(speech(SECOND)[:1600], 11.4)
    assert caller.stale == [(11.4, 0)]


def test_what_comes_behind_the_clear_before_the_new_answer_is_counted() -> None:
    caller = spoken_to()
    caller.press(11.0)
    caller.cleared(11.2)
    caller.play(speech(FIRST)[24_000:24_480], 11.3)
    caller.play(speech(SECOND)[:1600], 11.4)
    assert [n_bytes for _, n_bytes in caller.stale] == [480]
    assert caller.key_at > 11.4 + EARLIEST - 0.1


def test_an_answer_that_never_begins_is_counted_as_stale_and_not_looked_for_without_end() -> None:
    caller = spoken_to()
    caller.press(11.0)
    caller.cleared(11.2)
    caller.play(speech(FIRST)[:16_000], 11.3)
    assert [n_bytes for _, n_bytes in caller.stale] == [16_000]


def test_a_key_without_a_clear_is_told_by_the_next() -> None:
    caller = spoken_to()
    caller.press(11.0)
    caller.press(11.0 + STUCK)
    assert caller.uncleared == [11.0 + STUCK]
    assert caller.stuck == [11.0 + STUCK]


def test_a_key_into_silence_interrupts_nothing() -> None:
    caller = Interrupter(FIRST + SECOND, random.Random(1))
    assert caller.key_at == inf
    caller.press(9.0)
    caller.press(9.0 + STUCK)
    assert (caller.cuts, caller.uncleared) == ([], [])
    assert caller.stuck == [9.0 + STUCK]


def test_answers_are_known_by_their_beginnings() -> None:
    assert len({beginning(key) for key in script.TALK}) == len(script.TALK)
    for key in script.TALK:
        others = [other for other in script.TALK if other != key]
        assert all(beginning(key) not in speech(other) for other in others)


# -- the table ---------------------------------------------------------------------------------------------------------

BARE = Measured(delays_ms=[1.0, 2.0], stale=[0], uncleared=0, stuck=0, lost=0, late_ms=1.0)
OURS = replace(BARE, delays_ms=[1.5, 6.9])


def test_the_table_has_the_difference() -> None:
    assert rows({"bare": BARE, "lineside": OURS}) == [
        ["", "bare", "lineside", "added"],
        ["interruptions", "2", "2", ""],
        ["key to clear p50 ms", "1.00", "1.50", "+0.50"],
        ["key to clear p99 ms", "2.00", "6.90", "+4.90"],
        ["bytes of the old answer behind a clear", "0", "0", ""],
        ["keys without their clear", "0", "0", ""],
        ["answers or calls lost", "0", "0", ""],
        ["void runs", "0", "0", ""],
        ["generator late p99 ms", "1.00", "1.00", ""],
    ]


def test_the_bound_is_the_difference_at_p99() -> None:
    assert holds({"bare": BARE, "lineside": OURS})
    assert not holds({"bare": BARE, "lineside": replace(OURS, delays_ms=[1.5, 7.1])})


@pytest.mark.parametrize(
    "worse", [{"stale": [0, 160]}, {"uncleared": 1}, {"stuck": 1}, {"lost": 1}, {"late_ms": 5.1}, {"delays_ms": []}]
)
def test_nothing_else_may_go_wrong_either(worse: dict[str, object]) -> None:
    assert not holds({"bare": BARE, "lineside": replace(OURS, **worse)})  # type: ignore[arg-type]


def test_a_run_whose_generator_was_late_does_not_count_unless_there_is_no_other() -> None:
    good = {"delays_ms": [1.0], "stale": [0], "uncleared": 0, "stuck": 0, "lost": 0, "late_ms": 1.0}
    late = good | {"delays_ms": [99.0], "late_ms": 5.1}
    measured = Measured.of([late, good])
    assert (measured.delays_ms, measured.n_void, measured.void) == ([1.0], 1, False)
    assert Measured.of([late]).void


# -- all of it ---------------------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_small_run_measures_both_servers() -> None:
    measured = measure(2, 5.0, 1)
    assert list(measured) == ["bare", "lineside"]
    for each in measured.values():
        assert each.delays_ms
        assert each.stale
        assert sum(each.stale) == 0
        assert (each.uncleared, each.stuck, each.lost) == (0, 0, 0)
