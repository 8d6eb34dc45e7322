"""A Scribe ear: what it asks for, how it keeps its socket, and the errors that come as messages."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hearing.recogniser import SPEECH, Recogniser, alive, listening, now, speak
from lineside.errors import SettingsError
from lineside.events import EarWarned, EndOfTurn, Partial
from lineside.hearing.elevenlabs import elevenlabs_ear
from lineside.wire.elevenlabs_scribe import ScribeOptions


def sound(**more: Any) -> Recogniser:
    return Recogniser(answer=lambda connection: alive("scribe", connection), **more)


def message(kind: str, text: str = "", **more: str) -> dict[str, Any]:
    return {"message_type": kind, "text": text} | more


async def test_it_asks_for_what_was_configured_as_whom_it_was_configured() -> None:
    async with sound() as server:
        ear = elevenlabs_ear("the-key", server.url, ScribeOptions(language_code="en"))
        assert ear.name == "elevenlabs"
        async with ear.connect(lambda _: None):
            await asyncio.sleep(0.1)
        request = server.connections[0].request
        assert request.headers["xi-api-key"] == "the-key"
        parts = urlsplit(request.path)
        assert parts.path == "/v1/speech-to-text/realtime"
        assert {("audio_format", "ulaw_8000"), ("commit_strategy", "vad"), ("language_code", "en")} <= set(
            parse_qsl(parts.query)
        )


def test_a_key_is_not_shown() -> None:
    assert "the-key" not in repr(elevenlabs_ear("the-key").habits)


def test_an_ear_that_cannot_work_is_refused_before_any_call() -> None:
    with pytest.raises(SettingsError, match="ELEVENLABS_BASE_URL"):
        elevenlabs_ear("the-key", "nowhere")


async def test_a_turn_is_told_as_it_is_heard() -> None:
    async with sound() as server, listening("scribe", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(
            message("partial_transcript", "I'd like"),
            message("partial_transcript", ""),
            message("committed_transcript", "I'd like to cancel."),
            message("committed_transcript_with_timestamps", "I'd like to cancel."),
            message("committed_transcript", ""),
            message("commit_throttled", error="too little audio"),
        )
        await asyncio.sleep(0.1)
        assert told.said == [Partial("I'd like"), EndOfTurn("I'd like to cancel.")]
        assert told.warned == ["commit_throttled"]


async def test_a_little_silence_keeps_it_open_while_the_carrier_sends_nothing() -> None:
    async with sound() as server, listening("scribe", server) as (hearing, _):
        await speak(hearing, 0, 2)
        (connection,) = server.connections
        spoken_at = now()
        await asyncio.sleep(31)
        later = [at for at, _ in connection.frames if at >= spoken_at]
        assert set(connection.audio[16_000:]) == {0xFF}
        assert len(later) == 6
        assert all(4.5 <= b - a <= 6 for a, b in pairwise([spoken_at, *later]))
        assert connection.texts == []


async def test_when_the_carrier_falls_silent_within_an_utterance_silence_goes_up_until_it_is_committed() -> None:
    async with sound() as server, listening("scribe", server) as (hearing, told):
        await speak(hearing, 0, 2)
        (connection,) = server.connections
        await connection.say(message("partial_transcript", "Yes"))
        await asyncio.sleep(3)
        assert 2.0 <= (len(connection.audio) - 16_000) / 8000 <= 2.6
        await connection.say(message("committed_transcript", "Yes."))
        await asyncio.sleep(0.2)
        n_heard = len(connection.audio)
        await asyncio.sleep(4)
        assert len(connection.audio) == n_heard
        assert told.events == [Partial("Yes"), EndOfTurn("Yes.")]


async def test_a_key_that_is_refused_in_a_message_makes_it_deaf() -> None:
    async with (
        Recogniser(
            greet=lambda _: [message("auth_error", error="You must be authenticated to use this endpoint.")]
        ) as server,
        listening("scribe", server) as (hearing, told),
    ):
        await server.connections[0].socket.close(1000)
        await speak(hearing, 0, 30)
        assert len(server.attempts) == 1
        assert told.warned == ["refused"]


async def test_a_spent_quota_makes_it_deaf_and_what_was_said_is_a_turn() -> None:
    async with sound() as server, listening("scribe", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(
            message("partial_transcript", "Cancel it"),
            message("quota_exceeded", error="You have exceeded your quota."),
        )
        await speak(hearing, 2, 10)
        assert told.said == [Partial("Cancel it"), EndOfTurn("Cancel it")]
        assert told.warned == ["refused"]
        assert len(server.attempts) == 1


@pytest.mark.parametrize("kind", ["session_time_limit_exceeded", "transcriber_error", "queue_overflow"])
async def test_a_session_that_is_over_is_followed_by_another(kind: str) -> None:
    async with sound() as server, listening("scribe", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(message("partial_transcript", "Yes"), message(kind, error="over"))
        await speak(hearing, 2, 3)
        await asyncio.sleep(2)
        assert bytes(server.connections[1].audio[:40_000]) == SPEECH[:40_000]
        await server.connections[1].say(message("committed_transcript", "Yes please."))
        await asyncio.sleep(0.1)
        assert told.said == [Partial("Yes"), EndOfTurn("Yes please.")]
        assert told.warned == ["lost", "reconnected"]


async def test_a_throttled_commit_that_closes_the_session_is_followed_by_another() -> None:
    async with sound() as server, listening("scribe", server) as (hearing, told):
        await speak(hearing, 0, 1)
        await server.connections[0].say(message("commit_throttled", error="0.1s"))
        await server.connections[0].socket.close(1000, "commit_throttled")
        await speak(hearing, 1, 1)
        assert len(server.connections) == 2
        assert told.warned == ["commit_throttled", "lost", "reconnected"]


async def test_an_utterance_that_is_never_committed_means_a_new_socket_after_five_seconds() -> None:
    async with sound() as server, listening("scribe", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(message("partial_transcript", "Yes"))
        began = now()
        while len(server.connections) < 2 and now() < began + 100:
            await speak(hearing, 0, 0.5)
        assert now() - began == pytest.approx(5, abs=0.8)
        assert isinstance(told.events[1], EarWarned)
        assert told.events[1].code == "lost"
