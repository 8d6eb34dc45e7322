"""What the caller said is told with when the last sound of it was here, whichever socket heard it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hearing.recogniser import FRAME, SPEECH, Recogniser, Told, final, now, speak, turn_info
from lineside.events import EagerEndOfTurn, EndOfTurn
from lineside.hearing.deepgram import deepgram_ear
from lineside.hearing.deepgram_flux import deepgram_flux_ear
from lineside.hearing.ear import SocketEar
from lineside.hearing.elevenlabs import elevenlabs_ear
from lineside.wire.elevenlabs_scribe import ScribeOptions

EXACT = 0.021  # s; a frame


def ear(kind: str, url: str) -> SocketEar:
    match kind:
        case "nova":
            return deepgram_ear("the-key", url)
        case "flux":
            return deepgram_flux_ear("the-key", url)
    return elevenlabs_ear("the-key", url, ScribeOptions(include_timestamps=True))


def ends(told: Told) -> list[EndOfTurn]:
    return [event for event in told.events if isinstance(event, EndOfTurn)]


def end_of_turn(kind: str, text: str, word_end: float, turn: int = 0) -> list[dict[str, Any]]:
    """The messages that end a turn whose last word ended at this second of the socket's audio."""
    words = [{"word": word, "start": 0.0, "end": word_end, "confidence": 1} for word in text.split()]
    match kind:
        case "nova":
            body = final(text, word_end - 0.5, 0.9, speech_final=True)
            body["channel"]["alternatives"][0]["words"] = words
            return [body]
        case "flux":
            return [turn_info("EndOfTurn", text, turn=turn, end=word_end + 0.4) | {"words": words}]
    timed = [{"text": each["word"], "type": "word", "start": 0.0, "end": word_end} for each in words]
    space = {"text": " ", "type": "spacing", "start": word_end, "end": word_end + 9}
    return [
        {"message_type": "committed_transcript", "text": text},
        {"message_type": "committed_transcript_with_timestamps", "text": text, "words": [*timed, space]},
    ]


@pytest.mark.parametrize("kind", ["nova", "flux", "scribe"])
async def test_a_turn_is_told_with_when_its_last_word_was_here(kind: str) -> None:
    told = Told()
    async with Recogniser() as server, ear(kind, server.url).connect(told) as hearing:
        await asyncio.sleep(0.2)
        for turn in range(3):
            began = now()
            await speak(hearing, 0, 3)
            await server.connections[0].say(*end_of_turn(kind, "Yes please.", turn * 3 + 2.1, turn))
            await asyncio.sleep(0.01)
            assert ends(told)[-1].spoken_by == pytest.approx(began + 2.1 - 0.02, abs=EXACT)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["nova", "flux", "scribe"])
async def test_audio_that_a_second_socket_hears_again_keeps_its_time(kind: str) -> None:
    told = Told()
    async with Recogniser() as server, ear(kind, server.url).connect(told) as hearing:
        await asyncio.sleep(0.2)
        began = now()
        await speak(hearing, 0, 3)
        server.connections[0].abort()
        await speak(hearing, 3, 2)
        await server.connections[1].say(*end_of_turn(kind, "Yes please.", 2.1))
        await asyncio.sleep(0.01)
        assert ends(told)[-1].spoken_by == pytest.approx(began + 2.1 - 0.02, abs=EXACT)


async def test_words_of_a_socket_that_died_keep_their_time() -> None:
    told = Told()
    async with Recogniser() as server, ear("nova", server.url).connect(told) as hearing:
        await asyncio.sleep(0.2)
        began = now()
        await speak(hearing, 0, 2)
        (message,) = end_of_turn("nova", "Cancel it.", 1.2)
        await server.connections[0].say(message | {"speech_final": False})
        await asyncio.sleep(0.01)
        server.statuses += [503] * 100
        server.connections[0].abort()
        await asyncio.sleep(3)
        assert ends(told)[-1].spoken_by == pytest.approx(began + 1.2 - 0.02, abs=EXACT)


async def test_an_eager_end_is_told_with_when_its_last_word_was_here() -> None:
    told = Told()
    async with Recogniser() as server, ear("flux", server.url).connect(told) as hearing:
        await asyncio.sleep(0.2)
        began = now()
        await speak(hearing, 0, 2)
        (message,) = end_of_turn("flux", "Yes please.", 1.2)
        await server.connections[0].say(message | {"event": "EagerEndOfTurn"}, message)
        await asyncio.sleep(0.01)
        times = [event.spoken_by for event in told.events if isinstance(event, EagerEndOfTurn | EndOfTurn)]
        assert times == [pytest.approx(began + 1.2 - 0.02, abs=EXACT)] * 2


async def test_after_a_stall_of_the_leg_the_time_is_when_the_audio_came() -> None:
    told = Told()
    async with Recogniser() as server, ear("nova", server.url).connect(told) as hearing:
        await asyncio.sleep(0.2)
        await speak(hearing, 0, 1)
        await asyncio.sleep(0.4)  # less than what is filled with silence
        for n in range(20):
            hearing.feed(SPEECH[n * FRAME : (n + 1) * FRAME])
        came_at = now()
        await asyncio.sleep(0.2)
        await server.connections[0].say(*end_of_turn("nova", "Yes please.", 1.2))
        await asyncio.sleep(0.01)
        assert ends(told)[-1].spoken_by == pytest.approx(came_at, abs=EXACT)


@pytest.mark.parametrize("kind", ["nova", "flux", "scribe"])
@pytest.mark.parametrize("word_end", [7.0, 1e308, 0.0])
async def test_a_word_that_ends_where_no_audio_was_has_no_time(kind: str, word_end: float) -> None:
    told = Told()
    async with Recogniser() as server, ear(kind, server.url).connect(told) as hearing:
        await asyncio.sleep(0.2)
        await speak(hearing, 0, 3)
        await server.connections[0].say(*end_of_turn(kind, "Yes please.", word_end))
        await asyncio.sleep(0.01)
        assert ends(told) == [EndOfTurn("Yes please.")]


async def test_audio_that_was_dropped_before_it_was_sent_does_not_shift_the_times() -> None:
    told = Told()
    async with Recogniser(statuses=[503] * 9) as server, ear("nova", server.url).connect(told) as hearing:
        began = now()
        while not server.connections:
            await speak(hearing, now() - began, 0.5)
        assert now() - began > 10.5  # at the shortest of all waits; the first of it is held no more
        await speak(hearing, now() - began, 1.5)
        (connection,) = server.connections
        first = SPEECH.index(bytes(connection.audio[:480])) / 8000
        word_end = now() - connection.opened_at + 0.15  # what is older is held no more, what is newer not sent yet
        await connection.say(*end_of_turn("nova", "Yes please.", word_end))
        await asyncio.sleep(0.01)
        assert ends(told)[-1].spoken_by == pytest.approx(began + first + word_end - 0.02, abs=EXACT)
