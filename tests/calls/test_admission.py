"""More calls than an account has room for: none is silent, none is dropped, and the wait is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lineside import CallStarted, Cue, HangUp, Line
from lineside.standin.phone import PhoneCall
from lineside.testing import DeepgramSettings, LinesideSettings, Settings, Simulation, simulation

GREETING = "Thank you for calling. All is well. Goodbye."


async def short(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        yield GREETING
        yield HangUp()


async def endless(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        yield GREETING


def settings(slots: int, voice: str = "deepgram", **more: object) -> Settings:
    return Settings(
        LinesideSettings.model_validate({"agent_loop": "app", "voice": voice, **more}),
        deepgram=DeepgramSettings(max_connections=slots),
    )


async def dial(sim: Simulation, n: int) -> list[PhoneCall]:
    calls = [await sim.phone.dial() for _ in range(n)]
    for call in calls:
        await call.ended(60)
    await sim.idle()
    return calls


def heard(call: PhoneCall) -> bool:
    return len(call.heard().strip(b"\xff")) > 2 * 8000


async def test_sixty_calls_on_an_account_with_forty_sockets_all_hear_the_greeting() -> None:
    async with simulation(short, settings=settings(40)) as sim:
        sim.provider.faults.max_connections = 40
        calls = await dial(sim, 60)
        assert all(heard(call) for call in calls)
        assert not any(call.played_urls for call in calls)
        record = sim.provider.record
        assert (record.connections.max_open, dict(record.refused), dict(record.breaches)) == (40, {}, {})
        waited = [note.details["after_ms"] for call in calls for note in sim.of(call, "admitted")]
        assert len(waited) == 20
        assert max(waited) < 8000


async def test_who_gets_no_room_while_it_rings_hears_the_apology_and_nobody_hears_nothing() -> None:
    async with simulation(endless, settings=settings(2)) as sim:
        calls = [await sim.phone.dial() for _ in range(3)]
        await calls[2].ended(30)
        assert calls[2].played_urls == [f"http://{sim.address}/twilio/apology.wav"]
        assert heard(calls[0])
        assert heard(calls[1])


async def test_the_next_voice_speaks_where_the_first_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_SECOND_API_KEY", "key")
    both = settings(
        1,
        "deepgram,second",
        voices={"second": {"provider": "deepgram", "account": "DEEPGRAM_SECOND", "settings": {"max_connections": 5}}},
    )
    async with simulation(endless, settings=both) as sim:
        calls = [await sim.phone.dial() for _ in range(2)]
        await asyncio.sleep(15)
        assert heard(calls[0])
        assert heard(calls[1])
        assert [note.details["voice"] for note in sim.of(calls[1], "voice_changed")] == ["second"]


async def test_a_service_that_is_fuller_than_we_believe_is_waited_for_while_it_rings() -> None:
    async with simulation(short, settings=settings(0)) as sim:
        sim.provider.faults.max_connections = 2
        calls = await dial(sim, 4)
        assert all(heard(call) or call.played_urls for call in calls)
        assert sum(heard(call) for call in calls) >= 3
