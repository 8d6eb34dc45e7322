"""What all ears have in common: every byte arrives once and in order, whatever becomes of the sockets."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from hearing.recogniser import (
    CHUNKS,
    FRAME,
    KINDS,
    SPEECH,
    Connection,
    Recogniser,
    Told,
    alive,
    final,
    listening,
    make_ear,
    now,
    results,
    speak,
    turn_info,
)
from lineside.events import EarWarned
from lineside.hearing.backlog import BURST_S

ANY_EAR = pytest.mark.parametrize("kind", KINDS)
EVENTFUL = {
    "nova": {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.1},
    "flux": turn_info("StartOfTurn", "Yes"),
    "scribe": {"message_type": "partial_transcript", "text": "Yes"},
}


def sound(kind: str, **more: Any) -> Recogniser:
    """A recogniser that hears nothing in what it is sent."""
    return Recogniser(answer=lambda connection: alive(kind, connection), **more)


def without_silence(audio: bytes | bytearray) -> bytes:
    return bytes(audio).replace(b"\xff", b"")


def seconds_in(message: str) -> list[float]:
    """The durations that a warning names."""
    words = message.replace(",", "").replace(";", "").split()
    return [float(word) for word, unit in pairwise(words) if unit == "s"]


def only(told: Told, code: str) -> EarWarned:
    (warning,) = [event for event in told.events if isinstance(event, EarWarned) and event.code == code]
    return warning


# -- audio up ----------------------------------------------------------------------------------------------------------


@ANY_EAR
async def test_all_audio_arrives_in_order(kind: str) -> None:
    async with sound(kind) as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 5)
        await asyncio.sleep(1)
        (connection,) = server.connections
        assert bytes(connection.audio[:40_000]) == SPEECH[:40_000]
        assert without_silence(connection.audio[40_000:]) == b""
        assert told == []


@ANY_EAR
async def test_a_chunk_leaves_when_its_last_sample_has_come(kind: str) -> None:
    async with sound(kind) as server, listening(kind, server) as (hearing, _):
        began = now()
        await speak(hearing, 0, 4)
        (connection,) = server.connections
        size = CHUNKS[kind]
        assert {n for _, n in connection.frames} == {size}
        assert len(connection.frames) == 32_000 // size
        for n, (at, _) in enumerate(connection.frames):
            frames_needed = -(-(n + 1) * size // FRAME)
            assert at == pytest.approx(began + (frames_needed - 1) * 0.02, abs=0.001)


@ANY_EAR
async def test_pieces_of_any_length_make_the_same_stream(kind: str) -> None:
    async with sound(kind) as server, listening(kind, server) as (hearing, _):
        start = 0
        for n in range(120):
            size = (n * 37) % 301
            hearing.feed(SPEECH[start : start + size])
            start += size
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        (connection,) = server.connections
        assert without_silence(connection.audio) == SPEECH[:start]
        assert all(n > 0 for _, n in connection.frames)  # an empty frame makes Deepgram close the socket


@ANY_EAR
async def test_audio_that_came_before_the_socket_was_open_is_heard(kind: str) -> None:
    async with sound(kind) as server, make_ear(kind, server.url).connect(Told()) as hearing:
        for n in range(20):
            hearing.feed(SPEECH[n * FRAME : (n + 1) * FRAME])
        await asyncio.sleep(2)
        assert without_silence(server.connections[0].audio) == SPEECH[: 20 * FRAME]


@ANY_EAR
async def test_entering_does_not_wait_for_the_socket(kind: str) -> None:
    async with sound(kind) as server:
        began = now()
        async with make_ear(kind, server.url).connect(Told()):
            assert now() == began
            assert server.connections == []


async def test_two_calls_of_one_ear_do_not_hear_each_other() -> None:
    async with sound("nova") as server:
        ear = make_ear("nova", server.url)
        async with ear.connect(Told()) as one, ear.connect(Told()) as two:
            await asyncio.sleep(0.2)
            for n in range(60):
                one.feed(SPEECH[n * FRAME : (n + 1) * FRAME])
                two.feed(SPEECH[(n + 60) * FRAME : (n + 61) * FRAME])
                await asyncio.sleep(0.02)
        heard = sorted(bytes(connection.audio) for connection in server.connections)
        assert heard == sorted([SPEECH[: 60 * FRAME], SPEECH[60 * FRAME : 120 * FRAME]])


# -- a socket dies -----------------------------------------------------------------------------------------------------


@ANY_EAR
@pytest.mark.parametrize("code", [1000, 1003, 1008, 1009, 1011, None])
async def test_a_socket_that_ends_is_replaced_and_no_audio_is_lost(kind: str, code: int | None) -> None:
    async with Recogniser() as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 3)
        first = server.connections[0]
        if code is None:
            first.abort()
        else:
            await first.socket.close(code, "as it happens")
        await speak(hearing, 3, 3)
        await asyncio.sleep(10)
        second = server.connections[1]
        # Nothing was answered, so nothing is settled: the new socket hears the call from its beginning.
        assert without_silence(second.audio) == SPEECH[:48_000]
        assert told.warned == ["lost"]
        assert ("1000" in only(told, "lost").message) == (code == 1000)


async def test_audio_that_was_understood_is_not_sent_again() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 3)
        await server.connections[0].say(final("Yes", 0.0, 1.5))
        await asyncio.sleep(0.01)
        server.connections[0].abort()
        await speak(hearing, 3, 2)
        await asyncio.sleep(1.5)
        assert without_silence(server.connections[1].audio) == SPEECH[12_000:40_000]
        await server.connections[1].say(final("please.", 0.0, 1.0, speech_final=True))
        await asyncio.sleep(0.1)
        assert [type(event).__name__ for event in told.said] == ["Partial", "EndOfTurn"]
        assert told.warned == ["lost", "reconnected"]


async def test_a_return_is_told_with_what_it_cost_when_the_new_socket_has_answered() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 2)
        server.connections[0].abort()
        lost_at = now()
        await speak(hearing, 2, 2)
        assert told.warned == ["lost"]
        back_at = server.connections[1].opened_at
        await server.connections[1].say(final("", 0.0, 1.0))
        await asyncio.sleep(0.01)
        took, again = seconds_in(only(told, "reconnected").message)
        assert took == pytest.approx(now() - lost_at, abs=0.1)
        assert again == pytest.approx(2 + back_at - lost_at, abs=0.03)


@pytest.mark.parametrize(("kind", "ingest"), [("nova", 1.25), ("flux", 1.25), ("scribe", 2.0)])
async def test_audio_is_sent_again_no_faster_than_the_service_takes_it(kind: str, ingest: float) -> None:
    async with Recogniser() as server, listening(kind, server) as (hearing, _):
        await speak(hearing, 0, 6)
        server.connections[0].abort()
        await speak(hearing, 6, 7)
        frames = server.connections[1].frames
        n_sent = 0
        for at, n in frames:
            n_sent += n
            assert n_sent <= (at - frames[0][0] + BURST_S) * 8000 * ingest + 1.01 * CHUNKS[kind]
        elapsed = now() - frames[0][0]
        assert n_sent >= min(13 * 8000, elapsed * 8000 * ingest) - 2 * CHUNKS[kind]  # and no slower


@pytest.mark.parametrize(("kind", "kept"), [("nova", 10), ("flux", 10), ("scribe", 20)])
async def test_while_nobody_listens_the_last_seconds_are_kept(kind: str, kept: int) -> None:
    server = Recogniser()
    await server.start()
    async with listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 1)
        await server.stop()
        await speak(hearing, 1, 30)
        await server.start()
        await asyncio.sleep(20)
        audio = without_silence(server.connections[1].audio)
        assert audio == SPEECH[(31 - kept) * 8000 : 31 * 8000]
        dropped = [seconds_in(event.message) for event in told.events if isinstance(event, EarWarned)][1:]
        assert sum(seconds for seconds, _ in dropped) == pytest.approx(31 - kept)
        assert dropped[-1][1] == pytest.approx(31 - kept)
        assert told.warned == ["lost"] + ["dropped"] * (8 - kept // 5)  # at once, and then every five seconds
    await server.stop()


async def test_tries_become_rarer_and_go_on() -> None:
    async with Recogniser(statuses=[503] * 100) as server, listening("nova", server, settle=60) as (_, told):
        gaps = [later - earlier for earlier, later in pairwise(server.attempts)]
        assert 8 <= len(gaps) <= 30
        assert gaps[0] <= 0.15
        assert all(2.4 <= gap <= 7.6 for gap in gaps[5:])
        assert told.warned == ["lost"]


async def test_a_socket_that_lived_long_is_replaced_at_once() -> None:
    async with sound("nova") as server, listening("nova", server) as (hearing, _):
        for n in range(4):
            await speak(hearing, 0, 12)
            server.connections[n].abort()
            await asyncio.sleep(0.2)
            assert len(server.connections) == n + 2


@ANY_EAR
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_service_is_tried_again(kind: str, status: int) -> None:
    async with sound(kind, statuses=[status, status, 101]) as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 3)
        await asyncio.sleep(2)
        assert without_silence(server.connections[0].audio) == SPEECH[:24_000]
        assert told.warned == ["lost", "reconnected"]
        assert str(status) in only(told, "lost").message


@ANY_EAR
@pytest.mark.parametrize("status", [400, 401, 402, 403])
async def test_a_refused_ear_goes_deaf_and_says_so_once(kind: str, status: int) -> None:
    async with sound(kind, statuses=[status]) as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 30)
        assert len(server.attempts) == 1
        assert told.warned == ["refused"]
        assert str(status) in only(told, "refused").message
        assert "the-key" not in only(told, "refused").message


async def test_a_service_that_is_not_there_is_tried_again() -> None:
    server = Recogniser()
    await server.start()
    await server.stop()
    async with listening("nova", server, settle=3) as (hearing, told):
        await server.start()
        await asyncio.sleep(8)
        assert len(server.connections) == 1
        hearing.feed(SPEECH[:480])
        await asyncio.sleep(0.1)
        assert bytes(server.connections[0].audio[-480:]) == SPEECH[:480]
        assert told.warned == ["lost"]
    await server.stop()


async def test_a_handshake_that_is_never_answered_is_given_up() -> None:
    silent = await asyncio.start_server(_hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    told = Told()
    async with make_ear("nova", f"ws://127.0.0.1:{port}").connect(told) as hearing:
        await speak(hearing, 0, 6)
        assert told.warned == ["lost"]
        assert "5 s" in only(told, "lost").message
        began = now()
    assert now() - began < 2
    silent.close()


async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass
    writer.close()


# -- a socket misbehaves -----------------------------------------------------------------------------------------------


@ANY_EAR
@pytest.mark.parametrize("garbage", ["garbage", "[1,2]", "{}", b"\x00\x01\x02", "\x00"])
async def test_a_socket_that_talks_garbage_is_replaced(kind: str, garbage: str | bytes) -> None:
    async with Recogniser() as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 1)
        await server.connections[0].say(garbage, garbage)
        await speak(hearing, 1, 1)
        await asyncio.sleep(2)
        assert len(server.connections) == 2
        assert without_silence(server.connections[1].audio) == SPEECH[:16_000]
        assert told.events == [only(told, "lost")]


@ANY_EAR
async def test_what_a_socket_says_after_it_was_given_up_is_not_heard(kind: str) -> None:
    async with Recogniser() as server, listening(kind, server) as (_, told):
        await server.connections[0].say("garbage", EVENTFUL[kind])
        await asyncio.sleep(1)
        assert told.events == [only(told, "lost")]


@pytest.mark.parametrize("kind", ["nova", "flux"])  # Scribe's: see test_renewal
async def test_a_socket_that_answers_nothing_is_replaced(kind: str) -> None:
    async with Recogniser() as server, listening(kind, server) as (hearing, told):
        began = now()
        while len(server.connections) < 2 and now() < began + 100:
            await speak(hearing, 0, 0.5)
        assert now() - began == pytest.approx(8, abs=1.5)
        assert told.warned == ["lost"]
        assert only(told, "lost").message.endswith("no answer to 8 s of audio")
        await asyncio.sleep(3)
        assert len(server.connections) == 2


async def test_a_sound_socket_that_greets_and_tells_nothing_of_silence_is_kept() -> None:
    def greet(_: Connection) -> list[Any]:
        return [{"type": "Connected", "request_id": "0", "sequence_id": 0}]

    async with Recogniser(greet=greet) as server, listening("flux", server) as (hearing, told):
        for turn in range(3):
            await speak(hearing, 0, 15)
            await server.connections[0].say(turn_info("StartOfTurn", "Yes", turn=turn, end=1.0))
            await speak(hearing, 0, 1)
            await server.connections[0].say(turn_info("EndOfTurn", "Yes", turn=turn, end=1.0))
        assert len(server.connections) == 1
        assert told.warned == []


@pytest.mark.parametrize(("kind", "patience"), [("nova", 4), ("flux", 4), ("scribe", 5)])
async def test_words_told_to_a_socket_that_falls_mute_within_them_are_told_to_the_next(
    kind: str, patience: float
) -> None:
    async with Recogniser() as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 1)
        await server.connections[0].say(EVENTFUL[kind] if kind != "nova" else results("yes", 0.0, 1.0))
        began = now()
        while len(server.connections) < 2:
            await speak(hearing, 1 + now() - began, 0.5)
        assert now() - began == pytest.approx(patience, abs=1.0)
        await speak(hearing, 1 + now() - began, 2)
        assert bytes(server.connections[1].audio[:16_000]) == SPEECH[:16_000]  # from before the first word of it
        assert told.warned == ["lost"]


@ANY_EAR
async def test_a_socket_that_takes_nothing_costs_words_and_not_the_call(kind: str) -> None:
    async with Recogniser(reads=False) as server, listening(kind, server) as (hearing, told):
        for _ in range(60):  # at no pace at all: the writer never gets to run
            for n in range(50):
                hearing.feed(SPEECH[n * FRAME : (n + 1) * FRAME])
        session: Any = hearing
        limit = session._habits.hold_s * 8000
        n_queued = len(session._socket._outbox)
        assert session._backlog.waiting + n_queued * CHUNKS[kind] <= limit + 4 * CHUNKS[kind]
        await asyncio.sleep(1)
        assert seconds_in(only(told, "dropped").message)[0] == pytest.approx(60 - limit / 8000, abs=0.5)
        server.connections[0].abort()


@ANY_EAR
async def test_a_sound_socket_is_kept_while_the_caller_is_silent(kind: str) -> None:
    async with sound(kind) as server, listening(kind, server) as (hearing, told):
        for _ in range(50 * 50):
            hearing.feed(b"\xff" * FRAME)
            await asyncio.sleep(0.02)
        assert len(server.connections) == 1
        assert told == []


@ANY_EAR
async def test_a_sound_socket_is_kept_while_the_carrier_sends_nothing(kind: str) -> None:
    async with sound(kind) as server, listening(kind, server) as (hearing, told):
        await speak(hearing, 0, 1)
        await asyncio.sleep(120)
        assert len(server.connections) == 1
        await speak(hearing, 1, 1)
        await asyncio.sleep(1.2)
        assert without_silence(server.connections[0].audio) == SPEECH[:16_000]
        assert told == []


# -- the end -----------------------------------------------------------------------------------------------------------


def timers() -> list[Any]:
    scheduled: list[Any] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [handle for handle in scheduled if not handle.cancelled()]


def tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {task for task in [asyncio.current_task()] if task is not None}


async def _in_call(server: Recogniser) -> None:
    await asyncio.sleep(0.5)


async def _dying(server: Recogniser) -> None:
    server.connections[0].abort()
    await asyncio.sleep(0.02)


async def _garbled(server: Recogniser) -> None:
    await server.connections[0].say("garbage")
    await asyncio.sleep(0.001)


async def _between_tries(server: Recogniser) -> None:
    server.statuses += [503] * 20
    server.connections[0].abort()
    await asyncio.sleep(5)


async def _refused(server: Recogniser) -> None:
    server.statuses.append(401)
    server.connections[0].abort()
    await asyncio.sleep(5)


async def _catching_up(server: Recogniser) -> None:
    server.connections[0].abort()
    await asyncio.sleep(1)


@ANY_EAR
@pytest.mark.parametrize("moment", [_in_call, _dying, _garbled, _between_tries, _refused, _catching_up])
async def test_nothing_is_left_after_the_end(kind: str, moment: Any) -> None:
    async with Recogniser() as server:
        async with listening(kind, server) as (hearing, told):
            await speak(hearing, 0, 3)
            await moment(server)
            began = now()
        assert now() - began < 0.1
        assert not [task for task in tasks() if task.get_name().startswith(("Deepgram", "ElevenLabs"))]
        told.clear()
        hearing.feed(SPEECH[:16_000])  # a frame that was on its way
        await asyncio.sleep(10)
        assert told == []
        n_connections = len(server.connections)
    await asyncio.sleep(10)
    assert len(server.connections) == n_connections
    assert tasks() == set()
    assert timers() == []


@ANY_EAR
async def test_a_socket_that_does_not_say_goodbye_is_left_without_but_not_behind(kind: str) -> None:
    async with Recogniser() as server:
        async with listening(kind, server):
            server.connections[0].socket.transport.pause_reading()
            await server.connections[0].say("garbage")
            await asyncio.sleep(0.4)
            assert len(server.connections) == 2
            began = now()
        assert 0.4 < now() - began <= 2
        assert not [task for task in tasks() if task.get_name().startswith(("Deepgram", "ElevenLabs"))]


@ANY_EAR
async def test_an_ear_may_be_closed_before_its_socket_is_open(kind: str) -> None:
    async with Recogniser() as server:
        async with make_ear(kind, server.url).connect(Told()):
            pass
        await asyncio.sleep(1)
    assert tasks() == set()
    assert timers() == []


@ANY_EAR
async def test_what_comes_after_the_end_is_not_told(kind: str) -> None:
    async with Recogniser() as server:
        async with listening(kind, server) as (_, told):
            await server.connections[0].say(EVENTFUL[kind])
            await asyncio.sleep(0.1)
            n_told = len(told)
            assert n_told
            await server.connections[0].say(*[EVENTFUL[kind]] * 5)
        await asyncio.sleep(1)
        assert len(told) == n_told
