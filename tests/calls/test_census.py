"""A thousand calls leave nothing behind: no task, timer, socket, thread or object, and no memory that grows."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from calls.stage import TOKEN, Stranger, new_sid, settings
from lineside.events import CallerPressed, CallStarted, Cue, HangUp, Line
from lineside.settings import TwilioSettings
from lineside.testing import Simulation, simulation

A_BATCH = 250


async def agent(cue: Cue) -> AsyncIterator[Line]:
    match cue:
        case CallStarted():
            yield "Hello."
        case CallerPressed(digit="9"):
            yield "Bye."
            yield HangUp()
        case CallerPressed(digit="0"):
            raise RuntimeError("nothing there")
        case CallerPressed():
            yield "Some more words for you."


@dataclass(frozen=True, slots=True)
class Census:
    """What is there when no call is."""

    tasks: int
    timers: int
    descriptors: int
    threads: int
    objects: Counter[str]
    """Of our own classes, stand-ins aside."""
    blocks: int
    """Of memory that the interpreter has handed out."""


def count() -> Census:
    gc.collect()
    objects: Counter[str] = Counter()
    for each in gc.get_objects():
        module = str(type(each).__module__)
        if module.startswith("lineside.") and not module.startswith("lineside.standin."):
            objects[f"{module}.{type(each).__qualname__}"] += 1
    loop: Any = asyncio.get_running_loop()
    return Census(
        tasks=len(asyncio.all_tasks()),
        timers=sum(not timer.cancelled() for timer in loop._scheduled),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        objects=objects,
        blocks=sys.getallocatedblocks(),
    )


async def settled(sim: Simulation) -> Census:
    """Counts, once every call has gone and the stand-ins have forgotten theirs."""
    assert sim.provider is not None
    await sim.idle()
    await asyncio.sleep(60)
    assert sim.provider.record.connections.open == 0
    assert not sim.provider.record.breaches
    sim.phone.calls.clear()
    sim.phone._running.clear()
    sim.phone.rest.requests.clear()
    sim.provider.record.spoken.clear()
    sim.provider.record.messages.clear()
    sim.notes.clear()
    return count()


async def one_call(sim: Simulation, carrier: Stranger, n: int) -> None:
    """One of the ways that a call may go."""
    match n % 10:
        case 8:  # its stream never comes
            await carrier.voice(new_sid())
            return
        case 9:  # nobody that we know
            await carrier.post("/twilio/voice", carrier.fields(new_sid()), signed="A" * 28)
            return
    call = await sim.phone.dial()
    await call.connected()
    match n % 10:
        case 0:
            await asyncio.sleep(0.3)
            await call.hang_up()
        case 1:
            await asyncio.sleep(0.2)
            call.press("9")
        case 2:
            call.press("1")
            await asyncio.sleep(0.2)
            await call.close_without_stop()
        case 3:
            await call.stop_without_close()
        case 4:
            await asyncio.sleep(0.2)
            await call.drop()
            await call.connected(2)
            await call.hang_up()
        case 5:
            for digit in "123":
                call.press(digit)
            await asyncio.sleep(0.1)
            await call.hang_up(("status",))
        case 6:
            call.press("0")
            await asyncio.sleep(0.2)
            await call.hang_up(("close", "stop"))
        case 7:
            await call.hang_up()
    await call.ended(60)


@pytest.fixture
def no_log() -> Iterator[None]:
    """pytest keeps log records, and what their tracebacks hold."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("no_log")
async def test_a_thousand_calls_leave_nothing_behind() -> None:
    known: list[Census] = []
    async with (
        simulation(agent, settings=settings(calls_waiting_max=1000)) as sim,
        Stranger.at(sim) as carrier,
    ):
        for _ in range(4):
            for first in range(0, A_BATCH, 50):
                await asyncio.gather(*(one_call(sim, carrier, n) for n in range(first, first + 50)))
            known.append(await settled(sim))
    _, at_500, _, at_1000 = known
    for before, after in ((known[0], at_500), (at_500, at_1000)):
        assert after.tasks == before.tasks
        assert after.timers == before.timers
        assert after.descriptors == before.descriptors
        assert after.threads == before.threads
        assert after.objects - before.objects == Counter()
    for kind in ("call.Call", "turn.Turn", "stretch.Stretch", "observe.timeline.Timeline", "agents.session.Session"):
        assert at_1000.objects[f"lineside.{kind}"] == 0
    # What grows are the two bounded sets of calls and passes that were: a few small objects a call.
    assert (at_1000.blocks - at_500.blocks) / 500 < 20


@pytest.mark.realtime
@pytest.mark.usefixtures("no_log")
async def test_calls_whose_agents_live_in_a_thread_leave_nothing_behind() -> None:
    known: list[Census] = []
    how = settings(agent_loop="thread", twilio=TwilioSettings.model_construct())
    async with simulation(agent, settings=how) as sim, Stranger.at(sim, token=TOKEN) as carrier:
        for _ in range(2):
            await asyncio.gather(*(one_call(sim, carrier, n) for n in range(8)))
            await sim.idle()
            sim.phone.calls.clear()
            sim.phone._running.clear()
            sim.notes.clear()
            await asyncio.sleep(0.3)
            known.append(count())
    before, after = known
    new = after.objects - before.objects
    assert not {
        kind: n for kind, n in new.items() if kind.startswith(("lineside.agents", "lineside.call", "lineside.turn"))
    }
    assert after.tasks == before.tasks
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lineside")]
