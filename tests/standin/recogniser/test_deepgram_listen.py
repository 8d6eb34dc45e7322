"""Deepgram's `/v1/listen` as the stand-in serves it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from lineside.audio import mulaw
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import cough, mix, noise, silence
from lineside.standin.voice import Rendering, resample
from standin.phone_server import about
from standin.recogniser.client import LISTEN, Client, Message, dial, now, refused, session

HELLO = encode("Hello there.")
HELLO_S = len(HELLO) / 8000
PLAIN = LISTEN.replace("&endpointing=300", "")


def faults(**switches: Any) -> Faults:
    return Faults(recogniser=RecogniserFaults(**switches))


def transcript(message: Message) -> str:
    text: str = message["channel"]["alternatives"][0]["transcript"]
    return text


def is_final(message: Message) -> bool:
    return message["type"] == "Results" and message["is_final"] is True


def is_speech_final(message: Message) -> bool:
    return message["type"] == "Results" and message["speech_final"] is True


def is_(kind: str) -> Any:
    return lambda message: message["type"] == kind


def finals(client: Client) -> list[str]:
    return [transcript(message) for message in client.messages if is_final(message)]


# -- the handshake ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "model=nova-3&encoding=mulaw&sample_rate=8000&channels=1&language=en&smart_format=true&keyterm=a+b&keyterm=c",
        "model=nova-2-phonecall&encoding=linear16&sample_rate=16000&keywords=x:2&endpointing=false&tag=a&tag=b",
        "model=nova-3-general&encoding=alaw&sample_rate=8000&interim_results=true&utterance_end_ms=1000&vad_events=true",
        "model=phonecall&encoding=mulaw&sample_rate=8000&endpointing=0&diarize=true&numerals=true&punctuate=true",
    ],
)
async def test_a_good_query_is_let_in_with_a_request_id(query: str) -> None:
    async with session(f"/v1/listen?{query}") as client:
        assert client.socket.response is not None
        assert len(client.socket.response.headers["dg-request-id"]) == 36
        assert not client.breaches


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("encoding=mulaw", "needs sample_rate"),
        ("encoding=mulaws&sample_rate=8000", "encoding is one of"),
        ("encoding=opus&sample_rate=48000", "no decoder"),
        ("encoding=mulaw&sample_rate=11025", "no decoder"),
        ("encoding=mulaw&sample_rate=8k", "whole number"),
        ("channels=2&multichannel=true", "one channel"),
        ("interim_results=True", "interim_results is one of true, false"),
        ("endpointing=soon", "endpointing is"),
        ("endpointing=-1", "endpointing is"),
        ("utterance_end_ms=1000", "needs interim_results"),
        ("interim_results=true&utterance_end_ms=6000", "1 to 5000"),
        ("keywords=x", "takes keyterm"),
        ("eot_threshold=0.7", "unknown parameter 'eot_threshold'"),
        ("sample_rate=8000&sample_rate=16000", "twice"),
        ("keyterm=" + "+".join("abc" for _ in range(501)), "tokens"),
    ],
)
async def test_a_bad_query_is_refused(query: str, what: str) -> None:
    async with Provider() as provider:
        status, body = await refused(provider, f"/v1/listen?model=nova-3&{query}")
        assert status == 400
        assert body["err_code"] == "INVALID_QUERY_PARAMETER"
        assert what in body["err_msg"]
        assert provider.record.breaches == {"bad_query": 1}


async def test_a_model_of_another_socket_and_one_that_does_not_exist_are_refused() -> None:
    async with Provider() as provider:
        assert (await refused(provider, "/v1/listen?model=flux-general-en"))[0] == 400
        assert (await refused(provider, "/v1/listen?model=nova3"))[0] == 403
        assert (await refused(provider, "/v1/listen?model=nova-2&keyterm=x"))[0] == 400


async def test_what_careful_clients_avoid_is_counted() -> None:
    async with session("/v1/listen?interim_results=true&utterance_end_ms=500&no_delay=true") as client:
        assert client.breaches == {"no_model": 1, "short_utterance_end": 1, "undocumented_query": 1}


async def test_unknown_parameters_pass_by_switch() -> None:
    async with session(LISTEN + "&surprise=1", Faults(unknown_query="ignore")) as client:
        assert not client.breaches


async def test_keys_are_checked_as_on_the_speak_socket() -> None:
    async with Provider() as provider:
        assert (await refused(provider, LISTEN, {"Authorization": "Token bad"}))[0] == 401
        assert (await refused(provider, LISTEN, {"Authorization": "Bearer key"}))[0] == 401
        assert (await refused(provider, LISTEN, {}))[0] == 401
        async with dial(provider, LISTEN, {"Authorization": "bearer a.b.c"}):
            pass


async def test_too_many_connections_are_refused() -> None:
    async with Provider(faults=faults(max_connections=1)) as provider, dial(provider, LISTEN):
        status, body = await refused(provider, LISTEN)
        assert (status, body["err_code"]) == (429, "TOO_MANY_REQUESTS")
        assert provider.record.breaches == {"max_connections": 1}


async def test_the_next_handshakes_of_recognisers_can_be_refused() -> None:
    async with Provider(faults=faults(refuse=[503, 402])) as provider:
        assert [(await refused(provider, LISTEN))[0] for _ in range(2)] == [503, 402]
        async with dial(provider, LISTEN):
            pass
        assert not provider.record.breaches


# -- results ---------------------------------------------------------------------------------------------------------


async def test_nothing_is_said_before_there_is_audio() -> None:
    async with session(LISTEN) as client:
        await asyncio.sleep(5)
        assert client.got == []


async def test_speech_ends_in_a_final_when_the_speaker_is_silent() -> None:
    async with session(LISTEN + "&smart_format=true") as client:
        began_at = now()
        await client.hear(silence(0.5) + HELLO + silence(0.6))
        at, message = await client.until(is_speech_final)
        # The last loud 20 ms, 300 ms of silence, and the latency of a final.
        assert at == about(began_at + 0.5 + HELLO_S + 0.3 + 0.3, within=0.04)
        assert message["is_final"]
        assert not message["from_finalize"]
        (alternative,) = message["channel"]["alternatives"]
        assert alternative["transcript"] == "Hello there."
        hello, there = alternative["words"]
        assert (hello["word"], hello["punctuated_word"], hello["start"]) == ("hello", "Hello", 0.5)
        assert (there["word"], there["punctuated_word"], there["end"]) == ("there", "there.", 0.5 + HELLO_S)
        assert message["channel_index"] == [0, 1]
        assert message["start"] + message["duration"] == about(0.5 + HELLO_S + 0.3, within=0.04)
        assert message["metadata"]["model_info"]["arch"] == "nova-3"
        assert not client.breaches


async def test_without_formatting_there_is_no_punctuation() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO + silence(0.6))
        _, message = await client.until(is_speech_final)
        assert transcript(message) == "hello there"
        assert all("punctuated_word" not in word for word in message["channel"]["alternatives"][0]["words"])


async def test_a_word_is_told_only_when_all_of_it_came() -> None:
    async with session(LISTEN) as client:
        speech = encode("one two three")
        await client.hear(speech[:3000] + speech[3160:] + silence(0.6))
        _, message = await client.until(is_speech_final)
        assert transcript(message) == "one three"
        (loss,) = client.listened.losses
        assert (loss.how, loss.n_samples) == ("missing", 160)
        assert not client.listened.pauses
        assert client.listened.behind_s == about(0)


async def test_interims_come_about_once_a_second_and_grow() -> None:
    async with session(LISTEN) as client:
        await client.hear(encode("one two three four five six seven eight nine ten") + silence(0.6))
        await client.until(is_speech_final)
        interims = [(at, message) for at, message in client.got if not is_final(message)]
        assert [transcript(message) for _, message in interims] == [
            "one two three",
            "one two three four five six",
            "one two three four five six seven eight nine ten",
        ]
        ends = [message["start"] + message["duration"] for _, message in interims]
        assert ends == [about(n) for n in (1, 2, 3)]
        assert finals(client) == ["one two three four five six seven eight nine ten"]


async def test_no_interims_unless_asked_for() -> None:
    async with session("/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&endpointing=300") as client:
        await client.hear(HELLO * 3 + silence(1))
        await client.until(is_speech_final)
        assert all(is_final(message) for message in client.messages)


async def test_silence_gives_empty_results_by_switch() -> None:
    async with session(LISTEN) as client:
        await client.hear(silence(7))
        await asyncio.sleep(1)
        assert {transcript(message) for message in client.messages} == {""}
        assert [is_final(message) for message in client.messages] == [False, False, False, False, True, False, False]
        client.provider.faults.recogniser.empty_interims = False
        n_before = len(client.got)
        await client.hear(silence(2))
        await asyncio.sleep(1)
        assert len(client.got) == n_before


async def test_long_speech_becomes_final_in_pieces_before_it_ends() -> None:
    async with session(LISTEN) as client:
        words = [f"word{n}" for n in range(25)]  # 7.4 s
        await client.hear(encode(" ".join(words)) + silence(0.6))
        await client.until(is_speech_final)
        first, last = [message for message in client.messages if is_final(message)]
        assert (first["speech_final"], last["speech_final"]) == (False, True)
        # It ends with a word, before the audio that an interim has covered already.
        assert first["start"] + first["duration"] == about(first["channel"]["alternatives"][0]["words"][-1]["end"])
        assert first["start"] + first["duration"] < 5
        assert last["start"] == first["start"] + first["duration"]
        assert " ".join(finals(client)).split() == words


async def test_the_default_endpointing_is_short_and_false_turns_it_off() -> None:
    speech = HELLO + silence(0.06) + HELLO + silence(0.06)
    async with session(PLAIN) as client:
        await client.hear(speech + silence(1))
        await client.until(is_speech_final, 2)
    async with session(PLAIN + "&endpointing=false") as client:
        await client.hear(speech + silence(6))
        await asyncio.sleep(1)
        assert not any(is_speech_final(message) for message in client.messages)
        assert "".join(finals(client)) == "hello there hello there"


async def test_a_pause_shorter_than_endpointing_ends_nothing() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO + silence(0.25) + HELLO + silence(0.6))
        await client.until(is_speech_final)
        assert finals(client) == ["hello there hello there"]


async def test_a_cough_ends_in_a_final_without_words_by_switch() -> None:
    async with session(LISTEN + "&vad_events=true") as client:
        await client.hear(cough() + silence(0.6))
        _, message = await client.until(is_speech_final)
        assert transcript(message) == ""
        assert client.messages[0]["type"] == "SpeechStarted"
    async with session(LISTEN, faults(empty_speech_final=False)) as client:
        await client.hear(cough() + silence(2) + HELLO + silence(2) + cough() + silence(2))
        assert [transcript(message) for message in client.messages if is_speech_final(message)] == ["hello there"]


async def test_speech_started_says_when_by_audio_time() -> None:
    async with session(LISTEN + "&vad_events=true") as client:
        await client.hear(silence(1))
        began_at = now()
        await client.hear(HELLO + silence(0.5) + HELLO + silence(0.6))
        at, first = await client.until(is_("SpeechStarted"))
        _, second = await client.until(is_("SpeechStarted"), 2)
        assert first == {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 1.0}
        assert at == about(began_at + 0.06 + 0.1, within=0.021)
        assert second["timestamp"] == about(1.5 + HELLO_S, within=0.021)


async def test_speech_started_only_if_asked_for() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO + silence(1))
        assert {message["type"] for message in client.messages} == {"Results"}


async def test_an_utterance_ends_by_the_gap_between_words() -> None:
    async with session(LISTEN + "&utterance_end_ms=1000") as client:
        await client.hear(silence(0.5) + HELLO + silence(3))
        (at, end) = await client.until(is_("UtteranceEnd"))
        assert end == {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": about(0.5 + HELLO_S)}
        kinds = [message["type"] for message in client.messages if message["type"] != "Results" or transcript(message)]
        assert kinds.count("UtteranceEnd") == 1  # not for silence after silence
        speech_final_at, _ = await client.until(is_speech_final)
        assert at == about(speech_final_at + 0.7 - 0.2, within=0.04)  # 1 s instead of 0.3; event instead of final


async def test_noise_keeps_speech_from_ending_but_not_the_utterance() -> None:
    async with session(LISTEN + "&utterance_end_ms=1000") as client:
        speech = HELLO + silence(2)
        await client.hear(mix(speech, noise(len(speech) / 8000, -30)))
        await client.until(is_("UtteranceEnd"))
        assert not any(is_speech_final(message) for message in client.messages)
        assert finals(client) == ["hello there"]  # before the UtteranceEnd
        before, _ = client.messages[: 1 + [message["type"] for message in client.messages].index("UtteranceEnd")][-2:]
        assert is_final(before)


async def test_an_utterance_may_end_with_nothing_final_by_switch() -> None:
    switches = faults(utterance_end_finalises=False)
    async with session(LISTEN + "&utterance_end_ms=1000", switches) as client:
        speech = HELLO + silence(2)
        await client.hear(mix(speech, noise(len(speech) / 8000, -30)))
        await client.until(is_("UtteranceEnd"))
        assert finals(client) == []


async def test_the_loudness_of_speech_is_a_switch() -> None:
    async with session(LISTEN, faults(loud_dbfs=-25)) as client:
        speech = HELLO + silence(1)
        await client.hear(mix(speech, noise(len(speech) / 8000, -30)))
        await client.until(is_speech_final)


# -- the client's messages -------------------------------------------------------------------------------------------


async def test_finalize_gives_what_there_is() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO)
        asked_at = now()
        await client.send("Finalize", channel=0)
        at, message = await client.until(is_final)
        assert at == about(asked_at + 0.3)
        assert (transcript(message), message["from_finalize"], message["speech_final"]) == ("hello there", True, False)
        await client.hear(silence(0.6))
        _, message = await client.until(is_speech_final)
        assert (transcript(message), message["from_finalize"]) == ("", False)
        assert not client.breaches


@pytest.mark.parametrize(("answers", "n"), [("enough", 0), ("always", 1), ("never", 0)])
async def test_finalize_with_little_audio_may_not_be_answered(answers: str, n: int) -> None:
    async with session(LISTEN, faults(finalize_answers=answers, finalize_speech_final=True)) as client:
        await client.hear(silence(0.4))
        await client.send("Finalize")
        await asyncio.sleep(1)
        assert [message["from_finalize"] for message in client.messages] == [True] * n
        assert all(message["speech_final"] for message in client.messages)


async def test_finalize_is_not_answered_at_all_by_switch() -> None:
    async with session(LISTEN, faults(finalize_answers="never")) as client:
        await client.hear(HELLO)
        await client.send("Finalize")
        await asyncio.sleep(1)
        assert finals(client) == []


async def test_close_stream_gives_the_rest_and_metadata_and_closes() -> None:
    async with session(LISTEN) as client:
        audio = HELLO + b"\xff" * 100  # not a whole number of frames
        await client.hear(audio)
        await client.send("CloseStream")
        assert await client.until_closed() == (1000, "")
        last, metadata = client.messages[-2:]
        assert (transcript(last), last["is_final"], last["speech_final"]) == ("hello there", True, False)
        assert last["duration"] == about(len(audio) / 8000)
        assert metadata["type"] == "Metadata"
        assert metadata["sha256"] == hashlib.sha256(audio).hexdigest()
        assert metadata["duration"] == about(len(audio) / 8000)
        assert (metadata["channels"], metadata["transaction_key"]) == (1, "deprecated")
        assert metadata["request_id"] == last["metadata"]["request_id"]
        assert not client.breaches


async def test_what_follows_close_stream_is_counted_and_ignored() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO)
        await client.send("CloseStream")
        await client.send_audio(HELLO)
        await client.until_closed()
        assert client.messages[-1]["duration"] == about(HELLO_S)
        assert client.breaches == {"after_close": 1}


async def test_an_empty_frame_ends_the_stream_and_is_counted() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO)
        await client.send_audio(b"")
        assert await client.until_closed() == (1000, "")
        assert client.messages[-1]["type"] == "Metadata"
        assert client.breaches == {"empty_frame": 1}


@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ("{}", "bad_json"),
        ('{"type":"Speak"}', "unknown_type"),
        ('{"type":7}', "unknown_type"),
        ('{"type":"KeepAlive","x":1}', "unknown_key"),
        ('{"type":"Finalize","channel":1}', "bad_channel"),
        ('{"type":"Configure","keyterms":"x"}', "bad_configure"),
        ('{"type":"Configure","features":{"numerals":"true"}}', "bad_configure"),
    ],
)
async def test_a_message_that_is_none_is_told_and_closes(text: str, breach: str) -> None:
    async with session(LISTEN) as client:
        await client.socket.send(text)
        code, reason = await client.until_closed()
        assert (code, reason.partition(":")[0]) == (1008, "DATA-0000")
        (error,) = client.messages
        assert (error["type"], error["variant"], error["message"]) == ("Error", "SchemaError", text)
        assert client.breaches == {breach: 1}


async def test_a_message_that_is_none_may_be_survived_by_switch() -> None:
    async with session(LISTEN, faults(bad_message="error")) as client:
        await client.socket.send("{")
        await client.until(is_("Error"))
        await client.hear(HELLO + silence(0.6))
        await client.until(is_speech_final)
        assert client.breaches == {"bad_json": 1}


async def test_text_sent_as_audio_is_counted() -> None:
    async with session(LISTEN) as client:
        await client.socket.send(b'{"type":"KeepAlive"}')
        await asyncio.sleep(0.1)
        assert client.breaches == {"text_as_audio": 1}


async def test_audio_of_no_known_form_cannot_be_decoded() -> None:
    async with session("/v1/listen?model=nova-3") as client:
        await client.send_audio(HELLO[:160])
        assert (await client.until_closed())[0] == 1008
        assert client.breaches == {"undecodable_audio": 1}


async def test_configure_is_answered() -> None:
    async with session(LISTEN) as client:
        await client.send("Configure", keyterms=["Lineside"], features={"numerals": True})
        _, message = await client.until(is_("ConfigureSuccess"))
        assert message["keyterms"] == ["Lineside"]
        await client.send("Configure", keyterms=["x y"] * 251)
        _, message = await client.until(is_("ConfigureFailure"))
        assert message["code"] == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"
        assert client.breaches == {"bad_configure": 1}
    async with session(LISTEN.replace("nova-3", "nova-2")) as client:
        await client.send("Configure", keyterms=["x"])
        _, message = await client.until(is_("ConfigureFailure"))
        assert message["code"] == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"


# -- time ------------------------------------------------------------------------------------------------------------


async def test_a_client_that_says_nothing_for_ten_seconds_is_closed() -> None:
    async with session(LISTEN) as client:
        opened_at = now()
        code, reason = await client.until_closed()
        assert code == 1011
        assert "NET-0001" in reason
        assert "dpgr.am/net0001" in reason
        assert client.closed_at == about(opened_at + 10)
        assert client.breaches == {"no_keepalive": 1}


async def test_ten_seconds_count_from_the_latest_audio_or_message() -> None:
    async with session(LISTEN) as client:
        await client.hear(HELLO)
        for _ in range(4):
            await asyncio.sleep(9)
            await client.send("KeepAlive")
        assert client.closed is None
        pong = await client.socket.ping()  # a ping is no message
        await pong
        kept_at = now()
        await client.until_closed()
        assert client.closed_at == about(kept_at + 10)


async def test_keepalives_without_any_audio_are_not_enough() -> None:
    async with session(LISTEN) as client:
        opened_at = now()
        for _ in range(5):
            await asyncio.sleep(4)
            await client.send("KeepAlive")
        code, reason = await client.until_closed()
        assert (code, "NET-0000" in reason) == (1011, True)
        assert client.closed_at == about(opened_at + 20)
        assert client.breaches == {"no_audio": 1}


async def test_the_timers_are_switches() -> None:
    async with session(LISTEN, faults(keepalive_s=0, no_audio_s=0)) as client:
        await asyncio.sleep(3600)
        assert client.closed is None
    async with session(LISTEN, faults(keepalive_s=12)) as client:
        opened_at = now()
        await client.until_closed()
        assert client.closed_at == about(opened_at + 12)


async def test_word_times_follow_the_audio_not_the_clock() -> None:
    async with session(LISTEN) as client:
        await client.hear(silence(1))
        await asyncio.sleep(8)
        await client.hear(HELLO + silence(0.6))
        _, message = await client.until(is_speech_final)
        assert message["channel"]["alternatives"][0]["words"][0]["start"] == 1.0
        (pause,) = client.listened.pauses
        assert (pause.at_s, pause.seconds) == (1.0, about(8.02))
        assert client.listened.behind_s == about(8)


async def test_latencies_are_switches() -> None:
    switches = faults(interim_latency_s=0.5, final_latency_s=0.7, event_latency_s=0.4, interim_every_s=0.3)
    async with session(LISTEN + "&vad_events=true", switches) as client:
        began_at = now()
        await client.hear(HELLO + silence(0.6))
        await client.until(is_speech_final)
        times = {message["type"] + str(message.get("is_final", "")): at for at, message in reversed(client.got)}
        assert times["SpeechStarted"] == about(began_at + 0.06 + 0.4)
        assert times["ResultsFalse"] == about(began_at + 0.3 + 0.5)
        assert times["ResultsTrue"] == about(began_at + HELLO_S + 0.3 + 0.7, within=0.04)


async def test_audio_faster_than_it_may_be_is_taken_in_late_and_counted() -> None:
    async with session(LISTEN) as client:
        began_at = now()
        await client.hear(silence(9) + HELLO + silence(0.4), chunk=2000, pace=0)  # all at once
        at, message = await client.until(is_speech_final)
        assert transcript(message) == "hello there"
        assert at == about(began_at + (9.4 + HELLO_S) / 1.25 + 0.3, within=0.06)
        assert client.breaches == {"ingest_too_fast": 1}


async def test_a_backlog_at_the_pace_that_is_allowed_is_no_breach() -> None:
    async with session(LISTEN) as client:
        began_at = now()
        await client.hear(silence(9) + HELLO + silence(0.4), pace=1.25)
        at, _ = await client.until(is_speech_final)
        assert at == about(began_at + (9.3 + HELLO_S) / 1.25 + 0.3, within=0.03)
        assert not client.breaches


async def test_chunks_of_sizes_that_are_not_recommended_are_noted() -> None:
    async with session(LISTEN) as client:
        for n_bytes in (160, 800, 2000):
            await client.send_audio(bytes([0xFF]) * n_bytes)
        assert client.listened.off_size_chunks == 0
        for n_bytes in (80, 3200):
            await client.send_audio(bytes([0xFF]) * n_bytes)
        await asyncio.sleep(0.1)
        assert client.listened.off_size_chunks == 2
        assert client.listened.n_bytes == 6240


# -- other forms of audio --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
async def test_linear_audio_of_any_rate_is_heard(rate: int) -> None:
    pcm = resample(mulaw.decode(silence(0.1) + HELLO + silence(0.6)), 8000, rate).astype("<i2").tobytes()
    async with session(LISTEN.replace("mulaw&sample_rate=8000", f"linear16&sample_rate={rate}")) as client:
        await client.hear(pcm, chunk=rate // 10 + 1, rate=rate * 2)  # odd, so that samples are cut in two
        _, message = await client.until(is_speech_final)
        assert transcript(message) == "hello there"
        assert message["channel"]["alternatives"][0]["words"][0]["start"] == about(0.1, within=0.001)


async def test_a_law_is_heard() -> None:
    audio = Rendering(mulaw.decode(HELLO + silence(0.6)), 8000, ()).audio("alaw", 8000)
    async with session(LISTEN.replace("mulaw", "alaw")) as client:
        await client.hear(audio)
        _, message = await client.until(is_speech_final)
        assert transcript(message) == "hello there"
