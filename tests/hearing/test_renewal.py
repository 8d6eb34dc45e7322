"""A socket that has long said nothing, as Scribe's does while the caller is silent, is renewed without a word."""

from __future__ import annotations

import asyncio

import pytest

from hearing.recogniser import FRAME, SPEECH, Recogniser, alive, listening, now, speak
from lineside.events import EndOfTurn, Partial
from lineside.ports import Hearing

STARTED = {"message_type": "session_started", "session_id": "0", "config": {}}


def quiet(**more: list[int]) -> Recogniser:
    """Sound, and silent about silence."""
    return Recogniser(answer=lambda connection: alive("scribe", connection), **more)


async def listen(hearing: Hearing, seconds: float) -> None:
    """The caller says nothing."""
    for _ in range(round(seconds * 50)):
        hearing.feed(b"\xff" * FRAME)
        await asyncio.sleep(0.02)


async def until_renewed(server: Recogniser, hearing: Hearing) -> float:
    """Returns after how many seconds of silence."""
    began = now()
    while len(server.connections) < 2 and now() < began + 100:
        await listen(hearing, 0.02)
    return now() - began


async def test_a_socket_that_is_quiet_for_a_minute_is_renewed_and_nobody_is_told() -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, told):
        assert await until_renewed(server, hearing) == pytest.approx(60, abs=1)
        await listen(hearing, 10)
        assert len(server.connections) == 2
        assert told == []


@pytest.mark.parametrize("before_s", [0.0, 1.0, 4.5])
async def test_words_on_both_sides_of_a_renewal_reach_the_new_socket_whole(before_s: float) -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, told):
        await listen(hearing, 60.2 - before_s)
        said = 0.0
        while len(server.connections) < 2 or said < before_s + 3:
            await speak(hearing, said, 0.5)
            said += 0.5
        await listen(hearing, 6)
        assert len(server.connections) == 2
        assert SPEECH[: round(said * 8000)] in bytes(server.connections[1].audio)
        assert told == []


async def test_a_renewal_sends_no_more_than_five_seconds_again() -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, _):
        await until_renewed(server, hearing)
        at = server.connections[1].opened_at
        await listen(hearing, 10)
        fresh = (now() - at) * 8000
        assert len(server.connections[1].audio) - fresh <= 5.2 * 8000


async def test_the_old_socket_takes_audio_until_the_new_one_is_open_and_is_then_closed() -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, _):
        await until_renewed(server, hearing)
        await listen(hearing, 1)
        old, new = server.connections
        assert new.opened_at - old.frames[-1][0] < 0.15
        assert old.socket.close_code is not None
        assert new.socket.close_code is None


async def test_a_renewal_that_fails_leaves_the_socket_that_works() -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, told):
        server.statuses += [503]
        await listen(hearing, 70)
        assert len(server.attempts) == 2
        await server.connections[0].say({"message_type": "partial_transcript", "text": "Yes"})
        await server.connections[0].say({"message_type": "committed_transcript", "text": "Yes."})
        await listen(hearing, 1)
        assert told.events == [Partial("Yes"), EndOfTurn("Yes.")]
        await listen(hearing, 65)
        assert len(server.connections) == 2


async def test_a_socket_that_speaks_while_its_successor_opens_is_kept() -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, told):
        server.handshake_s = 2.0
        await listen(hearing, 61)
        assert len(server.attempts) == 2
        await server.connections[0].say({"message_type": "partial_transcript", "text": "Yes"})
        await listen(hearing, 0.5)
        await server.connections[0].say({"message_type": "committed_transcript", "text": "Yes."})
        await listen(hearing, 50)
        assert server.connections[0].socket.close_code is None
        assert server.connections[0].frames[-1][0] == pytest.approx(now(), abs=0.2)
        assert told.events == [Partial("Yes"), EndOfTurn("Yes.")]


async def test_a_socket_that_dies_while_its_successor_opens_is_lost_as_ever() -> None:
    async with quiet() as server, listening("scribe", server) as (hearing, told):
        server.handshake_s = 2.0
        while len(server.attempts) < 2:
            await listen(hearing, 0.02)
        await listen(hearing, server.attempts[1] + 1.96 - now())  # so that it would open before another try is made
        server.connections[0].abort()
        await listen(hearing, 5)
        assert len(server.attempts) == 3
        assert [each.socket.close_code is None for each in server.connections].count(True) == 1
        assert told.warned[0] == "lost"
        assert told.warned[-1] == "reconnected"


async def test_leaving_while_a_successor_opens_leaves_nothing_behind() -> None:
    async with quiet() as server:
        async with listening("scribe", server) as (hearing, told):
            server.handshake_s = 2.0
            await listen(hearing, 61)
            assert len(server.attempts) == 2
        assert [task.get_name() for task in asyncio.all_tasks() if "ElevenLabs" in task.get_name()] == []
        assert told == []
