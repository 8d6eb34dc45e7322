"""Where the audio of a stretch stands, checked against a carrier's queue that was written for this test alone."""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineside.talk.playout import (
    BYTES_PER_S,
    FEW,
    FRAME,
    KEEP,
    LEAST_DOUBT,
    MARK_EVERY,
    MARK_GRACE,
    MESSAGE,
    MOST_DOUBT,
    SILENCE,
    SMALLEST,
    THIN_LEAD,
    UNKNOWN,
    Playout,
    RoundTrip,
    Send,
)

START = 1000.0  # s; where the test clock begins too
ROUNDED = 2  # bytes; positions are rounded down, and times are sums of floats
SURE = LEAST_DOUBT * BYTES_PER_S + ROUNDED  # bytes by which too little is claimed on a network that is known to be calm


def audio_of(n_bytes: int, seed: int = 1) -> bytes:
    """Audio in which every place can be told from its neighbours, and none is silence."""
    return bytes(byte % 255 for byte in random.Random(seed).randbytes(n_bytes))


def calm(delay: float = 1.0) -> RoundTrip:
    """A network that has shown that it does not waver."""
    trip = RoundTrip()
    for _ in range(FEW):
        trip.seen(delay)
    return trip


def everything(playout: Playout, now: float) -> list[Send]:
    return list(iter(lambda: playout.take(now), None))


# -- a carrier, as the documents describe it -----------------------------------------------------------------------


class Carrier:
    """One FIFO of audio and marks, drained at 8000 bytes a second, behind a network with delays of its own.

    Messages arrive `out` seconds after they are sent, plus jitter, in order; marks come back `back` seconds after
    playout reached them, plus jitter, in order.
    """

    def __init__(self, out: float, back: float, jitter: Callable[[], float]) -> None:
        self.out = out
        self.back = back
        self.jitter = jitter
        self.arrived = 0.0  # when the last message did
        self.spans: list[tuple[float, int, int]] = []  # played from this time on: so many bytes, after so many
        self.dry_at = 0.0
        self.n_bytes = 0
        self.returned = 0.0
        self.returns: list[tuple[float, str]] = []

    def send(self, audio: bytes, mark: str | None, now: float) -> None:
        self.arrived = max(self.arrived, now + self.out + self.jitter())
        if audio:
            begins = max(self.arrived, self.dry_at)
            self.spans.append((begins, len(audio), self.n_bytes))
            self.n_bytes += len(audio)
            self.dry_at = begins + len(audio) / BYTES_PER_S
        if mark is not None:
            self.returned = max(self.returned, max(self.arrived, self.dry_at) + self.back + self.jitter())
            heapq.heappush(self.returns, (self.returned, mark))

    def clear(self, now: float) -> None:
        """What is not played by its arrival is dropped; the marks in it come back as if played."""
        self.arrived = max(self.arrived, now + self.out + self.jitter())
        self.n_bytes = int(self.heard(self.arrived))
        self.spans = [
            (begins, min(size, self.n_bytes - before), before)
            for begins, size, before in self.spans
            if before < self.n_bytes
        ]
        self.dry_at = min(self.dry_at, self.arrived)
        self.returned = min(self.returned, self.arrived + self.back)
        self.returns = [(min(at, self.arrived + self.back), mark) for at, mark in self.returns]

    def heard(self, at: float) -> float:
        """Bytes played by then."""
        after = bisect_right(self.spans, at, key=lambda span: span[0])
        if after == 0:
            return 0.0
        begins, size, before = self.spans[after - 1]
        return before + min(size, (at - begins) * BYTES_PER_S)

    def heard_at_clear(self, now: float) -> float:
        """Bytes played when a clear sent now would arrive at the soonest: behind what was sent before it."""
        return self.heard(max(self.arrived, now + self.out))


class Scene:
    """A provider, a playout and a carrier; time goes from event to event."""

    def __init__(self, playout: Playout, carrier: Carrier, feed: Sequence[tuple[float, bytes]]) -> None:
        self.playout = playout
        self.carrier = carrier
        self.feed = sorted(feed, key=lambda item: item[0])
        self.now = START
        self.sends: list[tuple[float, Send]] = []
        self.end_mark: str | None = None
        self.looks = 0

    def run(self, until: float, look_every: float = 0.013) -> Iterator[float]:
        """Yields every so often, and after each event, with the time up to date."""
        look = self.now
        while self.now < until:
            due = self.playout.due(self.now)
            times = [until, look + look_every]
            times += [due] if due is not None else []
            times += [self.feed[0][0]] if self.feed else []
            times += [self.carrier.returns[0][0]] if self.carrier.returns else []
            self.now = max(self.now, min(times))
            if self.now >= look + look_every:
                look = self.now
            while self.feed and self.feed[0][0] <= self.now:
                _, audio = self.feed.pop(0)
                if audio:
                    self.playout.add(audio)
                else:
                    self.playout.finish()
            while self.carrier.returns and self.carrier.returns[0][0] <= self.now:
                self.playout.marked(heapq.heappop(self.carrier.returns)[1], self.now)
            sent = self.send()
            if due is not None and due <= self.now:
                assert sent, f"due at {due}, asked at {self.now}: nothing came, and the waiter would spin"
            yield self.now

    def send(self) -> int:
        sends = everything(self.playout, self.now)
        for send in sends:
            self.sends.append((self.now, send))
            self.carrier.send(send.audio, send.mark, self.now)
        if mark := self.playout.end_mark():
            self.end_mark = mark
            self.carrier.send(b"", mark, self.now)
        return len(sends)

    @property
    def sent(self) -> bytes:
        return b"".join(send.audio for _, send in self.sends)


