"""What holds for ElevenLabs' voices over either of its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from lineside.audio.resample import Encoder
from lineside.errors import ProviderBusy, ProviderRefused, ProviderSilent, ProviderUnavailable, SettingsError
from lineside.events import Audio, Finished, Flushed
from lineside.speech.elevenlabs import ElevenLabsVoice
from lineside.speech.elevenlabs_line import RENEW_AFTER
from lineside.speech.elevenlabs_speech import ElevenLabsSpeech
from lineside.speech.elevenlabs_stream import ElevenLabsStreamVoice
from lineside.speech.governor import BACK_OFF, Governor
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.tone import ToneVoice
from lineside.wire.elevenlabs import OUTPUT_FORMATS
from speech.eleven import (
    HELLO,
    LONG,
    REST,
    Kind,
    Scripted,
    Turn,
    frame,
    heard,
    now,
    options,
    say,
    speaking,
    spoken,
    talking,
    until,
)

pytestmark = pytest.mark.parametrize("kind", [ElevenLabsVoice, ElevenLabsStreamVoice])


def eleven(**faults: Any) -> Faults:
    """Faults of ElevenLabs' own."""
    made = Faults()
    for name, value in faults.items():
        assert hasattr(made.elevenlabs, name)
        setattr(made.elevenlabs, name, value)
    return made


# -- a turn ------------------------------------------------------------------------------------------------------------


