"""ElevenLabs' `/v1/speech-to-text/realtime` (Scribe) as the stand-in serves it."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any, get_args

import pytest

from lineside.audio import mulaw
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.recogniser.faults import RecogniserFaults, ScribeError
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import cough, mix, noise, silence
from standin.phone_server import about
from standin.recogniser.client import SCRIBE, Client, chunk_message, dial, now, refused, session

HELLO = encode("Hello there.")
HELLO_S = len(HELLO) / 8000
VAD = SCRIBE + "&commit_strategy=vad&vad_silence_threshold_secs=0.5"


def faults(**switches: Any) -> Faults:
    return Faults(recogniser=RecogniserFaults(**switches))


def is_(kind: str) -> Any:
    return lambda message: message["message_type"] == kind


def texts(client: Client, kind: str) -> list[str]:
    return [message["text"] for message in client.messages if message["message_type"] == kind]


# -- the handshake ---------------------------------------------------------------------------------------------------


async def test_a_session_starts_with_its_configuration_as_on_the_wire() -> None:
    query = "&commit_strategy=vad&vad_threshold=0.6&language_code=en&keyterms=a&keyterms=b&include_timestamps=true"
    async with session(SCRIBE + query) as client:
        _, started = await client.until(is_("session_started"))
        assert len(started["session_id"]) == 32
        config = started["config"]
        assert (config["audio_format"], config["sample_rate"], config["model_id"]) == (
            "ulaw_8000",
            8000,
            "scribe_v2_realtime",
        )
        assert config["vad_commit_strategy"] is True
        assert "commit_strategy" not in config
        assert (config["vad_silence_threshold_secs"], config["vad_threshold"]) == (1.5, 0.6)
        assert (config["min_speech_duration_ms"], config["min_silence_duration_ms"]) == (100, 100)
        assert config["disable_logging"] is False
        assert config["keyterms"] == ["a", "b"]
        assert config["secondary_languages"] == []
        assert not client.breaches


@pytest.mark.parametrize(
    "query",
    [
        "model_id=scribe_v1",
        "audio_format=mp3",
        "audio_format=alaw_8000",
        "commit_strategy=never",
        "vad_silence_threshold_secs=0.2",
        "vad_threshold=1",
        "min_speech_duration_ms=10",
        "language_code=english",
        "include_timestamps=1",
        "enable_logging=true&enable_logging=true",
    ],
)
async def test_a_bad_query_is_refused(query: str) -> None:
    async with Provider() as provider:
        status, body = await refused(provider, f"/v1/speech-to-text/realtime?{query}")
        assert status == 400
        assert body["detail"]["code"] == "invalid_parameter"
        assert provider.record.breaches["bad_query"] == 1


async def test_unknown_names_pass_and_are_counted() -> None:
    long = "&keyterms=" + "x" * 21
    async with session("/v1/speech-to-text/realtime?surprise=1&audio_format=pcm_8000" + long) as client:
        await client.until(is_("session_started"))
        assert client.breaches == {"no_model": 1, "unknown_query": 1, "keyterm_limit": 1}


async def test_a_bad_key_is_told_after_the_handshake_and_closed_as_if_all_were_well() -> None:
    async with Provider() as provider:
        for headers in ({"xi-api-key": "bad"}, {}):
            async with dial(provider, SCRIBE, headers) as client:
                assert await client.until_closed() == (1000, "")
                (error,) = client.messages
                assert error["message_type"] == "auth_error"
                assert error["error"] == "You must be authenticated to use this endpoint."
        assert provider.record.breaches == {"bad_key": 2}
        async with dial(provider, SCRIBE + "&token=single-use", {}) as client:
            await client.until(is_("session_started"))


async def test_the_next_handshakes_can_be_refused() -> None:
    async with Provider(faults=faults(refuse=[429, 503], max_connections=1)) as provider:
        assert [(await refused(provider, SCRIBE))[0] for _ in range(2)] == [429, 503]
        async with dial(provider, SCRIBE):
            assert (await refused(provider, SCRIBE))[1]["detail"]["code"] == "concurrent_limit_exceeded"


# -- segments --------------------------------------------------------------------------------------------------------


async def test_a_segment_is_committed_when_the_speaker_falls_silent() -> None:
    async with session(VAD) as client:
        began_at = now()
        await client.hear(silence(0.5) + HELLO + silence(1.5))
        at, committed = await client.until(is_("committed_transcript"))
        assert at == about(began_at + 0.5 + HELLO_S + 0.5 + 0.4, within=0.03)
        assert committed == {"message_type": "committed_transcript", "text": "Hello there."}
        assert texts(client, "committed_transcript") == ["Hello there."]
        assert not client.breaches


async def test_partials_come_in_bursts_and_grow() -> None:
    async with session(VAD) as client:
        await client.hear(encode("one two three four") + silence(1))
        await client.until(is_("committed_transcript"))
        assert texts(client, "partial_transcript") == ["one", "one two three", "one two three four"]
        times = [at for at, message in client.got if message["message_type"] == "partial_transcript"]
        assert all(later - earlier >= 0.5 - 1e-6 for earlier, later in pairwise(times))


async def test_what_is_no_word_is_not_committed() -> None:
    async with session(VAD) as client:
        await client.hear(cough() + silence(2))
        assert [message["message_type"] for message in client.messages] == ["session_started"]


async def test_noise_keeps_a_segment_open() -> None:
    async with session(VAD) as client:
        speech = HELLO + silence(2)
        await client.hear(mix(speech, noise(len(speech) / 8000, -30)))
        assert texts(client, "committed_transcript") == []
        assert texts(client, "partial_transcript") == ["Hello", "Hello there."]


async def test_in_manual_mode_the_client_commits() -> None:
    async with session(SCRIBE) as client:
        await client.hear(HELLO + silence(3))
        assert texts(client, "committed_transcript") == []
        asked_at = now()
        await client.commit()
        at, committed = await client.until(is_("committed_transcript"))
        assert (at, committed["text"]) == (about(asked_at + 0.4), "Hello there.")
        await client.hear(silence(0.5))
        await client.commit()
        _, committed = await client.until(is_("committed_transcript"), 2)
        assert committed["text"] == ""
        assert not client.breaches


async def test_a_client_may_commit_in_vad_mode_too() -> None:
    async with session(VAD) as client:
        await client.hear(HELLO)
        await client.commit()
        await client.until(is_("committed_transcript"))
        await client.hear(silence(1))
        assert texts(client, "committed_transcript") == ["Hello there."]


async def test_audio_in_the_committing_message_belongs_to_the_segment() -> None:
    async with session(SCRIBE) as client:
        await client.send_audio(HELLO, commit=True)
        _, committed = await client.until(is_("committed_transcript"))
        assert committed["text"] == "Hello there."


async def test_a_long_segment_is_committed_by_itself() -> None:
    async with session(SCRIBE, faults(longest_segment_s=5)) as client:
        await client.hear(HELLO + silence(5))
        _, committed = await client.until(is_("committed_transcript"))
        assert committed["text"] == "Hello there."


async def test_timestamps_follow_the_plain_transcript() -> None:
    async with session(VAD + "&include_timestamps=true&include_language_detection=true") as client:
        await client.hear(silence(0.5) + HELLO + silence(1))
        at, timed = await client.until(is_("committed_transcript_with_timestamps"))
        plain_at, plain = await client.until(is_("committed_transcript"))
        assert at == about(plain_at + 0.02)
        assert timed["text"] == plain["text"] == "Hello there."
        assert timed["language_code"] == "en"
        assert [(word["text"], word["type"]) for word in timed["words"]] == [
            ("Hello", "word"),
            (" ", "spacing"),
            ("there.", "word"),
        ]
        assert timed["words"][0]["start"] == 0.5
        assert timed["words"][2]["end"] == about(0.5 + HELLO_S, within=0.001)
        assert timed["words"][0]["speaker_id"] is None


async def test_a_word_is_told_only_when_all_of_it_came() -> None:
    async with session(VAD) as client:
        speech = encode("one two three")
        await client.hear(speech[:3000] + speech[3160:] + silence(1))
        _, committed = await client.until(is_("committed_transcript"))
        assert committed["text"] == "one three"
        assert [(loss.how, loss.n_samples) for loss in client.listened.losses] == [("missing", 160)]


async def test_linear_audio_is_heard() -> None:
    pcm = mulaw.decode(HELLO + silence(1)).astype("<i2").tobytes()
    async with session(VAD.replace("ulaw_8000", "pcm_8000")) as client:
        await client.hear(pcm, chunk=321, rate=16000)
        _, committed = await client.until(is_("committed_transcript"))
        assert committed["text"] == "Hello there."


async def test_upload_may_be_faster_than_real_time() -> None:
    async with session(VAD) as client:
        began_at = now()
        await client.hear(silence(20) + HELLO + silence(1), chunk=4000, pace=0)
        at, _ = await client.until(is_("committed_transcript"))
        assert at == about(began_at + 0.4, within=0.01)
        assert not client.breaches


# -- errors ----------------------------------------------------------------------------------------------------------


async def test_a_needless_commit_ends_the_connection() -> None:
    async with session(SCRIBE) as client:
        await client.hear(silence(0.28))
        await client.commit()
        assert await client.until_closed() == (1000, "commit_throttled")
        error = client.messages[-1]
        assert error["message_type"] == "commit_throttled"
        assert "0.28s" in error["error"]
        assert client.breaches == {"commit_throttled": 1}


async def test_audio_that_was_committed_does_not_count_for_the_next_commit() -> None:
    async with session(VAD) as client:
        await client.hear(HELLO + silence(0.52))  # the service commits by itself, after 0.5 s of silence
        await client.commit()
        assert await client.until_closed() == (1000, "commit_throttled")
        assert texts(client, "committed_transcript") == ["Hello there."]


@pytest.mark.parametrize(
    ("message", "breach"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        (b"\x00", "binary"),
        ({}, "unknown_type"),
        ({"message_type": "commit"}, "unknown_type"),
        ({"message_type": "input_audio_chunk"}, "bad_audio"),
        (chunk_message(b"") | {"audio_base_64": "?"}, "bad_audio"),
        (chunk_message(b"") | {"commit": "true"}, "bad_message"),
        (chunk_message(b"") | {"sample_rate": "8000"}, "bad_message"),
        (chunk_message(b"") | {"previous_text": 7}, "bad_message"),
    ],
)
async def test_a_message_that_is_none_is_an_input_error(message: Any, breach: str) -> None:
    async with session(SCRIBE) as client:
        await client.socket.send(json.dumps(message) if isinstance(message, dict) else message)
        assert await client.until_closed() == (1000, "input_error")
        assert client.messages[-1]["message_type"] == "input_error"
        assert client.breaches == {breach: 1}


async def test_errors_may_leave_the_connection_open_by_switch() -> None:
    async with session(VAD, faults(errors_close=False)) as client:
        await client.socket.send("{")
        await client.until(is_("input_error"))
        await client.hear(HELLO + silence(1))
        await client.until(is_("committed_transcript"))


async def test_a_commit_message_is_taken_by_switch() -> None:
    async with session(SCRIBE, faults(commit_message="accept")) as client:
        await client.hear(HELLO)
        await client.socket.send('{"message_type":"commit"}')
        await client.until(is_("committed_transcript"))


async def test_previous_text_goes_with_the_first_audio_alone() -> None:
    async with session(SCRIBE) as client:
        await client.send_audio(HELLO, previous_text="We were saying")
        await client.send_audio(HELLO, previous_text=None)
        await asyncio.sleep(0.1)
        assert not client.breaches
        await client.send_audio(HELLO, previous_text="again")
        assert (await client.until_closed())[1] == "input_error"
        assert client.breaches == {"late_previous_text": 1}


async def test_what_passes_though_it_should_not_is_counted() -> None:
    async with session(SCRIBE) as client:
        await client.send_audio(HELLO, previous_text="x" * 51, sample_rate=16000, surprise=1)
        await asyncio.sleep(0.1)
        assert client.breaches == {"long_previous_text": 1, "wrong_sample_rate": 1, "unknown_key": 1}


@pytest.mark.parametrize("error", get_args(ScribeError))
async def test_any_error_of_the_service_can_be_had(error: ScribeError) -> None:
    async with session(SCRIBE, faults(error_after_s=0.2, scribe_error=error)) as client:
        await client.hear(silence(0.2))
        assert await client.until_closed() == (1000, error)
        assert client.messages[-1]["message_type"] == error
        assert client.messages[-1]["error"]
        assert not client.breaches


async def test_a_client_without_audio_is_closed() -> None:
    async with session(SCRIBE) as client:
        await client.hear(HELLO)
        heard_at = now()
        assert await client.until_closed() == (1000, "insufficient_audio_activity")
        assert client.closed_at == about(heard_at + 15 + 0.1)
        assert client.breaches == {"idle": 1}
    async with session(SCRIBE, faults(scribe_idle_s=0)) as client:
        await asyncio.sleep(3600)
        assert client.closed is None
