"""ElevenLabs' voices over the multi-context socket: what is its own, beside what `test_elevenlabs_speech` says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from websockets.asyncio.server import ServerConnection

from lineside.errors import ProviderSilent, ProviderUnavailable
from lineside.events import Audio, Flushed
from lineside.speech.elevenlabs import ElevenLabsVoice
from lineside.speech.elevenlabs_speech import ElevenLabsSpeech
from lineside.speech.elevenlabs_watch import RELEASE
from lineside.speech.governor import Governor
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from speech.eleven import HELLO, LONG, REST, Scripted, Turn, frame, heard, now, say, speaking, spoken, talking, until


def connected(faults: Faults | None = None, **how: Any) -> Any:
    return talking(ElevenLabsVoice, faults, **how)


def contexts(provider: Provider, connection: int = 1) -> list[str]:
    """The contexts that were opened, in order."""
    opened = [each for each in heard(provider.record, connection) if each.get("text") == " "]
    return [each["context_id"] for each in opened]


# -- contexts ----------------------------------------------------------------------------------------------------------


async def test_the_socket_opens_with_the_call_and_a_context_with_the_first_word() -> None:
    async with connected() as (speech, provider):
        turn = Turn(speech)
        await asyncio.sleep(1)
        assert heard(provider.record, 1) == []
        turn.say(HELLO)
        await asyncio.sleep(0.01)
        assert heard(provider.record, 1) == [
            {"text": " ", "context_id": "u1"},
            {"text": HELLO, "context_id": "u1"},
        ]


async def test_every_turn_has_a_context_of_its_own_which_is_closed_when_its_audio_has_begun() -> None:
    async with connected(Faults(first_audio_delay_s=0.5)) as (speech, provider):
        turn = say(speech, HELLO)
        await asyncio.sleep(0.4)
        assert not any(each.get("close_context") for each in heard(provider.record, 1))
        await turn.end()
        await say(speech, REST).end()
        assert contexts(provider) == ["u1", "u2"]
        assert [each["context_id"] for each in heard(provider.record, 1) if each.get("close_context")] == ["u1", "u2"]
        assert provider.record.breaches == {}


async def test_a_keep_alive_without_a_context_goes_out_every_ten_seconds() -> None:
    async with connected() as (_, provider):
        await asyncio.sleep(100.5)
        assert heard(provider.record, 1) == [{"text": ""}] * 10


async def test_at_the_end_of_the_call_the_socket_is_told() -> None:
    async with Provider() as provider:
        async with speaking(ElevenLabsVoice, provider.url) as speech:
            await say(speech, HELLO).end()
        assert heard(provider.record, 1)[-1] == {"close_socket": True}
        await until(lambda: provider.record.connections.open == 0)


async def test_late_frames_of_a_cancelled_turn_do_not_reach_the_next_one() -> None:
    async with connected(Faults(speed_up=2.0, chunk_sizes=[400])) as (speech, provider):
        old = say(speech, LONG)
        await asyncio.sleep(0.3)
        old.cancel()
        new = await say(speech, LONG.upper()).end()
        late = [each for each in provider.record.spoken if each.text == LONG]
        assert late[0].n_late_bytes > 20_000
        assert new.audio == next(each.audio for each in provider.record.spoken if each.text == LONG.upper())


# -- five places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.15, 0.6])
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({}, id="all late audio"),
        pytest.param({"drain_after_close_s": 0.3}, id="some late audio"),
        pytest.param({"close_race": "final"}, id="the close overtakes the text"),
        pytest.param({"close_race": "nothing"}, id="finals are lost"),
    ],
)
async def test_twenty_fast_interruptions_never_open_a_sixth_context(pause: float, faults: dict[str, Any]) -> None:
    chosen = Faults(speed_up=4.0, chunk_sizes=[2000], first_audio_delay_s=0.1)
    for name, value in faults.items():
        setattr(chosen.elevenlabs, name, value)
    governor = Governor("account", 0)
    async with connected(chosen, governor=governor) as (speech, provider):
        cut: list[tuple[Turn, int]] = []
        for _ in range(20):
            turn = say(speech, LONG)
            await asyncio.sleep(pause)
            cut.append((turn.cancel(), len(turn.audio)))
        last = await say(speech, HELLO).end()
        assert last.kinds == ["Audio", "Finished"]
        assert last.audio == next(each.audio for each in provider.record.spoken if each.text == HELLO)
        await asyncio.sleep(30)
        assert provider.record.breaches == {}
        assert all(len(turn.audio) == length for turn, length in cut)
        assert governor.taken == 0
        assert provider.record.connections.open <= 2
        assert provider.record.connections.opened <= 6


async def test_interruptions_at_any_pace_break_no_rule_of_the_socket() -> None:
    rng = random.Random(7)
    for _ in range(3):
        faults = Faults(speed_up=rng.choice([1.5, 5.0, 20.0]), chunk_sizes=[1600], first_audio_delay_s=rng.random() / 3)
        faults.elevenlabs.drain_after_close_s = rng.choice([None, 0.0, 0.5])
        async with connected(faults) as (speech, provider):
            for n in range(30):
                turn = Turn(speech).say(LONG)
                if rng.random() < 0.8:
                    turn.flush()
                await asyncio.sleep(rng.random() ** 2)
                turn.say(f"And this is number {n}. ")
                if rng.random() < 0.5:
                    turn.finish()
                await asyncio.sleep(rng.random() ** 3)
                turn.cancel()
            text = "At long last a sentence that may be said to its end. "
            turn = await say(speech, text).end()
            assert turn.audio == next(each.audio for each in provider.record.spoken if each.text == text)
            assert provider.record.breaches == {}


async def test_a_full_socket_is_left_when_its_contexts_are_done_and_not_before() -> None:
    async with connected(Faults(speed_up=2.0)) as (speech, provider):
        for _ in range(5):
            turn = say(speech, LONG)
            await asyncio.sleep(0.02)
            turn.cancel()
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]
        assert provider.record.spoken[0].connection == 2
        assert {"close_socket": True} not in heard(provider.record, 1)
        await until(lambda: {"close_socket": True} in heard(provider.record, 1))
        late = [each for each in provider.record.spoken if each.connection == 1]
        assert [each.cut for each in late] == [False] * 5
        assert provider.record.connections.open == 1


async def test_the_next_socket_is_opened_while_the_fifth_place_is_being_used() -> None:
    async with connected(Faults(speed_up=2.0)) as (speech, provider):
        provider.faults.handshake_delay_s = 0.3
        for n in range(5):
            assert len(provider.record.messages) == 1
            turn = say(speech, LONG)
            await asyncio.sleep(0.35 if n == 4 else 0.05)
            assert turn.audio
        sixth = await say(speech, HELLO).end()
        assert sixth.at(Audio) < 0.01
        assert provider.record.breaches == {}


# -- ends that are not told --------------------------------------------------------------------------------------------


class Forgetful:
    """A service that speaks, and leaves something out."""

    def __init__(self, leaves_out: Literal["final", "final of the first"]) -> None:
        self._leaves_out = leaves_out
        self._n_closed = 0

    @asynccontextmanager
    async def speech(self, governor: Governor | None = None) -> AsyncIterator[tuple[ElevenLabsSpeech, Scripted]]:
        async with Scripted(self._serve) as service, speaking(ElevenLabsVoice, service.url, governor) as speech:
            await until(lambda: speech.ready)
            yield speech, service

    async def _serve(self, service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush"):
                await socket.send(
                    frame(message["text"], bytes(80 * len(message["text"])), context=message["context_id"])
                )
            elif message.get("close_context"):
                self._n_closed += 1
                if self._leaves_out == "final of the first" and self._n_closed > 1:
                    await socket.send(frame(final=True, context=message["context_id"]))


async def test_a_final_that_never_comes_ends_the_turn_five_seconds_after_its_audio() -> None:
    governor = Governor("account", 1)
    async with Forgetful("final").speech(governor) as (speech, service):
        turn = await say(speech, HELLO).end()
        assert turn.kinds == ["Audio", "Finished"]
        assert turn.told[-1][0] == pytest.approx(RELEASE, abs=0.05)
        assert governor.taken == 0
        await asyncio.sleep(12)
        assert len(service.heard) == 2  # its place may be taken or not: the socket is replaced
        assert (await say(speech, HELLO).end()).text == HELLO


async def test_a_place_whose_final_did_not_come_counts_as_taken_for_good() -> None:
    async with Forgetful("final").speech() as (speech, service):
        for _ in range(5):
            say(speech, HELLO).cancel()
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 * RELEASE)
        say(speech, HELLO)
        await asyncio.sleep(0.01)
        assert sum(each.get("text") == " " for each in service.heard[0]) <= 5


async def test_the_slot_of_a_cancelled_turn_is_given_back_at_its_final() -> None:
    governor = Governor("account", 2)
    async with connected(Faults(speed_up=2.0), governor=governor) as (speech, provider):
        say(speech, LONG)
        await asyncio.sleep(0.05)
        turn = say(speech, HELLO)
        assert governor.taken == 2
        await turn.end()
        assert governor.taken == 1
        await until(lambda: not provider.record.generations.running)
        await asyncio.sleep(0.01)
        assert governor.taken == 0


async def test_the_slot_of_a_cancelled_turn_whose_final_never_comes_is_given_back_after_five_seconds() -> None:
    governor = Governor("account", 2)
    async with Forgetful("final").speech(governor) as (speech, _):
        turn = say(speech, HELLO)
        await asyncio.sleep(0.1)
        turn.cancel()
        await asyncio.sleep(RELEASE - 0.1)
        assert governor.taken == 1
        await asyncio.sleep(0.2)
        assert governor.taken == 0


async def test_a_turn_that_waits_for_the_slot_of_the_one_before_gets_it_at_that_ones_final() -> None:
    governor = Governor("account", 1)
    faults = Faults(speed_up=4.0)
    faults.elevenlabs.max_generations = 1
    async with connected(faults, governor=governor) as (speech, provider):
        say(speech, LONG)
        await asyncio.sleep(0.05)
        turn = await say(speech, HELLO).end()
        assert turn.kinds == ["Audio", "Finished"]
        assert 1 < turn.at(Audio) < 2
        assert provider.record.breaches == {}


# -- what timings cannot tell ------------------------------------------------------------------------------------------


async def test_with_dictionaries_a_flush_is_answered_after_a_second_of_silence_and_the_turn_at_its_final() -> None:
    async with connected(pronunciation_dictionaries=(("d1", "v1"),)) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush()
        await until(lambda: turn.count(Flushed))
        last = max(at for at, event in turn.told if isinstance(event, Audio))
        assert turn.at(Flushed) - last == pytest.approx(1, abs=0.01)
        since = now() - turn.begun_at
        await turn.say(REST).finish().end()
        assert turn.told[-1][0] - since < 0.2
        assert turn.kinds == ["Audio", "Flushed", "Audio", "Finished"]
        assert turn.audio == spoken(provider.record)
        assert provider.record.breaches == {}


async def test_characters_that_the_timings_leave_out_delay_the_end_by_a_second_and_are_warned_of() -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush"):
                await socket.send(frame("Good ", bytes(400), context=message["context_id"]))
            elif message.get("close_context"):
                await socket.send(frame(final=True, context=message["context_id"]))

    async with Scripted(serve) as service, speaking(ElevenLabsVoice, service.url) as speech:
        turn = await say(speech, "Good ☃. ").end()
        assert turn.kinds == ["Audio", "Warned", "Finished"]
        assert turn.told[-1][0] == pytest.approx(1, abs=0.05)


async def test_a_final_without_audio_is_a_loss_of_the_turn_and_not_of_the_socket() -> None:
    """A close can overtake its text on the service's side: https://github.com/pipecat-ai/pipecat/issues/5271."""

    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush") and message["context_id"] == "u1":
                await socket.send(frame(final=True, context="u1"))
            elif message.get("flush"):
                await socket.send(frame(HELLO, bytes(80 * len(HELLO)), context=message["context_id"]))
            elif message.get("close_context"):
                await socket.send(frame(final=True, context=message["context_id"]))

    async with Scripted(serve) as service, speaking(ElevenLabsVoice, service.url) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderSilent)
        assert turn.told[-1][0] < 0.1
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]
        assert len(service.heard) == 1


