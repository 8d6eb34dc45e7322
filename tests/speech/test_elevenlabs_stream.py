"""ElevenLabs' voices over the single-context socket: what is its own, beside what `test_elevenlabs_speech` says."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from lineside.errors import ProviderSilent
from lineside.events import Aligned, Audio, Flushed, Warned
from lineside.speech.elevenlabs_stream import MOST_SPACES, ElevenLabsStreamVoice
from lineside.speech.governor import Governor
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from speech.eleven import HELLO, LONG, REST, Scripted, Turn, frame, heard, say, speaking, spoken, talking, until


def connected(faults: Faults | None = None, **how: Any) -> Any:
    return talking(ElevenLabsStreamVoice, faults, **how)


def spaces(provider: Provider, connection: int) -> int:
    """Keep-alives on a connection, without the message that opens the text."""
    return heard(provider.record, connection).count({"text": " "}) - 1


# -- the socket and its spare ------------------------------------------------------------------------------------------


async def test_the_text_is_opened_with_the_socket_and_a_spare_follows() -> None:
    async with connected() as (_, provider):
        await until(lambda: len(provider.record.messages) == 2)
        await asyncio.sleep(0.01)
        assert [heard(provider.record, number) for number in (1, 2)] == [[{"text": " "}]] * 2


async def test_a_sentence_asks_to_be_spoken_when_there_is_enough_of_it_and_a_flush_needs_no_asking() -> None:
    async with connected() as (speech, provider):
        turn = Turn(speech).say("Well. ")
        await asyncio.sleep(0.1)
        assert not turn.told
        turn.say(LONG)
        await asyncio.sleep(0.1)
        assert turn.text == "Well. " + LONG
        turn.say(REST).finish()
        assert heard(provider.record, 1)[1:] == [
            {"text": "Well. ", "try_trigger_generation": True},
            {"text": LONG, "try_trigger_generation": True},
        ]
        await turn.end()
        assert heard(provider.record, 1)[3:] == [{"text": REST, "flush": True}]


async def test_an_interruption_drops_the_socket_and_the_next_turn_goes_to_the_spare_without_waiting() -> None:
    faults = Faults(speed_up=2.0, chunk_sizes=[400])
    async with connected(faults) as (speech, provider):
        await until(lambda: provider.record.connections.open == 2)
        provider.faults.handshake_delay_s = 0.3
        old = say(speech, LONG)
        await asyncio.sleep(0.3)
        old.cancel()
        new = await say(speech, HELLO).end()
        assert new.at(Audio) < 0.01
        assert provider.record.spoken[-1].connection == 2
        assert {"text": ""} not in heard(provider.record, 1)  # it would have the rest spoken
        await until(lambda: provider.record.connections.opened == 3)
        await asyncio.sleep(0.5)
        assert provider.record.connections.open == 2


async def test_an_interruption_before_the_spare_is_open_waits_for_no_more_than_its_handshake() -> None:
    async with connected(Faults(handshake_delay_s=0.3)) as (speech, _):
        say(speech, LONG)
        await asyncio.sleep(0.2)
        turn = await say(speech, HELLO).end()
        assert turn.at(Audio) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.15, 0.6])
async def test_twenty_fast_interruptions_leave_no_stale_byte_and_two_sockets(pause: float) -> None:
    governor = Governor("account", 0)
    faults = Faults(speed_up=4.0, chunk_sizes=[2000], handshake_delay_s=0.2)
    async with connected(faults, governor=governor) as (speech, provider):
        cut: list[tuple[Turn, int]] = []
        for _ in range(20):
            turn = say(speech, LONG)
            await asyncio.sleep(pause)
            cut.append((turn.cancel(), len(turn.audio)))
        last = await say(speech, HELLO).end()
        assert last.audio == next(each.audio for each in provider.record.spoken if each.text == HELLO)
        await asyncio.sleep(30)
        assert provider.record.breaches == {}
        assert all(len(turn.audio) == length for turn, length in cut)
        assert (governor.taken, provider.record.connections.open) == (0, 2)


async def test_interruptions_at_any_pace_break_no_rule_of_the_socket() -> None:
    rng = random.Random(11)
    for _ in range(3):
        faults = Faults(speed_up=rng.choice([1.5, 5.0, 20.0]), chunk_sizes=[1600], handshake_delay_s=rng.random() / 3)
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


async def test_when_the_socket_dies_the_next_turn_goes_to_the_spare() -> None:
    async with connected(Faults(die_after_chunks=[1])) as (speech, provider):
        await until(lambda: provider.record.connections.open == 2)
        provider.faults.handshake_delay_s = 2.0
        assert (await say(speech, LONG).end()).kinds == ["Audio", "Lost"]
        assert (await say(speech, HELLO).end()).at(Audio) < 0.01


async def test_at_the_end_of_the_call_both_texts_are_ended() -> None:
    async with Provider() as provider:
        async with speaking(ElevenLabsStreamVoice, provider.url) as speech:
            await say(speech, HELLO).end()
        assert [heard(provider.record, number)[-1] for number in (1, 2)] == [{"text": ""}] * 2
        await until(lambda: provider.record.connections.open == 0)
        assert provider.record.breaches == {}


# -- idling ------------------------------------------------------------------------------------------------------------


async def test_spaces_keep_a_used_socket_alive_between_turns() -> None:
    async with connected(inactivity_timeout=20) as (speech, provider):
        await say(speech, HELLO).end()
        await asyncio.sleep(22)
        assert spaces(provider, 1) == 2
        turn = await say(speech, REST).end()
        assert provider.record.spoken[-1].connection == 1
        assert turn.text == REST
        assert provider.record.breaches == {}


async def test_a_turn_that_waits_for_its_next_word_is_kept_alive_too() -> None:
    async with connected(inactivity_timeout=20) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush()
        await asyncio.sleep(60)
        assert spaces(provider, 1) == 6
        await turn.say(REST).finish().end()
        assert (turn.text, turn.kinds) == (HELLO + REST, ["Audio", "Flushed", "Audio", "Finished"])
        assert provider.record.breaches == {}


async def test_a_socket_in_use_gets_no_space() -> None:
    async with connected(inactivity_timeout=20) as (speech, provider):
        for _ in range(20):
            await say(speech, HELLO).end()
            await asyncio.sleep(6)
        assert spaces(provider, 1) == 0
        assert {each.connection for each in provider.record.spoken} == {1}


async def test_with_the_longest_timeout_a_few_spaces_last_for_minutes() -> None:
    async with connected() as (speech, provider):
        await say(speech, HELLO).end()
        await asyncio.sleep(200)
        assert spaces(provider, 1) == 2
        await say(speech, REST).end()
        assert provider.record.spoken[-1].connection == 1
        assert provider.record.breaches == {}


async def test_a_socket_that_was_not_used_for_long_gives_way_to_the_spare() -> None:
    async with connected() as (speech, provider):
        await say(speech, HELLO).end()
        await asyncio.sleep(600)
        assert spaces(provider, 1) == MOST_SPACES
        turn = await say(speech, HELLO).end()
        assert provider.record.spoken[-1].connection > 2
        assert turn.audio == provider.record.spoken[0].audio  # no blanks before it
        assert provider.record.breaches == {}


async def test_a_spare_is_never_older_than_the_service_waits() -> None:
    async with connected(inactivity_timeout=20) as (_, provider):
        await asyncio.sleep(300)
        assert provider.record.breaches == {}
        assert provider.record.connections.open == 2


# -- the end of a turn -------------------------------------------------------------------------------------------------


async def test_with_dictionaries_a_turn_ends_with_its_text_and_the_next_has_another_socket() -> None:
    async with connected(pronunciation_dictionaries=(("d1", "v1"),)) as (speech, provider):
        for number in (1, 2, 3):
            turn = Turn(speech).say(HELLO).flush()
            await asyncio.sleep(1.5)
            assert turn.kinds == ["Audio", "Flushed"]
            await turn.say(REST).finish().end()
            assert turn.kinds == ["Audio", "Flushed", "Audio", "Finished"]
            assert turn.told[-1][0] == pytest.approx(1.5, abs=0.2)
            assert heard(provider.record, number)[-1] == {"text": ""}
        await asyncio.sleep(5)
        assert provider.record.breaches == {}
        assert provider.record.connections.open == 2


async def test_characters_that_the_timings_leave_out_cost_a_second_and_the_socket_but_no_sound() -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush"):
                await socket.send(frame("Good ", bytes(400)))
            elif message["text"] == "":
                await socket.send(frame("", bytes(160)))
                await socket.send(frame(final=True))
                await socket.close()
                return

    async with Scripted(serve) as service, speaking(ElevenLabsStreamVoice, service.url) as speech:
        turn = await say(speech, "Good ☃. ").end()
        assert turn.kinds == ["Audio", "Warned", "Finished"]
        assert len(turn.audio) == 560
        assert turn.count(Warned) == 1
        assert turn.told[-1][0] == pytest.approx(1, abs=0.05)
        again = await say(speech, "Good ☃. ").end()
        assert len(again.audio) == 560


async def test_audio_without_any_timings_ends_the_same_way() -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush"):
                await socket.send(frame("", bytes(800)))
            elif message["text"] == "":
                await socket.send(frame(final=True))

    async with Scripted(serve) as service, speaking(ElevenLabsStreamVoice, service.url) as speech:
        turn = Turn(speech).say(HELLO).flush()
        await until(lambda: turn.count(Flushed))
        assert turn.at(Flushed) == pytest.approx(1, abs=0.05)
        await turn.say(REST).finish().end()
        assert turn.kinds == ["Audio", "Flushed", "Audio", "Finished"]
        assert turn.count(Aligned) == 0


async def test_an_end_that_is_asked_for_and_not_told_is_a_loss() -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush"):
                await socket.send(frame("", bytes(800)))

    async with Scripted(serve) as service, speaking(ElevenLabsStreamVoice, service.url) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderSilent)
        assert turn.told[-1][0] == pytest.approx(4, abs=0.05)


async def test_a_turn_that_timings_cover_ends_with_its_audio_and_leaves_the_socket_for_the_next() -> None:
    async with connected() as (speech, provider):
        for text in (HELLO, REST):
            since = len(provider.record.spoken)
            turn = await say(speech, text).end()
            last = max(at for at, event in turn.told if isinstance(event, Audio))
            assert turn.told[-1][0] == last
            assert turn.audio == spoken(provider.record, since)
        assert provider.record.spoken[-1].connection == 1
