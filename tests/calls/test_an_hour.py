"""An hour of a talkative call on each voice: no limit is breached, and no socket's change is heard."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import pytest

from calls.faults_table import VOICES, settings
from calls.scenes import RATE, REAL, Script, beset, prose, record, spans, telling
from lineside.standin.phone_stream import CarrierStream
from lineside.testing import simulation

LONG = prose(440)  # close to four minutes
MINUTES = 62
CUT_AFTER = 47.3  # s into a turn that the caller does not hear out


async def until(condition: Callable[[], bool]) -> None:
    """Wait, and look seldom."""
    while not condition():  # noqa: ASYNC110  a condition of any kind has no event to wait for
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("voice", VOICES)
async def test_an_hour_of_talk_breaks_no_limit_and_has_no_gap(voice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The caller's audio, which nobody listens to here, would take most of this test's time: none is sent.
    monkeypatch.setattr(CarrierStream, "_frame_at", lambda stream: math.inf)
    script = Script(*[LONG] * 60)
    async with simulation(script.agent, settings=settings(voice)) as sim:
        beset(sim, **REAL)
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = await sim.phone.dial()
        n_heard = n_cut = 0
        while loop.time() - began < MINUTES * 60:
            await until(lambda: len(sim.of(call, "first_sent")) > n_heard + n_cut)  # noqa: B023
            if (n_heard + n_cut) % 3 == 1:
                await asyncio.sleep(CUT_AFTER)
                n_cut += 1
            else:
                await until(lambda: len(sim.of(call, "turn_ended")) > n_heard)  # noqa: B023
                n_heard += 1
            call.press("1")
        played = spans(call)
        whole = [span for span in played if len(span.audio) > 60 * RATE]
        assert len(whole) == n_heard >= 10
        assert len(played) == n_heard + n_cut  # nothing was played in pieces
        assert n_cut >= 5
        for span in (whole[0], whole[-1]):
            told = telling(span.audio, LONG)
            assert (told.missing, told.repeated) == ((), 0)
        lengths = [len(span.audio) for span in whole]
        assert max(lengths) - min(lengths) <= 0.1 * RATE  # no silence inside, but for a space that is spoken
        assert [sim.of(call, kind) for kind in ("gap", "provider_lost", "provider_warning")] == [[], [], []]
        assert (dict(record(sim).breaches), dict(call.warnings)) == ({}, {})
        assert record(sim).connections.opened > 1  # the first was replaced, and nobody heard it
        assert record(sim).connections.max_open <= 3
