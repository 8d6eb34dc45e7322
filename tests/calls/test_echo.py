"""Whole calls on a line that returns the agent's own voice: it does not answer itself, and the caller is heard over it.

The voice speaks words that the recogniser understands, so every word that comes back is a word that it could tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from calls.scenes import prose, record, spans, words_of
from calls.stage import Memory
from lineside.events import CallerSaid, CallStarted, Cue, CutOff, Line
from lineside.standin.phone import PhoneCall
from lineside.standin.recogniser.modem import Decoder, encode
from lineside.standin.recogniser.undertone import voiced
from lineside.standin.spoken import SpokenVoice
from lineside.testing import LinesideSettings, PhoneSettings, Settings, Simulation, simulation

EARS = ["deepgram", "deepgram-flux", "elevenlabs"]
LINES = [(-10, 0.05), (-20, 0.12), (-20, 0.3), (-30, 0.5)]  # dB, s: the range that carriers' lines have
LONG, SHORT, ANSWER = prose(40), prose(5, first=45), prose(4, first=52)
ASKED = "please tell me my balance"
HEAR_OUT = 4.0  # s in which every recogniser has told all it has to tell
SLOWEST_WORD = 1.7  # s from the beginning of a word until the slowest recogniser has told it
SOUND = 0.35  # s from a sound until a detector of speech has told it

every_ear = pytest.mark.parametrize("ears", EARS)
every_line = pytest.mark.parametrize(("echo_db", "delay_s"), LINES)


@dataclass
class Scene:
    """One call that is under way."""

    sim: Simulation
    call: PhoneCall
    memory: Memory

    @property
    def said(self) -> list[str]:
        """What the agent was told that the caller said."""
        return [cue.text for cue in self.memory.of(self.call.call_sid) if isinstance(cue, CallerSaid)]

    @property
    def cut_offs(self) -> list[CutOff]:
        cues = self.memory.of(self.call.call_sid)
        return [cue.cut_off for cue in cues if cue.cut_off is not None]

    @property
    def understood(self) -> list[str]:
        """Every word that reached the recogniser."""
        return [word.text for listened in record(self.sim).listened.values() for word in listened.words]

    def words_in(self, nth: int) -> list[str]:
        """The words that the caller's ear heard whole in the nth stretch of speech."""
        return [word.text.lower() for word in Decoder().feed(spans(self.call)[nth].audio + bytes([0xFF]) * 1000)]

    def noted(self, kind: str) -> int:
        return len(self.sim.of(self.call, kind))

    def speak(self, words: str) -> float:
        """Say something; returns when it begins."""
        began = self.call.stream.speaks_until
        self.call.speak(voiced(encode(words)))
        return began

    async def at(self, seconds: float) -> None:
        """Wait for a time since the stream began."""
        await asyncio.sleep(self.call.stream.began + seconds - asyncio.get_running_loop().time())

    async def until(self, condition: Callable[[], Any]) -> None:
        await self.sim.until(condition, timeout=30)


@asynccontextmanager
async def scene(
    ears: str, greeting: str, *, echo_db: float, delay_s: float, room: dict[str, Any] | None = None, **lineside: Any
) -> AsyncIterator[Scene]:
    """A call to an agent that says `greeting` first, then the same to everything, on a line with echo."""

    async def answer(cue: Cue) -> AsyncIterator[Line]:
        yield greeting if isinstance(cue, CallStarted) else ANSWER

    memory = Memory(answer)
    settings = Settings(LinesideSettings(agent_loop="app", ears=ears, **lineside))  # type: ignore[arg-type]
    phone = PhoneSettings("", echo_db=echo_db, echo_delay_s=delay_s, **(room or {}))
    async with simulation(memory.agent, settings=settings, phone=phone, voice=SpokenVoice(voiced=True)) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        yield Scene(sim, call, memory)
        await call.hang_up()
        await sim.idle()


def assert_cut_once(it: Scene) -> None:
    """The caller heard the beginning of LONG, then ANSWER, and the agent knows how far it came."""
    assert len(it.call.queue.clears) == 1
    heard = it.words_in(0)
    assert 0 < len(heard) < len(words_of(LONG))
    assert heard == words_of(LONG)[: len(heard)]
    assert it.words_in(-1) == words_of(ANSWER)
    (cut_off,) = it.cut_offs
    assert f"{cut_off.heard} {cut_off.unheard}".split() == LONG.split()


