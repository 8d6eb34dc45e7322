"""The vendors' own Python clients against the stand-in: strangers' readings of the protocols."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Configure
from deepgram.listen.v2.types import ListenV2Configure, ListenV2ConfigureThresholds
from elevenlabs import AudioFormat, CommitStrategy, ElevenLabs, RealtimeEvents

from lineside.audio import mulaw
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import silence

TURN = encode("I'd like to cancel.") + silence(0.6)
# deepgram-sdk 7.17 imports these two names of websockets when a socket is first asked for.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:websockets\.exceptions\.InvalidStatusCode is deprecated:DeprecationWarning",
    r"ignore:websockets\.legacy is deprecated:DeprecationWarning",
)
LISTEN: dict[str, Any] = {
    "model": "nova-3",
    "encoding": "mulaw",
    "sample_rate": 8000,
    "interim_results": True,
    "smart_format": True,
    "endpointing": 300,
    "utterance_end_ms": 1000,
    "vad_events": True,
    "keyterm": ["Lineside", "barge in"],
}
FLUX: dict[str, Any] = {
    "model": "flux-general-en",
    "encoding": "mulaw",
    "sample_rate": 8000,
    "eot_threshold": 0.8,
    "eager_eot_threshold": 0.4,
    "keyterm": ["Lineside"],
}


def environment(url: str) -> DeepgramClientEnvironment:
    http = url.replace("ws://", "http://")
    return DeepgramClientEnvironment(base=http, production=url, agent=url, agent_rest=http)


async def pace(socket: Any, audio: bytes, chunk: int) -> None:
    for start in range(0, len(audio), chunk):
        await asyncio.sleep(chunk / 8000)
        await socket.send_media(audio[start : start + chunk])


async def test_deepgrams_async_client_is_told_of_a_turn_on_listen_v1() -> None:
    async with Provider() as provider:
        client = AsyncDeepgramClient(api_key="key", environment=environment(provider.url))
        async with client.listen.v1.connect(**LISTEN) as socket:
            await socket.send_keep_alive()
            await socket.send_configure(ListenV1Configure(keyterms=["a"], features={"numerals": True}))
            await pace(socket, TURN + silence(1), 160)
            await socket.send_finalize()
            await socket.send_close_stream()
            got = [message async for message in socket]
        kinds = [message.type for message in got]
        assert kinds[0] == "ConfigureSuccess"
        assert kinds[-1] == "Metadata"
        assert {"SpeechStarted", "Results", "UtteranceEnd"} <= set(kinds)
        final = next(message for message in got if message.type == "Results" and message.speech_final)
        assert final.channel.alternatives[0].transcript == "I'd like to cancel."
        assert final.channel.alternatives[0].words[3].punctuated_word == "cancel."
        assert final.metadata.model_info.arch == "nova-3"
        assert next(message for message in got if message.type == "UtteranceEnd").last_word_end == final_end(final)
        assert not provider.record.breaches


def final_end(final: Any) -> float:
    end: float = final.channel.alternatives[0].words[-1].end
    return end


def collect(url: str, options: dict[str, Any]) -> list[Any]:
    """A turn by the blocking client, as fast as it goes: every message."""
    client = DeepgramClient(api_key="key", environment=environment(url))
    with client.listen.v1.connect(**options) as socket:
        for start in range(0, len(TURN), 800):
            socket.send_media(TURN[start : start + 800])
        socket.send_close_stream()
        return list(socket)


@pytest.mark.realtime
async def test_deepgrams_blocking_client_is_told_of_a_turn_on_listen_v1() -> None:
    switches = RecogniserFaults(max_ingest=0, interim_latency_s=0, final_latency_s=0, event_latency_s=0)
    async with Provider(faults=Faults(recogniser=switches)) as provider:
        got = await asyncio.to_thread(collect, provider.url, LISTEN)
        finals = [message for message in got if message.type == "Results" and message.is_final]
        texts = [final.channel.alternatives[0].transcript for final in finals]
        assert [text for text in texts if text] == ["I'd like to cancel."]
        assert got[-1].type == "Metadata"
        assert got[-1].duration == pytest.approx(len(TURN) / 8000)
        assert not provider.record.breaches


async def test_deepgrams_async_client_is_told_of_a_turn_on_listen_v2() -> None:
    async with Provider() as provider:
        client = AsyncDeepgramClient(api_key="key", environment=environment(provider.url))
        async with client.listen.v2.connect(**FLUX) as socket:
            await pace(socket, TURN, 640)
            thresholds = ListenV2ConfigureThresholds(eot_threshold=0.9, eot_timeout_ms=2000)
            await socket.send_configure(ListenV2Configure(type="Configure", thresholds=thresholds))
            await pace(socket, TURN[:6000], 640)
            await socket.send_force_end_turn()
            await socket.send_force_end_turn()
            await asyncio.sleep(1)
            await socket.send_close_stream()
            got = [message async for message in socket]
        events = [message.event for message in got if message.type == "TurnInfo" and message.event != "Update"]
        assert events == ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn", "StartOfTurn", "EndOfTurn"]
        first, second = [message for message in got if message.type == "TurnInfo" and message.event == "EndOfTurn"]
        assert (first.transcript, first.trigger, first.words[0].word) == ("I'd like to cancel.", "model", "I'd")
        assert (second.trigger, second.turn_index) == ("manual", 1)
        others = [message.type for message in got if message.type != "TurnInfo"]
        assert others == ["Connected", "ConfigureSuccess", "Warning"]
        assert [message.sequence_id for message in got] == list(range(len(got)))
        assert provider.record.breaches == {"no_active_turn": 1}


async def test_deepgrams_client_is_told_of_a_fatal_error_on_listen_v2() -> None:
    async with Provider(faults=Faults(recogniser=RecogniserFaults(error_after_s=0.3))) as provider:
        client = AsyncDeepgramClient(api_key="key", environment=environment(provider.url))
        async with client.listen.v2.connect(**FLUX) as socket:
            await pace(socket, TURN[:2560], 640)
            assert (await socket.recv()).type == "Connected"
            while (message := await socket.recv()).type != "Error":
                pass
            assert message.code == "INTERNAL_SERVER_ERROR"


async def converse(url: str, key: str, got: list[dict[str, Any]], *, commit: bool) -> None:
    """A turn by ElevenLabs' client, on linear audio; every message in `got`."""
    client = ElevenLabs(api_key=key, base_url=url.replace("ws://", "http://"))
    connection = await client.speech_to_text.realtime.connect(
        {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.PCM_8000,
            "sample_rate": 8000,
            "commit_strategy": CommitStrategy.MANUAL if commit else CommitStrategy.VAD,
            "vad_silence_threshold_secs": 0.4,
            "include_timestamps": True,
            "keyterms": ["Lineside"],
        }
    )
    closed = asyncio.Event()
    connection.on(RealtimeEvents.CLOSE, closed.set)
    for event in (
        RealtimeEvents.SESSION_STARTED,
        RealtimeEvents.PARTIAL_TRANSCRIPT,
        RealtimeEvents.COMMITTED_TRANSCRIPT,
        RealtimeEvents.COMMITTED_TRANSCRIPT_WITH_TIMESTAMPS,
        RealtimeEvents.ERROR,
    ):
        connection.on(event, got.append)
    pcm = mulaw.decode(TURN).astype("<i2").tobytes()
    try:
        for start in range(0, len(pcm), 1600):
            await asyncio.sleep(0.1)
            if closed.is_set():
                return
            await connection.send({"audio_base_64": b64encode(pcm[start : start + 1600]).decode()})
        if commit:
            await connection.commit()
        await asyncio.sleep(1)
    finally:
        await connection.close()


@pytest.mark.parametrize("commit", [False, True])
async def test_elevenlabs_client_is_told_of_a_turn(commit: bool) -> None:
    async with Provider() as provider:
        got: list[dict[str, Any]] = []
        await converse(provider.url, "key", got, commit=commit)
        kinds = [message["message_type"] for message in got]
        assert kinds[0] == "session_started"
        assert kinds[-2:] == ["committed_transcript", "committed_transcript_with_timestamps"]
        assert got[0]["config"]["vad_commit_strategy"] is not commit
        assert got[-2]["text"] == "I'd like to cancel."
        assert [word["text"] for word in got[-1]["words"]][::2] == ["I'd", "like", "to", "cancel."]
        assert not provider.record.breaches


async def test_elevenlabs_client_is_told_of_a_bad_key() -> None:
    async with Provider() as provider:
        got: list[dict[str, Any]] = []
        await converse(provider.url, "bad", got, commit=False)
        assert [message["message_type"] for message in got] == ["auth_error"]
        assert provider.record.breaches == {"bad_key": 1}
