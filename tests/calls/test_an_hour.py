"""An hour of a talkative call on each voice: no limit is breached, and no socket's change is heard."""

from __future__ import annotations

import asyncio

import pytest

from calls.faults_table import VOICES, settings
from calls.scenes import REAL, Script, beset, prose, record, spans, telling, words_of
from lineside.testing import simulation

LONG = prose(440)  # close to four minutes
MINUTES = 62
CUT_AFTER = 47.3  # s into a turn that the caller does not hear out


@pytest.mark.parametrize("voice", VOICES)
async def test_an_hour_of_talk_breaks_no_limit_and_has_no_gap(voice: str) -> None:
    script = Script(*[LONG] * 60)
    async with simulation(script.agent, settings=settings(voice)) as sim:
        beset(sim, **REAL)
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = await sim.phone.dial()
        n_heard = n_cut = 0
        while loop.time() - began < MINUTES * 60:
            await sim.turn_begun(call, n_heard + n_cut + 1)
            if (n_heard + n_cut) % 3 == 1:
                await asyncio.sleep(CUT_AFTER)
                n_cut += 1
            else:
                await sim.turn_over(call, n_heard + 1, timeout=300)
                n_heard += 1
                await asyncio.sleep(1)
            call.press("1")
        played = spans(call)
        whole = [span for span in played if len(span.audio) > 60 * 8000]
        assert len(whole) == n_heard
        assert n_cut >= 5
        for span in whole[:: max(1, n_heard - 1)]:  # the first and the last
            told = telling(span.audio, LONG)
            assert (told.missing, told.repeated) == ((), 0)
        assert {len(span.audio) // 160 for span in whole} == {len(whole[0].audio) // 160}
        assert len(played) - len(whole) - n_cut <= 1  # the turn that has just begun
        assert sim.of(call, "gap") == []
        assert sim.of(call, "provider_lost") == []
        assert sim.of(call, "provider_warning") == []
        assert dict(record(sim).breaches) == {}
        assert dict(call.warnings) == {}
        assert record(sim).connections.opened > 1
        assert record(sim).connections.max_open <= 3
        assert len(words_of(LONG)) == 440
