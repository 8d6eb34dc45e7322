"""Whole calls in which things happen at the wrong moment: between two turns, on the way out, without a leg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from calls.scenes import prose, record, spans, telling
from calls.stage import Memory, settings
from calls.test_hearing import ANSWER, ASKED, LONG, SHORT, Scene
from calls.test_turn_taking import SLOW_END, entered, first, press, talk
from hearing.test_attention import CALLER, OURS, Line, Recorder
from lineside import BargeIn, CallerPressed, CallerSaid, CallerSilent, CallStarted, CollectDigits, HangUp, Pause, Say
from lineside.call import Call
from lineside.conversation import Conversation
from lineside.events import Cue, EagerEndOfTurn, EndOfTurn, Partial, SpeechStarted, TurnResumed
from lineside.events import Line as Spoken
from lineside.standin.recogniser import sounds
from lineside.testing import PhoneSettings, simulation

OTHER = prose(14, first=60)
ABANDONED = PhoneSettings("", action_after_hang_up=False, status_callbacks=False)  # a leg that is lost is all one hears


def server_s(scene: Scene) -> Call:
    """The server's side of the call."""
    call = scene.sim.bridge.calls.get(scene.call.call_sid)
    assert call is not None
    return call


def conversation(scene: Scene) -> Conversation:
    return server_s(scene)._conversation


def turns_left(scene: Scene) -> list[str]:
    """Tasks of turns of this call that run."""
    names = [task.get_name() for task in asyncio.all_tasks() if not task.done()]
    return [name for name in names if name.startswith("turn ") and scene.call.call_sid in name]


# -- on the way out ----------------------------------------------------------------------------------------------------


async def test_what_the_caller_says_while_the_agent_hangs_up_leaves_nothing_behind() -> None:
    def answers(cue: Cue) -> list[Spoken]:
        return [HangUp()] if isinstance(cue, CallerPressed) else [SHORT]

    async with talk(answers, ears="deepgram-flux", eager=True, faults=SLOW_END) as it:
        await it.sim.turn_over(it.call)
        call = server_s(it)
        slow(call, 3.0)
        it.call.press("1")
        await it.sim.until(lambda: it.noted("hanging_up"))
        it.speak("thanks goodbye")
        await it.sim.idle()
        await asyncio.sleep(60)
        assert turns_left(it) == []
        assert it.said == []  # nobody answers any more


def slow(call: Call, seconds: float) -> None:
    """The carrier takes its time to hang up."""
    real = call._carrier.hang_up

    async def hang_up(call_id: str, account_id: str) -> None:
        await asyncio.sleep(seconds)
        await real(call_id, account_id)

    cast(Any, call)._carrier = type("Slow", (), {"hang_up": staticmethod(hang_up)})()


@pytest.mark.parametrize("n_later", range(5))
async def test_an_early_answer_that_is_confirmed_as_the_call_ends_leaves_nothing_behind(n_later: int) -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True) as it:
        await it.sim.turn_over(it.call)
        talking, call = conversation(it), server_s(it)
        talking.heard(EagerEndOfTurn(ASKED))
        await asyncio.sleep(0.5)
        call.end("caller")
        for _ in range(n_later):  # steps of the loop
            await asyncio.sleep(0)
        talking.heard(EndOfTurn(ASKED))
        await it.sim.idle()
        await asyncio.sleep(5)
        assert turns_left(it) == []


@pytest.mark.parametrize("state", ["hold", "draft", "collect", "kept"])
async def test_the_call_may_end_at_any_moment(state: str) -> None:
    line: Spoken = Say(LONG, interruptible=state != "kept", barge_in=BargeIn("vad"))
    async with talk(first(CollectDigits(length=4), line), ears="deepgram-flux", eager=True) as it:
        others = {task for task in asyncio.all_tasks() if it.call.call_sid not in task.get_name()}
        await it.at(2.5)
        talking = conversation(it)
        match state:
            case "hold":
                talking.heard(SpeechStarted())
            case "draft":
                talking.heard(Partial("please stop this"))
                await asyncio.sleep(0.1)
                talking.heard(EagerEndOfTurn("please stop this"))
                assert it.noted("turn_drafted") == 1
            case "collect":
                await press(it, "12")
            case "kept":
                talking.heard(EndOfTurn(ASKED))
        await asyncio.sleep(0.2)
        await it.call.hang_up()
        await it.sim.idle()
        await asyncio.sleep(1)
        assert asyncio.all_tasks() <= others
        last = it.cues[-1].cut_off
        if state == "draft":
            assert last is not None  # nobody has answered what told it
        if state == "hold":
            assert last is not None
            assert f"{last.heard} {last.unheard}" == LONG