async def test_a_turn_is_spoken_to_the_byte_with_the_timings_of_its_text(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush()
        await until(lambda: turn.count(Flushed))
        turn.say(REST, LONG).finish()
        await turn.end()
        assert turn.kinds == ["Audio", "Flushed", "Audio", "Finished"]
        assert turn.audio == spoken(provider.record)
        assert turn.text == HELLO + REST + LONG
        assert [each.text for each in provider.record.spoken] == [HELLO, REST + LONG]
        assert provider.record.breaches == {}


async def test_timings_tell_when_each_word_sounds(kind: Kind) -> None:
    async with talking(kind, sound=ToneVoice(chars_per_s=10)) as (speech, _):
        turn = await Turn(speech).say(HELLO).flush().say(REST).finish().end()
    assert [char for char, _, _ in turn.timed] == list(HELLO + REST)
    for at, (_, start, end) in enumerate(turn.timed):
        assert start == pytest.approx(100 * at, abs=3)
        assert end == pytest.approx(100 * (at + 1), abs=3)


async def test_text_goes_out_at_once_and_a_flush_right_behind_it_in_the_same_message(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        turn = Turn(speech).say(HELLO)
        await asyncio.sleep(0.01)
        assert heard(provider.record, 1)[-1]["text"] == HELLO
        assert not turn.told
        turn.say(REST).flush()
        await asyncio.sleep(0.01)
        assert (heard(provider.record, 1)[-1]["text"], heard(provider.record, 1)[-1]["flush"]) == (REST, True)
        assert turn.at(Audio) < 0.02


async def test_a_flush_of_text_that_was_spoken_already_is_answered_without_a_message(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush()
        await until(lambda: turn.count(Flushed))
        before = len(heard(provider.record, 1))
        turn.flush()
        assert turn.count(Flushed) == 2
        await asyncio.sleep(0.1)
        assert len(heard(provider.record, 1)) == before


async def test_a_turn_without_a_word_ends_where_it_is_asked_to_and_takes_nothing(kind: Kind) -> None:
    governor = Governor("account", 1)
    async with talking(kind, governor=governor) as (speech, provider):
        before = len(heard(provider.record, 1))
        turn = Turn(speech).say(" \n").flush().finish()
        assert turn.kinds == ["Flushed", "Finished"]
        await asyncio.sleep(1)
        assert (len(heard(provider.record, 1)), governor.waits.n_taken) == (before, 0)


async def test_turn_after_turn_goes_over_the_same_socket(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        for text in (HELLO, REST, LONG):
            since = len(provider.record.spoken)
            turn = await say(speech, text).end()
            assert (turn.audio, turn.text) == (spoken(provider.record, since), text)
            await asyncio.sleep(5)
        assert {each.connection for each in provider.record.spoken} == {1}


async def test_a_new_utterance_takes_the_place_of_one_that_was_left(kind: Kind) -> None:
    async with talking(kind) as (speech, _):
        left = Turn(speech).say(HELLO).flush()
        turn = say(speech, REST)
        await turn.end()
        await asyncio.sleep(10)
        assert left.events == []
        assert turn.text == REST


async def test_what_is_asked_of_an_utterance_that_is_over_does_nothing(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        turn = await say(speech, HELLO).end()
        before = len(heard(provider.record, 1))
        turn.say(REST).flush().finish().cancel()
        cancelled = Turn(speech).say(HELLO).flush().cancel()
        cancelled.say(REST).flush().finish().cancel()
        await asyncio.sleep(3)
        assert cancelled.events == []
        assert all(each.get("text") != REST for each in heard(provider.record, 1)[before:])


async def test_the_listener_may_begin_the_next_turn_from_within_the_end_of_the_last(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        turns: list[Turn] = []

        class Chained(Turn):
            def _hear(self, event: Any) -> None:
                super()._hear(event)
                if isinstance(event, Finished) and len(turns) < 3:
                    turns.append(Chained(speech).say(REST).finish())

        turns.append(Chained(speech).say(HELLO).finish())
        await until(lambda: len(turns) == 3 and turns[-1].over.is_set())
        assert [turn.kinds for turn in turns] == [["Audio", "Finished"]] * 3
        assert provider.record.breaches == {}


async def test_entering_opens_nothing_and_the_first_utterance_opens_what_it_needs(kind: Kind) -> None:
    async with Provider() as provider, kind("eleven", options(provider.url)).connect() as speech:
        await asyncio.sleep(10)
        assert (speech.ready, speech.admitted, provider.record.connections.opened) == (False, False, 0)
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]
        speech.prepare()
        assert speech.ready
    async with Provider() as provider, kind("eleven", options(provider.url)).connect():
        pass
    assert provider.record.connections.opened == 0


async def test_voices_that_sound_alike_have_one_fingerprint_and_others_do_not(kind: Kind) -> None:
    def fingerprint(**how: Any) -> str:
        return kind("eleven", options("ws://x", **how)).fingerprint

    assert fingerprint() == fingerprint(key="another", api_key_in="message", inactivity_timeout=20)
    assert fingerprint() == ElevenLabsVoice("other", options("ws://y")).fingerprint
    others: list[dict[str, Any]] = [{"voice_id": "v2"}, {"model_id": "eleven_flash_v2"}, {"speed": 1.1}, {"style": 0.0}]
    assert len({fingerprint(), *(fingerprint(**how) for how in others)}) == 5
    assert "secret" not in fingerprint(key="secret")


# -- interrupting ------------------------------------------------------------------------------------------------------


async def test_after_a_cancel_nothing_of_the_old_turn_comes_and_the_new_one_is_whole(kind: Kind) -> None:
    faults = Faults(speed_up=2.0, chunk_sizes=[800])
    async with talking(kind, faults) as (speech, provider):
        old = say(speech, LONG)
        await asyncio.sleep(0.5)
        heard_of_old = len(old.audio)
        assert heard_of_old > 0
        old.cancel()
        new = await say(speech, HELLO).end()
        await asyncio.sleep(10)
        assert len(old.audio) == heard_of_old
        wanted = [each.audio for each in provider.record.spoken if each.text == HELLO]
        assert (new.audio, new.text) == (wanted[0], HELLO)
        assert provider.record.breaches == {}


async def test_what_was_cancelled_before_the_socket_was_open_is_never_sent(kind: Kind) -> None:
    async with Provider(faults=Faults(handshake_delay_s=1.0)) as provider, speaking(kind, provider.url) as speech:
        say(speech, LONG).cancel()
        turn = await say(speech, HELLO).end()
        assert turn.at(Audio) == pytest.approx(1.0, abs=0.1)
        assert [each.text for each in provider.record.spoken] == [HELLO]
        assert LONG not in [each.get("text") for each in heard(provider.record, 1)]
        assert provider.record.breaches == {}


# -- formats and spellings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
async def test_every_format_becomes_the_carriers_and_keeps_its_times(kind: Kind, output_format: str) -> None:
    # On the single socket a turn may end 2 ms before its last crumb.
    faults = Faults(chunk_sizes=[1, 999, 3001] if kind is ElevenLabsVoice else [])
    async with talking(kind, faults, output_format=output_format) as (speech, provider):
        for text in (HELLO, REST):
            since = len(provider.record.spoken)
            turn = await say(speech, text).end()
            encoder = Encoder(OUTPUT_FORMATS[output_format])
            whole = encoder.push(spoken(provider.record, since))
            assert turn.audio == whole + encoder.flush()
            assert turn.kinds == ["Audio", "Finished"]
            assert turn.timed[-1][2] == pytest.approx(len(turn.audio) / 8, abs=2)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "faults",
    [
        {"context_id_name": "context_id", "is_final_name": "is_final"},
        {"durations_name": "charsDurationsMs", "is_final_of_audio": "false"},
        {"is_final_of_audio": "absent", "final_audio": "empty"},
        {"min_message_bytes": 3_000_000},
        {"frame_s": 0.02},
        {"cut_at": "threshold"},
        {"cut_at": "message"},
    ],
    ids=" ".join,
)
async def test_every_way_in_which_the_service_is_known_to_speak_is_understood(
    kind: Kind, faults: dict[str, Any]
) -> None:
    async with talking(kind, eleven(**faults)) as (speech, provider):
        turn = Turn(speech).say(LONG, LONG).flush()
        await until(lambda: turn.count(Flushed))
        turn.say(HELLO).finish()
        await turn.end()
        assert turn.kinds == ["Audio", "Flushed", "Audio", "Finished"]
        assert (turn.audio, turn.text) == (spoken(provider.record), LONG + LONG + HELLO)


@pytest.mark.parametrize("start", ["frame", "segment"])
async def test_timings_with_every_frame_say_the_same(kind: Kind, start: str) -> None:
    faults = eleven(sync_alignment_from=start, frame_s=0.25)
    async with talking(kind, faults, sync_alignment=True) as (speech, _):
        turn = await Turn(speech).say(HELLO).flush().say(REST).finish().end()
    assert turn.text == HELLO + REST
    for at, (_, begin, _end) in enumerate(turn.timed):
        assert begin == pytest.approx(at * 1000 / 15, abs=5)


@pytest.mark.parametrize("place", ["header", "message", "authorization", "single_use_token"])
async def test_the_key_is_accepted_wherever_it_is_put(kind: Kind, place: str) -> None:
    async with talking(kind, api_key_in=place) as (speech, provider):
        await asyncio.sleep(15)
        for _ in range(2):
            assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]
        assert provider.record.breaches == {}


async def test_voice_settings_are_given_once_and_never_change(kind: Kind) -> None:
    async with talking(kind, stability=0.4, speed=1.1, chunk_length_schedule=(50, 90)) as (speech, provider):
        for text in (HELLO, LONG):
            assert (await say(speech, text).end()).text == text
        assert provider.record.breaches == {}


async def test_auto_mode_needs_no_flush_and_bears_one(kind: Kind) -> None:
    async with talking(kind, auto_mode=True) as (speech, provider):
        turn = Turn(speech).say(HELLO)
        await until(lambda: turn.count(Audio))
        turn.say(REST).finish()
        await turn.end()
        assert (turn.audio, turn.text) == (spoken(provider.record), HELLO + REST)


async def test_an_address_or_a_voice_that_cannot_be_is_refused_before_a_call(kind: Kind) -> None:
    with pytest.raises(SettingsError, match="ELEVENLABS_VOICE_ID"):
        kind("eleven", options("wss://api.elevenlabs.io", voice_id=""))
    with pytest.raises(SettingsError, match="ELEVENLABS_BASE_URL"):
        kind("eleven", options("api.elevenlabs.io"))


async def test_no_log_line_and_no_text_of_ours_holds_the_key(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    key = "secret0123456789secret0123456789"
    with caplog.at_level(logging.DEBUG, logger="lineside"):
        async with talking(kind, key=key, api_key_in="authorization") as (speech, _):
            turn = await say(speech, HELLO).end()
            assert turn.kinds == ["Audio", "Finished"]
        assert key not in caplog.text
        assert key not in repr(options("ws://x", key=key))


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1011, 1008])
async def test_a_socket_that_dies_within_a_turn_is_a_loss_told_once_and_the_next_try_is_whole(
    kind: Kind, code: int
) -> None:
    faults = Faults(die_after_chunks=[3], die_close_code=code, die_reason="internal error", chunk_sizes=[1600])
    async with talking(kind, faults) as (speech, provider):
        turn = await say(speech, LONG).end()
        assert turn.kinds == ["Audio", "Lost"]
        assert isinstance(turn.error, ProviderUnavailable)
        assert len(turn.audio) == 3 * 1600
        again = await say(speech, LONG).end()
        assert again.kinds == ["Audio", "Finished"]
        assert again.at(Audio) < 0.3
        assert provider.record.breaches == {}


async def test_audio_that_stops_short_is_a_loss_after_four_seconds_and_the_socket_is_given_up(kind: Kind) -> None:
    faults = Faults(stall_after_chunks=[2], chunk_sizes=[1600])
    async with talking(kind, faults) as (speech, provider):
        turn = await say(speech, LONG).end()
        assert isinstance(turn.error, ProviderSilent)
        last = max(at for at, event in turn.told if isinstance(event, Audio))
        assert turn.told[-1][0] - last == pytest.approx(4, abs=0.1)
        again = await say(speech, HELLO).end()
        assert (again.kinds, provider.record.spoken[-1].connection) == (["Audio", "Finished"], 2)


async def test_no_audio_at_all_is_a_loss_after_four_seconds(kind: Kind) -> None:
    async with talking(kind, Faults(stall_after_chunks=[0])) as (speech, _):
        turn = Turn(speech).say(HELLO).flush()
        await turn.end()
        assert isinstance(turn.error, ProviderSilent)
        assert turn.told[-1][0] == pytest.approx(4, abs=0.05)


async def test_a_stall_shorter_than_that_is_waited_out(kind: Kind) -> None:
    faults = Faults(stall_after_chunks=[2], stall_s=3.5, chunk_sizes=[1600])
    async with talking(kind, faults) as (speech, provider):
        turn = await Turn(speech).say(LONG).flush().say(REST).finish().end()
        assert turn.kinds[-1] == "Finished"
        assert turn.audio == spoken(provider.record)
        assert turn.text == LONG + REST


async def test_the_time_that_a_handshake_takes_is_no_silence(kind: Kind) -> None:
    faults = Faults(handshake_delay_s=3.9, first_audio_delay_s=3.0)
    async with Provider(faults=faults) as provider, speaking(kind, provider.url) as speech:
        turn = await say(speech, HELLO).end()
        assert turn.kinds == ["Audio", "Finished"]
        assert turn.at(Audio) == pytest.approx(6.9, abs=0.1)


async def test_a_handshake_that_is_not_answered_is_a_loss(kind: Kind) -> None:
    async with Provider(faults=Faults(handshake_delay_s=7.0)) as provider, speaking(kind, provider.url) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderUnavailable)
        assert turn.told[-1][0] == pytest.approx(5, abs=0.1)


async def test_words_that_are_spoken_without_any_sound_are_a_loss(kind: Kind) -> None:
    async with talking(kind, eleven(credits=0)) as (speech, _):
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderSilent)