def provider(
    audio: bytes, seed: int, *, speed: float = 5.0, pause: float = 0.0, pause_from: int = 0
) -> list[tuple[float, bytes]]:
    """Audio in chunks of odd sizes, `speed` times as fast as it plays, with one pause on the way; b"" is the end."""
    dice = random.Random(seed)
    at, begin, feed = START + dice.random() * 0.3, 0, []
    pause_at = dice.randrange(pause_from, len(audio) + 1)
    while begin < len(audio):
        size = dice.choice((1, 7, 160, 555, 1024, 4000))
        feed.append((at, audio[begin : begin + size]))
        if begin <= pause_at < begin + size:
            at += pause
        begin += size
        at += size / BYTES_PER_S / speed
    return [*feed, (at, b"")]


# -- audio out -----------------------------------------------------------------------------------------------------


def test_first_frame_leaves_at_once() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME))
    assert playout.due(START) == START
    send = playout.take(START)
    assert send is not None
    assert send.audio == audio_of(FRAME)
    assert send.gap == 0.0


def test_less_than_a_frame_waits_for_more() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME - 1))
    assert playout.take(START) is None
    assert playout.due(START) is None


def test_nothing_given_is_nothing_to_send() -> None:
    playout = Playout("a")
    assert playout.take(START) is None
    assert playout.due(START) is None
    assert playout.end_mark() is None
    assert playout.played(START) == playout.sent == playout.received == 0


def test_last_frame_is_padded_with_silence_and_only_that_one() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME + 1))
    playout.finish()
    assert b"".join(send.audio for send in everything(playout, START)) == audio_of(FRAME + 1) + SILENCE * (FRAME - 1)
    assert playout.sent == FRAME + 1


def test_padding_is_never_counted_as_played() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME + 1))
    playout.finish()
    everything(playout, START)
    assert playout.played(START + 5) == FRAME + 1


def test_lead_shrinks_as_the_caller_listens() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME))
    playout.take(START)
    assert playout.lead(START) == pytest.approx(0.020)
    assert playout.lead(START + 0.015) == pytest.approx(0.005)
    assert playout.lead(START + 0.5) == 0.0


@pytest.mark.parametrize("lead", [0.2, 0.5, 1.0, 5.0])
def test_a_long_answer_fills_the_lead_and_no_more(lead: float) -> None:
    playout = Playout("a", lead=lead)
    playout.add(audio_of(20 * BYTES_PER_S))
    everything(playout, START)
    assert playout.lead(START) == pytest.approx(lead, abs=min(MESSAGE / BYTES_PER_S, lead / 2))
    assert playout.lead(START) <= lead + 1e-6


@pytest.mark.parametrize("lead", [0.0, 0.01, 0.02, 0.04, 0.05, 0.08, 0.1, 0.11, 0.15, 0.2, 0.25, 1.0, 5.0])
@pytest.mark.parametrize("start", [0.1, START, 123456.7, 2e6 + 0.3])
def test_when_due_comes_something_is_sent_and_not_before(lead: float, start: float) -> None:
    playout = Playout("a", lead=lead)
    now = start
    dice = random.Random(7)
    for step in range(300):
        everything(playout, now)
        due = playout.due(now)
        if due is None:
            playout.add(audio_of(dice.choice((1, 100, 160, 200, 800, 1000, 1700))))
            now += dice.choice((0.0, 0.003, 0.0501, 0.17))
            if step > 280:
                playout.finish()
            continue
        assert due >= now
        if due > now:
            assert playout.take(due - (due - now) * 0.01 - 1e-5) is None
        now = due
        assert playout.take(now) is not None


def test_while_the_carrier_has_audio_no_crumbs_are_sent() -> None:
    playout = Playout("a")
    playout.add(audio_of(MESSAGE))
    everything(playout, START)
    playout.add(audio_of(SMALLEST - 1))
    assert playout.take(START) is None
    playout.add(audio_of(1))
    send = playout.take(START)
    assert send is not None
    assert len(send.audio) == SMALLEST


def test_crumbs_are_sent_before_the_carrier_runs_dry() -> None:
    playout = Playout("a")
    playout.add(audio_of(MESSAGE))
    everything(playout, START)
    playout.add(audio_of(FRAME))
    due = playout.due(START)
    assert due == pytest.approx(START + MESSAGE / BYTES_PER_S - THIN_LEAD)
    assert due is not None
    assert playout.take(due) is not None


def test_a_gap_in_the_middle_is_reported_with_its_length() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME))
    playout.take(START)
    playout.add(audio_of(FRAME))
    send = playout.take(START + 0.5)
    assert send is not None
    assert send.gap == pytest.approx(0.48)


def test_audio_in_time_is_no_gap() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME))
    playout.take(START)
    playout.add(audio_of(FRAME))
    send = playout.take(START + 0.019)
    assert send is not None
    assert send.gap == 0.0


