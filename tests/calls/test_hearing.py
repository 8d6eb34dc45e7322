"""Whole calls that hear: what the caller says interrupts or does not, and is answered; and a recogniser that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import pytest

from calls.scenes import UNSURE_MS, listen, prose, record, spans, telling, whole_ms, words_of
from calls.stage import Memory
from lineside.events import CallerPressed, CallerSaid, CallerSilent, CallStarted, Cue, Line, Say
from lineside.standin.phone import PhoneCall
from lineside.standin.recogniser import sounds
from lineside.standin.recogniser.modem import SECONDS_PER_WORD, encode
from lineside.testing import LinesideSettings, PhoneSettings, Settings, Simulation, simulation
from lineside.wire import twilio

EARS = ["deepgram", "deepgram-flux", "elevenlabs"]
LONG, SHORT, ANSWER = prose(28), prose(5, first=36), prose(4, first=49)
ASKED = "please tell me my balance"

# s from the end of a word until a partial with it is told: the time between partials, their latency, and our chunk.
WORD_DELAY = {"deepgram": 1.0 + 0.15 + 0.06, "deepgram-flux": 0.25 + 0.06 + 0.08, "elevenlabs": 0.5 + 0.15 + 0.1}
SMALL = 0.1  # s; frames of 20 ms, and everything that is done in no time
HEAR_OUT = 4.0  # s in which every recogniser has told all it has to tell

every_ear = pytest.mark.parametrize("ears", EARS)
ears_with_vad = pytest.mark.parametrize("ears", ["deepgram", "deepgram-flux"])


@dataclass
class Scene:
    """One call that is under way."""

    sim: Simulation
    call: PhoneCall
    memory: Memory

    @property
    def cues(self) -> list[Cue]:
        return self.memory.of(self.call.call_sid)

    @property
    def said(self) -> list[str]:
        """What the agent was told that the caller said."""
        return [cue.text for cue in self.cues if isinstance(cue, CallerSaid)]

    def noted(self, kind: str) -> int:
        return len(self.sim.of(self.call, kind))

    def speak(self, words: str) -> float:
        """Say something; returns when its first word will be out."""
        self.call.speak(encode(words))
        return self.call.stream.speaks_until - (len(words.split()) - 1) * SECONDS_PER_WORD

    async def at(self, seconds: float) -> None:
        """Wait for a time since the stream began."""
        await asyncio.sleep(self.call.stream.began + seconds - asyncio.get_running_loop().time())

    async def told(self, n: int = 1) -> None:
        """Wait until the agent knows of so many things that the caller said."""
        await self.sim.until(lambda: len(self.said) >= n, timeout=30)


@asynccontextmanager
async def scene(
    ears: str,
    *greeting: Line,
    room: PhoneSettings | None = None,
    faults: dict[str, Any] | None = None,
    breaches: bool = False,
    **lineside: Any,
) -> AsyncIterator[Scene]:
    """A call to an agent that says `greeting` first, then the same to everything.

    Args:
        faults: of the recogniser.
        breaches: the provider's rules may be broken, as when it stalls.
        lineside: settings.
    """

    async def answer(cue: Cue) -> AsyncIterator[Line]:
        for line in greeting if isinstance(cue, CallStarted) else [ANSWER]:
            yield line

    memory = Memory(answer)
    settings = Settings(LinesideSettings(agent_loop="app", ears=ears, **lineside))  # type: ignore[arg-type]
    async with simulation(memory.agent, settings=settings, phone=room) as sim:
        assert sim.provider is not None
        for name, value in (faults or {}).items():
            setattr(sim.provider.faults.recogniser, name, copy(value))  # lists are used up
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        yield Scene(sim, call, memory)
        await call.hang_up()
        await sim.idle()
        assert breaches or dict(record(sim).breaches) == {}


def assert_cut(scene: Scene, cut: str, following: str) -> None:
    """The beginning of `cut` was heard, then the whole of `following`, and the agent was told how far it came."""
    first, *_, last = spans(scene.call)
    everything = [*words_of(cut), *words_of(following)]
    heard = [each for each in listen(first.audio, everything) if each.ms >= whole_ms(each.word) - UNSURE_MS]
    assert [each.word for each in heard] == words_of(cut)[: len(heard)]
    assert {each.word for each in listen(last.audio, everything)} == set(words_of(following))
    cut_offs = [cue.cut_off for cue in scene.cues if cue.cut_off is not None]
    assert len(cut_offs) == 1
    told = cut_offs[0]
    assert f"{told.heard} {told.unheard}".split() == cut.split()
    assert 0 <= len(heard) - len(told.heard.split()) <= 1  # rather too little than too much
    assert told.heard_ms == pytest.approx(len(first.audio) / 8, abs=40)


# -- asking ------------------------------------------------------------------------------------------------------------


@every_ear
async def test_what_the_caller_asks_is_told_as_text_and_answered(ears: str) -> None:
    async with scene(ears, SHORT) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await it.sim.turn_over(it.call, 2)
        assert it.said == [ASKED]
        assert telling(it.call.heard(), f"{SHORT} {ANSWER}").missing == ()


@every_ear
async def test_keys_and_speech_are_answered_in_the_order_in_which_they_ended(ears: str) -> None:
    async with scene(ears, SHORT) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await it.told()
        it.call.press("1")
        await it.sim.turn_over(it.call, 2)
        it.speak("and again")
        it.call.press("2")
        await it.told(2)
        told = [cue.digit if isinstance(cue, CallerPressed) else getattr(cue, "text", "") for cue in it.cues]
        assert told == ["", ASKED, "1", "2", "and again"]


# -- policy words ------------------------------------------------------------------------------------------------------


@every_ear
async def test_words_cut_the_agent_as_soon_as_the_recogniser_has_told_one(ears: str) -> None:
    async with scene(ears, LONG) as it:
        await it.at(2.5)
        word_out = it.speak("please stop this i have a question")
        await it.sim.turn_over(it.call)
        (clear,) = it.call.queue.clears
        assert 0 < clear.at - word_out <= WORD_DELAY[ears] + SMALL
        assert it.said == ["please stop this i have a question"]
        assert_cut(it, LONG, ANSWER)


@every_ear
async def test_a_listener_s_sounds_change_nothing(ears: str) -> None:
    async with scene(ears, LONG) as it:
        for second, sound in enumerate((encode("uh-huh"), sounds.cough(), encode("yes okay"), sounds.noise(0.6))):
            await it.at(1.5 + 3.0 * second)
            it.call.speak(sound)
        await it.sim.turn_over(it.call)
        await asyncio.sleep(HEAR_OUT)
        (listened,) = record(it.sim).listened.values()
        assert listened.text == "uh-huh yes okay"
        assert (it.said, it.call.queue.clears, len(spans(it.call))) == ([], [], 1)
        assert telling(it.call.heard(), LONG).missing == ()


@every_ear
async def test_a_yes_before_the_question_was_over_is_its_answer(ears: str) -> None:
    async with scene(ears, SHORT) as it:
        await it.sim.until(lambda: it.call.queue.depth(asyncio.get_running_loop().time()) > 0)
        await asyncio.sleep(1.1)
        it.speak("yes")
        await it.sim.turn_over(it.call, 2)
        assert it.said == ["yes"]
        assert it.call.queue.clears == []
        assert telling(it.call.heard(), f"{SHORT} {ANSWER}").missing == ()


@every_ear
async def test_the_agent_s_echo_does_not_interrupt_it_and_the_caller_s_words_do(ears: str) -> None:
    async with scene(ears, LONG, room=PhoneSettings("", echo_db=-20)) as it:
        await it.at(8)
        assert (it.said, it.call.queue.clears) == ([], [])
        it.speak(ASKED)
        await it.told()
        assert it.said == [ASKED]
        assert len(it.call.queue.clears) == 1


# -- policy vad --------------------------------------------------------------------------------------------------------

VOICE = {"flux_start_on": "voice"}  # else Flux begins no turn for a cough


@ears_with_vad
async def test_a_cough_holds_the_agent_and_no_word_is_lost(ears: str) -> None:
    async with scene(ears, LONG, turn_policy="vad", faults=VOICE) as it:
        await it.at(2.5)
        it.call.speak(sounds.cough())
        await it.sim.turn_over(it.call)
        assert (it.noted("turn_held"), it.noted("turn_resumed")) == (1, 1)
        told = telling(it.call.heard(), LONG)
        assert told.missing == ()
        assert 1 <= told.most_at_once <= 3  # this voice has no word timings: rather a word again than one lost
        before, after = spans(it.call)
        assert 1.1 < after.at - before.end < 1.4
        assert it.said == []


@ears_with_vad
async def test_speech_holds_the_agent_and_then_cuts_it(ears: str) -> None:
    async with scene(ears, LONG, turn_policy="vad", faults=VOICE) as it:
        await it.at(2.5)
        began = it.call.stream.speaks_until
        it.speak(ASKED)
        await it.sim.turn_over(it.call)
        assert 0 < it.call.queue.clears[0].at - began <= 0.35
        assert it.noted("turn_held") == 1
        assert it.said == [ASKED]


@ears_with_vad
async def test_speech_into_a_hold_is_told_with_what_was_heard_before_it(ears: str) -> None:
    async with scene(ears, LONG, turn_policy="vad", faults=VOICE | {"interim_every_s": 0.3}) as it:
        await it.at(2.5)
        it.speak(ASKED)
        await it.sim.turn_over(it.call)
        assert it.noted("turn_resumed") == 0
        assert_cut(it, LONG, ANSWER)


# -- lines that may not be interrupted ---------------------------------------------------------------------------------


@every_ear
async def test_what_is_said_into_a_line_that_may_not_be_interrupted_is_answered_after_it(ears: str) -> None:
    async with scene(ears, Say(LONG, interruptible=False)) as it:
        await it.at(2.5)
        it.speak(ASKED)
        await asyncio.sleep(1.0)
        it.call.press("7")
        await it.sim.turn_over(it.call, 2, timeout=60)
        assert sorted(type(cue).__name__ for cue in it.cues[1:]) == ["CallerPressed", "CallerSaid"]
        assert it.said == [ASKED]
        assert it.call.queue.clears == []
        assert telling(it.call.heard(), f"{LONG} {ANSWER}").missing == ()


# -- silence -----------------------------------------------------------------------------------------------------------


@every_ear
async def test_silence_is_told_again_and_again_until_the_caller_speaks_or_presses(ears: str) -> None:
    async with scene(ears, SHORT, silence_s=4) as it:
        await it.sim.turn_over(it.call, 3)
        await asyncio.sleep(3)
        it.speak(ASKED)
        await it.sim.turn_over(it.call, 5)
        await asyncio.sleep(3.5)
        it.call.press("1")
        await it.sim.turn_over(it.call, 7)
        silences = [(cue.seconds, cue.nth) for cue in it.cues if isinstance(cue, CallerSilent)]
        assert silences == [(4, 1), (4, 2), (4, 1), (4, 1)]
        assert [type(cue).__name__ for cue in it.cues[3:5]] == ["CallerSaid", "CallerSilent"]


@every_ear
async def test_a_hum_puts_silence_off_and_not_away(ears: str) -> None:
    async with scene(ears, SHORT, silence_s=4) as it:
        await it.sim.turn_over(it.call)
        it.speak("hmm")
        await it.sim.turn_over(it.call, 2, timeout=20)
        assert isinstance(it.cues[1], CallerSilent)


# -- a recogniser that fails -------------------------------------------------------------------------------------------


@every_ear
async def test_a_recogniser_that_refuses_is_told_once_and_keys_go_on(ears: str) -> None:
    async with scene(ears, SHORT, faults={"refuse": [401]}) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await asyncio.sleep(20)
        it.call.press("5")
        await it.sim.turn_over(it.call, 2)
        assert [note.details["code"] for note in it.sim.of(it.call, "ear_warning")] == ["refused"]
        assert [cue.digit for cue in it.cues if isinstance(cue, CallerPressed)] == ["5"]
        assert it.said == []


@every_ear
@pytest.mark.parametrize(
    "fault", [{"die_after_bytes": [36_000]}, {"stall_after_bytes": [36_000], "stall_s": 3.0}], ids=["dies", "stalls"]
)
async def test_words_arrive_when_the_recogniser_fails_in_the_middle_of_them(ears: str, fault: dict[str, Any]) -> None:
    async with scene(ears, SHORT, faults=fault, breaches=True) as it:
        await it.at(3.5)
        it.speak("one two three four five six")  # the fourth is being said when it fails
        await it.told()
        await asyncio.sleep(HEAR_OUT)
        assert " ".join(it.said).split() == ["one", "two", "three", "four", "five", "six"]
        codes = [note.details["code"] for note in it.sim.of(it.call, "ear_warning")]
        assert codes == (["lost", "reconnected"] if "die_after_bytes" in fault else [])


# -- nobody listens, and nothing is left -------------------------------------------------------------------------------


async def test_without_ears_the_caller_s_audio_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(twilio, "media_audio", decoded.append)
    async with scene("none", SHORT) as it:
        it.speak(ASKED)
        await it.sim.turn_over(it.call)
        call = it.sim.bridge.calls.get(it.call.call_sid)
        assert call is not None
        assert call.on_audio is None
        assert record(it.sim).listened == {}
    assert decoded == []


@every_ear
async def test_nothing_is_left_after_the_call(ears: str) -> None:
    async with scene(ears, LONG) as it:
        others = {task for task in asyncio.all_tasks() if it.call.call_sid not in task.get_name()}
        await it.at(2.5)
        it.speak(ASKED)
        await asyncio.sleep(0.5)
        await it.call.hang_up()
        await it.sim.idle()
        await asyncio.sleep(1)
        assert record(it.sim).connections.open == 0
        assert asyncio.all_tasks() <= others
