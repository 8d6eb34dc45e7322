"""Whole calls in which it matters who has the turn: keys that come together, lines that want more than a word, answers
that begin before the caller has surely finished; and how long each answer took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from calls.scenes import listen, prose, spans, telling, words_of
from calls.stage import Memory, settings
from calls.test_hearing import ANSWER, ASKED, LONG, SHORT, Scene
from lineside import BargeIn, CallerEntered, CallerPressed, CallerSaid, CallerSilent, CallStarted, CollectDigits, Say
from lineside.events import Cue, Line
from lineside.standin.recogniser import sounds
from lineside.testing import PhoneSettings, simulation

Answers = Callable[[Cue], list[Line]]
EARS = ["deepgram", "deepgram-flux", "elevenlabs"]
every_ear = pytest.mark.parametrize("ears", EARS)


@asynccontextmanager
async def talk(
    answers: Answers, *, room: PhoneSettings | None = None, faults: dict[str, Any] | None = None, **lineside: Any
) -> AsyncIterator[Scene]:
    """A call whose agent says `answers` to each cue."""

    async def answer(cue: Cue) -> AsyncIterator[Line]:
        for line in answers(cue):
            yield line

    memory = Memory(answer)
    async with simulation(memory.agent, settings=settings(**lineside), phone=room) as sim:
        assert sim.provider is not None
        for name, value in (faults or {}).items():
            setattr(sim.provider.faults.recogniser, name, value)
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        yield Scene(sim, call, memory)
        await call.hang_up()
        await sim.idle()


def first(*greeting: Line) -> Answers:
    """Says these lines to begin with, and the same to everything after that."""
    return lambda cue: list(greeting) if isinstance(cue, CallStarted) else [ANSWER]


async def press(scene: Scene, keys: str, every: float = 0.3) -> None:
    for key in keys:
        scene.call.press(key)
        await asyncio.sleep(every)


def entered(scene: Scene) -> list[tuple[str, str]]:
    return [(cue.digits, cue.ended_by) for cue in scene.cues if isinstance(cue, CallerEntered)]


# -- keys that come together -------------------------------------------------------------------------------------------


async def test_digits_that_were_asked_for_come_together_and_the_first_interrupts() -> None:
    async with talk(first(CollectDigits(length=4), LONG)) as it:
        await it.at(2.5)
        await press(it, "12")
        assert len(it.call.queue.clears) == 1
        await press(it, "34")
        await it.sim.turn_over(it.call)
        assert entered(it) == [("1234", "length")]
        assert not any(isinstance(cue, CallerPressed) for cue in it.cues)
        cue = it.cues[1]
        assert cue.cut_off is not None
        assert f"{cue.cut_off.heard} {cue.cut_off.unheard}" == LONG
        assert telling(spans(it.call)[-1].audio, ANSWER).missing == ()


@pytest.mark.parametrize(
    ("keys", "wanted", "after", "ended"),
    [
        ("42#", CollectDigits(length=4, timeout=3), 0.0, ("42", "terminator")),
        ("42", CollectDigits(length=4, timeout=3), 3.0, ("42", "timeout")),
        ("", CollectDigits(length=4, timeout=3), 3.0, ("", "timeout")),
    ],
)
async def test_digits_end_by_the_terminator_or_some_time_after_the_last_key_and_the_agent(
    keys: str, wanted: CollectDigits, after: float, ended: tuple[str, str]
) -> None:
    async with talk(first(wanted, SHORT), silence_s=1) as it:  # which does not count while digits are waited for
        await it.sim.turn_over(it.call)
        await press(it, keys)
        silent_at = asyncio.get_running_loop().time() - (0.3 if keys else 0.0)
        await it.sim.until(lambda: len(it.cues) > 1)
        took = asyncio.get_running_loop().time() - silent_at
        assert took == pytest.approx(after, abs=0.35 if not after else 0.1)
        assert entered(it) == [ended]
        assert not any(isinstance(cue, CallerSilent) for cue in it.cues)


async def test_digits_typed_into_a_line_that_may_not_be_interrupted_come_after_it() -> None:
    async with talk(first(CollectDigits(length=2), Say(LONG, interruptible=False))) as it:
        await it.at(2.5)
        await press(it, "42")
        await it.sim.turn_over(it.call, 2)
        assert entered(it) == [("42", "length")]
        assert it.call.queue.clears == []
        assert telling(it.call.heard(), f"{LONG} {ANSWER}").missing == ()


async def test_digits_are_collected_for_one_turn_only() -> None:
    async with talk(first(CollectDigits(length=4), SHORT), ears="deepgram") as it:
        await it.sim.turn_over(it.call)
        await press(it, "1")
        it.speak(ASKED)
        await it.sim.turn_over(it.call, 2)
        await press(it, "2")
        await it.sim.turn_over(it.call, 3)
        assert (it.said, entered(it)) == ([ASKED], [])
        assert [cue.digit for cue in it.cues if isinstance(cue, CallerPressed)] == ["2"]


# -- how easily ------------------------------------------------------------------------------------------------------


async def test_a_line_may_want_more_than_a_word_and_what_was_said_too_short_is_told_after_it() -> None:
    async with talk(first(Say(LONG, barge_in=BargeIn(words=3))), ears="deepgram") as it:
        await it.at(2.5)
        it.speak("table please")
        await it.sim.turn_over(it.call, 2)
        assert it.call.queue.clears == []
        assert it.said == ["table please"]
        assert telling(it.call.heard(), f"{LONG} {ANSWER}").missing == ()


async def test_a_line_may_yield_to_any_sound_where_the_others_wait_for_words() -> None:
    async with talk(first(LONG, Say(prose(14, first=60), barge_in=BargeIn("vad"))), ears="deepgram") as it:
        await it.at(2.5)
        it.call.speak(sounds.cough())
        await asyncio.sleep(2)
        assert it.noted("turn_held") == 0
        await it.sim.until(lambda: it.noted("first_sent") and _playing(it) > len(LONG.split()))
        it.call.speak(sounds.cough())
        await it.sim.turn_over(it.call)
        assert (it.noted("turn_held"), it.noted("turn_resumed")) == (1, 1)


def _playing(scene: Scene) -> int:
    """About how many words were heard."""
    return len(listen(scene.call.heard(), words_of(f"{LONG} {prose(14, first=60)}")))


async def test_a_line_that_says_how_easily_holds_for_the_rest_of_the_call() -> None:
    async with talk(
        lambda cue: [BargeIn(words=9), SHORT] if isinstance(cue, CallStarted) else [LONG], ears="deepgram"
    ) as it:
        await it.sim.turn_over(it.call)
        it.speak("hello there")
        await it.sim.turn_begun(it.call, 2)
        it.speak(ASKED)
        await it.sim.turn_over(it.call, 2)
        assert it.call.queue.clears == []
        await it.told(2)
        assert it.said == ["hello there", ASKED]


# -- answers begun early -----------------------------------------------------------------------------------------------

SLOW_END = {"flux_confidence_per_s": 0.7}  # of silence: probably over after 0.57 s, surely after 1.0 s


async def test_an_early_answer_is_there_when_the_caller_has_finished() -> None:
    began = {}
    for eager in (False, True):
        async with talk(first(SHORT), ears="deepgram-flux", eager=eager, faults=SLOW_END) as it:
            await it.sim.turn_over(it.call)
            it.speak(ASKED)
            await it.sim.turn_over(it.call, 2)
            assert (it.said, it.noted("turn_drafted")) == ([ASKED], int(eager))
            assert telling(it.call.heard(), f"{SHORT} {ANSWER}").missing == ()
            (latency,) = it.sim.of(it.call, "latency")[1:]
            began[eager] = latency.details
    assert began[False]["agent_ms"] >= 0
    assert began[True]["agent_ms"] < -300
    assert began[True]["sent_ms"] + began[True]["audio_ms"] + began[True]["agent_ms"] <= 50


async def test_an_early_answer_is_thrown_away_unheard_when_the_caller_goes_on() -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True, faults=SLOW_END) as it:
        await it.sim.turn_over(it.call)
        it.speak("i would like")
        await it.sim.until(lambda: it.noted("turn_drafted"))
        it.speak("a table for two")
        await it.sim.turn_over(it.call, 2)
        await asyncio.sleep(5)
        asked = [(cue.text, cue.revises) for cue in it.cues if isinstance(cue, CallerSaid)]
        assert asked[0] == ("i would like", False)
        assert asked[-1] == ("i would like a table for two", True)
        assert [note.details["turn"] for note in it.sim.of(it.call, "draft_discarded")] == [
            2 + nth for nth in range(len(asked) - 1)
        ]
        assert it.call.queue.clears == []
        assert len(spans(it.call)) == 2  # the greeting and one answer: nothing of what was thrown away
        assert telling(it.call.heard(), f"{SHORT} {ANSWER}").missing == ()


async def test_a_key_throws_an_early_answer_away_and_what_was_said_is_told_all_the_same() -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True, faults=SLOW_END) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await it.sim.until(lambda: it.noted("turn_drafted"))
        it.call.press("1")
        await it.told(2)
        await it.sim.until(lambda: it.noted("turn_ended") + it.noted("turn_cut") == 3)
        said = [(type(cue).__name__, getattr(cue, "revises", None)) for cue in it.cues[1:]]
        assert said == [("CallerSaid", False), ("CallerPressed", None), ("CallerSaid", True)]


async def test_hanging_up_on_an_early_answer_leaves_nothing_behind() -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True, faults=SLOW_END) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await it.sim.until(lambda: it.noted("turn_drafted"))
        others = {task for task in asyncio.all_tasks() if it.call.call_sid not in task.get_name()}
        await it.call.hang_up()
        await it.sim.idle()
        await asyncio.sleep(1)
        assert asyncio.all_tasks() <= others


# -- how long it took --------------------------------------------------------------------------------------------------


@every_ear
@pytest.mark.parametrize("round_trip_s", [0.0, 0.2])
async def test_the_latency_told_is_the_one_that_the_caller_felt(ears: str, round_trip_s: float) -> None:
    room = PhoneSettings("", round_trip_s=round_trip_s)
    async with talk(first(SHORT), ears=ears, room=room) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(1)
        it.speak(ASKED)
        await it.sim.turn_over(it.call, 2)
        greeting, answer = (note.details for note in it.sim.of(it.call, "latency"))
        assert greeting["endpoint_ms"] is None
        steps = [answer[f"{name}_ms"] for name in ("agent", "asked", "audio", "sent", "audible")]
        assert all(step is not None for step in steps)
        if answer["endpoint_ms"] is not None:
            assert answer["gap_ms"] == pytest.approx(answer["endpoint_ms"] + sum(steps), abs=1)
            felt = it.call.reply_delays()[-1] * 1000
            # The caller's last sound is a leg older than its arrival here; marks tell of the carrier's playout.
            assert answer["gap_ms"] + round_trip_s * 500 == pytest.approx(felt, abs=60 + round_trip_s * 500)


async def test_marks_tell_when_the_first_sound_was_played() -> None:
    async with talk(first(SHORT)) as it:
        await it.sim.turn_over(it.call)
        (note,) = it.sim.of(it.call, "latency")
        (sent,) = it.sim.of(it.call, "first_sent")
        assert sent.at <= note.at <= sent.at + 0.5  # soon, not at the turn's end
        assert all(a.at <= b.at for a, b in pairwise(it.sim.notes[it.call.call_sid]))