def test_silence_between_hold_and_resume_is_no_gap() -> None:
    playout = Playout("a")
    playout.add(audio_of(MESSAGE * 4))
    everything(playout, START)
    playout.resume(playout.hold(START + 0.1))
    send = playout.take(START + 9)
    assert send is not None
    assert send.gap == 0.0


@given(
    cuts=st.lists(st.integers(0, 6000), max_size=12),
    n_bytes=st.integers(0, 6000),
    lead=st.sampled_from([0.02, 0.1, 0.2, 1.0, 5.0]),
    pace=st.floats(0.0, 0.3),
)
@settings(deadline=None)
def test_any_chunking_gives_the_same_audio_in_whole_frames(
    cuts: list[int], n_bytes: int, lead: float, pace: float
) -> None:
    audio = audio_of(n_bytes)
    playout = Playout("a", lead=lead)
    now, out = START, []
    edges = [0, *sorted(min(cut, n_bytes) for cut in cuts), n_bytes]
    for begin, end in itertools.pairwise(edges):
        playout.add(audio[begin:end])
        out += everything(playout, now)
        now += pace
    playout.finish()
    while (due := playout.due(now)) is not None:
        now = due
        out += everything(playout, now)
    assert all(send.audio and len(send.audio) % FRAME == 0 for send in out)
    padding = -n_bytes % FRAME
    assert b"".join(send.audio for send in out) == audio + SILENCE * padding
    assert playout.sent == playout.received == n_bytes


@given(seed=st.integers(0, 10_000), lead=st.sampled_from([0.2, 0.3, 0.5, 1.0, 2.0, 5.0]), speed=st.floats(0.9, 40))
@settings(max_examples=60, deadline=None)
def test_messages_are_of_100_to_200_ms_unless_the_carrier_would_run_dry(seed: int, lead: float, speed: float) -> None:
    audio = audio_of(random.Random(seed).randrange(1, 40_000))
    carrier = Carrier(0.03, 0.03, lambda: 0.0)
    scene = Scene(Playout("a", lead=lead), carrier, provider(audio, seed, speed=speed))
    before = 0.0
    for _ in scene.run(START + 20):
        assert scene.playout.lead(scene.now) <= lead + FRAME / BYTES_PER_S + 1e-6  # a frame: the padding of the last
    dry_at: float | None = None
    for at, send in scene.sends:
        before = 0.0 if dry_at is None else max(0.0, dry_at - at)
        last = send is scene.sends[-1][1]
        assert len(send.audio) <= MESSAGE
        assert last or before <= THIN_LEAD + 1e-5 or len(send.audio) >= SMALLEST
        dry_at = at + before + len(send.audio) / BYTES_PER_S
    assert scene.sent == audio + SILENCE * (-len(audio) % FRAME)
    assert scene.playout.over(scene.now)


@pytest.mark.parametrize("seed", range(10))
def test_no_gap_while_a_stall_is_shorter_than_the_lead(seed: int) -> None:
    feed = provider(audio_of(12 * BYTES_PER_S), seed, speed=8.0, pause=0.7, pause_from=3 * BYTES_PER_S)
    scene = Scene(Playout("a", lead=1.0), Carrier(0.04, 0.04, lambda: 0.0), feed)
    for _ in scene.run(START + 20):
        pass
    assert [send.gap for _, send in scene.sends] == [0.0] * len(scene.sends)
    assert scene.playout.over(scene.now)


def test_gaps_reported_are_those_that_the_carrier_had() -> None:
    for seed in range(30):
        carrier = Carrier(0.05, 0.05, lambda: 0.0)
        feed = provider(audio_of(30_000), seed, speed=random.Random(seed).choice((0.5, 0.95, 3.0)), pause=1.7)
        scene = Scene(Playout("a", lead=1.0), carrier, feed)
        for _ in scene.run(START + 20):
            pass
        silent = sum(
            then - (begins + size / BYTES_PER_S)
            for (begins, size, _), (then, _, _) in itertools.pairwise(carrier.spans)
        )
        assert sum(send.gap for _, send in scene.sends) == pytest.approx(silent, abs=1e-6)


# -- dropping what was not sent ------------------------------------------------------------------------------------


@given(n_bytes=st.integers(0, 20_000), at=st.integers(0, 25_000), now=st.floats(0, 3), extra=st.integers(0, 500))
@settings(deadline=None)
def test_dropping_never_touches_what_was_sent(n_bytes: int, at: int, now: float, extra: int) -> None:
    audio = audio_of(n_bytes)
    playout = Playout("a", lead=0.5)
    playout.add(audio)
    out = [send.audio for send in everything(playout, START)] + [
        send.audio for send in everything(playout, START + now)
    ]
    sent = playout.sent
    playout.drop_from(at)
    assert playout.sent == sent
    assert playout.received == min(n_bytes, max(at, sent))
    kept = audio[: playout.received]
    assert playout.unsent() == kept[sent:]
    new = audio_of(extra, seed=2)
    playout.add(new)
    playout.finish()
    clock = START + now
    while (due := playout.due(clock)) is not None:
        clock = due
        out += [send.audio for send in everything(playout, clock)]
    assert b"".join(out)[: len(kept) + extra] == kept + new