async def test_a_spent_quota_that_is_told_is_a_refusal(kind: Kind) -> None:
    async with talking(kind, eleven(credits=40, quota_spent="error")) as (speech, _):
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderRefused)
        assert "quota" in str(turn.error)


@pytest.mark.parametrize("nonsense", [b"\x00", "{", "[]", '{"audio":"%%%"}'])
async def test_what_cannot_be_understood_ends_the_socket(kind: Kind, nonsense: str | bytes) -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            if message.get("flush"):
                context = message.get("context_id")
                text = nonsense.replace("{", f'{{"contextId":"{context}",') if isinstance(nonsense, str) else nonsense
                await socket.send(text if len(service.heard) == 1 else frame(HELLO, bytes(2560), context=context))
            elif message.get("close_context"):
                await socket.send(frame(final=True, context=message["context_id"]))

    async with Scripted(serve) as service, speaking(kind, service.url) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderUnavailable)
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [{"key": "bad"}, {"voice_id": "missing"}], ids=str)
async def test_a_refusal_is_remembered_and_the_next_utterance_is_lost_at_once(kind: Kind, name: dict[str, Any]) -> None:
    async with Provider() as provider, speaking(kind, provider.url, **name) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderRefused)
        assert turn.told[-1][0] < 0.1
        await asyncio.sleep(0.1)
        opened = provider.record.connections.opened
        again = say(speech, HELLO)
        await again.end()
        assert isinstance(again.error, ProviderRefused)
        assert again.told[-1][0] < 0.001
        await asyncio.sleep(60)
        assert provider.record.connections.opened == opened


