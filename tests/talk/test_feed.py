"""When text is handed over and when it is flushed: as a table, and in a long turn against a slow caller."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.talk.feed import Feed, Step
from lineside.talk.ledger import BYTES_PER_S, Ledger, Piece
from lineside.talk.playout import Playout

AHEAD, LOW = 15.0, 1.5

# waiting, more, in_hand, unflushed -> step
TABLE = [
    # the end
    (False, False, 0.0, 0.0, Step.FINISH),
    (False, False, 99.0, 0.0, Step.FINISH),
    (False, False, 0.0, 3.0, Step.FINISH),  # finishing flushes what is left
    (False, False, 99.0, 3.0, Step.FINISH),
    # the first sentence is said, then flushed at once, as nothing is in hand
    (True, True, 0.0, 0.0, Step.SAY),
    (True, True, 0.0, 2.0, Step.FLUSH),
    (False, True, 0.0, 2.0, Step.FLUSH),
    (True, False, 0.0, 2.0, Step.FLUSH),
    # while enough is in hand, text is collected
    (True, True, 2.0, 0.0, Step.SAY),
    (True, True, 2.0, 5.0, Step.SAY),
    (True, False, 2.0, 5.0, Step.SAY),
    (False, True, 2.0, 5.0, Step.WAIT),
    (False, True, 2.0, 0.0, Step.WAIT),
    (False, True, 0.0, 0.0, Step.WAIT),
    # the lower limit: at it there is enough
    (False, True, LOW, 5.0, Step.WAIT),
    (False, True, LOW - 0.001, 5.0, Step.FLUSH),
    (True, True, LOW - 0.001, 0.0, Step.SAY),
    # the upper limit: what is unflushed counts
    (True, True, AHEAD - 0.001, 0.0, Step.SAY),
    (True, True, AHEAD, 0.0, Step.WAIT),
    (True, False, AHEAD, 0.0, Step.WAIT),
    (True, True, 10.0, 4.999, Step.SAY),
    (True, True, 10.0, 5.0, Step.WAIT),
    (True, True, 1.0, 14.0, Step.FLUSH),
    (True, True, 1.0, 99.0, Step.FLUSH),
]


@pytest.mark.parametrize(("waiting", "more", "in_hand", "unflushed", "step"), TABLE)
def test_the_next_step(waiting: bool, more: bool, in_hand: float, unflushed: float, step: Step) -> None:
    assert Feed(AHEAD, LOW).step(waiting=waiting, more=more, in_hand=in_hand, unflushed=unflushed) is step


@pytest.mark.parametrize(
    ("waiting", "in_hand", "unflushed", "seconds"),
    [
        (False, 9.0, 0.0, None),  # only new text or new audio changes anything
        (False, 9.0, 2.0, 7.5),  # until the speech in hand runs low
        (True, 20.0, 0.0, 5.0),  # until more may be said
        (True, 14.0, 3.0, 2.0),  # the sooner of both
        (True, 2.0, 99.0, 0.5),
        (False, 1.0, 2.0, 0.0),
    ],
)
def test_how_long_waiting_lasts(waiting: bool, in_hand: float, unflushed: float, seconds: float | None) -> None:
    wait = Feed(AHEAD, LOW).wait(waiting=waiting, in_hand=in_hand, unflushed=unflushed)
    assert wait == (None if seconds is None else pytest.approx(seconds))


seconds = st.floats(0, 60)


@given(waiting=st.booleans(), in_hand=seconds, unflushed=st.one_of(st.just(0.0), seconds), ahead=seconds, low=seconds)
@settings(deadline=None)
def test_time_alone_changes_the_step_when_the_wait_is_over_and_not_before(
    waiting: bool, in_hand: float, unflushed: float, ahead: float, low: float
) -> None:
    feed = Feed(ahead, low)
    if feed.step(waiting=waiting, more=True, in_hand=in_hand, unflushed=unflushed) is not Step.WAIT:
        return
    wait = feed.wait(waiting=waiting, in_hand=in_hand, unflushed=unflushed)
    if wait is None:
        left = 0.0
        assert feed.step(waiting=waiting, more=True, in_hand=left, unflushed=unflushed) is Step.WAIT
        return
    just_before, just_after = in_hand - wait + 1e-6, in_hand - wait - 1e-6
    assert feed.step(waiting=waiting, more=True, in_hand=just_before, unflushed=unflushed) is Step.WAIT
    if just_after >= 0:
        assert feed.step(waiting=waiting, more=True, in_hand=just_after, unflushed=unflushed) is not Step.WAIT


@given(waiting=st.lists(st.floats(0.01, 20), max_size=30), more=st.booleans(), in_hand=seconds, unflushed=seconds)
@settings(deadline=None)
def test_asking_until_it_waits_always_ends(waiting: list[float], more: bool, in_hand: float, unflushed: float) -> None:
    """A sentence that is said is unflushed; what is flushed is owed, and so in hand."""
    feed, flushes = Feed(), 0
    for _ in range(2 * len(waiting) + 3):
        step = feed.step(waiting=bool(waiting), more=more, in_hand=in_hand, unflushed=unflushed)
        if step in (Step.WAIT, Step.FINISH):
            break
        if step is Step.SAY:
            unflushed += waiting.pop(0)
        else:
            assert unflushed > 0
            flushes += 1
            in_hand, unflushed = in_hand + unflushed, 0.0
    else:
        pytest.fail("it never waited")
    assert (step is Step.FINISH) == (not waiting and not more)


# -- a turn of minutes ---------------------------------------------------------------------------------------------


@dataclass
class LongTurn:
    """An agent, a provider that speaks on flush only, and a caller; in steps of 20 ms.

    Args:
        sentences: when each is there, and its text.
        latency: seconds from a flush to its first audio.
        speed: how many times faster than it plays audio comes.
        pace: characters a second of the voice.
    """

    sentences: list[tuple[float, str]]
    latency: float = 0.15
    speed: float = 8.0
    pace: float = 15.0
    lead: float = 1.0
    said: list[tuple[float, int]] = field(default_factory=list)
    flushes: list[float] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    most_unheard: float = 0.0

    def run(self) -> float:
        feed, ledger, playout = Feed(), Ledger(), Playout("t", lead=self.lead)
        coming: list[tuple[float, int, bool]] = []  # when, how much audio, is it the last of its flush
        free_at, unflushed_chars, finished, now = 0.0, 0, False, 0.0
        while not playout.over(now):
            while self.sentences and self.sentences[0][0] <= now:
                text = self.sentences.pop(0)[1]
                ledger.add(Piece(text, text))
            while coming and coming[0][0] <= now:
                _, n_bytes, last = coming.pop(0)
                playout.add(bytes(n_bytes))
                ledger.received(n_bytes)
                if last:
                    ledger.segment_done()
            while not finished:
                step = feed.step(
                    waiting=ledger.unsaid > 0,
                    more=bool(self.sentences),
                    in_hand=(playout.received - playout.played(now)) / BYTES_PER_S + ledger.owed,
                    unflushed=ledger.seconds(ledger.unflushed),
                )
                if step is Step.WAIT:
                    break
                if step is Step.SAY:
                    text = ledger.next_text(2000)
                    ledger.said(text)
                    self.said.append((now, len(text)))
                    unflushed_chars += len(text)
                    continue
                finished = step is Step.FINISH
                if not unflushed_chars:
                    continue
                ledger.flushed()
                self.flushes.append(now)
                at = max(free_at, now + self.latency)
                total = int(unflushed_chars / self.pace * BYTES_PER_S)
                for begin in range(0, total, 4000):
                    size = min(4000, total - begin)
                    coming.append((at, size, begin + size == total))
                    at += size / BYTES_PER_S / self.speed
                free_at, unflushed_chars = at, 0
            if finished and not coming:
                ledger.complete()
                playout.finish()
            while send := playout.take(now):
                if send.gap > 0:
                    self.gaps.append((now, send.gap))
                if send.mark:
                    playout.marked(send.mark, now)
            if mark := playout.end_mark():
                playout.marked(mark, now)
            unheard = (playout.received - playout.played(now)) / BYTES_PER_S + ledger.owed
            self.most_unheard = max(self.most_unheard, unheard)
            now += 0.02
            assert now < 600
        return now

    def most_in(self, window: float, events: list[tuple[float, int]]) -> int:
        return max(sum(n for at, n in events if since <= at < since + window) for since, _ in events)


def prose(seed: int, n: int, *, every: float) -> list[tuple[float, str]]:
    dice = random.Random(seed)
    return [(every * at, "x" * dice.randrange(4, 120) + ". ") for at in range(n)]


@pytest.mark.parametrize("pace", [11.0, 15.0, 20.0])
@pytest.mark.parametrize("every", [0.0, 0.3, 1.0])
def test_a_turn_of_minutes_has_no_gap_and_keeps_the_limits(pace: float, every: float) -> None:
    turn = LongTurn(prose(3, 60, every=every), pace=pace)
    turn.run()
    assert turn.gaps == []
    assert turn.most_in(60.0, [(at, 1) for at in turn.flushes]) < 20 - 1  # one is kept for the end
    assert turn.most_in(60.0, turn.said) <= 2400
    assert turn.most_unheard <= AHEAD + 122 / 11 * 1.2


def test_the_first_sentence_is_flushed_at_once() -> None:
    turn = LongTurn([(0.0, "Hello there. "), (0.0, "How are you? "), (5.0, "Bye. ")])
    turn.run()
    assert turn.flushes[0] == 0.0
    assert turn.said[0] == (0.0, 13)
    assert turn.said[1][0] == 0.0  # the next is with the provider already, not flushed


def test_a_slow_agent_is_spoken_sentence_by_sentence() -> None:
    turn = LongTurn([(10.0 * at, "One sentence here. ") for at in range(4)])
    turn.run()
    assert len(turn.flushes) == 4
    assert len(turn.gaps) == 3  # the agent's own


def test_a_provider_with_a_latency_below_the_lower_limit_leaves_no_gap() -> None:
    turn = LongTurn(prose(5, 40, every=0.0), latency=1.2)
    turn.run()
    assert turn.gaps == []