def test_unsent_is_a_copy() -> None:
    playout = Playout("a")
    playout.add(b"\x01" * 100)
    unsent = playout.unsent()
    playout.add(b"\x02" * 100)
    assert unsent == b"\x01" * 100


# -- marks ---------------------------------------------------------------------------------------------------------


def test_marks_are_unique_and_at_most_two_a_second() -> None:
    playout = Playout("t1s1")
    playout.add(audio_of(60 * BYTES_PER_S + 5))
    playout.finish()
    now, marks, held = START, [], False
    while not (playout.over(now) or now > START + 200):
        marks += [send.mark for send in everything(playout, now) if send.mark]
        if (mark := playout.end_mark()) is not None:
            marks.append(mark)
        if now > START + 20 and not held:
            held = True
            playout.resume(playout.hold(now))
            continue
        due = playout.due(now)
        now = playout.over_by(now) if due is None else due
    assert len(set(marks)) == len(marks)
    assert all(mark.startswith("t1s1.") for mark in marks)
    assert len(marks) <= 63 * 2


def test_the_last_message_has_a_mark() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME))
    playout.finish()
    send = playout.take(START)
    assert send is not None
    assert send.mark is not None
    assert playout.end_mark() is None


def test_an_end_that_comes_after_the_last_message_gets_a_mark_of_its_own_once() -> None:
    playout = Playout("a")
    playout.add(audio_of(FRAME))
    send = playout.take(START)
    assert send is not None
    assert playout.end_mark() is None
    playout.finish()
    mark = playout.end_mark()
    assert mark not in (None, send.mark)
    assert mark is not None
    assert playout.end_mark() is None
    assert not playout.over(START + 1)
    playout.marked(mark, START + 1.1)
    assert playout.over(START + 1.1)


def test_an_end_right_behind_a_mark_is_marked_again() -> None:
    playout = Playout("a")
    playout.add(audio_of(MARK_EVERY))
    sends = everything(playout, START)
    marks = [send.mark for send in sends if send.mark]
    assert len(marks) == 1
    playout.finish()
    end = playout.end_mark()
    assert end is not None
    assert end not in marks
    playout.marked(marks[0], START + 0.6)
    assert not playout.over(START + 0.6)
    playout.marked(end, START + 0.6)
    assert playout.over(START + 0.6)


def test_a_mark_of_another_stretch_changes_nothing() -> None:
    playout = Playout("a", trip=calm())
    playout.add(audio_of(5000))
    everything(playout, START)
    playout.marked("b.1", START + 0.1)
    assert playout.played(START + 0.1) == pytest.approx(800, abs=SURE)


def test_a_mark_that_a_hold_dropped_changes_nothing() -> None:
    playout = Playout("a")
    playout.add(audio_of(3 * BYTES_PER_S))
    marks = [send.mark for send in everything(playout, START) if send.mark]
    assert marks
    position = playout.hold(START + 0.1)
    for mark in marks:
        playout.marked(mark, START + 0.15)  # the carrier returns them all because of the clear
    assert playout.played(START + 0.15) == position
    playout.resume(position)
    for mark in marks:
        playout.marked(mark, START + 0.2)
    assert playout.played(START + 0.2) == position
    assert playout.sent == position


def test_a_mark_returned_twice_changes_nothing() -> None:
    playout = Playout("a")
    playout.add(audio_of(8000))
    mark = next(send.mark for send in everything(playout, START) if send.mark)
    playout.marked(mark, START + 0.7)
    played = playout.played(START + 0.7)
    playout.marked(mark, START + 0.7)
    assert playout.played(START + 0.7) == played


def test_what_a_mark_proved_is_not_taken_back() -> None:
    playout = Playout("a")
    playout.add(audio_of(8000))
    mark = [send.mark for send in everything(playout, START) if send.mark][-1]
    playout.marked(mark, START + 0.001)  # faster than real time: believe it all the same
    assert playout.played(START + 0.001) == 6400


def test_missing_marks_end_by_the_time_told() -> None:
    playout = Playout("a")
    playout.add(audio_of(8000))
    playout.finish()
    everything(playout, START)
    by = playout.over_by(START)
    assert by == pytest.approx(START + 1.0 + MARK_GRACE)
    assert not playout.over(by - 0.01)
    assert playout.over(by)
    assert playout.marks_missing > 0


def test_missing_marks_end_by_the_time_told_after_a_resume_with_nothing_left() -> None:
    playout = Playout("a")
    playout.add(audio_of(1600))
    playout.finish()
    everything(playout, START)
    now = START + 1.0  # all was heard, but the mark is not back
    playout.resume(playout.hold(now))
    assert playout.take(now) is None
    assert playout.end_mark() is not None
    by = playout.over_by(now)
    assert by < now + 10
    assert playout.over(by)


def test_one_missing_mark_in_the_middle_holds_nothing_up() -> None:
    playout = Playout("a")
    playout.add(audio_of(16_000))
    playout.finish()
    marks = [send.mark for send in everything(playout, START) if send.mark]
    now = START
    while (due := playout.due(now)) is not None:
        now = due
        marks += [send.mark for send in everything(playout, now) if send.mark]
    playout.marked(marks[-1], now + 1.1)
    assert playout.over(now + 1.1)
    assert playout.marks_missing == 0


