"""Who has the turn, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.events import (
    BargeIn,
    EagerEndOfTurn,
    EarWarned,
    EndOfTurn,
    HearingEvent,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnResumed,
)
from lineside.talk.turns import Decision, Policy, Situation, Turns, on_key

SILENT = Situation(speaking=False)
SPEAKING = Situation(speaking=True)
HELD = Situation(speaking=True, held=True)
PROTECTED = Situation(speaking=True, interruptible=False)


def by_sound(situation: Situation) -> Situation:
    """The same, under the policy `vad`."""
    return replace(situation, barge_in=BargeIn("vad"))


NOTHING, REPLY, INTERRUPT, KEEP = Decision.NOTHING, Decision.REPLY, Decision.INTERRUPT, Decision.KEEP
HOLD, RESUME = Decision.HOLD, Decision.RESUME
DRAFT, CONFIRM, DISCARD = Decision.DRAFT, Decision.CONFIRM, Decision.DISCARD


@pytest.mark.parametrize(
    ("turn_running", "interruptible", "decision"),
    [
        (False, True, REPLY),
        (False, False, REPLY),  # nothing is being said that could be protected
        (True, True, INTERRUPT),
        (True, False, KEEP),
    ],
)
def test_a_key_is_answered_interrupts_or_is_kept(turn_running: bool, interruptible: bool, decision: Decision) -> None:
    assert on_key(turn_running=turn_running, interruptible=interruptible) is decision


@pytest.mark.parametrize("policy", ["words", "vad"])
@pytest.mark.parametrize(
    ("event", "situation", "decision"),
    [
        # nobody speaks: what the caller says is answered when it ended
        (Partial("I would like"), SILENT, NOTHING),
        (EndOfTurn("I would like a table."), SILENT, REPLY),
        (EndOfTurn("Yes."), SILENT, REPLY),
        (EndOfTurn("Hmm."), SILENT, NOTHING),
        (EndOfTurn("..."), SILENT, NOTHING),
        (EagerEndOfTurn("A table for two"), SILENT, DRAFT),
        (EagerEndOfTurn("Uh"), SILENT, NOTHING),
        (TurnResumed(), SILENT, NOTHING),
        # the agent speaks: words take the turn, noises and agreement do not
        (Partial("No, the other one"), SPEAKING, INTERRUPT),
        (Partial("wait"), SPEAKING, INTERRUPT),
        (Partial("uh-huh"), SPEAKING, NOTHING),
        (Partial("okay, I see"), SPEAKING, NOTHING),
        (Partial(""), SPEAKING, NOTHING),
        (EagerEndOfTurn("No, the other one"), SPEAKING, INTERRUPT),
        (EndOfTurn("No, the other one."), SPEAKING, REPLY),
        (EndOfTurn("uh-huh"), SPEAKING, NOTHING),
        (EndOfTurn("Yes."), SPEAKING, NOTHING),
        # what may not be interrupted is not
        (Partial("No, the other one"), PROTECTED, NOTHING),
        (EagerEndOfTurn("No, the other one"), PROTECTED, NOTHING),
        (EndOfTurn("No, the other one."), PROTECTED, KEEP),
        (EndOfTurn("Hmm."), PROTECTED, NOTHING),
        # complaints of the recogniser are not the caller's
        (EarWarned("x", "y"), SPEAKING, NOTHING),
    ],
)
def test_what_the_caller_says(
    policy: Literal["words", "vad"], event: HearingEvent, situation: Situation, decision: Decision
) -> None:
    assert Turns().hear(event, 100.0, replace(situation, barge_in=BargeIn(policy))) is decision


@pytest.mark.parametrize(
    ("situation", "decision"),
    [
        (SPEAKING, NOTHING),
        (SILENT, NOTHING),
        (by_sound(SPEAKING), HOLD),
        (by_sound(SILENT), NOTHING),
        (by_sound(PROTECTED), NOTHING),
        (by_sound(HELD), NOTHING),  # it is held already
    ],
)
def test_a_sound_holds_the_agent_only_where_sounds_count(situation: Situation, decision: Decision) -> None:
    turns = Turns()
    assert turns.hear(SpeechStarted(), 100.0, situation) is decision
    assert (turns.due() is not None) == (decision is HOLD)


def held(now: float = 100.0) -> Turns:
    """A sound has just made the agent fall silent."""
    turns = Turns()
    assert turns.hear(SpeechStarted(), now, by_sound(SPEAKING)) is HOLD
    return turns


def test_a_hold_without_words_ends_after_its_limit() -> None:
    turns = held(100.0)
    assert turns.due() == pytest.approx(101.2)
    assert turns.tick(101.19, HELD) is NOTHING
    assert turns.hear(Partial("mhm"), 100.5, HELD) is NOTHING
    due = turns.due()
    assert due is not None
    assert turns.tick(due, HELD) is RESUME
    assert turns.due() is None
    assert turns.tick(200.0, HELD) is NOTHING


def test_a_hold_ends_sooner_once_the_sound_has_stopped() -> None:
    turns = held(100.0)
    turns.hear(SpeechStopped(), 100.2, HELD)
    assert turns.due() == pytest.approx(100.9)
    turns.hear(SpeechStopped(), 100.8, HELD)
    assert turns.due() == pytest.approx(100.9)  # a second cough makes it no longer
    assert turns.tick(100.9, HELD) is RESUME
    assert Turns().hear(SpeechStopped(), 100.0, SPEAKING) is NOTHING


@pytest.mark.parametrize("text", ["Uh-huh.", "Yes.", "Hmm.", "..."])
def test_a_hold_ends_at_once_when_what_was_said_is_no_turn(text: str) -> None:
    turns = held(100.0)
    assert turns.hear(EndOfTurn(text), 100.4, by_sound(HELD)) is RESUME
    assert turns.due() is None


@pytest.mark.parametrize("start", [0.1, 1000.3, 123456.7])
def test_a_hold_is_over_when_due_says_so(start: float) -> None:
    for step in range(300):
        turns = held(start + step * 0.0137)
        due = turns.due()
        assert due is not None
        assert turns.tick(due, HELD) is RESUME


def test_a_hold_with_words_becomes_an_interruption_and_is_answered_whatever_the_words_were() -> None:
    turns = held(100.0)
    assert turns.hear(Partial("no"), 100.3, HELD) is NOTHING  # may be agreement with the agent
    assert turns.hear(Partial("no wait"), 100.5, HELD) is INTERRUPT
    assert turns.due() is None
    turns.turn_cut()
    assert turns.hear(EndOfTurn("Hm."), 101.0, SILENT) is REPLY  # the recogniser thought better of it: do not fall mute
    assert turns.hear(EndOfTurn("Hm."), 102.0, SILENT) is NOTHING


def test_a_hold_that_ended_by_itself_is_not_resumed() -> None:
    turns = held(100.0)
    assert turns.tick(101.3, SPEAKING) is NOTHING
    turns.hear(SpeechStarted(), 102.0, by_sound(SPEAKING))
    turns.turn_cut()
    assert turns.due() is None
    turns.hear(SpeechStarted(), 103.0, by_sound(SPEAKING))
    assert turns.turn_ended(103.1) is None
    assert turns.due() is None


@pytest.mark.parametrize(
    ("needed", "text", "decision"),
    [
        (2, "stop", NOTHING),
        (2, "stop it", INTERRUPT),
        (3, "please stop", NOTHING),
        (3, "please stop it", INTERRUPT),
    ],
)
def test_how_many_words_take_the_turn_is_said_with_the_line(needed: int, text: str, decision: Decision) -> None:
    speaking = replace(SPEAKING, barge_in=BargeIn(words=needed))
    assert Turns().hear(Partial(text), 100.0, speaking) is decision


def test_too_few_words_do_not_take_the_turn_when_they_end_and_are_answered_after_it() -> None:
    speaking = replace(SPEAKING, barge_in=BargeIn(words=3))
    turns = Turns()
    assert turns.hear(EndOfTurn("A table."), 100.0, speaking) is NOTHING
    assert turns.hear(EndOfTurn("For two."), 103.0, speaking) is NOTHING
    assert turns.turn_ended(110.0) == "A table. For two."
    assert turns.turn_ended(111.0) is None


def test_a_partial_that_took_the_turn_is_answered_even_if_it_ends_shorter() -> None:
    speaking = replace(SPEAKING, barge_in=BargeIn(words=3))
    turns = Turns()
    assert turns.hear(Partial("a table four"), 100.0, speaking) is INTERRUPT
    assert turns.hear(EndOfTurn("Table four."), 100.3, speaking) is REPLY


def test_agreement_is_that_of_the_language() -> None:
    assert Turns(Policy(language="de-DE")).hear(Partial("ja genau"), 100.0, SPEAKING) is NOTHING
    assert Turns(Policy(language="en")).hear(Partial("ja genau"), 100.0, SPEAKING) is INTERRUPT


def test_a_draft_is_thrown_away_when_the_caller_goes_on_and_kept_when_not() -> None:
    for again in (TurnResumed(), SpeechStarted()):
        turns = Turns()
        assert turns.hear(EagerEndOfTurn("A table"), 100.0, SILENT) is DRAFT
        assert turns.hear(again, 100.1, SILENT) is DISCARD
        assert turns.hear(again, 100.2, SILENT) is NOTHING
        assert turns.hear(EagerEndOfTurn("A table for two"), 100.5, SILENT) is DRAFT
        assert turns.hear(EndOfTurn("A table, for two."), 100.9, SILENT) is CONFIRM  # the same words
        assert turns.hear(TurnResumed(), 101.0, SILENT) is NOTHING


def test_a_draft_of_other_words_than_were_said_in_the_end_is_not_the_answer() -> None:
    turns = Turns()
    turns.hear(EagerEndOfTurn("A table for two"), 100.0, SILENT)
    assert turns.hear(EndOfTurn("A table for ten"), 100.3, SILENT) is REPLY


def test_a_draft_that_is_gone_confirms_nothing() -> None:
    turns = Turns()
    turns.hear(EagerEndOfTurn("A table for two"), 100.0, SILENT)
    turns.forget_draft()
    assert turns.hear(EndOfTurn("A table for two"), 100.3, SILENT) is REPLY


def test_a_draft_for_what_turned_out_to_be_a_noise_is_thrown_away() -> None:
    turns = Turns()
    turns.hear(EagerEndOfTurn("Home"), 100.0, SILENT)
    assert turns.hear(EndOfTurn("Hmm."), 100.2, SILENT) is DISCARD


@pytest.mark.parametrize(
    ("said_at", "text", "answer"),
    [(99.0, "Yes.", "Yes."), (98.5, "Yes.", "Yes."), (98.4, "Yes.", None), (99.9, "Uh-huh.", None)],
)
def test_an_agreement_shortly_before_the_end_was_the_answer(said_at: float, text: str, answer: str | None) -> None:
    turns = Turns()
    assert turns.hear(EndOfTurn(text), said_at, SPEAKING) is NOTHING
    assert turns.turn_ended(100.0) == answer
    assert turns.turn_ended(100.0) is None  # once


def test_an_agreement_said_into_a_turn_that_was_cut_answers_nothing() -> None:
    turns = Turns()
    turns.hear(EndOfTurn("Yes."), 99.9, SPEAKING)
    turns.turn_cut()
    assert turns.turn_ended(100.0) is None


words = st.sampled_from(["uh-huh", "yes", "no wait", "a table for two", ""])
happenings = st.one_of(
    st.builds(SpeechStarted),
    st.builds(SpeechStopped),
    st.builds(Partial, words),
    st.builds(EagerEndOfTurn, words),
    st.builds(TurnResumed),
    st.builds(EndOfTurn, words),
)
situations = st.sampled_from([SILENT, SPEAKING, HELD, PROTECTED])
policies = st.sampled_from([BargeIn(), BargeIn("vad"), BargeIn(words=2)])


@given(barge_in=policies, steps=st.lists(st.tuples(happenings, situations), max_size=30))
@settings(deadline=None)
def test_whatever_comes_nothing_protected_is_interrupted_and_no_hold_is_without_end(
    barge_in: BargeIn, steps: list[tuple[HearingEvent, Situation]]
) -> None:
    turns, now = Turns(), 100.0
    for event, situation in steps:
        now += 0.3
        decision = turns.hear(event, now, replace(situation, barge_in=barge_in))
        if not situation.speaking:
            assert decision not in (HOLD, INTERRUPT, KEEP, RESUME)
        if situation is PROTECTED:
            assert decision in (NOTHING, KEEP, DISCARD)
        if decision is HOLD:
            assert barge_in.policy == "vad"
            due = turns.due()
            assert due is not None
            assert now < due <= now + turns.policy.hold_limit
        if decision in (INTERRUPT, REPLY) and situation.speaking:
            assert turns.due() is None
