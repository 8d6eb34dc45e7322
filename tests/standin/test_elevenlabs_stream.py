"""ElevenLabs' single-context socket as the stand-in serves it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from standin.elevenlabs_client import (
    CLOSE,
    FLUSH,
    INIT,
    STREAM,
    audio,
    dial,
    for_a_while,
    now,
    receive,
    recorded,
    rest,
    send,
    session,
    text,
    voiced,
)

SENTENCE = "Your table is booked for seven. "


def switched(**switches: Any) -> Faults:
    return Faults(elevenlabs=ElevenLabsFaults(**switches))


# -- the ordinary course ---------------------------------------------------------------------------------------------


async def test_the_empty_text_has_the_rest_spoken_then_comes_a_final_then_a_normal_close() -> None:
    async with session(STREAM) as (socket, provider):
        began = now()
        await send(socket, INIT, text(SENTENCE), CLOSE)
        got, code, reason = await rest(socket)
        assert (code, reason) == (1000, "")
        assert got[-1] == {"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None}
        assert [each["isFinal"] for each in got] == [None] * (len(got) - 1) + [True]
        assert audio(got) == voiced(SENTENCE)
        (spoken,) = provider.record.spoken
        assert (spoken.text, spoken.audio, spoken.cut, spoken.n_late_bytes) == (SENTENCE, audio(got), False, 0)
        assert now() - began == pytest.approx(0.75 + 2.1 / 20, abs=0.1)
        assert not provider.record.breaches


async def test_a_flush_speaks_what_is_there_without_any_final() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT, text("One. "), text("Two.", flush=True))
        got = await for_a_while(socket, 5)
        assert audio(got) == voiced("One. Two. ")
        assert not any(each["isFinal"] for each in got)
        await send(socket, text("Three. "), FLUSH)
        assert audio(await for_a_while(socket, 5)) == voiced("Three. ")
        assert [spoken.text for spoken in provider.record.spoken] == ["One. Two. ", "Three. "]
        assert not provider.record.breaches


async def test_a_short_text_without_flush_or_close_is_never_spoken_and_times_out() -> None:
    async with session(STREAM) as (socket, provider):
        began = now()
        await send(socket, INIT, text(SENTENCE))
        got, code, reason = await rest(socket)
        (error,) = got
        assert error == {
            "message": "Have not received a new text input within the timeout of 20.0 seconds. Streaming input "
            "terminated. Please make sure to either feed the input in the timely manner, or to send the end of input "
            'text (empty string "") when done.',
            "error": "input_timeout_exceeded",
            "code": 1008,
        }
        assert (code, reason) == (1008, error["message"][:123])
        assert now() - began == pytest.approx(20.8)
        assert provider.record.breaches == {"idle": 1}
        assert not provider.record.spoken


async def test_enough_text_is_spoken_without_being_asked() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT, *[text("ninechars ")] * 13)
        assert audio(await for_a_while(socket, 5)) == voiced("ninechars " * 12)
        assert len(provider.record.spoken) == 1


async def test_the_first_space_is_no_text_unless_told() -> None:
    for is_text, expected in ((False, "Hi. "), (True, " Hi. ")):
        async with session(STREAM, switched(init_space_is_text=is_text)) as (socket, provider):
            await send(socket, INIT, text("Hi. "), CLOSE)
            await rest(socket)
            assert provider.record.spoken[0].text == expected


async def test_a_schedule_comes_with_the_first_message_and_a_later_one_is_noted() -> None:
    config = {"generation_config": {"chunk_length_schedule": [50]}}
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT | config, text("ninechars " * 5, **config))
        assert len(await for_a_while(socket, 5)) == 2
        assert not provider.record.breaches
        await send(socket, text("ninechars " * 5, generator_config={"chunk_length_schedule": [60]}))
        assert not await for_a_while(socket, 5)
        await send(socket, text("ninechars "))
        assert len(await for_a_while(socket, 5)) == 2
        assert provider.record.breaches == {"late_generation_config": 1}


async def test_a_trigger_works_from_fifty_characters_on_and_not_in_the_first_message() -> None:
    trigger = {"try_trigger_generation": True}
    async with session(STREAM, switched(init_space_is_text=True, try_trigger_chars=1)) as (socket, provider):
        await send(socket, INIT | trigger)
        assert not await for_a_while(socket, 1)
        provider.faults.elevenlabs.try_trigger_chars = 50
        await send(socket, text("ninechars " * 4 + "nine ", **trigger))
        assert not await for_a_while(socket, 1)
        await send(socket, text("nin ", **trigger))
        assert len(await for_a_while(socket, 1)) == 2
        assert len(provider.record.spoken[0].text) == 50


async def test_in_auto_mode_every_message_is_a_segment() -> None:
    async with session(STREAM, query="auto_mode=true") as (socket, provider):
        await send(socket, INIT, *[text(piece) for piece in ("Hel", "lo", " world")], text("."), CLOSE)
        got, _, _ = await rest(socket)
        assert [spoken.text for spoken in provider.record.spoken] == ["Hel ", "lo ", " world ", ". "]
        assert audio(got) == recorded(provider)


async def test_settings_give_the_pace() -> None:
    async with session(STREAM) as (socket, _):
        await send(socket, INIT | {"voice_settings": {"speed": 0.75}}, text("a" * 14 + " "), CLOSE)
        assert len(audio((await rest(socket))[0])) == round(8000 / 0.75)


@pytest.mark.parametrize(
    ("output_format", "n_bytes_per_s"),
    [("ulaw_8000", 8000), ("alaw_8000", 8000), ("pcm_8000", 16000), ("pcm_22050", 44100), ("pcm_48000", 96000)],
)
async def test_audio_is_in_the_format_that_the_query_asked_for(output_format: str, n_bytes_per_s: int) -> None:
    async with session(STREAM, query=f"output_format={output_format}") as (socket, provider):
        await send(socket, INIT, text("a" * 29 + " "), CLOSE)
        got, _, _ = await rest(socket)
        assert len(audio(got)) == 2 * n_bytes_per_s
        assert provider.record.spoken[0].audio == audio(got)


async def test_text_that_is_empty_and_flushed_ends_the_stream_only_if_told() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT, text(SENTENCE), text("", flush=True))
        assert audio(await for_a_while(socket, 5)) == voiced(SENTENCE)
        await send(socket, CLOSE)
        assert (await rest(socket))[1] == 1000
        assert not provider.record.breaches
    async with session(STREAM, switched(empty_text_with_flush="close")) as (socket, _):
        await send(socket, INIT, text(SENTENCE), text("", flush=True))
        got, code, _ = await rest(socket)
        assert (audio(got), code) == (voiced(SENTENCE), 1000)


async def test_the_close_waits_as_long_as_told() -> None:
    async with session(STREAM, switched(close_delay_s=0)) as (socket, _):
        await send(socket, INIT, CLOSE)
        began = now()
        assert len((await rest(socket))[0]) == 1
        assert now() == began


async def test_what_comes_after_the_end_is_noted_and_ignored() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT, text(SENTENCE), CLOSE, text("More. "), CLOSE, FLUSH)
        got, code, _ = await rest(socket)
        assert (audio(got), code) == (voiced(SENTENCE), 1000)
        assert provider.record.breaches == {"text_after_close": 1, "after_close": 2}


async def test_text_that_could_run_into_the_next_is_noted() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT, text("end"), text("of "), text("it.", flush=True), CLOSE)
        await rest(socket)
        assert provider.record.spoken[0].text == "endof it. "
        assert provider.record.breaches == {"missing_trailing_space": 1}


async def test_a_client_that_leaves_has_its_speech_on_record_as_cut() -> None:
    async with Provider(faults=switched(frame_s=0.1)) as provider:
        async with dial(provider, STREAM) as socket:
            await send(socket, INIT, text("a" * 300 + " "), CLOSE)
            await receive(socket)
        await asyncio.sleep(1)
        (spoken,) = provider.record.spoken
        assert spoken.cut
        assert 0 < len(spoken.audio) < 160_000
        assert provider.record.connections.open == 0
        assert provider.record.generations.running == 0


# -- alignment -------------------------------------------------------------------------------------------------------


def joined(alignment: dict[str, Any]) -> str:
    return "".join(alignment["chars"])


def ends(alignment: dict[str, Any]) -> int:
    end: int = alignment["charStartTimesMs"][-1] + alignment["charDurationsMs"][-1]
    return end


async def test_a_segment_is_one_large_message_with_the_alignment_and_a_small_one_without() -> None:
    async with session(STREAM) as (socket, _):
        await send(socket, INIT, text(SENTENCE), CLOSE)
        large, tail, _ = (await rest(socket))[0]
        assert (tail["alignment"], tail["normalizedAlignment"]) == (None, None)
        assert 72 <= len(audio([tail])) <= 264
        assert joined(large["alignment"]) == SENTENCE
        assert joined(large["normalizedAlignment"]) == f" {SENTENCE}"
        for name in ("alignment", "normalizedAlignment"):
            assert ends(large[name]) == pytest.approx(len(voiced(SENTENCE)) / 8, abs=1)
            assert len({len(values) for values in large[name].values()}) == 1


async def test_every_segment_counts_from_its_own_start_and_all_together_last_as_long_as_the_audio() -> None:
    async with session(STREAM, query="output_format=pcm_22050") as (socket, _):
        await send(socket, INIT, *[text(f"Part {'abcdefghij'[:i]}. ", flush=True) for i in range(10)], CLOSE)
        got, _, _ = await rest(socket)
        aligned = [each["alignment"] for each in got if each["alignment"]]
        assert len(aligned) == 10
        assert all(alignment["charStartTimesMs"][0] == 0 for alignment in aligned)
        assert sum(map(ends, aligned)) == pytest.approx(len(audio(got)) / 44.1, abs=1)
        leading = [joined(each["normalizedAlignment"])[0] == " " for each in got if each["alignment"]]
        assert leading == [True] + [False] * 9


async def test_a_word_sounds_where_the_alignment_says() -> None:
    async with session(STREAM) as (socket, _):
        await send(socket, INIT, text("One two. "), CLOSE)
        got, _, _ = await rest(socket)
        alignment = got[0]["alignment"]
        at_ms = alignment["charStartTimesMs"][joined(alignment).index("two")]
        whole = audio(got)
        assert set(whole[at_ms * 8 - 160 : at_ms * 8 - 8]) == {0xFF}
        assert len(set(whole[at_ms * 8 : at_ms * 8 + 160])) > 20


async def test_a_keep_alive_shows_up_as_a_second_space_of_no_length() -> None:
    async with session(STREAM) as (socket, _):
        await send(socket, INIT, text("Hi"), text(" "), text(" there. "), CLOSE)
        frame = (await rest(socket))[0][0]
        assert joined(frame["alignment"]) == "Hi  there. "
        assert frame["alignment"]["charDurationsMs"][3] == 0
        assert joined(frame["normalizedAlignment"]) == " Hi there. "


async def test_numbers_are_words_in_the_normalised_alignment_where_the_model_does_that() -> None:
    for switch, expected in (("model", " Gate 42. "), ("always", " Gate four two. ")):
        async with session(STREAM, switched(expand_numbers=switch)) as (socket, _):
            await send(socket, INIT, text("Gate 42. "), CLOSE)
            frame = (await rest(socket))[0][0]
            assert joined(frame["alignment"]) == "Gate 42. "
            assert joined(frame["normalizedAlignment"]) == expected
            assert ends(frame["alignment"]) == ends(frame["normalizedAlignment"])


async def test_synchronous_alignment_is_split_over_the_messages() -> None:
    for origin in ("frame", "segment"):
        faults = switched(frame_s=0.25, sync_alignment_from=origin)
        async with session(STREAM, faults, query="sync_alignment=true") as (socket, _):
            await send(socket, INIT, text(SENTENCE), CLOSE)
            *frames, _ = (await rest(socket))[0]
            assert len(frames) == 10
            aligned = [each for each in frames if each["alignment"]]
            assert "".join(joined(each["alignment"]) for each in aligned) == SENTENCE
            assert "".join(joined(each["normalizedAlignment"]) for each in aligned) == f" {SENTENCE}"
            for i, frame in enumerate(frames[:-2]):
                begins = frame["alignment"]["charStartTimesMs"][0] - (0 if origin == "frame" else 250 * i)
                assert 0 <= begins < 250


async def test_synchronous_alignment_loses_no_character_of_no_length_at_the_very_end() -> None:
    async with session(STREAM, query="sync_alignment=true") as (socket, _):
        await send(socket, INIT, text("Hi.   "), CLOSE)
        got, _, _ = await rest(socket)
        assert "".join(joined(each["alignment"]) for each in got if each["alignment"]) == "Hi.   "


async def test_without_it_the_first_of_many_messages_has_all() -> None:
    async with session(STREAM, switched(frame_s=0.25)) as (socket, _):
        await send(socket, INIT, text(SENTENCE), CLOSE)
        first, *others = (await rest(socket))[0]
        assert joined(first["alignment"]) == SENTENCE
        assert not any(each["alignment"] or each["normalizedAlignment"] for each in others)


async def test_the_names_and_values_of_members_can_be_the_other_ones() -> None:
    faults = switched(
        durations_name="charsDurationsMs", is_final_of_audio="false", is_final_name="is_final", final_audio="empty"
    )
    async with session(STREAM, faults) as (socket, provider):
        await send(socket, INIT, text("Hi. "), CLOSE)
        *frames, final = (await rest(socket))[0]
        assert frames[0]["alignment"].keys() == {"chars", "charStartTimesMs", "charsDurationsMs"}
        assert [each["is_final"] for each in frames] == [False, False]
        assert final == {"audio": "", "is_final": True, "normalizedAlignment": None, "alignment": None}
        provider.faults.elevenlabs.is_final_of_audio = "absent"
        async with dial(provider, STREAM) as other:
            await send(other, INIT, text("Hi. "), CLOSE)
            assert "is_final" not in (await rest(other))[0][0]


# -- who may speak ---------------------------------------------------------------------------------------------------


async def test_a_bad_key_is_told_right_after_the_handshake_then_closes() -> None:
    async with Provider() as provider:
        began = now()
        async with dial(provider, STREAM, headers={"xi-api-key": "bad"}) as socket:
            error = await receive(socket)
            assert now() == began
            assert error == {"message": "Invalid API key", "error": "invalid_api_key", "code": 1008}
            assert await rest(socket) == ([], 1008, "Invalid API key")
            assert now() - began == pytest.approx(0.8)
        assert provider.record.breaches == {"bad_key": 1}


async def test_only_configured_keys_are_let_in_when_there_are_some() -> None:
    async with Provider(keys=["mine"], faults=switched(error_close_delay_s=0)) as provider:
        async with dial(provider, STREAM) as socket:
            assert (await rest(socket))[0][0]["error"] == "invalid_api_key"
        async with dial(provider, STREAM, headers={"xi-api-key": "mine"}) as socket:
            await send(socket, INIT, CLOSE)
            assert (await rest(socket))[1] == 1000


@pytest.mark.parametrize("name", ["xi_api_key", "xi-api-key", "authorization"])
async def test_the_key_may_come_with_the_first_message(name: str) -> None:
    async with Provider(keys=["key"]) as provider:
        async with dial(provider, STREAM, headers={}) as socket:
            await send(socket, INIT | {name: "Bearer key"}, text(SENTENCE), CLOSE)
            got, code, _ = await rest(socket)
            assert (audio(got), code) == (voiced(SENTENCE), 1000)
        async with dial(provider, STREAM, headers={}) as socket:
            await send(socket, INIT | {name: "bad"})
            assert (await rest(socket))[0][0]["error"] == "invalid_api_key"
        assert provider.record.breaches == {"bad_key": 1}


async def test_no_key_at_all_is_an_error_after_the_first_message() -> None:
    async with Provider() as provider, dial(provider, STREAM, headers={}) as socket:
        assert not await for_a_while(socket, 10)
        await send(socket, INIT)
        got, code, _ = await rest(socket)
        assert (got[0]["error"], code) == ("authentication_required", 1008)
        assert provider.record.breaches == {"no_key": 1}


async def test_a_token_in_the_query_will_do() -> None:
    async with Provider() as provider, dial(provider, STREAM, "single_use_token=t", headers={}) as socket:
        await send(socket, INIT, CLOSE)
        assert (await rest(socket))[1] == 1000


async def test_an_unknown_voice_is_told_after_the_first_message() -> None:
    async with Provider() as provider, dial(provider, STREAM, voice_id="missing%201") as socket:
        assert not await for_a_while(socket, 10)
        await send(socket, INIT)
        got, code, reason = await rest(socket)
        sentence = "A voice with voice_id missing 1 does not exist."
        assert got == [{"message": sentence, "error": "voice_id_does_not_exist", "code": 1008}]
        assert (code, reason) == (1008, sentence)
        assert provider.record.breaches == {"unknown_voice": 1}


# -- what a client may send ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [text("Hello. "), text("  "), FLUSH, CLOSE])
async def test_the_first_message_is_one_space(first: dict[str, Any]) -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, first)
        got, code, _ = await rest(socket)
        assert (got[0]["error"], code) == ("invalid_input_message", 1008)
        assert provider.record.breaches == {"missing_init": 1}


async def test_another_first_message_can_be_let_pass() -> None:
    async with session(STREAM, switched(first_message="accept")) as (socket, provider):
        await send(socket, text("Hello. "), CLOSE)
        got, code, _ = await rest(socket)
        assert (audio(got), code) == (voiced("Hello. "), 1000)
        assert provider.record.breaches == {"missing_init": 1}


@pytest.mark.parametrize("message", ["{", "[]", '{"text":7}', "{}", b"{}"])
async def test_what_cannot_be_parsed_ends_the_connection(message: str | bytes) -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT)
        await socket.send(message)
        got, code, reason = await rest(socket)
        sentence = "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
        assert got == [{"message": sentence, "error": "invalid_input_message", "code": 1008}]
        assert (code, reason) == (1008, sentence)
        assert provider.record.breaches == {"bad_message": 1}


SETTINGS = {"stability": 0.5, "speed": 1.0}


@pytest.mark.parametrize(
    ("first", "later"),
    [({"voice_settings": SETTINGS}, SETTINGS | {"speed": 1.1}), ({}, SETTINGS), ({"voice_settings": {}}, SETTINGS)],
)
async def test_voice_settings_must_not_change(first: dict[str, Any], later: dict[str, Any]) -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT | first, text("Hi. ", voice_settings=later))
        got, code, _ = await rest(socket)
        assert got[0]["message"] == (
            "voice_settings field must be provided in the first message and then either be not provided or not change."
        )
        assert code == 1008
        assert provider.record.breaches == {"voice_settings_changed": 1}


async def test_the_same_voice_settings_may_come_again() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT | {"voice_settings": SETTINGS}, text("Hi. ", voice_settings=dict(SETTINGS)))
        await send(socket, text("there. ", voice_settings=None), CLOSE)
        assert (await rest(socket))[1] == 1000
        assert not provider.record.breaches


async def test_changed_voice_settings_can_be_let_pass() -> None:
    async with session(STREAM, switched(voice_settings_change="accept")) as (socket, provider):
        await send(socket, INIT, text("a" * 14 + " ", voice_settings={"speed": 1.2}), CLOSE)
        assert len(audio((await rest(socket))[0])) == round(8000 / 1.2)
        assert provider.record.breaches == {"voice_settings_changed": 1}


async def test_values_beyond_their_range_end_the_connection_unless_let_pass() -> None:
    first = INIT | {"voice_settings": {"speed": 2.0}}
    async with session(STREAM) as (socket, provider):
        await send(socket, first)
        assert (await rest(socket))[1] == 1008
        assert provider.record.breaches == {"out_of_range": 1}
    async with session(STREAM, switched(out_of_range="accept")) as (socket, provider):
        await send(socket, first, text("a" * 14 + " "), CLOSE)
        assert len(audio((await rest(socket))[0])) == 4000
        assert provider.record.breaches == {"out_of_range": 1}


async def test_dictionaries_after_the_first_message_are_noted() -> None:
    locators = {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "d", "version_id": "v"}]}
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT | locators, text("Hi. ", **locators), CLOSE)
        assert (await rest(socket))[1] == 1000
        assert provider.record.breaches == {"late_dictionaries": 1}


# -- silence of the client -------------------------------------------------------------------------------------------


async def test_a_client_that_says_nothing_at_all_times_out() -> None:
    async with session(STREAM, query="inactivity_timeout=5") as (socket, _):
        began = now()
        got, code, _ = await rest(socket)
        assert "within the timeout of 5.0 seconds." in got[0]["message"]
        assert code == 1008
        assert now() - began == pytest.approx(5.8)


async def test_text_and_keep_alives_reset_the_timer_and_audio_does_not() -> None:
    async with session(STREAM, Faults(speed_up=0.1), query="inactivity_timeout=10") as (socket, _):
        began = now()
        await send(socket, INIT)
        for _ in range(5):
            await asyncio.sleep(9)
            await send(socket, text(" "))
        await send(socket, text("a " * 30, flush=True))
        got, code, _ = await rest(socket)
        assert audio(got)
        assert code == 1008
        assert now() - began == pytest.approx(45 + 10 + 0.8)


async def test_a_bare_flush_resets_the_timer_only_if_told() -> None:
    for resets, lasts in ((False, 10.8), (True, 16.8)):
        faults = switched(any_message_resets_idle=resets)
        async with session(STREAM, faults, query="inactivity_timeout=10") as (socket, _):
            began = now()
            await send(socket, INIT)
            await asyncio.sleep(6)
            await send(socket, FLUSH)
            await rest(socket)
            assert now() - began == pytest.approx(lasts)


async def test_no_timer_runs_once_the_client_has_ended_the_stream() -> None:
    async with session(STREAM, Faults(first_audio_delay_s=100)) as (socket, provider):
        await send(socket, INIT, text(SENTENCE), CLOSE)
        got, code, _ = await rest(socket)
        assert (audio(got), code) == (voiced(SENTENCE), 1000)
        assert not provider.record.breaches