def test_an_empty_stretch_is_over_when_it_is_finished() -> None:
    playout = Playout("a")
    assert not playout.over(START)
    playout.finish()
    assert playout.over(START)
    assert playout.end_mark() is None


def test_a_stretch_is_not_over_while_audio_waits_or_it_is_held() -> None:
    playout = Playout("a", lead=0.2)
    playout.add(audio_of(8000))
    playout.finish()
    everything(playout, START)
    assert not playout.over(START + 100)  # not all was sent
    playout.hold(START)
    assert not playout.over(START + 100)


def test_the_shortest_round_trip_is_kept_and_never_negative() -> None:
    assert RoundTrip().shortest is None
    trip = RoundTrip()
    trip.seen(0.2)
    trip.seen(0.3)
    assert trip.shortest == 0.2
    trip.seen(-0.1)
    assert trip.shortest == 0.0


@pytest.mark.parametrize("more_at", [-0.2, 0.0, 0.01, 0.1])
def test_a_mark_tells_the_round_trip_whether_the_queue_ran_dry_or_not(more_at: float) -> None:
    trip = RoundTrip()
    playout = Playout("a", trip=trip)
    playout.add(audio_of(MARK_EVERY))
    mark = everything(playout, START)[0].mark
    assert mark is not None
    playout.add(audio_of(800))
    everything(playout, START + 0.5 + more_at)
    playout.marked(mark, START + 0.320)
    assert trip.shortest == pytest.approx(0.120)


def test_an_end_mark_of_its_own_says_nothing_about_the_round_trip() -> None:
    trip = RoundTrip()
    playout = Playout("a", trip=trip)
    playout.add(audio_of(FRAME))
    everything(playout, START)
    playout.finish()
    mark = playout.end_mark()
    assert mark is not None
    playout.marked(mark, START + 5)
    assert trip.shortest is None
    assert playout.began_at is None


# -- marks at word ends --------------------------------------------------------------------------------------------


def words_at(*ends: int) -> Callable[[int, int], int | None]:
    """Knows these word ends."""
    return lambda after, upto: next((end for end in ends if after < end <= upto), None)


def marked_at(playout: Playout, seconds: float) -> list[int]:
    """Play on; returns the bytes behind which marks went."""
    now, sent, marks = START, 0, []
    while now < START + seconds:
        for send in everything(playout, now):
            sent += len(send.audio)
            marks += [sent] if send.mark else []
        due = playout.due(now)
        if due is None:
            break
        now = due
    return marks


def test_the_first_message_has_a_mark_at_the_latest_200_ms_on() -> None:
    for n_bytes, ends, at in ((8000, (), 1600), (8000, (900, 1300), 960), (8000, (1601,), 1600), (320, (100,), 320)):
        playout = Playout("a", word_end=words_at(*ends))
        playout.add(audio_of(n_bytes))
        send = playout.take(START)
        assert send is not None
        assert send.mark is not None
        assert len(send.audio) == at


