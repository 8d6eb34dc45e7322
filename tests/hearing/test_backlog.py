"""The caller's audio waiting for a recogniser: whole, in order, bounded, at a bounded pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.hearing.backlog import BURST_S, Backlog

NOW = 1000.0


def pattern(n_bytes: int, start: int = 0) -> bytes:
    """Bytes that tell where they belong."""
    return bytes((start + n) % 251 for n in range(n_bytes))


def take_all(backlog: Backlog, now: float = NOW) -> bytes:
    got = b""
    while chunk := backlog.take(now):
        got += chunk
    return got


def test_frames_leave_as_whole_chunks_in_order() -> None:
    backlog = Backlog(480, ingest=1.25)
    for n in range(2):
        backlog.push(pattern(160, n * 160))
        assert backlog.take(NOW) == b""
        assert backlog.due is None
    backlog.push(pattern(160, 320))
    assert backlog.take(NOW) == pattern(480)
    assert backlog.take(NOW) == b""
    assert backlog.waiting == 0


def test_a_chunk_may_leave_the_moment_it_is_whole() -> None:
    backlog = Backlog(480, ingest=1.25)
    for n in range(100):
        backlog.push(bytes(480))
        assert len(backlog.take(NOW + n * 0.06)) == 480


def test_live_audio_in_clumps_is_not_held_back() -> None:
    backlog = Backlog(480, ingest=1.25)
    for n in range(50):
        backlog.push(bytes(4 * 480))  # 240 ms at once
        assert len(take_all(backlog, NOW + n * 0.24)) == 4 * 480


def test_a_backlog_leaves_no_faster_than_it_may() -> None:
    backlog = Backlog(480, ingest=1.25)
    backlog.push(bytes(80_000))
    n_sent, now = 0, NOW
    while backlog.waiting >= 480:
        due = backlog.due
        assert due is not None
        now = max(now, due)
        chunk = backlog.take(now)
        assert chunk
        n_sent += len(chunk)
        assert n_sent <= (now - NOW + BURST_S) * 10_000 + 481
    assert now - NOW == pytest.approx(8.0 - BURST_S, abs=0.1)  # ten seconds at 1.25 times real time


def test_nothing_leaves_before_it_is_due() -> None:
    backlog = Backlog(480, ingest=1.25)
    backlog.push(bytes(80_000))
    take_all(backlog)
    due = backlog.due
    assert due is not None
    assert due > NOW
    assert backlog.take(due - 0.001) == b""
    assert len(backlog.take(due)) == 480


def test_over_the_bound_the_oldest_is_dropped_and_counted() -> None:
    backlog = Backlog(480, ingest=1000, hold_s=1.0)
    backlog.push(pattern(8000))
    assert backlog.dropped == 0
    backlog.push(pattern(500, 8000))
    assert backlog.dropped == 500
    assert backlog.waiting == 8000
    assert take_all(backlog) == pattern(8500)[500:][: 8000 // 480 * 480]


def test_a_push_larger_than_the_bound_leaves_its_end() -> None:
    backlog = Backlog(100, ingest=1000, hold_s=0.1)
    backlog.push(pattern(3000))
    assert backlog.dropped == 2200
    assert take_all(backlog) == pattern(3000)[2200:]


def test_audio_that_was_sent_makes_room_and_is_not_counted_as_dropped() -> None:
    backlog = Backlog(80, ingest=1000, hold_s=0.1)
    for n in range(10):
        backlog.push(pattern(800, n * 800))
        assert take_all(backlog) == pattern(800, n * 800)
    assert backlog.dropped == 0


def test_what_is_not_settled_is_sent_again() -> None:
    backlog = Backlog(80, ingest=1000)
    backlog.push(pattern(800))
    take_all(backlog)
    backlog.settle(300)
    backlog.push(pattern(80, 800))
    assert backlog.rewind() == 0
    assert take_all(backlog) == pattern(880)[300:][: 580 // 80 * 80]


def test_positions_count_from_the_first_byte_on_the_new_socket() -> None:
    backlog = Backlog(100, ingest=1000)
    backlog.push(pattern(1000))
    take_all(backlog)
    backlog.settle(300)
    backlog.rewind()
    take_all(backlog)
    backlog.settle(200)
    backlog.rewind()
    assert take_all(backlog) == pattern(1000)[500:]


def test_a_new_socket_starts_at_once() -> None:
    backlog = Backlog(480, ingest=1.25)
    backlog.push(bytes(80_000))
    n_first = len(take_all(backlog))
    backlog.rewind()
    assert len(take_all(backlog)) == n_first


def test_what_is_settled_never_comes_back() -> None:
    backlog = Backlog(100, ingest=1000)
    backlog.push(pattern(1000))
    take_all(backlog)
    backlog.settle(500)
    backlog.settle(200)
    backlog.rewind()
    assert take_all(backlog) == pattern(1000)[500:]


def test_more_cannot_be_settled_than_was_sent() -> None:
    backlog = Backlog(100, ingest=1000)
    backlog.push(pattern(150))
    backlog.take(NOW)
    backlog.settle(10_000)
    backlog.push(pattern(50, 150))
    assert backlog.take(NOW) == pattern(200)[100:]


def test_sent_audio_that_is_held_no_more_is_told_when_the_socket_dies() -> None:
    backlog = Backlog(80, ingest=1000, hold_s=0.1)
    for n in range(3):
        backlog.push(pattern(800, n * 800))
        take_all(backlog)
    backlog.settle(1000)
    assert backlog.rewind() == 600
    assert take_all(backlog) == pattern(2400)[1600:]


def test_after_a_drop_positions_are_still_those_of_the_socket() -> None:
    backlog = Backlog(80, ingest=1000, hold_s=0.1)
    backlog.push(pattern(800))
    take_all(backlog)
    backlog.push(pattern(1600, 800))  # 800 of them are dropped unsent
    assert backlog.dropped == 800
    take_all(backlog)  # so the socket's second 800 bytes are the last 800 of the call
    backlog.settle(1000)
    backlog.rewind()
    assert take_all(backlog) == pattern(2400)[1800:][: 600 // 80 * 80]


def test_a_cleared_backlog_is_empty() -> None:
    backlog = Backlog(80, ingest=1000)
    backlog.push(pattern(800))
    backlog.take(NOW)
    backlog.clear()
    assert backlog.waiting == 0
    assert backlog.take(NOW) == b""


@given(
    st.lists(
        st.tuples(st.just("push"), st.integers(0, 400))
        | st.tuples(st.just("take"), st.just(0))
        | st.tuples(st.just("settle"), st.integers(0, 600))
        | st.tuples(st.just("die"), st.just(0)),
        max_size=60,
    )
)
def test_every_byte_is_sent_in_order_or_counted_whatever_dies_when(steps: list[tuple[str, int]]) -> None:
    """Against a model that knows each byte by its number in the call."""
    backlog = Backlog(16, ingest=1e9, hold_s=0.05)  # 400 bytes
    n_fed = 0
    on_socket: list[int] = []  # numbers of the bytes sent on the present socket
    sent: set[int] = set()
    for step, n in steps:
        if step == "push":
            backlog.push(bytes((n_fed + i) % 256 for i in range(n)))
            n_fed += n
        elif step == "take":
            chunk = backlog.take(NOW)
            first = n_fed - backlog.waiting - len(chunk)
            assert chunk == bytes((first + i) % 256 for i in range(len(chunk)))
            numbers = range(first, first + len(chunk))
            if on_socket and chunk:
                assert first > on_socket[-1]
            on_socket += numbers
            sent.update(numbers)
        elif step == "settle":
            backlog.settle(min(n, len(on_socket)))
        else:
            backlog.rewind()
            on_socket = []
        assert backlog.waiting <= 400
    never = set(range(n_fed - backlog.waiting)) - sent
    assert len(never) <= backlog.dropped  # which also counts audio sent to a socket that died, but not again