async def test_a_bad_key_is_known_before_the_first_word(kind: Kind) -> None:
    async with Provider() as provider, speaking(kind, provider.url, key="bad") as speech:
        await asyncio.sleep(0.5)
        turn = say(speech, HELLO)
        await turn.end()
        assert isinstance(turn.error, ProviderRefused)
        assert "Invalid API key" in str(turn.error)
        assert turn.told[-1][0] < 0.001


async def test_a_refused_handshake_is_a_refusal_and_can_be_tried_again_on_demand(kind: Kind) -> None:
    async with Provider(faults=Faults(refuse=[403])) as provider, speaking(kind, provider.url) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderRefused)
        assert not speech.ready
        await asyncio.sleep(60)
        assert provider.record.connections.opened == 0
        speech.prepare()
        await until(lambda: speech.ready)
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]


async def test_a_model_that_the_socket_does_not_have_is_refused_by_name(kind: Kind) -> None:
    async with Provider() as provider, speaking(kind, provider.url, model_id="eleven_of_the_future") as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderRefused)
        assert "eleven_of_the_future" in str(turn.error)


# -- between turns -----------------------------------------------------------------------------------------------------


async def test_a_socket_that_died_between_turns_is_open_again_before_the_next(kind: Kind) -> None:
    async with Provider() as first, speaking(kind, first.url) as speech:
        await until(lambda: speech.ready)
        assert (await say(speech, HELLO).end()).kinds == ["Audio", "Finished"]
        first.faults.refuse[:] = [503] * 4
        await first.__aexit__()
        await until(lambda: not speech.ready)
        port = int(first.url.rpartition(":")[2])
        await asyncio.sleep(3)
        async with Provider(port=port) as second:
            await until(lambda: speech.ready, 10)
            await asyncio.sleep(1)
            turn = await say(speech, HELLO).end()
            assert (turn.kinds, second.record.breaches) == (["Audio", "Finished"], {})
            assert turn.at(Audio) < 0.01


