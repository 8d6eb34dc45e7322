"""The carrier's playout queue."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.standin.carrier_queue import LIMIT_BYTES, CarrierQueue, Echo, Gap, Span, render
from standin.phone_server import about

FRAME = bytes(range(160))
SECOND = bytes(8000)


def names(echoes: list[Echo]) -> list[str]:
    return [echo.name for echo in echoes]


def test_audio_plays_at_8000_bytes_a_second() -> None:
    queue = CarrierQueue(began=10.0)
    queue.play(SECOND, now=10.0)
    assert (queue.played(10.25), queue.depth(10.25)) == (2000, 6000)
    assert (queue.played(11.0), queue.depth(11.0)) == (8000, 0)
    assert queue.played(12.0) == 8000


def test_a_mark_is_due_when_all_audio_before_it_was_played() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME, now=0.0)
    queue.mark("first", now=0.0)
    queue.play(FRAME, now=0.001)
    queue.mark("second", now=0.002)
    assert queue.next_due == about(0.020)
    assert queue.due(0.019) == []
    assert queue.due(0.020) == [Echo("first", about(0.020), cleared=False)]
    assert names(queue.due(0.040)) == ["second"]
    assert queue.next_due == math.inf


def test_a_mark_on_an_empty_queue_is_due_at_once() -> None:
    queue = CarrierQueue(began=0.0)
    queue.mark("now", now=5.0)
    assert queue.due(5.0) == [Echo("now", 5.0, cleared=False)]


def test_a_mark_after_everything_was_played_is_due_at_once() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME, now=0.0)
    queue.mark("late", now=3.0)
    assert queue.due(3.0) == [Echo("late", 3.0, cleared=False)]


def test_a_clear_drops_audio_and_makes_all_pending_marks_due_in_their_order() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(SECOND, now=0.0)
    queue.mark("a", now=0.0)
    queue.play(SECOND, now=0.0)
    queue.mark("b", now=0.0)
    queue.clear(now=0.5)
    assert queue.due(0.5) == [Echo("a", 0.5, cleared=True), Echo("b", 0.5, cleared=True)]
    assert (queue.played(9.0), queue.dropped, queue.depth(0.5)) == (4000, 12000, 0)
    assert queue.clears[0].marks == ("a", "b")
    assert queue.clears[0].dropped == 12000


def test_a_mark_that_was_reached_before_the_clear_counts_as_played() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME, now=0.0)
    queue.mark("played", now=0.0)
    queue.play(FRAME, now=0.0)
    queue.mark("cleared", now=0.0)
    queue.clear(now=0.030)
    assert [(echo.name, echo.cleared) for echo in queue.due(0.030)] == [("played", False), ("cleared", True)]


def test_marks_of_a_clear_may_come_newest_first_but_never_before_played_ones() -> None:
    queue = CarrierQueue(began=0.0, newest_first_on_clear=True)
    queue.play(FRAME, now=0.0)
    queue.mark("played", now=0.0)
    queue.play(SECOND, now=0.0)
    for name in "abc":
        queue.mark(name, now=0.0)
    queue.clear(now=0.5)
    assert names(queue.due(0.5)) == ["played", "c", "b", "a"]


def test_audio_after_a_clear_starts_afresh_and_is_counted_until_the_next_mark() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(SECOND, now=0.0)
    queue.clear(now=0.1)
    queue.play(FRAME, now=0.13)
    queue.play(FRAME, now=0.14)
    queue.mark("next", now=0.14)
    queue.play(FRAME, now=0.15)
    assert queue.due(0.17) == [Echo("next", about(0.17), cleared=False)]
    assert (queue.clears[0].late_bytes, queue.clears[0].late_at) == (320, 0.13)


def test_a_gap_is_recorded_when_audio_comes_after_the_queue_ran_dry() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME, now=1.0)
    assert queue.gaps == []
    queue.play(FRAME, now=1.5)
    queue.mark("turn", now=1.5)
    queue.play(FRAME, now=4.0)
    assert queue.gaps == [Gap(about(1.02), 1.5, None), Gap(about(1.52), 4.0, "turn")]


@pytest.mark.parametrize("late", [0.0, 5e-8])
def test_audio_that_comes_just_as_the_queue_runs_dry_makes_no_gap(late: float) -> None:
    queue = CarrierQueue(began=1000.0)
    now = 1000.0
    for _ in range(500):
        queue.play(FRAME, now)
        now += 0.02
    queue.play(FRAME, now + late)
    assert queue.gaps == []
    assert [len(span.audio) for span in queue.spans(2000.0)] == [501 * 160]


@pytest.mark.parametrize("cleared_at", [0.01, 0.02, 0.5])
def test_silence_after_a_clear_is_not_a_gap(cleared_at: float) -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME, now=0.0)
    queue.clear(now=cleared_at)
    queue.play(FRAME, now=3.0)
    assert queue.gaps == []


def test_more_than_ten_minutes_is_discarded_with_31931() -> None:
    queue = CarrierQueue(began=0.0)
    assert queue.play(bytes(LIMIT_BYTES - 160), now=0.0) == []
    assert queue.play(bytes(320), now=0.0) == ["31931"]
    assert (queue.accepted, queue.discarded, queue.max_depth) == (LIMIT_BYTES, 160, LIMIT_BYTES)
    assert queue.play(FRAME, now=0.0) == ["31931"]
    assert queue.play(FRAME, now=0.02) == []


@pytest.mark.parametrize(
    ("audio", "faults"),
    [
        (bytes(160), []),
        (bytes(320), []),
        (bytes(161), ["partial_frames"]),
        (b"RIFF" + bytes(156), ["audio_header"]),
        (b"ID3" + bytes(157), ["audio_header"]),
        (b"OggS" + bytes(157), ["partial_frames", "audio_header"]),
        (b"fLaC" + bytes(156), ["audio_header"]),
        (bytes(80) + b"RIFF" + bytes(76), []),
    ],
)
def test_partial_frames_and_file_headers_are_noticed(audio: bytes, faults: list[str]) -> None:
    queue = CarrierQueue(began=0.0)
    assert queue.play(audio, now=0.0) == faults
    assert queue.partial_chunks == faults.count("partial_frames")
    assert queue.headers.total() == faults.count("audio_header")
    assert queue.played(1.0) == len(audio)


def test_the_caller_hears_silence_where_nothing_is_played() -> None:
    queue = CarrierQueue(began=100.0)
    queue.play(b"\x01" * 160, now=100.01)
    queue.play(b"\x02" * 160, now=100.05)
    queue.clear(now=100.06)
    assert queue.heard(100.1) == (b"\xff" * 80 + b"\x01" * 160 + b"\xff" * 160 + b"\x02" * 80 + b"\xff" * 320)
    assert queue.heard(100.02) == b"\xff" * 80 + b"\x01" * 80
    assert queue.heard(100.0) == b""


def test_what_is_not_yet_played_is_not_heard() -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME + FRAME, now=0.0)
    assert queue.spans(0.03) == [Span(0.0, (FRAME + FRAME)[:240])]


@pytest.mark.parametrize(("echo_marks", "echoed"), [(False, ["reached"]), (True, ["reached", "pending"])])
def test_at_the_end_nothing_more_plays_and_marks_are_echoed_or_lost(echo_marks: bool, echoed: list[str]) -> None:
    queue = CarrierQueue(began=0.0)
    queue.play(FRAME, now=0.0)
    queue.mark("reached", now=0.0)
    queue.play(SECOND, now=0.0)
    queue.mark("pending", now=0.0)
    queue.end(now=0.5, echo_marks=echo_marks)
    assert names(queue.due(99.0)) == echoed
    assert queue.played(99.0) == 4000
    assert queue.next_due == math.inf


def test_spans_outside_of_the_rendered_time_are_cut() -> None:
    spans = [Span(0.99, b"\x01" * 160), Span(1.99, b"\x02" * 160)]
    line = render(spans, began=1.0, until=2.0)
    assert (line[:81], line[-81:], len(line)) == (b"\x01" * 80 + b"\xff", b"\xff" + b"\x02" * 80, 8000)


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["play", "play", "play", "mark", "clear", "due"]),
        st.integers(0, 4000),
        st.floats(0, 0.3, allow_nan=False),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_byte_is_played_or_dropped_or_queued_and_every_mark_is_echoed_once(steps: list[Step]) -> None:
    queue, now, sent, marks = CarrierQueue(began=7.0), 7.0, 0, 0
    for what, size, pause in steps:
        now += pause
        match what:
            case "play":
                queue.play(bytes(size), now)
                sent += size
            case "mark":
                marks += 1
                queue.mark(f"m{marks}", now)
            case "clear":
                queue.clear(now)
                assert queue.depth(now) == 0
            case "due":
                assert all(echo.at <= now + 1e-6 for echo in queue.due(now))
        assert queue.accepted == sent
        assert queue.played(now) + queue.dropped + queue.depth(now) == queue.accepted
        assert queue.played(now) <= sent
    queue.due(now + 1000)
    assert names(queue.echoes) == [f"m{n + 1}" for n in range(marks)]
    assert [echo.at for echo in queue.echoes] == sorted(echo.at for echo in queue.echoes)
    assert queue.played(now + 1000) == queue.accepted - queue.dropped


@given(STEPS)
def test_what_is_heard_is_what_was_played_in_order_and_nothing_else(steps: list[Step]) -> None:
    queue, now = CarrierQueue(began=7.0), 7.0
    value = 0
    for what, size, pause in steps:
        now += pause
        if what == "play":
            value = value % 250 + 1
            queue.play(bytes([value]) * size, now)
        elif what == "clear":
            queue.clear(now)
    end = now + 40  # longer than all of it
    played = b"".join(span.audio for span in queue.spans(end))
    assert len(played) == queue.played(end)
    heard = queue.heard(end).replace(b"\xff", b"")
    # Runs start between samples, so neighbours may share one on the time line.
    assert 0 <= len(played) - len(heard) <= len(queue.spans(end))