@given(lengths=st.lists(st.integers(400, 6000), min_size=20, max_size=60), lead=st.sampled_from([0.5, 1.0, 5.0]))
@settings(max_examples=50, deadline=None)
def test_marks_go_behind_the_frames_in_which_words_end(lengths: list[int], lead: float) -> None:
    ends = list(itertools.accumulate(lengths))
    playout = Playout("a", lead=lead, word_end=words_at(*ends))
    playout.add(audio_of(ends[-1]))
    marks = marked_at(playout, 60)
    assert all(0 < later - mark >= MARK_EVERY for mark, later in itertools.pairwise(marks))
    frames = {-(-end // FRAME) * FRAME for end in ends}
    for before, mark in itertools.pairwise(marks):
        # A word that ends soon enough has the mark; where none does, the message's end.
        soon = [
            end for end in frames if end <= ends[-1] and before + MARK_EVERY <= end <= before + MARK_EVERY + MESSAGE
        ]
        assert mark in frames or mark < before + MARK_EVERY + MESSAGE
        assert not soon or mark in frames


@given(lengths=st.lists(st.integers(100, 6000), min_size=5, max_size=40), lead=st.sampled_from([0.1, 0.2, 0.5, 1.0]))
@settings(max_examples=50, deadline=None)
def test_messages_stay_of_100_to_200_ms_where_they_are_cut_for_a_mark(lengths: list[int], lead: float) -> None:
    ends = list(itertools.accumulate(lengths))
    playout = Playout("a", lead=lead, word_end=words_at(*ends))
    playout.add(audio_of(ends[-1]))
    playout.finish()
    now, sizes = START, []
    while (due := playout.due(now)) is not None:
        now = due
        for send in everything(playout, now):
            sizes.append(len(send.audio))
            assert send.gap == 0.0
    assert max(sizes) <= MESSAGE
    assert min(sizes[:-1], default=SMALLEST) >= min(SMALLEST, int(lead * BYTES_PER_S / 2) // FRAME * FRAME)


# -- when the first of it was heard --------------------------------------------------------------------------------


def test_the_first_mark_tells_when_the_first_byte_was_played() -> None:
    playout = Playout("a", trip=calm(0.1))
    playout.add(audio_of(8000))
    sends = everything(playout, START)
    assert playout.began_at is None
    assert sends[0].mark is not None
    playout.marked(sends[0].mark, START + 0.2 + 0.1)
    assert playout.began_at == pytest.approx(START + 0.05)
    playout.marked(sends[-1].mark or "", START + 9)
    assert playout.began_at == pytest.approx(START + 0.05)


def test_a_gap_before_the_mark_does_not_move_when_the_first_byte_was_played() -> None:
    playout = Playout("a", trip=calm(0.1))
    playout.add(audio_of(FRAME))
    first = playout.take(START)
    playout.add(audio_of(8000))
    everything(playout, START + 3)
    assert first is not None
    assert first.mark is not None
    playout.marked(first.mark, START + 0.02 + 0.1)
    assert playout.began_at == pytest.approx(START + 0.05)


@given(network=st.deferred(lambda: networks))
@settings(max_examples=40, deadline=None)
def test_the_first_byte_is_timed_within_half_the_round_trip_and_the_jitter(network: dict[str, float]) -> None:
    scene = stage(network)
    for _ in scene.run(START + 14):
        pass
    assert scene.playout.began_at is not None
    error = scene.playout.began_at - scene.carrier.spans[0][0]
    assert abs(error) <= (network["out"] + network["back"]) / 2 + 2 * network["jitter"] + 1e-6


# -- how much a network wavers -------------------------------------------------------------------------------------


def test_a_network_that_has_shown_little_is_taken_to_waver() -> None:
    trip = RoundTrip()
    assert trip.doubt(run_marked=False) == UNKNOWN
    for _ in range(FEW):
        assert trip.doubt(run_marked=True) == UNKNOWN
        trip.seen(0.1)
    assert trip.doubt(run_marked=True) == trip.doubt(run_marked=False) == LEAST_DOUBT
    trip.seen(0.13)
    assert trip.doubt(run_marked=False) == pytest.approx(LEAST_DOUBT + 0.03)
    assert trip.doubt(run_marked=True) == pytest.approx(LEAST_DOUBT + 0.03 / FEW)
    trip.seen(5)
    assert trip.doubt(run_marked=False) == pytest.approx(LEAST_DOUBT + MOST_DOUBT)


# -- the playhead, against the carrier -----------------------------------------------------------------------------

networks = st.fixed_dictionaries(
    {
        "out": st.floats(0.001, 0.2),
        "back": st.floats(0.001, 0.2),
        "jitter": st.sampled_from([0.0, 0.005, 0.02, 0.05, 0.1]),
        "lead": st.sampled_from([0.2, 0.5, 1.0, 3.0]),
        "speed": st.sampled_from([0.8, 1.05, 3.0, 40.0]),
        "pause": st.sampled_from([0.0, 0.3, 1.5]),
        "seed": st.integers(0, 10_000),
    }
)


def stage(network: dict[str, float], n_bytes: int = 40_000, trip: RoundTrip | None = None) -> Scene:
    seed = int(network["seed"])
    dice = random.Random(seed)
    carrier = Carrier(network["out"], network["back"], lambda: dice.random() * network["jitter"])
    feed = provider(audio_of(n_bytes, seed), seed, speed=network["speed"], pause=network["pause"])
    return Scene(Playout("a", lead=network["lead"], trip=trip), carrier, feed)


@given(network=networks)
@settings(max_examples=60, deadline=None)
def test_played_is_what_the_carrier_played_when_a_clear_would_arrive(network: dict[str, float]) -> None:
    scene = stage(network)
    jitter = network["jitter"] * BYTES_PER_S
    for now in scene.run(START + 14):
        played, truth = scene.playout.played(now), scene.carrier.heard_at_clear(now)
        assert played <= scene.playout.sent
        assert played <= truth + jitter + ROUNDED  # never more than the jitter too much
        # At most the jitter of both ways too little, once for what marks say was late and once for a late mark.
        # Of the rest, what a network may waver by that has not shown how much it does, or has shown it.
        doubt = max(UNKNOWN, LEAST_DOUBT + min(MOST_DOUBT, 2 * network["jitter"])) * BYTES_PER_S
        assert played >= min(truth, scene.playout.sent) - 2 * jitter - doubt - ROUNDED
    assert scene.playout.over(scene.now)
    assert scene.playout.played(scene.now) == 40_000


@given(network=networks)
@settings(max_examples=30, deadline=None)
def test_a_steady_network_leaves_no_error(network: dict[str, float]) -> None:
    scene = stage(network | {"jitter": 0.0})
    for now in scene.run(START + 14):
        truth = min(scene.carrier.heard_at_clear(now), scene.playout.sent)
        error = scene.playout.played(now) - truth
        n_marks = sum(send.mark is not None for _, send in scene.sends) - scene.playout.marks_missing
        assert -(LEAST_DOUBT if n_marks >= FEW else UNKNOWN) * BYTES_PER_S - ROUNDED <= error <= ROUNDED


@given(network=networks, stall=st.floats(0.05, 0.6))
@settings(max_examples=30, deadline=None)
def test_audio_that_arrived_late_is_found_out_from_its_marks(network: dict[str, float], stall: float) -> None:
    """One message is held up on the way out, in a stretch that follows a calm one on the same leg."""
    network = network | {"jitter": 0.0, "speed": 40.0, "pause": 0.0, "lead": 1.0}
    trip = RoundTrip()
    for _ in stage(network, trip=trip).run(START + 14):
        pass
    for _ in range(FEW):
        trip.seen(network["out"] + network["back"])  # of other stretches; that one was short
    scene = stage(network, trip=trip)
    delays = iter([stall])
    scene.carrier.jitter = lambda: next(delays, 0.0)
    worst_late = 0.0
    for now in scene.run(START + 14):
        error = scene.playout.played(now) - scene.carrier.heard_at_clear(now)
        assert error <= stall * BYTES_PER_S + ROUNDED
        if scene.sends and now > scene.sends[0][0] + 2.5 and scene.playout.lead(now) > 0:
            worst_late = max(worst_late, abs(error))
    # After a few marks the playhead is right again, but for the doubt that a network has earned that stalls.
    assert worst_late <= (0.010 + LEAST_DOUBT + MOST_DOUBT / FEW) * BYTES_PER_S


def run_through(playout: Playout, begin: float, seconds: float, *, late: float) -> list[tuple[float, str]]:
    """Send so much at once; returns its marks with the times of their return over a network with 0.1 s both ways."""
    playout.add(audio_of(round(seconds * BYTES_PER_S)))
    marks = []
    while send := playout.take(begin):
        if send.mark:
            marks.append((begin + playout.lead(begin) + 0.1 + late, send.mark))
    return marks


def test_a_leg_that_is_stuck_has_played_no_more_than_up_to_the_mark_that_is_missing() -> None:
    playout = Playout("a", lead=5.0, trip=calm(0.1))
    playout.add(audio_of(4 * BYTES_PER_S))
    first = next(send for send in everything(playout, START) if send.mark)
    assert first.mark is not None
    assert playout.played(START + 3) == pytest.approx(1600 + 800, abs=ROUNDED)  # the mark, and a round trip
    playout.marked(first.mark, START + 3)
    doubt = (LEAST_DOUBT + MOST_DOUBT / FEW) * BYTES_PER_S
    assert playout.played(START + 3.1) == pytest.approx(1600 + 800 + 800 - doubt, abs=ROUNDED)  # reached that late


def test_what_was_late_is_forgotten_when_the_queue_ran_dry() -> None:
    playout = Playout("a", lead=5.0, trip=calm(0.1))
    marks = run_through(playout, START, 2.0, late=0.3)
    for at, mark in marks[:-1]:
        playout.marked(mark, at)
    doubt = (LEAST_DOUBT + MOST_DOUBT / FEW) * BYTES_PER_S
    assert playout.played(START + 1.9) == pytest.approx(1.6 * BYTES_PER_S - doubt, abs=ROUNDED)
    run_through(playout, START + 9, 2.0, late=0.0)
    at, mark = marks[-1]
    playout.marked(mark, START + 9.1)  # of the time before: it says nothing about now
    doubt = (LEAST_DOUBT + MOST_DOUBT) * BYTES_PER_S  # no mark of this run is back
    assert playout.played(START + 9.2) == pytest.approx(2.2 * BYTES_PER_S - doubt, abs=ROUNDED)


@given(network=networks, at=st.floats(0.0, 6.0), pause=st.floats(0.0, 3.0), again=st.booleans())
@settings(max_examples=60, deadline=None)
def test_hold_and_resume_lose_and_repeat_nothing(
    network: dict[str, float], at: float, pause: float, again: bool
) -> None:
    scene = stage(network | {"jitter": 0.0})
    playout, audio = scene.playout, audio_of(40_000, int(network["seed"]))
    kept = b""
    for n_held in range(1, 3 if again else 2):
        for _ in scene.run(scene.now + at):
            pass
        truth = scene.carrier.heard_at_clear(scene.now)
        position = playout.hold(scene.now)
        scene.carrier.clear(scene.now)
        doubt = n_held * (UNKNOWN * BYTES_PER_S + 2 * ROUNDED)
        assert min(truth, 40_000) - doubt <= position <= min(truth, 40_000) + 2 * ROUNDED
        for now in scene.run(scene.now + pause):
            assert playout.held
            assert playout.played(now) == position == playout.sent
            assert playout.due(now) is None
            assert not playout.over(now)
        kept = (kept + scene.sent)[:position]
        scene.sends.clear()
        playout.resume(position)
        assert not playout.held
    for _ in scene.run(scene.now + 60, look_every=1.0):
        pass
    assert (kept + scene.sent).rstrip(SILENCE) == audio
    assert playout.over(scene.now)
    assert playout.played(scene.now) == 40_000
    padding = scene.carrier.n_bytes - 40_000
    # What the caller heard in all: at each hold so much again as was in doubt.
    assert -2 * ROUNDED <= padding < 2 * FRAME + 2 * (UNKNOWN * BYTES_PER_S + ROUNDED)


def test_resuming_earlier_says_that_much_again() -> None:
    audio = audio_of(16_000)
    playout = Playout("a", trip=calm())
    playout.add(audio)
    playout.finish()
    everything(playout, START)
    position = playout.hold(START + 0.5)
    assert position == pytest.approx(4000, abs=SURE)
    playout.resume(3100)
    assert playout.played(START + 1) == 3100
    out = b""
    now = START + 1
    while (due := playout.due(now)) is not None:
        now = due
        out += b"".join(send.audio for send in everything(playout, now))
    assert out[: 16_000 - 3100] == audio[3100:]


def test_resuming_before_the_oldest_byte_kept_starts_at_it() -> None:
    playout = Playout("a", lead=5)
    audio = audio_of(30 * BYTES_PER_S)
    playout.add(audio)
    now = START
    while playout.played(now) < 20 * BYTES_PER_S:
        everything(playout, now)
        playout.forget_played(now)
        now += 0.1
    playout.hold(now)
    assert playout.oldest > 0
    playout.resume(0)
    send = playout.take(now)
    assert send is not None
    assert audio.startswith(send.audio, playout.oldest)


def test_two_seconds_behind_the_playhead_can_always_be_said_again() -> None:
    playout = Playout("a", lead=1)
    playout.add(audio_of(60 * BYTES_PER_S))
    now = START
    while now < START + 60:
        everything(playout, now)
        playout.forget_played(now)
        assert playout.oldest <= max(0, playout.played(now) - KEEP)
        now += 0.073


def test_audio_given_while_held_is_kept_for_the_resume() -> None:
    playout = Playout("a", trip=calm())
    first, second = audio_of(1600, 1), audio_of(1600, 2)
    playout.add(first)
    everything(playout, START)
    assert playout.hold(START + 0.1) == pytest.approx(800, abs=SURE)
    playout.add(second)
    playout.finish()
    assert playout.take(START + 5) is None
    playout.resume(800)
    assert b"".join(send.audio for send in everything(playout, START + 5)) == first[800:] + second


def test_holding_twice_changes_nothing() -> None:
    playout = Playout("a", trip=calm())
    playout.add(audio_of(8000))
    everything(playout, START)
    first = playout.hold(START + 0.25)
    assert first == pytest.approx(2000, abs=SURE)
    assert playout.hold(START + 9) == first


def test_holding_before_anything_was_sent_holds_at_zero() -> None:
    playout = Playout("a")
    assert playout.hold(START) == 0
    playout.add(audio_of(800))
    assert playout.take(START) is None
    playout.resume(0)
    assert playout.take(START) is not None


def test_holding_in_the_padding_holds_at_the_end() -> None:
    playout = Playout("a", trip=calm())
    playout.add(audio_of(FRAME + 1))
    playout.finish()
    everything(playout, START)
    assert playout.hold(START + 0.03) == FRAME + 1
    playout.resume(FRAME + 1)
    assert playout.take(START + 1) is None
    mark = playout.end_mark()
    assert mark is not None
    playout.marked(mark, START + 1.1)
    assert playout.over(START + 1.1)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("attttmhrdf"), st.integers(0, 4000), st.floats(0.0, 0.4)), min_size=1, max_size=60
    )
)
@example(steps=[("a", 200, 0.0), ("t", 0, 0.0), ("f", 0, 0.0), ("t", 0, 0.1), ("h", 0, 0.3), ("r", 0, 0.0)])
@settings(deadline=None)
def test_whatever_is_called_the_account_stays_in_order(steps: list[tuple[str, int, float]]) -> None:
    playout = Playout("a", lead=0.5)
    marks: list[str] = []
    seen: set[str] = set()
    now = START
    for what, n, dt in steps:
        now += dt
        match what:
            case "a" if not playout.finished:
                playout.add(audio_of(n))
            case "t":
                for send in everything(playout, now):
                    assert len(send.audio) % FRAME == 0
                    marks += [send.mark] if send.mark else []
            case "m" if marks:
                playout.marked(marks.pop(n % len(marks)), now)
            case "h":
                playout.hold(now)
            case "r" if playout.held:
                playout.resume(max(0, playout.sent - n))
            case "d":
                playout.drop_from(n)
            case "f":
                playout.finish()
        assert 0 <= playout.oldest <= playout.played(now) <= playout.sent <= playout.received
        assert len(playout.unsent()) == playout.received - playout.sent
        assert seen.isdisjoint(marks[len(seen) :] if len(marks) > len(seen) else [])
    assert len(set(marks)) == len(marks)


def test_memory_stays_bounded_over_an_hour() -> None:
    playout = Playout("a", lead=1.0)
    second = audio_of(BYTES_PER_S)
    now, most = START, 0
    in_flight: list[tuple[float, str]] = []
    for _ in range(3600):
        playout.add(second)
        for _ in range(5):
            for send in everything(playout, now):
                assert send.gap == 0.0
                in_flight += [(playout.lead(now) + now + 0.1, send.mark)] if send.mark else []
            while in_flight and in_flight[0][0] <= now:
                playout.marked(in_flight.pop(0)[1], now)
            playout.forget_played(now)
            now += 0.2
        most = max(most, playout.received - playout.oldest)
        assert playout.marks_missing <= 4
    assert most <= 2 * KEEP + 3 * BYTES_PER_S
    for _, mark in in_flight:
        playout.marked(mark, now + 1)
    assert playout.received == playout.played(now + 2) == 3600 * BYTES_PER_S
