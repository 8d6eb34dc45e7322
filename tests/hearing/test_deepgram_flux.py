"""A Flux ear: what it asks for, the silence it sends, and turns over more than one socket."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hearing.recogniser import SPEECH, Recogniser, alive, listening, now, speak, turn_info
from lineside.errors import SettingsError
from lineside.events import EagerEndOfTurn, EarWarned, EndOfTurn, Partial, SpeechStarted, TurnResumed
from lineside.hearing.deepgram_flux import deepgram_flux_ear
from lineside.wire.deepgram_flux_listen import FluxOptions


def sound() -> Recogniser:
    return Recogniser(answer=lambda connection: alive("flux", connection))


async def test_it_asks_for_what_was_configured_as_whom_it_was_configured() -> None:
    async with sound() as server:
        ear = deepgram_flux_ear("the-key", server.url, FluxOptions(eager_eot_threshold=0.5))
        assert ear.name == "deepgram-flux"
        async with ear.connect(lambda _: None):
            await asyncio.sleep(0.1)
        request = server.connections[0].request
        assert request.headers["Authorization"] == "Token the-key"
        parts = urlsplit(request.path)
        assert parts.path == "/v2/listen"
        assert {("model", "flux-general-en"), ("eager_eot_threshold", "0.5")} <= set(parse_qsl(parts.query))


def test_a_key_is_not_shown() -> None:
    assert "the-key" not in repr(deepgram_flux_ear("the-key").habits)


def test_an_ear_that_cannot_work_is_refused_before_any_call() -> None:
    with pytest.raises(SettingsError, match="DEEPGRAM_BASE_URL"):
        deepgram_flux_ear("the-key", "nowhere")


async def test_a_turn_is_told_as_it_is_heard() -> None:
    async with Recogniser() as server, listening("flux", server) as (hearing, told):
        await speak(hearing, 0, 2)
        await server.connections[0].say(
            {"type": "Connected", "request_id": "r", "sequence_id": 0},
            turn_info("StartOfTurn", "I"),
            turn_info("EagerEndOfTurn", "I need it."),
            turn_info("TurnResumed", "I need it now"),
            {"type": "Warning", "code": "W", "description": "careful"},
            turn_info("EagerEndOfTurn", "I need it now."),
            turn_info("EndOfTurn", "I need it now."),
            turn_info("EndOfTurn", "I need it now."),
        )
        await asyncio.sleep(0.1)
        assert told.events == [
            SpeechStarted(),
            Partial("I"),
            EagerEndOfTurn("I need it."),
            TurnResumed(),
            Partial("I need it now"),
            EarWarned("W", "careful"),
            EagerEndOfTurn("I need it now."),
            EndOfTurn("I need it now."),
        ]


async def test_half_a_second_without_audio_is_filled_with_silence_in_real_time() -> None:
    async with sound() as server, listening("flux", server) as (hearing, told):
        await speak(hearing, 0, 1.6)
        (connection,) = server.connections
        spoken_at = now()
        await asyncio.sleep(0.4)
        assert bytes(connection.audio) == SPEECH[:12_800]
        await asyncio.sleep(9.6)
        filled = [at for at, _ in connection.frames if at > spoken_at]
        assert filled[0] - (spoken_at - 0.02) == pytest.approx(0.5, abs=0.002)
        assert all(later - earlier == pytest.approx(0.08, abs=0.002) for earlier, later in pairwise(filled))
        assert set(connection.audio[12_800:]) == {0xFF}
        await speak(hearing, 1.6, 1.6)
        assert bytes(connection.audio[-12_800:]) == SPEECH[12_800:25_600]
        assert told == []


async def test_jitter_is_not_filled() -> None:
    async with sound() as server, listening("flux", server) as (hearing, _):
        for n in range(10):
            hearing.feed(SPEECH[n * 3200 : (n + 1) * 3200])  # 400 ms at once
            await asyncio.sleep(0.4)
        assert bytes(server.connections[0].audio) == SPEECH[:32_000]


async def test_it_says_goodbye() -> None:
    async with sound() as server:
        async with listening("flux", server) as (hearing, _):
            await speak(hearing, 0, 1)
        assert [kind for _, kind in server.connections[0].texts] == ["CloseStream"]


def timed(info: dict[str, Any], *starts: float) -> dict[str, Any]:
    words = [{"word": "w", "confidence": 1, "start": start, "end": start + 0.3} for start in starts]
    return info | {"words": words}


async def test_a_turn_goes_on_on_the_next_socket_from_its_last_word() -> None:
    async with Recogniser() as server, listening("flux", server) as (hearing, told):
        began = now()
        await speak(hearing, 0, 3)
        await server.connections[0].say(
            timed(turn_info("StartOfTurn", "I need", end=1.5), 0.5, 1.0),
            timed(turn_info("EagerEndOfTurn", "I need it now.", end=2.6), 0.5, 1.0, 1.5, 2.0),
        )
        await asyncio.sleep(0.01)
        server.connections[0].abort()
        await speak(hearing, 3, 2)
        second = server.connections[1]
        assert bytes(second.audio[:640]) == SPEECH[15_200:15_840]  # from between the last two words
        await second.say(turn_info("StartOfTurn", "now or"), turn_info("EndOfTurn", "now or never."))
        await asyncio.sleep(0.1)
        assert told.said == [
            SpeechStarted(),
            Partial("I need"),
            EagerEndOfTurn("I need it now.", pytest.approx(began + 2.28, abs=0.001)),
            TurnResumed(),
            SpeechStarted(),
            Partial("I need it now or"),
            EndOfTurn("I need it now or never."),
        ]


async def test_an_error_message_ends_the_socket_and_not_the_ear() -> None:
    async with Recogniser() as server, listening("flux", server) as (hearing, told):
        await speak(hearing, 0, 1)
        await server.connections[0].say({"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "oops"})
        await speak(hearing, 1, 1)
        assert len(server.connections) == 2
        assert told.warned == ["lost"]