async def test_tries_to_connect_come_further_and_further_apart(kind: Kind) -> None:
    tries: list[float] = []

    async def serve(service: Scripted, socket: ServerConnection) -> None:
        await socket.close(1011, "not today")

    async with Scripted(serve) as service, speaking(kind, service.url):
        await asyncio.sleep(60)
        tries += service.opened_at
    gaps = [after - before for before, after in pairwise(tries)]
    assert 15 <= len(tries) <= (18 if kind is ElevenLabsVoice else 36)
    assert max(gaps[-2:]) == pytest.approx(5, abs=0.2)


async def test_text_for_a_socket_that_is_just_being_opened_anew_waits_for_it(kind: Kind) -> None:
    async with Provider(faults=Faults(refuse=[503] * 5)) as provider, speaking(kind, provider.url) as speech:
        await until(lambda: provider.record.refused[503] == 4)
        await asyncio.sleep(0.01)
        turns = [say(speech, HELLO)]
        while isinstance((await turns[-1].end()).error, ProviderUnavailable):
            turns.append(say(speech, HELLO))
        assert turns[-1].kinds == ["Audio", "Finished"]
        assert now() - turns[0].begun_at <= 1.2
        assert len(turns) == 2


@pytest.mark.parametrize("timeout", [20, 180])
async def test_ten_idle_minutes_between_turns_do_no_harm(kind: Kind, timeout: int) -> None:
    async with talking(kind, inactivity_timeout=timeout) as (speech, provider):
        await asyncio.sleep(600)
        for _ in range(2):
            since = len(provider.record.spoken)
            turn = await say(speech, HELLO).end()
            assert (turn.text, turn.audio) == (HELLO, spoken(provider.record, since))
            assert turn.at(Audio) < 0.01
            await asyncio.sleep(600)
        assert provider.record.breaches == {}