# -- without a leg -----------------------------------------------------------------------------------------------------


async def test_nobody_is_silent_who_is_not_connected() -> None:
    async with talk(first(SHORT), silence_s=3, room=ABANDONED) as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(1)
        await it.call.hang_up(("close",))
        await asyncio.sleep(8)
        assert [cue for cue in it.cues if isinstance(cue, CallerSilent)] == []


async def test_digits_do_not_time_out_while_nobody_can_press_them() -> None:
    async with talk(first(CollectDigits(length=4, timeout=3), SHORT), room=ABANDONED) as it:
        await it.sim.turn_over(it.call)
        await press(it, "12")
        await it.call.hang_up(("close",))
        await asyncio.sleep(8)
        assert entered(it) == []


async def test_an_early_answer_is_none_when_the_leg_has_gone_and_come() -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True, faults=SLOW_END) as it:
        await it.sim.turn_over(it.call)
        it.speak(ASKED)
        await it.sim.until(lambda: it.noted("turn_drafted"))
        await it.call.drop()
        await it.sim.turn_over(it.call, 2)
        await asyncio.sleep(5)
        assert it.noted("draft_discarded") + it.noted("turn_cut") >= 1
        assert turns_left(it) == []
        assert any(isinstance(cue, CallStarted) and cue.resumed for cue in it.cues)


async def test_a_hold_does_not_outlive_its_leg() -> None:
    async with talk(first(Say(LONG, barge_in=BargeIn("vad"))), ears="deepgram") as it:
        await it.at(2.5)
        it.call.speak(sounds.cough())
        await it.sim.until(lambda: it.noted("turn_held"))
        await it.call.drop()
        await it.sim.turn_over(it.call)
        assert it.noted("turn_resumed") == 0
        (cue,) = it.cues[1:]
        assert cue.cut_off is not None
        assert f"{cue.cut_off.heard} {cue.cut_off.unheard}" == LONG


def test_the_echo_of_a_former_leg_is_not_passed_on_when_the_next_one_is_there() -> None:
    line = Line()
    line.pass_by(ours=OURS[: 2 * 8000])
    n_before = sum(map(len, line.recogniser.fed))
    line.attention.overhearing(Recorder())
    for at in range(0, len(CALLER), 160):
        line.attention.feed(CALLER[at : at + 160])
    passed = b"".join(line.recogniser.fed)[n_before:]
    assert passed.lstrip(b"\xff").startswith(CALLER.lstrip(b"\xff")[:160])


# -- while the caller speaks -------------------------------------------------------------------------------------------


async def test_digits_do_not_time_out_while_the_caller_speaks() -> None:
    async with talk(first(CollectDigits(length=4, timeout=3), SHORT), ears="deepgram") as it:
        await it.sim.turn_over(it.call)
        await asyncio.sleep(1)
        words = "one moment please i have it here somewhere in my bag let me look for it again"
        it.speak(words)
        await it.told()
        assert [type(cue).__name__ for cue in it.cues[1:]] == ["CallerSaid"]
        assert it.said == [words]


async def test_a_caller_whose_words_are_not_settled_yet_is_not_silent() -> None:
    slow_end = {"flux_confidence_per_s": 0.1}  # the service ends the turn by its time-out, 5 s after the last word
    async with talk(first(SHORT), ears="deepgram-flux", silence_s=4, faults=slow_end) as it:
        await it.sim.turn_over(it.call)
        it.speak("my number is")
        await it.told()
        assert [type(cue).__name__ for cue in it.cues[1:]] == ["CallerSaid"]


async def test_a_noise_now_and_then_does_not_put_silence_off_for_ever() -> None:
    async with talk(first(SHORT), ears="deepgram", silence_s=4) as it:
        await it.sim.turn_over(it.call)
        for _ in range(30):
            it.call.speak(sounds.cough())
            await asyncio.sleep(2)
        assert any(isinstance(cue, CallerSilent) for cue in it.cues)


async def test_what_was_too_short_to_take_the_turn_is_not_lost_when_a_key_takes_it() -> None:
    async with talk(first(Say(LONG, barge_in=BargeIn(words=3))), ears="deepgram") as it:
        await it.at(2.5)
        it.speak("table please")
        await asyncio.sleep(3)
        it.call.press("1")
        await it.sim.turn_over(it.call)
        assert it.said == ["table please"]