# -- errors and expiry -------------------------------------------------------------------------------------------------


async def test_an_error_of_one_context_is_a_loss_of_the_turn_and_not_of_the_socket() -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush") and message["context_id"] == "u1":
                await socket.send('{"contextId":"u1","error":"system_busy","message":"Try again."}')
            elif message.get("flush"):
                await socket.send(frame(HELLO, bytes(80 * len(HELLO)), context=message["context_id"]))
            elif message.get("close_context"):
                await socket.send(frame(final=True, context=message["context_id"]))

    governor = Governor("account", 0)
    async with Scripted(serve) as service, speaking(ElevenLabsVoice, service.url, governor) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderUnavailable)
        assert (governor.taken, governor.waits.n_refused) == (0, 1)
        again = await say(speech, HELLO).end()
        assert (again.kinds, len(service.heard)) == (["Audio", "Finished"], 1)
        await asyncio.sleep(2 * RELEASE)
        assert governor.taken == 0


@pytest.mark.parametrize("expiry", ["silent", "final", "error", "fatal"])
async def test_a_turn_that_waits_for_its_next_word_for_minutes_keeps_its_context(expiry: str) -> None:
    faults = Faults()
    faults.elevenlabs.context_expiry = expiry  # type: ignore[assignment]
    async with connected(faults, inactivity_timeout=20) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush()
        await asyncio.sleep(300)
        await turn.say(REST).finish().end()
        assert (turn.kinds, provider.record.breaches) == (["Audio", "Flushed", "Audio", "Finished"], {})


async def test_a_context_that_the_service_ends_by_itself_is_a_loss() -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("text", "").strip():
                await socket.send(frame(final=True, context=message["context_id"]))

    async with Scripted(serve) as service, speaking(ElevenLabsVoice, service.url) as speech:
        turn = await Turn(speech).say(HELLO).end()
        assert isinstance(turn.error, ProviderUnavailable)
        assert "ended by the service" in str(turn.error)
