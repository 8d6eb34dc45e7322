"""A call from its webhook to its end, with whatever the carrier may do to it on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from calls.stage import FRAME, Memory, Stranger, listen, new_sid, saying, settings, start
from lineside.events import CallEnded, CallerPressed, CallInfo, CallStarted, Cue, HangUp, Line
from lineside.standin.phone import PhoneCall, PhoneSettings
from lineside.standin.phone_life import Step
from lineside.testing import Simulation, simulation

LONG = "The harbour is quiet today and the ferry leaves at noon from the old pier. " * 3


def now() -> float:
    return asyncio.get_running_loop().time()


def spoken(sim: Simulation) -> bytes:
    assert sim.provider is not None
    return b"".join(each.audio for each in sim.provider.record.spoken)


def sockets(sim: Simulation) -> tuple[int, int]:
    """Provider sockets that were opened, and that are open."""
    assert sim.provider is not None
    return sim.provider.record.connections.opened, sim.provider.record.connections.open


def spans(call: PhoneCall) -> list[tuple[float, float, bytes]]:
    """What was played without a break: begin, end, audio."""
    found = [span for stream in call.streams for span in stream.queue.spans(stream.until(now()))]
    return [(span.at, span.end, span.audio) for span in found]


# -- how calls end -----------------------------------------------------------------------------------------------------

ENDS: list[tuple[Step, ...]] = [
    ("stop", "close", "status"),
    ("close", "stop", "status"),
    ("status", "stop", "close"),
    ("status", "close"),
    ("stop", "status"),
    ("close", "status"),
    ("stop", "close"),
    ("stop",),
    ("status",),
    ("close",),
]


@pytest.mark.parametrize("steps", ENDS, ids="-".join)
async def test_whatever_tells_first_that_the_caller_has_gone_ends_the_call_at_once(steps: tuple[Step, ...]) -> None:
    memory = Memory(saying(LONG))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(1)
        gone_at = now()
        await call.hang_up(steps)
        await sim.idle()
        assert now() - gone_at < 0.1
        assert memory.ends(call.call_sid) == ["caller"]
        await call.ended(60)
    assert sockets(sim) == (1, 0)


async def test_a_close_that_nothing_explains_is_waited_out_for_another_leg() -> None:
    memory = Memory(saying(LONG))
    async with simulation(
        memory.agent, phone=PhoneSettings("", action_after_hang_up=False, status_callbacks=False)
    ) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        gone_at = now()
        await call.hang_up(("close",))
        await sim.idle()
        assert now() - gone_at == pytest.approx(10, abs=0.1)
        assert memory.ends(call.call_sid) == ["lost"]
    assert sockets(sim) == (1, 0)


async def test_a_leg_on_which_nothing_comes_any_more_is_given_up_after_fifteen_seconds() -> None:
    memory = Memory(saying(LONG))
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()
        url = (await carrier.voice(call_id)).stream_url
        async with carrier.stream(url) as socket:
            writer = carrier.writer(call_id)
            await start(socket, writer)
            for n in range(100):  # two seconds of the caller's silence, then none of that either
                await socket.send(writer.media(n + 2, n + 1, 20 * n, FRAME))
                await asyncio.sleep(0.02)
            silent_since = now()
            await asyncio.wait_for(socket.wait_closed(), 60)
            assert 15 <= now() - silent_since <= 20.1
        await sim.idle()
        assert 25 <= now() - silent_since <= 30.2
    assert memory.ends(call_id) == ["lost"]
    assert sockets(sim) == (1, 0)


async def test_frames_of_silence_keep_a_leg() -> None:
    async with simulation(Memory().agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await asyncio.sleep(120)
        assert not call.over
        assert not sim.of(call, "leg_left")


@pytest.mark.parametrize("order", ["in order", "terminal first"])
async def test_callbacks_twice_and_out_of_order_change_nothing(order: Literal["in order", "terminal first"]) -> None:
    memory = Memory(saying("Goodbye.", HangUp()))
    phone = PhoneSettings("", status_order=order, status_duplicates=True, webhook_repeats=2)
    async with simulation(memory.agent, phone=phone) as sim:
        call = await sim.phone.dial()
        await call.ended(60)
        await sim.idle()
        await asyncio.sleep(1)
        assert memory.ends(call.call_sid) == ["agent"]
    assert sockets(sim) == (1, 0)


async def test_a_status_that_is_not_the_end_ends_nothing() -> None:
    async with simulation(Memory().agent) as sim, Stranger.at(sim) as carrier:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        for status in ("queued", "initiated", "ringing", "in-progress", "something-new"):
            assert (await carrier.status(call.call_sid, status)).status == 204
        await asyncio.sleep(1)
        assert not sim.of(call, "call_ended")


async def test_a_caller_who_gives_up_before_the_stream_is_known_at_once() -> None:
    memory = Memory()
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()
        url = (await carrier.voice(call_id)).stream_url
        await sim.until(lambda: memory.of(call_id))
        await carrier.status(call_id, "canceled")
        await sim.idle()
        assert memory.ends(call_id) == ["canceled"]
        with pytest.raises(Exception, match="403"):
            await carrier.stream(url)
    assert sockets(sim) == (1, 0)


async def test_the_caller_hangs_up_in_the_middle_of_a_word() -> None:
    memory = Memory(saying(LONG))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(3.07)
        await call.hang_up()
        await sim.idle()
        end = memory.of(call.call_sid)[-1]
        assert isinstance(end, CallEnded)
        assert end.cut_off is not None
        assert (end.cut_off.heard + " " + end.cut_off.unheard).split() == LONG.split()
        assert end.cut_off.heard_ms == pytest.approx(3000, abs=120)
        assert LONG.startswith(end.cut_off.heard)
    assert sockets(sim) == (1, 0)


# -- legs that are lost ------------------------------------------------------------------------------------------------


async def again(cue: Cue) -> AsyncIterator[Line]:
    yield "I lost you for a moment." if cue == CallStarted(resumed=True, cut_off=cue.cut_off) else LONG


async def test_a_lost_leg_comes_back_on_a_new_stream_and_the_agent_knows_what_was_heard() -> None:
    memory = Memory(again)
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(4)
        await call.drop()
        await call.connected(2)
        await sim.turn_over(call)
        await call.hang_up()
        await sim.idle()
        greeted, resumed, ended = memory.of(call.call_sid)
        assert greeted == CallStarted()
        assert isinstance(resumed, CallStarted)
        assert resumed.resumed
        assert resumed.cut_off is not None
        assert resumed.cut_off.heard_ms == pytest.approx(4000, abs=200)
        assert (resumed.cut_off.heard + " " + resumed.cut_off.unheard).split() == LONG.split()
        assert ended == CallEnded("caller")
        assert len({stream.stream_sid for stream in call.streams}) == 2
        heard = spans(call)[-1][2]
        assert heard.startswith(sim.provider.record.spoken[-1].audio)  # type: ignore[union-attr]
    assert sockets(sim) == (1, 0)


async def test_a_leg_lost_more_than_three_times_is_not_brought_back() -> None:
    memory = Memory(again)
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        for nth in range(1, 5):
            await call.connected(nth)
            await asyncio.sleep(1)
            await call.drop()
        await call.ended(60)
        await sim.idle()
        assert len(call.streams) == 4
        assert call.ended_by == "twiml"
        assert call.transcript[-1] == "Hangup"
        assert memory.ends(call.call_sid) == ["lost"]
        first, *resumed, _ = memory.of(call.call_sid)
        assert first == CallStarted()
        assert [isinstance(cue, CallStarted) and cue.resumed for cue in resumed] == [True] * 3
    assert sockets(sim) == (1, 0)


async def test_a_stream_that_can_never_be_opened_is_not_tried_for_ever() -> None:
    memory = Memory()
    async with simulation(memory.agent, phone=PhoneSettings("", upgrade_signature="bad")) as sim:
        call = await sim.phone.dial()
        await call.ended(60)
        await sim.idle()
        assert len(call.legs) == 4
        assert not call.streams
        assert call.transcript == ["ConnectStream"] * 4 + ["Hangup"]
        assert memory.ends(call.call_sid) == ["lost"]
    assert sockets(sim) == (1, 0)


async def test_a_second_leg_takes_the_place_of_the_first() -> None:
    memory = Memory(again)
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()
        first_url = (await carrier.voice(call_id)).stream_url
        async with carrier.stream(first_url) as first:
            first_writer = carrier.writer(call_id)
            await start(first, first_writer)
            await first.recv()
            await asyncio.sleep(2)
            async with carrier.stream((await carrier.after(call_id)).stream_url) as second:
                writer = carrier.writer(call_id)
                await start(second, writer)
                await asyncio.wait_for(first.wait_closed(), 5)
                assert '"media"' in str(await second.recv())
                await sim.until(lambda: len(memory.of(call_id)) == 2)
                resumed = memory.of(call_id)[1]
                assert isinstance(resumed, CallStarted)
                assert resumed.resumed
                assert resumed.cut_off is not None
                assert (resumed.cut_off.heard + " " + resumed.cut_off.unheard).split() == LONG.split()
                await second.send(writer.stop(9))
        await sim.idle()
    assert memory.ends(call_id) == ["caller"]
    assert sockets(sim) == (1, 0)


async def test_the_end_of_a_leg_that_was_replaced_is_not_the_end_of_the_call() -> None:
    memory = Memory(again)
    async with simulation(memory.agent) as sim:
        phone_call = await sim.phone.dial()
        await sim.turn_begun(phone_call)
        call = sim.bridge.calls.get(phone_call.call_sid)
        assert call is not None
        former = call.leg
        assert former is not None
        await phone_call.drop()
        await phone_call.connected(2)
        await sim.turn_begun(phone_call, 2)
        call.left(former, stopped=True)  # its `stop` crossed our closing it
        await asyncio.sleep(1)
        assert not call.over
        assert call.connected


async def test_a_key_pressed_just_before_the_leg_is_lost_gives_way_to_the_new_beginning() -> None:
    """What was being prepared for the key is not spoken before the agent knows that it was out of the call."""
    memory = Memory(again)
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()
        async with carrier.stream((await carrier.voice(call_id)).stream_url) as first:
            writer = carrier.writer(call_id)
            await start(first, writer)
            await first.recv()
            await first.send(writer.dtmf(2, "1"))
            first.transport.abort()
        reply = await carrier.after(call_id)
        await sim.until(lambda: len(memory.of(call_id)) == 2)
        async with carrier.stream(reply.stream_url) as second:
            writer = carrier.writer(call_id)
            await start(second, writer)
            await sim.until(lambda: len(memory.of(call_id)) == 3, timeout=1)
            await second.send(writer.stop(9))
        await sim.idle()
    kinds = [type(cue) for cue in memory.of(call_id)]
    assert kinds == [CallStarted, CallerPressed, CallStarted, CallEnded]


# -- the beginning -----------------------------------------------------------------------------------------------------


async def test_a_call_whose_leg_never_comes_is_ended() -> None:
    memory = Memory()
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()
        asked_at = now()
        await carrier.voice(call_id)
        await sim.idle()
        assert now() - asked_at == pytest.approx(30, abs=0.1)
        assert memory.ends(call_id) == ["never connected"]
    assert sockets(sim) == (1, 0)


async def test_a_webhook_asked_five_times_at_once_is_one_call() -> None:
    made = []

    class Agent(Memory):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            yield "Hello."

    async with simulation(Agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()
        replies = await asyncio.gather(*(carrier.voice(call_id) for _ in range(5)))
        assert len({reply.body for reply in replies}) == 1
        assert replies[0].status == 200
        assert replies[0].kind == "text/xml"
        async with carrier.stream(replies[0].stream_url) as socket:
            await start(socket, carrier.writer(call_id))
            await socket.recv()
            assert (await carrier.voice(call_id)).body == replies[0].body
        assert len(sim.bridge.calls) == 1
        assert len(made) == 1
    assert sockets(sim) == (1, 0)


async def test_a_webhook_replayed_after_the_end_opens_nothing() -> None:
    memory = Memory()
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await call.hang_up()
        await sim.idle()
        assert (await carrier.voice(call.call_sid)).hangs_up
        assert (await carrier.after(call.call_sid)).hangs_up
        assert (await carrier.status(call.call_sid, "completed")).status == 204
        assert not len(sim.bridge.calls)
        assert len(memory.of(call.call_sid)) == 2
    assert sockets(sim) == (1, 0)


async def test_the_first_audio_waits_for_the_greeting_delay() -> None:
    async with simulation(Memory().agent, settings=settings(greeting_delay_ms=750)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        began, _, audio = spans(call)[0]
        assert began - call.stream.began == pytest.approx(0.75, abs=0.021)
        assert audio.startswith(spoken(sim))


async def test_a_leg_lost_during_the_greeting_delay_does_not_delay_the_next() -> None:
    memory = Memory(again)
    async with simulation(memory.agent, settings=settings(greeting_delay_ms=5000)) as sim:
        call = await sim.phone.dial()
        await call.connected()
        await asyncio.sleep(1)
        await call.drop()
        await call.connected(2)
        await sim.turn_begun(call)
        assert now() - call.stream.began < 0.1
        resumed = memory.of(call.call_sid)[1]
        assert resumed.cut_off is not None
        assert resumed.cut_off.heard == ""
        assert resumed.cut_off.heard_ms == 0


# -- the agent hangs up ------------------------------------------------------------------------------------------------


async def test_the_call_is_hung_up_by_rest_after_the_last_word_was_played() -> None:
    memory = Memory(saying("Thank you for calling. Goodbye!", HangUp()))
    async with simulation(memory.agent, phone=PhoneSettings("", round_trip_s=0.2, fatal_warnings=True)) as sim:
        call = await sim.phone.dial()
        await call.ended(60)
        await sim.idle()
        ((_, last_word_at, heard),) = spans(call)
        assert heard.startswith(spoken(sim))
        assert call.ended_by == "rest"
        (asked,) = sim.phone.rest.requests
        assert asked.fields == {"Status": "completed"}
        assert last_word_at - 0.021 <= asked.at <= last_word_at + 0.25
        assert memory.ends(call.call_sid) == ["agent"]
        assert not call.warnings
    assert sockets(sim) == (1, 0)


@pytest.mark.parametrize(("refuse_with", "delay_s"), [(500, 0.0), (401, 0.0), (429, 0.0), (None, 60.0)])
async def test_the_socket_is_closed_when_rest_does_not_hang_up(refuse_with: int | None, delay_s: float) -> None:
    memory = Memory(saying("Goodbye!", HangUp()))
    async with simulation(memory.agent) as sim:
        sim.phone.rest.refuse_with = refuse_with
        sim.phone.rest.delay_s = delay_s
        call = await sim.phone.dial()
        await call.ended(60)
        await sim.idle()
        ((_, last_word_at, heard),) = spans(call)
        assert heard.startswith(spoken(sim))
        assert call.ended_by == "twiml"
        assert call.transcript == ["ConnectStream", "Hangup"]
        assert call.record.ended_at is not None
        assert 0 <= call.record.ended_at - last_word_at <= 3.2
        assert len(sim.of(call, "hang_up_failed")) == 1
        assert memory.ends(call.call_sid) == ["agent"]
    assert sockets(sim) == (1, 0)


async def test_rest_that_knows_the_call_no_more_means_that_it_is_over() -> None:
    memory = Memory(saying("Goodbye!", HangUp()))
    async with simulation(memory.agent) as sim, Stranger.at(sim) as carrier:
        call_id = new_sid()  # the phone's REST side has never heard of it: 404, 20404
        async with carrier.stream((await carrier.voice(call_id)).stream_url) as socket:
            writer = carrier.writer(call_id)
            await start(socket, writer)
            assert (await listen(socket, writer))[-1] == "mark"
        await sim.idle()
        kinds = [note.kind for note in sim.notes[call_id]]
        assert "hang_up_failed" not in kinds
        assert "hanging_up" in kinds
    assert memory.ends(call_id) == ["agent"]
    assert sockets(sim) == (1, 0)


async def test_the_caller_may_hang_up_while_the_agent_does() -> None:
    memory = Memory(saying("Goodbye!", HangUp()))
    async with simulation(memory.agent) as sim:
        sim.phone.rest.delay_s = 1.0
        call = await sim.phone.dial()
        await sim.until(lambda: sim.phone.rest.requests)
        await call.hang_up()
        await call.ended(60)
        await sim.idle()
        assert memory.ends(call.call_sid) == ["agent"]
        assert not sim.of(call, "hang_up_failed")


# -- too many, and the end of the server -------------------------------------------------------------------------------


async def test_a_caller_for_whom_there_is_no_room_hears_an_apology() -> None:
    memory = Memory()
    async with simulation(memory.agent, settings=settings(calls_max=1)) as sim:
        first = await sim.phone.dial()
        await sim.turn_begun(first)
        second = await sim.phone.dial()
        await second.ended(60)
        assert second.transcript == ["Play", "Hangup"]
        assert memory.of(second.call_sid) == []
        async with Stranger.at(sim) as anyone, anyone.session.get(second.played_urls[0]) as response:
            assert response.status == 200
            assert response.content_type == "audio/wav"
            assert (await response.read()).startswith(b"RIFF")
        await first.hang_up()
        await sim.idle()
        third = await sim.phone.dial()
        await sim.turn_over(third)
    assert sockets(sim) == (2, 0)


async def test_calls_that_never_connect_are_few() -> None:
    async with simulation(Memory().agent, settings=settings(calls_waiting_max=3)) as sim, Stranger.at(sim) as carrier:
        waiting = [await carrier.voice(new_sid()) for _ in range(3)]
        assert all(reply.stream_url for reply in waiting)
        assert "/twilio/apology.wav" in (await carrier.voice(new_sid())).text
        assert sockets(sim)[0] == 3
        await asyncio.sleep(31)
        assert (await carrier.voice(new_sid())).stream_url


async def test_calls_that_are_saying_goodbye_do_not_keep_others_out() -> None:
    async def slow_to_leave(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallEnded):
            await asyncio.sleep(4)
        yield "Hello."

    async with simulation(slow_to_leave, settings=settings(calls_waiting_max=2)) as sim:
        for _ in range(3):
            call = await sim.phone.dial()
            await sim.turn_begun(call)
            await call.hang_up()
        assert len(sim.bridge.calls) == 3
        assert not [call for call in sim.phone.calls.values() if call.played_urls]


async def test_a_server_that_stops_hangs_up_every_call() -> None:
    memory = Memory(saying(LONG))
    async with simulation(memory.agent) as sim:
        calls = [await sim.phone.dial() for _ in range(5)]
        for call in calls:
            await sim.turn_begun(call)
        told_at = now()
        await sim.bridge.calls.end_all()
        assert now() - told_at < 0.5
        for call in calls:
            await call.ended(5)
            assert call.ended_by == "rest"
            assert memory.ends(call.call_sid) == ["shutdown"]
        assert sockets(sim) == (5, 0)
        late = await sim.phone.dial()
        await late.ended(60)
        assert late.transcript == ["Play", "Hangup"]


async def test_a_server_that_stops_does_not_wait_for_ever() -> None:
    async def never_leaves(cue: Cue) -> AsyncIterator[Line]:
        yield "Hello."
        if isinstance(cue, CallEnded):
            await asyncio.sleep(3600)

    async with simulation(never_leaves) as sim:
        sim.phone.rest.delay_s = 3600
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        told_at = now()
        await sim.bridge.calls.end_all()
        assert now() - told_at <= 10
        assert not len(sim.bridge.calls)
        sim.phone.rest.delay_s = 0
    assert sockets(sim) == (1, 0)


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_what_happens_to_other_calls_is_heard_in_none() -> None:
    """Of twenty callers every other one hangs up, presses a key or loses its leg; the rest hear all of their own."""
    begun = 0

    async def talk(call: CallInfo, cue: Cue) -> AsyncIterator[Line]:
        nonlocal begun
        begun += 1
        yield f"Story {begun} is of the harbour and of ferry {begun * 7} that leaves it at noon for island {begun * 3}."

    by = random.Random(7)
    async with simulation(talk) as sim:
        calls = [await sim.phone.dial() for _ in range(20)]
        for call in calls:
            await call.connected()
        patient, restless = calls[::2], calls[1::2]
        for call in by.sample(restless, len(restless)):
            await asyncio.sleep(by.uniform(0.05, 0.4))
            match by.randrange(4):
                case 0:
                    call.press("1")
                case 1:
                    await call.drop()
                case 2:
                    await call.hang_up(("close", "status"))
                case 3:
                    await call.hang_up()
        for call in patient:
            await sim.turn_over(call)
        assert sim.provider is not None
        for call in patient:
            ((_, _, heard),) = spans(call)
            (text,) = sim.said(call)
            spoken_for_it = [each.audio for each in sim.provider.record.spoken if each.text.strip() == text.strip()]
            assert len(spoken_for_it) == 1
            assert heard.startswith(spoken_for_it[0])
            assert not call.warnings