async def test_what_was_too_short_to_take_the_turn_is_not_lost_when_more_words_take_it() -> None:
    async with talk(first(Say(LONG, barge_in=BargeIn(words=3))), ears="deepgram") as it:
        await it.at(2.5)
        it.speak("table please")
        await asyncio.sleep(3)
        it.speak("for four persons tonight")
        await it.told()
        await asyncio.sleep(3)
        assert len(it.call.queue.clears) == 1
        assert " ".join(it.said) == "table please for four persons tonight"


async def test_agreement_with_a_line_that_may_not_be_interrupted_does_not_cut_the_next() -> None:
    async with talk(first(Say(LONG, interruptible=False), OTHER), ears="deepgram") as it:
        await it.at(2.5)
        it.speak("okay")
        await it.sim.turn_over(it.call)
        assert it.call.queue.clears == []
        assert telling(it.call.heard(), f"{LONG} {OTHER}").missing == ()


async def test_a_no_to_an_agent_that_has_said_nothing_yet_is_not_lost() -> None:
    async def thinking(cue: Cue) -> AsyncIterator[Spoken]:
        if isinstance(cue, CallerSaid):
            await asyncio.sleep(5)
        yield SHORT

    memory = Memory(thinking)
    async with simulation(memory.agent, settings=settings(ears="deepgram")) as sim:
        call = await sim.phone.dial()
        it = Scene(sim, call, memory)
        await it.sim.turn_over(it.call)
        it.speak("cancel my order")
        await it.told()
        it.speak("no")
        await asyncio.sleep(15)
        assert " ".join(it.said) == "cancel my order no"
        await call.hang_up()
        await sim.idle()


async def test_words_that_a_recogniser_takes_back_give_the_next_hum_no_weight() -> None:
    async with talk(lambda _: [LONG], ears="deepgram") as it:
        await it.at(2.5)
        conversation(it).heard(Partial("stop"))  # and no end of turn: it was none
        await asyncio.sleep(1)
        it.call.press("1")
        await it.sim.turn_begun(it.call, 2)
        await asyncio.sleep(2)
        it.speak("uh-huh")
        await it.sim.turn_over(it.call)
        assert it.said == []
        assert len(it.call.queue.clears) == 1


async def test_a_hold_holds_up_a_hang_up_too() -> None:
    async with talk(first(SHORT, Pause(1.0), HangUp()), ears="deepgram", turn_policy="vad") as it:
        await it.sim.until(lambda: it.noted("latency"))
        talking = conversation(it)
        await it.sim.until(lambda: talking._turn is not None and talking._turn._n_stretches == 2)
        await asyncio.sleep(0.6)
        it.speak("wait i have another question")
        await it.told()
        assert it.said == ["wait i have another question"]


async def test_a_hold_before_the_first_word_ends_too() -> None:
    async def thinking(_: Cue) -> AsyncIterator[Spoken]:
        await asyncio.sleep(4)
        yield LONG

    memory = Memory(thinking)
    async with simulation(memory.agent, settings=settings(ears="deepgram", turn_policy="vad")) as sim:
        call = await sim.phone.dial()
        it = Scene(sim, call, memory)
        await call.connected()
        await asyncio.sleep(1)
        it.call.speak(sounds.cough())
        await it.sim.turn_over(it.call)
        assert (it.noted("turn_held"), it.noted("turn_resumed")) == (1, 1)
        assert telling(it.call.heard(), LONG).missing == ()
        await call.hang_up()
        await sim.idle()


# -- answers begun early -----------------------------------------------------------------------------------------------


async def test_a_second_early_end_without_going_on_in_between_is_confirmed_like_the_first() -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True) as it:
        await it.sim.turn_over(it.call)
        talking = conversation(it)
        talking.heard(EagerEndOfTurn("i would like"))
        await asyncio.sleep(0.1)
        talking.heard(EagerEndOfTurn("i would like a table"))
        await asyncio.sleep(0.1)
        talking.heard(EndOfTurn("i would like a table"))
        await it.sim.turn_over(it.call, 2)
        assert it.said == ["i would like", "i would like a table"]


async def test_early_answers_that_are_discarded_one_after_another_cost_the_last_one_nothing() -> None:
    async with talk(first(SHORT), ears="deepgram-flux", eager=True) as it:
        await it.sim.turn_over(it.call)
        talking = conversation(it)
        for _ in range(20):
            talking.heard(EagerEndOfTurn(ASKED))
            await asyncio.sleep(0.3)
            talking.heard(TurnResumed())
        await asyncio.sleep(0.01)
        assert turns_left(it) == []
        talking.heard(EagerEndOfTurn(ASKED))
        talking.heard(EndOfTurn(ASKED))
        await it.sim.turn_over(it.call, 2)
        assert telling(it.call.heard(), f"{SHORT} {ANSWER}").missing == ()
        assert len(spans(it.call)) == 2
        assert dict(record(it.sim).breaches) == {}
        assert not it.noted("provider_lost")