async def test_an_agent_that_takes_minutes_for_its_next_word_finds_the_turn_as_it_was(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush()
        await asyncio.sleep(100)
        turn.say(REST).finish()
        await turn.end()
        assert (turn.text, turn.audio) == (HELLO + REST, spoken(provider.record))
        assert provider.record.breaches == {}


async def test_an_hour_of_turns_is_spoken_and_old_sockets_are_replaced_between_them(kind: Kind) -> None:
    async with talking(kind) as (speech, provider):
        for _ in range(120):
            since = len(provider.record.spoken)
            turn = await say(speech, HELLO).end()
            assert (turn.text, turn.audio) == (HELLO, spoken(provider.record, since))
            await asyncio.sleep(30)
        assert provider.record.breaches == {}
        used = [each.connection for each in provider.record.spoken]
        first = max(each.at for each in provider.record.spoken if each.connection == used[0])
        assert first - provider.record.spoken[0].at == pytest.approx(RENEW_AFTER, abs=45)
        assert len(set(used)) == 2
        assert used == sorted(used)


# -- the account -------------------------------------------------------------------------------------------------------


async def test_text_waits_for_a_slot_and_then_goes_out_whole(kind: Kind) -> None:
    governor = Governor("account", 1)
    held = governor.ask(lambda: None)
    async with talking(kind, governor=governor) as (speech, provider):
        turn = Turn(speech).say(HELLO).flush().say(REST).finish()
        await asyncio.sleep(5)
        assert turn.events == []
        assert all(each["text"].isspace() or not each["text"] for each in heard(provider.record, 1))
        held.leave()
        await turn.end()
        assert turn.kinds == ["Audio", "Flushed", "Audio", "Finished"]
        assert (turn.text, turn.audio) == (HELLO + REST, spoken(provider.record))
        assert governor.taken == 0


async def test_text_that_waits_too_long_for_a_slot_is_lost(kind: Kind) -> None:
    governor = Governor("account", 1)
    governor.ask(lambda: None)
    async with talking(kind, governor=governor) as (speech, provider):
        turn = await say(speech, HELLO).end()
        assert turn.told[-1][0] == pytest.approx(8)
        assert isinstance(turn.error, ProviderBusy)
        assert "no free generation" in str(turn.error)
        assert (governor.waiting, provider.record.spoken) == (0, [])


async def test_in_the_middle_of_a_call_patience_is_shorter_and_calls_that_still_ring_come_later(kind: Kind) -> None:
    governor = Governor("account", 1)
    async with talking(kind, governor=governor) as (speech, _):
        await say(speech, HELLO).end()
        held = governor.ask(lambda: None)
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderBusy)
        assert turn.told[-1][0] == pytest.approx(4)
        ringing: list[str] = []
        ticket = governor.ask(lambda: ringing.append("granted"))
        turn = say(speech, HELLO)
        held.leave()
        assert (governor.taken, ringing) == (1, [])
        await turn.end()
        assert (turn.kinds, ringing) == (["Audio", "Finished"], ["granted"])
        ticket.leave()


async def test_a_call_is_admitted_while_the_account_has_room_or_its_own_turn_has(kind: Kind) -> None:
    governor = Governor("account", 1)
    admitted: list[bool] = []
    async with Provider() as provider, kind("eleven", options(provider.url), governor).connect() as speech:
        admitted.append(speech.admitted)  # nothing is being opened
        speech.prepare()
        admitted.append(speech.admitted)
        held = governor.ask(lambda: None)
        turn = say(speech, HELLO)
        admitted.append(speech.admitted)  # others have all slots
        held.leave()
        admitted.append(speech.admitted)  # the turn has it
        await turn.end()
        governor.refused()
        await asyncio.sleep(1)
        admitted.append(speech.admitted)  # its socket is open
    async with Provider() as provider, kind("eleven", options(provider.url), governor).connect() as speech:
        speech.prepare()
        admitted.append(speech.admitted)  # the service turned somebody away lately, and no socket is open
        await until(lambda: speech.ready)
        admitted.append(speech.admitted)
    assert admitted == [False, True, False, True, True, False, True]


async def test_a_turn_that_is_cancelled_while_it_waits_gives_its_place_up(kind: Kind) -> None:
    governor = Governor("account", 1)
    held = governor.ask(lambda: None)
    async with talking(kind, governor=governor) as (speech, _):
        turn = say(speech, HELLO).cancel()
        assert governor.waiting == 0
        held.leave()
        await asyncio.sleep(20)
        assert (turn.events, governor.taken) == ([], 0)


async def test_a_slot_is_held_from_the_first_text_to_the_end_of_the_turn(kind: Kind) -> None:
    governor = Governor("account", 3)
    async with talking(kind, governor=governor) as (speech, provider):
        assert governor.taken == 0
        turn = Turn(speech).say(HELLO)
        await asyncio.sleep(0.1)
        assert governor.taken == 1
        turn.finish()
        await turn.end()
        assert governor.taken == 0
        provider.faults.die_after_chunks = 0
        turn = await say(speech, HELLO).end()
        assert (turn.kinds, governor.taken) == (["Lost"], 0)


