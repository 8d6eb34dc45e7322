"""A Nova ear: what it asks for, how it keeps its socket, and turns over more than one socket."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hearing.recogniser import SPEECH, Recogniser, alive, final, listening, now, results, speak
from lineside.errors import SettingsError
from lineside.events import EarWarned, EndOfTurn, Partial, SpeechStarted
from lineside.hearing.deepgram import deepgram_ear
from lineside.wire.deepgram_listen import ListenOptions


def sound() -> Recogniser:
    return Recogniser(answer=lambda connection: alive("nova", connection))


async def test_it_asks_for_what_was_configured_as_whom_it_was_configured() -> None:
    async with sound() as server:
        ear = deepgram_ear("the-key", server.url, ListenOptions(keyterms=("Lineside",)))
        assert ear.name == "deepgram"
        async with ear.connect(lambda _: None):
            await asyncio.sleep(0.1)
        request = server.connections[0].request
        assert request.headers["Authorization"] == "Token the-key"
        parts = urlsplit(request.path)
        assert parts.path == "/v1/listen"
        assert {("model", "nova-3"), ("encoding", "mulaw"), ("keyterm", "Lineside")} <= set(parse_qsl(parts.query))


def test_a_key_is_not_shown() -> None:
    assert "the-key" not in repr(deepgram_ear("the-key").habits)


def test_an_ear_that_cannot_work_is_refused_before_any_call() -> None:
    with pytest.raises(SettingsError, match="DEEPGRAM_BASE_URL"):
        deepgram_ear("the-key", "nowhere")


async def test_a_turn_is_told_as_it_is_heard() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(
            {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.2},
            results("i'd like", 0.0, 1.0),
            {"type": "SomethingNew"},
            final("I'd like", 0.0, 1.0),
            final("", 1.0, 0.2),
            final("to cancel.", 1.2, 0.8, speech_final=True),
            {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.9},
            {"type": "Warning", "code": "W", "description": "careful"},
        )
        await asyncio.sleep(0.1)
        assert told.events == [
            SpeechStarted(),
            Partial("i'd like"),
            Partial("I'd like"),
            EndOfTurn("I'd like to cancel."),
            EarWarned("W", "careful"),
        ]


async def test_it_is_kept_alive_every_four_seconds_without_audio_and_not_before() -> None:
    async with sound() as server, listening("nova", server) as (hearing, _):
        await speak(hearing, 0, 6)
        silent_since = now()
        (connection,) = server.connections
        assert connection.texts == []
        await asyncio.sleep(21)
        assert [kind for _, kind in connection.texts] == ["KeepAlive"] * 5
        times = [silent_since, *(at for at, _ in connection.texts)]
        assert all(3.5 <= later - earlier <= 5 for earlier, later in pairwise(times))
        await speak(hearing, 6, 2)
        assert len(connection.texts) == 5


async def test_a_socket_that_never_had_audio_gets_silence_first_as_a_keep_alive_alone_is_not_enough() -> None:
    async with sound() as server, listening("nova", server) as (_, _told):
        await asyncio.sleep(9)
        (connection,) = server.connections
        assert bytes(connection.audio) == b"\xff" * 480
        assert connection.frames[0][0] - connection.opened_at <= 5
        assert [kind for _, kind in connection.texts] == ["KeepAlive"]


async def test_when_the_carrier_falls_silent_within_an_utterance_silence_goes_up_until_it_ends() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 1.2)
        (connection,) = server.connections
        await connection.say(final("Yes.", 0.0, 1.0))
        await asyncio.sleep(2.5)
        assert bytes(connection.audio[:9600]) == SPEECH[:9600]
        assert set(connection.audio[9600:]) == {0xFF}
        assert 1.5 <= len(connection.audio[9600:]) / 8000 <= 2.1  # in real time, from half a second on
        await connection.say(final("", 1.0, 1.0, speech_final=True))
        await asyncio.sleep(0.1)
        n_heard = len(connection.audio)
        await asyncio.sleep(6)
        assert len(connection.audio) == n_heard
        assert told.events == [Partial("Yes."), EndOfTurn("Yes.")]
        assert [kind for _, kind in connection.texts] == ["KeepAlive"]


async def test_what_is_left_over_when_the_carrier_falls_silent_is_heard() -> None:
    async with sound() as server, listening("nova", server) as (hearing, _):
        hearing.feed(SPEECH[:160])
        await asyncio.sleep(1.1)
        assert bytes(server.connections[0].audio) == SPEECH[:160] + b"\xff" * 320


async def test_it_says_goodbye() -> None:
    async with sound() as server:
        async with listening("nova", server) as (hearing, _):
            await speak(hearing, 0, 1)
        assert [kind for _, kind in server.connections[0].texts] == ["CloseStream"]


async def test_a_turn_goes_on_on_the_next_socket() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(final("I'd like", 0.0, 1.0), results("to", 1.0, 0.5))
        await asyncio.sleep(0.01)
        server.connections[0].abort()
        await speak(hearing, 2, 2)
        second = server.connections[1]
        await second.say(results("to cancel", 0.0, 1.0), final("to cancel.", 0.0, 1.0, speech_final=True))
        await asyncio.sleep(0.1)
        assert told.said == [
            Partial("I'd like"),
            Partial("I'd like to"),
            Partial("I'd like to cancel"),
            EndOfTurn("I'd like to cancel."),
        ]
        assert bytes(second.audio[:480]) == SPEECH[8000:8480]


async def test_what_was_understood_becomes_a_turn_when_no_socket_comes_back() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(final("Cancel it.", 0.0, 1.0))
        await asyncio.sleep(0.01)
        server.statuses += [503] * 100
        server.connections[0].abort()
        lost_at = now()
        await asyncio.sleep(10)
        assert told.said == [Partial("Cancel it."), EndOfTurn("Cancel it.")]
        assert told[-1][0] - lost_at == pytest.approx(2, abs=0.6)


async def test_what_was_understood_becomes_a_turn_when_the_next_socket_is_refused() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(final("Cancel it,", 0.0, 1.0), results("pl", 1.0, 0.5))
        await asyncio.sleep(0.01)
        server.statuses.append(402)
        server.connections[0].abort()
        await asyncio.sleep(1)
        session: Any = hearing
        assert session._backlog.waiting == 0  # nobody will want it
        assert told.said[-1] == EndOfTurn("Cancel it, pl")
        assert told.warned == ["lost", "refused"]


async def test_an_error_message_ends_the_socket_and_not_the_ear() -> None:
    async with Recogniser() as server, listening("nova", server) as (hearing, told):
        await speak(hearing, 0, 1)
        await server.connections[0].say({"type": "Error", "variant": "Internal", "description": "oops"})
        await speak(hearing, 1, 1)
        assert len(server.connections) == 2
        assert [event.message for event in told.events if isinstance(event, EarWarned)] == [
            "Deepgram reports Internal: oops"
        ]