async def test_an_early_answer_that_hangs_up_does_so_when_it_is_confirmed_and_not_before() -> None:
    def answers(cue: Cue) -> list[Spoken]:
        return [SHORT] if isinstance(cue, CallStarted) else [HangUp()]

    async with talk(answers, ears="deepgram-flux", eager=True) as it:
        await it.sim.turn_over(it.call)
        talking = conversation(it)
        talking.heard(EagerEndOfTurn("bye"))
        await asyncio.sleep(2)
        assert not it.noted("hanging_up")
        talking.heard(EndOfTurn("bye"))
        await it.sim.until(lambda: it.noted("hanging_up"))


async def test_what_a_discarded_answer_asked_of_the_call_is_not_done() -> None:
    def answers(cue: Cue) -> list[Spoken]:
        match cue:
            case CallStarted():
                return [SHORT]
            case CallerSaid("a number"):
                return [CollectDigits(length=2), BargeIn(words=9), HangUp()]
        return [LONG]

    async with talk(answers, ears="deepgram-flux", eager=True) as it:
        await it.sim.turn_over(it.call)
        talking = conversation(it)
        talking.heard(EagerEndOfTurn("a number"))
        await asyncio.sleep(0.1)
        talking.heard(SpeechStarted())
        it.call.press("1")
        await it.sim.turn_begun(it.call, 2)
        await asyncio.sleep(1)
        it.speak(ASKED)
        await it.told(2)
        assert [cue.digit for cue in it.cues if isinstance(cue, CallerPressed)] == ["1"]
        assert len(it.call.queue.clears) == 1


async def test_the_timeline_tells_of_an_early_answer_s_turn_what_its_agent_was_told() -> None:
    async with talk(first(LONG), ears="deepgram-flux", eager=True) as it:
        await it.at(2.5)
        talking = conversation(it)
        talking.heard(Partial("please stop"))
        await asyncio.sleep(0.1)
        talking.heard(EagerEndOfTurn("please stop"))
        talking.heard(EndOfTurn("please stop"))
        await it.sim.turn_over(it.call)
        told = [note.details["cue"] for note in it.sim.of(it.call, "turn_started")]
        assert told[1].cut_off is not None
        assert told == it.cues


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_a_key_in_the_instant_in_which_digits_are_over_is_not_lost() -> None:
    async with talk(first(CollectDigits(length=4), SHORT), ears="deepgram") as it:
        await it.sim.turn_over(it.call)
        talking = conversation(it)
        talking.heard(EndOfTurn(ASKED))
        talking.pressed("7")
        await it.sim.turn_over(it.call, 2)
        assert [cue.digit for cue in it.cues if isinstance(cue, CallerPressed)] == ["7"]


# -- how long it took --------------------------------------------------------------------------------------------------


async def test_the_agent_s_first_text_is_not_its_first_line() -> None:
    async def thinking(cue: Cue) -> AsyncIterator[Spoken]:
        yield CollectDigits(length=4)
        await asyncio.sleep(2)
        yield SHORT

    memory = Memory(thinking)
    async with simulation(memory.agent, settings=settings()) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        (note,) = sim.of(call, "latency")
        assert note.details["agent_ms"] == pytest.approx(2000, abs=50)
        assert note.details["asked_ms"] < 100
        await call.hang_up()
        await sim.idle()


async def test_an_answer_that_was_cut_before_it_sounded_has_no_gap_and_is_told_once() -> None:
    async with talk(first(LONG), room=PhoneSettings("", round_trip_s=0.4)) as it:
        await asyncio.sleep(0.1)
        it.call.press("1")
        await it.sim.turn_over(it.call)
        cut, answer = (note.details for note in it.sim.of(it.call, "latency"))
        assert (cut["turn"], cut["audible_ms"], cut["gap_ms"]) == (1, None, None)
        assert answer["gap_ms"] == pytest.approx(200, abs=40)


async def test_what_the_greeting_taught_about_the_network_is_not_forgotten() -> None:
    async with talk(first(LONG), room=PhoneSettings("", round_trip_s=0.2)) as it:
        await it.sim.turn_over(it.call)
        shortest = server_s(it).trip.shortest
        assert shortest is not None
        assert shortest == pytest.approx(0.2, abs=0.05)
