"""Faults and limits of ElevenLabs' sockets: refused handshakes, pace, death, concurrency, credits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from lineside.errors import SettingsError
from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import Rendering
from standin.elevenlabs_client import (
    CLOSE,
    INIT,
    KEY,
    MULTI,
    STREAM,
    audio,
    close,
    dial,
    for_a_while,
    init,
    now,
    receive,
    recorded,
    rest,
    send,
    session,
    text,
    until_final,
    url,
    voiced,
)

SENTENCE = "Your table is booked for seven. "
LONG = "a" * 149 + " "  # ten seconds


def switched(**switches: Any) -> Faults:
    return Faults(elevenlabs=ElevenLabsFaults(**switches))


async def refused(address: str, headers: dict[str, str] | None = None) -> Response:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(address, additional_headers=KEY if headers is None else headers):
            pass
    return refusal.value.response


def detail(response: Response) -> dict[str, Any]:
    assert response.body is not None
    body: dict[str, Any] = json.loads(response.body)["detail"]
    return body


# -- the handshake ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [STREAM, MULTI])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 503])
async def test_a_handshake_can_be_refused_and_the_next_one_succeeds(kind: str, status: int) -> None:
    async with Provider(faults=Faults(refuse=[status])) as provider:
        response = await refused(url(provider, kind))
        assert response.status_code == status
        assert detail(response)["message"]
        async with dial(provider, kind):
            pass
        assert provider.record.refused == {status: 1}
        assert not provider.record.breaches


@pytest.mark.parametrize("query", ["model_id=eleven_v3", "output_format=pcm_11025", "output_format=mp3_44100_128"])
async def test_a_query_that_cannot_be_served_is_refused(query: str) -> None:
    async with Provider() as provider:
        response = await refused(f"{provider.url}/v1/text-to-speech/voice/{STREAM}?{query}")
        assert response.status_code == 400
        assert detail(response)["type"] == "validation_error"
        assert provider.record.breaches["bad_query"] == 1


@pytest.mark.parametrize("path", ["voice/stream", "voice/stream-input/", "a/b/stream-input", "multi-stream-input"])
async def test_other_paths_are_not_served(path: str) -> None:
    async with Provider() as provider:
        assert (await refused(f"{provider.url}/v1/text-to-speech/{path}")).status_code == 404


async def test_an_open_connection_names_its_region_and_trace() -> None:
    async with session(MULTI) as (socket, _):
        assert socket.response is not None
        assert socket.response.headers["x-region"]
        assert socket.response.headers["x-trace-id"]


# -- pace ------------------------------------------------------------------------------------------------------------


async def collect(faults: Faults) -> tuple[list[int], list[float]]:
    """Ten seconds of speech: bytes of each message, and when each came."""
    async with session(MULTI, faults) as (socket, provider):
        began = now()
        await send(socket, text(LONG, "c", flush=True), close("c"))
        sizes, times = [], []
        while not (message := await receive(socket))["isFinal"]:
            sizes.append(len(audio([message], "c")))
            times.append(now() - began)
        assert sum(sizes) == 80_000 == len(recorded(provider))
        return sizes, times


async def test_a_segment_comes_as_one_large_message_and_a_tail_at_twenty_times_real_time() -> None:
    sizes, times = await collect(Faults())
    assert sizes[0] > 79_700
    assert times == pytest.approx([0, sizes[0] / 8000 / 20])


async def test_a_segment_too_short_for_a_tail_is_one_message() -> None:
    async with Provider(ToneVoice(chars_per_s=300)) as provider, dial(provider, MULTI) as socket:
        await send(socket, text("a ", "c", flush=True), close("c"))
        got = await until_final(socket, "c")
        assert [len(audio([each], "c")) for each in got] == [53, 0]


async def test_messages_can_be_shorter_or_of_given_sizes() -> None:
    sizes, _ = await collect(switched(frame_s=4.0))
    assert sizes[:2] == [32_000, 32_000]
    assert len(sizes) == 4
    sizes, _ = await collect(Faults(chunk_sizes=[1, 20_001]))
    assert sizes[:3] == [1, 20_001, 1]


async def test_tails_differ_and_are_the_same_for_the_same_seed_only() -> None:
    tails = [(await collect(Faults(chunk_seed=seed)))[0][-1] for seed in (1, 1, 2, 3)]
    assert tails[0] == tails[1]
    assert len(set(tails)) > 1


async def test_speed_up_gap_burst_and_a_late_first_message_set_the_pace() -> None:
    sizes = ElevenLabsFaults(frame_s=2.5)
    for faults, expected in (
        (Faults(speed_up=2, elevenlabs=sizes), [0, 1.25, 2.5, 3.75]),
        (Faults(chunk_gap_s=3, elevenlabs=sizes), [0, 3, 6, 9]),
        (Faults(chunk_gap_s=3, burst=True, elevenlabs=sizes), [0, 0, 0, 0]),
        (Faults(speed_up=0, first_audio_delay_s=0.25, elevenlabs=sizes), [0.25, 0.25, 0.25, 0.25]),
    ):
        assert (await collect(faults))[1][:4] == pytest.approx(expected)


async def test_messages_can_be_larger_than_many_clients_take() -> None:
    async with session(STREAM, switched(min_message_bytes=(1 << 20) + 1)) as (socket, provider):
        await send(socket, INIT, text(SENTENCE, flush=True))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1009
        async with dial(provider, STREAM, max_size=16 << 20) as patient:
            await send(patient, INIT, text(SENTENCE), CLOSE)
            message = await patient.recv()
            assert len(message) == (1 << 20) + 1
            got = [json.loads(message), *(await rest(patient))[0]]
            assert audio(got) == voiced(SENTENCE)


async def test_a_segment_can_be_without_audio() -> None:
    async with session(MULTI, Faults(zero_audio=True)) as (socket, provider):
        await send(socket, text(SENTENCE, "c", flush=True), close("c"))
        assert [each["isFinal"] for each in await until_final(socket, "c")] == [True]
        (spoken,) = provider.record.spoken
        assert (spoken.audio, spoken.cut) == (b"", False)


async def test_a_stall_holds_everything_up_and_the_rest_follows() -> None:
    faults = Faults(stall_after_chunks=2, stall_s=5, chunk_gap_s=1, elevenlabs=ElevenLabsFaults(frame_s=2.5))
    assert (await collect(faults))[1][:4] == pytest.approx([0, 1, 6, 7])


async def test_a_stall_without_end_ends_only_with_a_cut() -> None:
    faults = Faults(stall_after_chunks=1, elevenlabs=ElevenLabsFaults(drain_after_close_s=0))
    async with session(MULTI, faults) as (socket, provider):
        await send(socket, text(LONG, "c", flush=True))
        assert len(await for_a_while(socket, 15)) == 1
        await send(socket, close("c"))
        assert (await receive(socket))["isFinal"]
        assert provider.record.spoken[0].cut


# -- death -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "code", "reason"),
    [
        (Faults(die_after_chunks=2), 1006, ""),
        (Faults(die_after_chunks=2, die_close_code=1011, die_reason="Internal error"), 1011, "Internal error"),
    ],
)
async def test_a_connection_dies_after_so_many_messages(faults: Faults, code: int, reason: str) -> None:
    faults.elevenlabs.frame_s = 1.0
    async with session(MULTI, faults) as (socket, provider):
        await send(socket, text(LONG, "c", flush=True), text(SENTENCE, "c", flush=True))
        got, closed_with, why = await rest(socket)
        assert (len(got), closed_with, why) == (2, code, reason)
        dying, waiting = provider.record.spoken
        assert (dying.audio, dying.cut) == (audio(got, "c"), True)
        assert (waiting.audio, waiting.cut) == (b"", True)
        await asyncio.sleep(1)
        assert provider.record.generations.running == 0


async def test_a_connection_can_die_before_any_audio_or_before_the_final() -> None:
    for after, n_messages in ((0, 0), (2, 2)):
        async with session(STREAM, Faults(die_after_chunks=after)) as (socket, _):
            await send(socket, INIT, text(SENTENCE), CLOSE)
            got, code, _ = await rest(socket)
            assert (len(got), code) == (n_messages, 1006)


async def test_each_of_the_next_connections_can_have_its_own_death() -> None:
    async with Provider(faults=Faults(die_after_chunks=[1, -1])) as provider:
        codes = []
        for _ in range(3):
            async with dial(provider, STREAM) as socket:
                await send(socket, INIT, text(SENTENCE), CLOSE)
                codes.append((await rest(socket))[1])
        assert codes == [1006, 1000, 1000]


class BrokenVoice:
    blocking = True

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        if text == "fail ":
            raise OSError("no voice")
        return Rendering(np.zeros(0, np.int16), 8000, ())


async def test_a_voice_that_fails_is_an_internal_error_of_that_connection_only() -> None:
    async with Provider(BrokenVoice()) as provider, dial(provider, STREAM) as one, dial(provider, STREAM) as two:
        await send(one, INIT, text("fail "), CLOSE)
        await send(two, INIT, text("speak "), CLOSE)
        assert (await rest(one))[1] == 1011
        assert (await rest(two))[1] == 1000


# -- generations at once ---------------------------------------------------------------------------------------------


async def test_running_generations_are_counted_and_open_sockets_are_not() -> None:
    async with session(MULTI) as (one, provider), dial(provider, MULTI) as two, dial(provider, STREAM):
        assert provider.record.generations.max_running == 0
        for socket in (one, two):
            await send(socket, text(LONG, "a", flush=True), text(LONG, "b", flush=True))
            await receive(socket)
        assert provider.record.generations.running == 4
        await asyncio.sleep(5)
        assert (provider.record.generations.running, provider.record.generations.max_running) == (0, 4)
        assert not provider.record.breaches


async def test_generations_above_the_limit_wait_for_their_turn() -> None:
    async with session(MULTI, switched(max_generations=1)) as (socket, provider):
        began = now()
        for context_id in ("a", "b", "c"):
            await send(socket, text(LONG, context_id, flush=True), close(context_id))
        got = await until_final(socket, "c")
        assert [audio(got, context_id) for context_id in ("a", "b", "c")] == [voiced(LONG)] * 3
        assert now() - began == pytest.approx(3 * 0.5, abs=0.1)
        assert provider.record.generations.max_running == 1
        assert provider.record.breaches == {"max_generations": 2}


async def test_a_context_that_waits_for_its_turn_can_be_cut() -> None:
    faults = switched(max_generations=1, drain_after_close_s=0)
    async with session(MULTI, faults) as (socket, provider):
        await send(socket, text(SENTENCE, "a", flush=True))
        await for_a_while(socket, 5)
        await send(socket, text(LONG, "b", flush=True), text(LONG, "a", flush=True), close("a"))
        assert [each["contextId"] for each in await until_final(socket, "a")] == ["b", "a"]
        await asyncio.sleep(1)
        assert provider.record.generations.running == 0
        assert [(spoken.text, spoken.cut) for spoken in provider.record.spoken[1:]] == [(LONG, True), (LONG, False)]


async def test_a_connection_that_ends_gives_its_generations_back() -> None:
    async with Provider(faults=Faults(speed_up=0.1, elevenlabs=ElevenLabsFaults(max_generations=1))) as provider:
        async with dial(provider, MULTI) as one:
            await send(one, text(LONG, "a", flush=True))
            await receive(one)
        provider.faults.speed_up = 20
        async with dial(provider, MULTI) as two:
            await send(two, text(LONG, "a", flush=True), close("a"))
            assert audio(await until_final(two, "a"), "a") == voiced(LONG)
        assert provider.record.generations.running == 0


async def test_accounts_do_not_share_their_limit() -> None:
    other = {"xi-api-key": "other"}
    async with (
        session(MULTI, switched(max_generations=1)) as (one, provider),
        dial(provider, MULTI, headers=other) as two,
    ):
        for socket in (one, two):
            await send(socket, text(LONG, "c", flush=True))
            await receive(socket)
        assert provider.record.generations.running == 2
        assert not provider.record.breaches


async def test_a_handshake_can_be_refused_while_the_account_is_busy() -> None:
    async with session(MULTI, switched(max_generations=1, overload="refuse")) as (socket, provider):
        await send(socket, text(LONG, "c", flush=True), close("c"))
        await receive(socket)
        response = await refused(url(provider, MULTI))
        assert response.status_code == 429
        assert detail(response)["code"] == "concurrent_limit_exceeded"
        assert response.headers["current-concurrent-requests"] == "1"
        assert response.headers["maximum-concurrent-requests"] == "1"
        await until_final(socket, "c")
        async with dial(provider, MULTI):
            pass
        assert provider.record.breaches == {"max_generations": 1}


async def test_a_generation_above_the_limit_can_be_an_error() -> None:
    async with session(MULTI, switched(max_generations=1, overload="error")) as (socket, provider):
        await send(socket, text(LONG, "a", flush=True), text(LONG, "b", flush=True))
        got, code, _ = await rest(socket)
        assert (got[-1]["error"], code) == ("concurrent_limit_exceeded", 1008)
        assert provider.record.breaches == {"max_generations": 1}
        assert provider.record.generations.running == 0


# -- credits ---------------------------------------------------------------------------------------------------------


async def test_spent_credits_are_an_empty_final_without_a_word() -> None:
    async with session(MULTI, switched(credits=0)) as (socket, provider):
        await send(socket, init("c"), text(SENTENCE, "c", flush=True), close("c"))
        assert await for_a_while(socket, 5) == [{"audio": None, "isFinal": True, "contextId": "c"}]
        assert not provider.record.breaches


async def test_credits_run_down_with_every_character_spoken() -> None:
    async with session(STREAM, switched(credits=len(SENTENCE) + 3)) as (socket, provider):
        await send(socket, INIT, text(SENTENCE, flush=True), text(SENTENCE, flush=True), text("Hi ", flush=True), CLOSE)
        got, code, _ = await rest(socket)
        assert (audio(got), code) == (voiced(SENTENCE) + voiced("Hi "), 1000)
        assert provider.faults.elevenlabs.credits == 0


async def test_spent_credits_can_be_an_error() -> None:
    async with session(STREAM, switched(credits=10, quota_spent="error")) as (socket, provider):
        await send(socket, INIT, text(SENTENCE), CLOSE)
        got, code, _ = await rest(socket)
        assert (got[-1]["error"], code) == ("quota_exceeded", 1008)
        assert "You have 10 credits remaining, while 32 credits" in got[-1]["message"]
        assert not provider.record.breaches


# -- the switches themselves -----------------------------------------------------------------------------------------


def test_switches_are_set_from_text_below_the_providers_name() -> None:
    faults = Faults()
    for name, value in (("credits", "7"), ("frame_s", "0.5"), ("overload", "error"), ("close_socket_flushes", "on")):
        faults.set(f"elevenlabs.{name}", value)
    expected = ElevenLabsFaults(credits=7, frame_s=0.5, overload="error", close_socket_flushes=True)
    assert faults.elevenlabs == expected
    faults.set("elevenlabs.credits", "none")
    assert faults.elevenlabs.credits is None


@pytest.mark.parametrize(("name", "value"), [("elevenlabs", "1"), ("elevenlabs.no", "1"), ("elevenlabs.cut_at", "x")])
def test_what_is_no_switch_is_an_error(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Faults().set(name, value)


def test_faults_survive_json() -> None:
    faults = switched(credits=7, drain_after_close_s=1.5)
    assert Faults(**json.loads(json.dumps(faults.as_json()))) == faults


async def test_the_record_tells_generations_as_json() -> None:
    async with session(STREAM) as (socket, provider):
        await send(socket, INIT, text(SENTENCE), CLOSE)
        await rest(socket)
        assert provider.record.as_json()["generations"] == {"running": 0, "max_running": 1}