# -- the danger --------------------------------------------------------------------------------------------------------


@every_ear
async def test_without_the_guard_an_agent_interrupts_itself(ears: str) -> None:
    async with scene(ears, LONG, echo_db=-20, delay_s=0.12, echo_guard=False) as it:
        await it.until(lambda: it.said)
        assert it.call.queue.clears
        assert set(words_of(it.said[0])) <= set(words_of(LONG))


# -- policy words ------------------------------------------------------------------------------------------------------


@every_ear
@every_line
async def test_the_agent_hears_itself_and_neither_stops_nor_answers(ears: str, echo_db: float, delay_s: float) -> None:
    async with scene(ears, LONG, echo_db=echo_db, delay_s=delay_s) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert (it.said, it.call.queue.clears, it.noted("turn_held")) == ([], [], 0)
        assert it.words_in(0) == words_of(LONG)


@every_ear
@every_line
async def test_what_comes_back_after_the_last_word_is_not_told(ears: str, echo_db: float, delay_s: float) -> None:
    async with scene(ears, SHORT, echo_db=echo_db, delay_s=delay_s) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert (it.said, it.call.queue.clears) == ([], [])


@every_ear
@every_line
async def test_a_caller_who_interrupts_is_heard_over_the_echo(ears: str, echo_db: float, delay_s: float) -> None:
    async with scene(ears, LONG, echo_db=echo_db, delay_s=delay_s) as it:
        await it.at(4.03)
        began = it.speak(ASKED)
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert it.said == [ASKED]
        assert 0 < it.call.queue.clears[0].at - began <= SLOWEST_WORD
        assert_cut_once(it)


@every_ear
async def test_a_caller_who_interrupts_in_the_first_second_is_heard(ears: str) -> None:
    async with scene(ears, LONG, echo_db=-20, delay_s=0.3) as it:
        await it.at(0.7)
        it.speak(ASKED)
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert it.said == [ASKED]
        assert_cut_once(it)


@every_ear
@every_line
async def test_an_answer_that_begins_while_the_question_still_comes_back_is_whole(
    ears: str, echo_db: float, delay_s: float
) -> None:
    async with scene(ears, SHORT, echo_db=echo_db, delay_s=delay_s) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await it.until(lambda: it.said)
        await asyncio.sleep(HEAR_OUT)
        assert it.said == [ASKED]


@every_ear
async def test_a_caller_may_repeat_the_agent_s_words(ears: str) -> None:
    async with scene(ears, "Do you want to cancel or to change your order?", echo_db=-20, delay_s=0.2) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(0.5)
        it.speak("change your order")
        await it.until(lambda: it.said)
        await asyncio.sleep(HEAR_OUT)
        assert it.said == ["change your order"]


@every_ear
async def test_echo_over_a_round_trip_with_noise_does_not_interrupt_either(ears: str) -> None:
    room = {"round_trip_s": 0.2, "jitter_s": 0.04, "noise_db": -52.0}
    async with scene(ears, LONG, echo_db=-20, delay_s=0.2, room=room) as it:
        await it.at(8)
        assert (it.said, it.call.queue.clears) == ([], [])
        it.speak(ASKED)
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert it.said == [ASKED]
        assert_cut_once(it)


# -- policy vad --------------------------------------------------------------------------------------------------------

VAD = {"turn_policy": "vad", "vad": "local"}


@every_ear
@every_line
async def test_the_echo_does_not_hold_the_agent(ears: str, echo_db: float, delay_s: float) -> None:
    async with scene(ears, LONG, echo_db=echo_db, delay_s=delay_s, **VAD) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert (it.said, it.call.queue.clears, it.noted("turn_held")) == ([], [], 0)


@every_ear
@every_line
async def test_speech_over_the_echo_holds_the_agent_at_once(ears: str, echo_db: float, delay_s: float) -> None:
    async with scene(ears, LONG, echo_db=echo_db, delay_s=delay_s, **VAD) as it:
        await it.at(4.03)
        began = it.speak(ASKED)
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        assert 0 < it.call.queue.clears[0].at - began <= SOUND
        assert it.said == [ASKED]
        assert it.words_in(-1) == words_of(ANSWER)