async def test_the_end_of_the_call_gives_everything_back(kind: Kind) -> None:
    governor = Governor("account", 2)
    async with Provider(faults=Faults(speed_up=1.0)) as provider, speaking(kind, provider.url, governor) as speech:
        for _ in range(2):
            turn = say(speech, LONG)
            await asyncio.sleep(0.5)
        assert governor.taken >= 1
        told = len(turn.told)
    assert (governor.taken, governor.waiting) == (0, 0)
    await asyncio.sleep(20)
    assert len(turn.told) == told
    await until(lambda: provider.record.connections.open == 0)


async def test_many_calls_share_an_account_without_ever_asking_too_much_of_it(kind: Kind) -> None:
    governor = Governor("account", 2)
    faults = eleven(max_generations=2)
    faults.speed_up = 10.0
    async with Provider(faults=faults) as provider:

        async def call(number: int) -> list[str]:
            async with speaking(kind, provider.url, governor) as speech:
                await asyncio.sleep(number * 0.05)
                interrupted = say(speech, LONG)
                await asyncio.sleep(0.3)
                interrupted.cancel()
                turn = await say(speech, HELLO).end()
                while isinstance(turn.error, ProviderBusy):
                    turn = await say(speech, HELLO).end()
                return turn.kinds

        ends = await asyncio.gather(*(call(number) for number in range(12)))
        assert ends == [["Audio", "Finished"]] * 12
        assert provider.record.breaches == {}
        assert provider.record.generations.max_running == 2
    assert (governor.taken, governor.waiting) == (0, 0)
    assert governor.waits.n_waited > 4


async def test_a_handshake_that_is_refused_for_too_many_requests_makes_everybody_wait(kind: Kind) -> None:
    governor = Governor("account", 0)
    async with Provider(faults=Faults(refuse=[429])) as provider, speaking(kind, provider.url, governor) as speech:
        turn = await say(speech, HELLO).end()
        assert isinstance(turn.error, ProviderUnavailable)
        assert not isinstance(turn.error, ProviderBusy)  # it is worth another try
        assert (governor.waits.n_refused, governor.free) == (1, False)
        again = await say(speech, HELLO).end()
        assert again.kinds == ["Audio", "Finished"]
        assert BACK_OFF[0] * 0.75 <= again.at(Audio) <= BACK_OFF[0] * 1.25 + 0.1
        governor.refused()
        assert BACK_OFF[0] * 0.75 <= (await say(speech, HELLO).end()).at(Audio) <= BACK_OFF[0] * 1.25  # a row of one


async def test_one_generation_too_many_that_the_service_complains_of_makes_everybody_wait(kind: Kind) -> None:
    governor = Governor("account", 0)
    faults = eleven(max_generations=1, overload="error")
    faults.speed_up = 5.0
    async with (
        Provider(faults=faults) as provider,
        speaking(kind, provider.url, governor) as first,
        speaking(kind, provider.url, governor) as second,
    ):
        long = say(first, LONG)
        await asyncio.sleep(0.2)
        short = await say(second, HELLO).end()
        assert isinstance(short.error, ProviderUnavailable)
        assert (governor.waits.n_refused, governor.free) == (1, False)
        await long.end()
        assert (await say(second, HELLO).end()).kinds == ["Audio", "Finished"]


async def test_after_a_refusal_one_goes_ahead_and_its_first_sound_lets_the_others_follow(kind: Kind) -> None:
    governor = Governor("account", 0)
    faults = Faults(first_audio_delay_s=0.5, speed_up=1.0)
    async with (
        Provider(faults=faults) as provider,
        speaking(kind, provider.url, governor) as first,
        speaking(kind, provider.url, governor) as second,
    ):
        await until(lambda: first.ready and second.ready)
        await asyncio.sleep(1)
        governor.refused()
        ahead, behind = say(first, LONG), say(second, LONG)
        await until(lambda: behind.count(Audio))
        assert ahead.at(Audio) <= BACK_OFF[0] * 1.25 + 0.51
        assert behind.at(Audio) == pytest.approx(ahead.at(Audio) + 0.5, abs=0.02)
        assert not ahead.over.is_set()


async def test_after_a_refusal_sockets_are_opened_one_after_another(kind: Kind) -> None:
    governor = Governor("account", 0)
    faults = Faults(refuse=[429], handshake_delay_s=0.5)
    async with Provider(faults=faults) as provider, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(speaking(kind, provider.url, governor))
        await until(lambda: governor.waits.n_refused)
        lines = [await stack.enter_async_context(speaking(kind, provider.url, governor)) for _ in range(4)]
        await until(lambda: provider.record.connections.opened)
        assert provider.record.connections.opened == 1
        await until(lambda: all(line.ready for line in lines), 2)
        await until(lambda: governor.taken == 0, 2)
        assert provider.record.refused == {429: 1}


async def test_a_turn_with_a_slot_opens_its_socket_on_it(kind: Kind) -> None:
    governor = Governor("account", 1)
    async with Provider() as provider:
        governor.refused()
        async with kind("eleven", options(provider.url), governor).connect() as speech:
            turn = await say(speech, HELLO).end()
            assert turn.kinds == ["Audio", "Finished"]
            assert turn.at(Audio) <= BACK_OFF[0] * 1.25 + 0.01


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_many_calls_every_turn_ends_and_the_account_is_as_it_was(
    kind: Kind, seed: int
) -> None:
    rng = random.Random(seed)
    governor = Governor("account", 3)
    faults = Faults(
        chunk_sizes=[1600],
        speed_up=8.0,
        handshake_delay_s=0.1,
        die_after_chunks=[rng.choice([-1, -1, 3, 10]) for _ in range(40)],
        stall_after_chunks=[rng.choice([-1, -1, -1, 5]) for _ in range(40)],
        refuse=[rng.choice([429, 503]) for _ in range(6)],
    )

    async def call(speech: ElevenLabsSpeech) -> int:
        await asyncio.sleep(rng.random())
        for _ in range(6):
            turn = Turn(speech).say(LONG)
            if rng.random() < 0.5:
                turn.flush()
            await asyncio.sleep(rng.random())
            turn.say(REST).finish()
            if rng.random() < 0.4:
                await asyncio.sleep(rng.random())
                turn.cancel()
            else:
                await turn.end(30)
        return (await say(speech, HELLO).end(30)).count(Finished)

    async with Provider(faults=faults) as provider:
        async with contextlib.AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(speaking(kind, provider.url, governor)) for _ in range(8)]
            ends = await asyncio.gather(*(call(speech) for speech in lines))
            assert sum(ends)  # not all were in vain
            await asyncio.sleep(15)
            assert (governor.taken, governor.waiting) == (0, 0)
        assert provider.record.breaches == {}
        await until(lambda: provider.record.connections.open == 0)


# -- payloads ----------------------------------------------------------------------------------------------------------


async def test_silence_between_two_segments_of_a_text_is_no_end(kind: Kind) -> None:
    """A slow model's second segment comes seconds after its first: its words are neither lost nor taken as spoken."""

    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            context = message.get("context_id")
            if message.get("flush"):
                await socket.send(frame(HELLO, bytes(2560), context=context))
                await asyncio.sleep(2.5)
                await socket.send(frame(REST, bytes(1920), context=context))
            elif message.get("close_context") or message["text"] == "":
                await socket.send(frame(final=True, context=context))

    async with Scripted(serve) as service, speaking(kind, service.url) as speech:
        turn = Turn(speech).say(HELLO, REST).flush()
        await until(lambda: turn.count(Flushed))
        assert turn.at(Flushed) == pytest.approx(2.5, abs=0.1)
        turn = await say(speech, HELLO, REST).end()
        assert (turn.kinds, turn.text) == (["Audio", "Finished"], HELLO + REST)


async def test_the_service_may_say_what_nobody_knows(kind: Kind) -> None:
    async def serve(service: Scripted, socket: ServerConnection) -> None:
        async for message in service.messages(socket):
            context = message.get("context_id")
            await socket.send('{"type":"flush_done","contextId":null}')
            await socket.send('{"news":[1,2,3]}')
            if message.get("flush"):
                await socket.send(frame(HELLO, bytes(2560), context=context))
            elif message.get("close_context"):
                await socket.send(frame(final=True, context=context))

    async with Scripted(serve) as service, speaking(kind, service.url) as speech:
        assert (await say(speech, HELLO).end()).audio == bytes(2560)
