"""Deepgram's speak socket as the stand-in serves it: every rule of a session, every switch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.tone import ToneVoice

PHONE = "model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000"
TEXT = "Your table is booked for seven. See you then."


@asynccontextmanager
async def session(
    faults: Faults | None = None, query: str = PHONE, *, ping_interval: float | None = None
) -> AsyncIterator[tuple[ClientConnection, Provider]]:
    """A stand-in and one client whose Metadata has been read."""
    async with Provider(faults=faults) as provider, dial(provider, query, ping_interval=ping_interval) as socket:
        yield socket, provider


@asynccontextmanager
async def dial(
    provider: Provider, query: str = PHONE, *, ping_interval: float | None = None
) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": "Token key"}
    url = f"{provider.url}/v1/speak?{query}"
    async with connect(url, additional_headers=headers, ping_interval=ping_interval) as socket:
        assert json.loads(await socket.recv())["type"] == "Metadata"
        yield socket


async def send(socket: ClientConnection, *messages: str | dict[str, Any]) -> None:
    """Send messages; a bare word is a message of that type."""
    for message in messages:
        await socket.send(json.dumps({"type": message} if isinstance(message, str) else message))


def say(text: str) -> dict[str, Any]:
    return {"type": "Speak", "text": text}


async def until(socket: ClientConnection, kind: str) -> tuple[bytes, list[dict[str, Any]]]:
    """The audio and the messages up to a message of this type, which is the last one."""
    audio, messages = b"", []
    async for message in socket:
        if isinstance(message, bytes):
            audio += message
        else:
            messages.append(json.loads(message))
            if messages[-1]["type"] == kind:
                return audio, messages
    raise AssertionError(f"closed before {kind}: {messages}")


async def rest(socket: ClientConnection) -> tuple[list[bytes | dict[str, Any]], int, str]:
    """Everything up to the close, and its code and reason."""
    got: list[bytes | dict[str, Any]] = []
    try:
        while True:
            message = await socket.recv()
            got.append(message if isinstance(message, bytes) else json.loads(message))
    except ConnectionClosed as closed:
        return got, (closed.rcvd.code if closed.rcvd else 1006), (closed.rcvd.reason if closed.rcvd else "")


async def quiet_for(socket: ClientConnection, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await socket.recv()
    except TimeoutError:
        return True
    return False


def now() -> float:
    return asyncio.get_running_loop().time()


def types(got: list[bytes | dict[str, Any]]) -> list[str]:
    """What came, with runs of audio as one."""
    names = ["audio" if isinstance(item, bytes) else str(item["type"]) for item in got]
    return [name for i, name in enumerate(names) if i == 0 or name != "audio" or names[i - 1] != "audio"]


# -- the ordinary course ---------------------------------------------------------------------------------------------


async def test_metadata_comes_at_once_and_names_the_request_of_the_handshake() -> None:
    async with Provider() as provider:
        url = f"{provider.url}/v1/speak?{PHONE}"
        async with connect(url, additional_headers={"Authorization": "Token key"}) as socket:
            metadata = json.loads(await socket.recv())
            assert metadata["type"] == "Metadata"
            assert metadata["model_name"] == "aura-2-thalia-en"
            assert socket.response is not None
            assert metadata["request_id"] == socket.response.headers["dg-request-id"]
            assert metadata.keys() >= {"model_version", "model_uuid"}


async def test_a_flush_speaks_all_text_before_it_verbatim_and_flushed_follows_the_last_audio() -> None:
    async with session() as (socket, provider):
        await send(socket, say("Your table is "), say("booked."), "Flush")
        audio, messages = await until(socket, "Flushed")
        assert messages == [{"type": "Flushed", "sequence_id": 0}]
        assert audio == ToneVoice().speak("Your table is booked.").audio("mulaw", 8000)
        (spoken,) = provider.record.spoken
        assert (spoken.text, spoken.audio, spoken.cut, spoken.connection) == ("Your table is booked.", audio, False, 1)


async def test_no_audio_comes_without_a_flush() -> None:
    async with session() as (socket, provider):
        await send(socket, say(TEXT))
        assert await quiet_for(socket, 600)
        assert not provider.record.spoken


async def test_flushes_are_answered_in_order_and_recorded_so() -> None:
    async with session() as (socket, provider):
        await send(socket, say("one "), "Flush", say("two "), "Flush", say("three "), "Flush")
        for _ in range(3):
            await until(socket, "Flushed")
        assert [spoken.text for spoken in provider.record.spoken] == ["one ", "two ", "three "]


@pytest.mark.parametrize(
    ("query", "n_bytes_per_s"),
    [
        ("encoding=linear16&sample_rate=8000", 16000),
        ("encoding=linear16&sample_rate=16000", 32000),
        ("", 48000),
        ("encoding=linear16&sample_rate=32000", 64000),
        ("encoding=linear16&sample_rate=48000", 96000),
        ("encoding=mulaw", 8000),
        ("encoding=mulaw&sample_rate=16000", 16000),
        ("encoding=alaw", 8000),
    ],
)
async def test_audio_is_in_the_format_that_the_query_asked_for(query: str, n_bytes_per_s: int) -> None:
    async with session(query=query) as (socket, provider):
        await send(socket, say("a" * 30), "Flush")
        audio, _ = await until(socket, "Flushed")
        assert len(audio) == 2 * n_bytes_per_s  # 15 characters a second
        assert provider.record.spoken[0].audio == audio


async def test_speed_shortens_the_speech() -> None:
    async with session(query=f"{PHONE}&speed=1.25") as (socket, _):
        await send(socket, say("a" * 30), "Flush")
        assert len((await until(socket, "Flushed"))[0]) == 12800


async def test_pings_are_answered() -> None:
    async with session() as (socket, _):
        await (await socket.ping())


async def test_sessions_do_not_share_text_audio_or_budgets() -> None:
    async with session() as (one, provider), dial(provider) as two:
        await send(one, say("a" * 1900))
        await send(two, say("b" * 1900))
        await send(one, "Flush")
        await send(two, say("bb"), "Flush")
        audio_one, audio_two = (await until(one, "Flushed"))[0], (await until(two, "Flushed"))[0]
        assert len(audio_one) < len(audio_two)
        by_connection = {spoken.connection: spoken.audio for spoken in provider.record.spoken}
        assert by_connection == {1: audio_one, 2: audio_two}


# -- chunks and pace -------------------------------------------------------------------------------------------------


async def collect(faults: Faults, query: str = PHONE) -> tuple[list[bytes], list[float]]:
    """Chunks of ten seconds of speech, and when each came, from the flush."""
    async with session(faults, query) as (socket, _):
        await send(socket, say("a" * 150), "Flush")
        began, chunks, times = now(), [], []
        while isinstance(message := await socket.recv(), bytes):
            chunks.append(message)
            times.append(now() - began)
        return chunks, times


@pytest.mark.parametrize("query", [PHONE, "encoding=linear16&sample_rate=24000"])
async def test_chunks_are_irregular_and_fit_neither_frames_nor_samples(query: str) -> None:
    chunks, _ = await collect(Faults(), query)
    assert len({len(chunk) for chunk in chunks}) > 10
    assert all(len(chunk) % 2 for chunk in chunks[:-1])


async def test_chunks_are_the_same_for_the_same_seed_only() -> None:
    first, again, other = [[len(chunk) for chunk in (await collect(Faults(chunk_seed=seed)))[0]] for seed in (1, 1, 2)]
    assert first == again != other


async def test_chunk_sizes_can_be_given() -> None:
    chunks, _ = await collect(Faults(chunk_sizes=[1, 999]))
    assert [len(chunk) for chunk in chunks[:5]] == [1, 999, 1, 999, 1]


async def test_audio_comes_twenty_times_faster_than_it_plays() -> None:
    chunks, times = await collect(Faults())
    assert times[0] == 0
    assert times[-1] == pytest.approx((10 - len(chunks[-1]) / 8000) / 20)


async def test_speed_up_gap_and_burst_set_the_pace() -> None:
    _, times = await collect(Faults(speed_up=2, chunk_sizes=[8000]))
    assert times == pytest.approx([0.5 * i for i in range(10)])
    _, times = await collect(Faults(chunk_gap_s=3, chunk_sizes=[8000]))
    assert times == pytest.approx([3 * i for i in range(10)])
    for faults in (Faults(speed_up=0), Faults(chunk_gap_s=3, burst=True)):
        _, times = await collect(faults)
        assert times[-1] == 0


async def test_the_first_audio_can_be_late() -> None:
    _, times = await collect(Faults(first_audio_delay_s=0.14))
    assert times[0] == pytest.approx(0.14)


async def test_a_stall_holds_everything_up_and_the_rest_follows_at_its_pace() -> None:
    _, times = await collect(Faults(chunk_gap_s=1, chunk_sizes=[8000], stall_after_chunks=3, stall_s=5))
    assert times == pytest.approx([0, 1, 2, 7, 8, 9, 10, 11, 12, 13])


async def test_a_stall_without_end_ends_with_clear() -> None:
    async with session(Faults(stall_after_chunks=2)) as (socket, provider):
        await send(socket, say(TEXT), "Flush")
        assert all([isinstance(await socket.recv(), bytes) for _ in range(2)])
        assert await quiet_for(socket, 600)
        await send(socket, "Clear", say("next"), "Flush")
        await until(socket, "Cleared")
        audio, _ = await until(socket, "Flushed")
        assert [spoken.cut for spoken in provider.record.spoken] == [True, False]
        assert provider.record.spoken[1].audio == audio


async def test_a_flush_can_be_answered_without_audio_or_without_flushed_or_late() -> None:
    async with session(Faults(zero_audio=True)) as (socket, provider):
        await send(socket, say(TEXT), "Flush")
        assert (await until(socket, "Flushed"))[0] == b""
        assert provider.record.spoken[0].audio == b""
        provider.faults.zero_audio, provider.faults.flushed_delay_s = False, 7.0
        began = now()
        await send(socket, say("a" * 30), "Flush")
        assert (await until(socket, "Flushed"))[0]
        assert now() - began > 7
        provider.faults.no_flushed = True
        await send(socket, say(TEXT), "Flush", "Clear")
        _, messages = await until(socket, "Cleared")
        assert [message["type"] for message in messages] == ["Cleared"]


async def test_an_empty_flush_is_answered_or_not() -> None:
    async with session() as (socket, provider):
        await send(socket, "Flush")
        assert await until(socket, "Flushed") == (b"", [{"type": "Flushed", "sequence_id": 0}])
        provider.faults.empty_flush_answers = False
        await send(socket, "Flush")
        assert await quiet_for(socket, 600)
        assert [(spoken.text, spoken.audio) for spoken in provider.record.spoken] == [("", b"")] * 2


async def test_long_text_can_be_spoken_without_a_flush() -> None:
    async with session(Faults(auto_synthesis_without_flush=20)) as (socket, provider):
        await send(socket, say("ten chars "), say("ten chars "), say("tail"), "Flush")
        audio, messages = await until(socket, "Flushed")
        assert [message["type"] for message in messages] == ["Flushed"]
        assert [spoken.text for spoken in provider.record.spoken] == ["ten chars ten chars ", "tail"]
        assert audio == b"".join(spoken.audio for spoken in provider.record.spoken)


# -- Clear -----------------------------------------------------------------------------------------------------------


async def begin_then_clear(socket: ClientConnection, *after: str | dict[str, Any]) -> bytes:
    """Have a long text spoken and clear it after the first chunk, which is returned."""
    await send(socket, say("a" * 300), "Flush")
    first = await socket.recv()
    assert isinstance(first, bytes)
    await send(socket, "Clear", *after)
    return first


async def test_clear_drops_text_and_audio_and_the_owed_flushed() -> None:
    async with session() as (socket, provider):
        first = await begin_then_clear(socket, say("next"), "Flush")
        late, messages = await until(socket, "Cleared")
        audio, _ = await until(socket, "Flushed")
        assert [message["type"] for message in messages] == ["Cleared"]
        cut, whole = provider.record.spoken
        assert (cut.cut, cut.audio, cut.n_late_bytes) == (True, first + late, 0)
        assert (whole.cut, whole.text, whole.audio) == (False, "next", audio)
        assert audio == ToneVoice().speak("next").audio("mulaw", 8000)


async def test_clear_drops_text_that_was_not_flushed() -> None:
    async with session() as (socket, _):
        await send(socket, say("dropped "), "Clear", say("kept"), "Flush")
        await until(socket, "Cleared")
        assert (await until(socket, "Flushed"))[0] == ToneVoice().speak("kept").audio("mulaw", 8000)


async def test_clear_with_nothing_to_drop_is_answered() -> None:
    async with session() as (socket, provider):
        await send(socket, "Clear")
        assert await until(socket, "Cleared") == (b"", [{"type": "Cleared", "sequence_id": 0}])
        assert not provider.record.spoken


async def test_clear_drops_the_flushes_that_wait_as_well() -> None:
    async with session() as (socket, provider):
        await send(socket, say("a" * 300), "Flush", say("b"), "Flush", "Clear")
        _, messages = await until(socket, "Cleared")
        assert [message["type"] for message in messages] == ["Cleared"]
        assert [(spoken.text[0], spoken.cut) for spoken in provider.record.spoken] == [("a", True), ("b", True)]
        assert provider.record.spoken[1].audio == b""


async def test_late_frames_follow_a_clear_and_are_told_apart_in_the_record() -> None:
    async with session(Faults(late_frames_after_clear=3, chunk_sizes=[801])) as (socket, provider):
        first = await begin_then_clear(socket)
        late, _ = await until(socket, "Cleared")
        assert len(late) == 3 * 801
        (spoken,) = provider.record.spoken
        assert (spoken.audio, spoken.n_late_bytes) == (first + late, 3 * 801)


async def test_late_frames_are_no_more_than_the_flush_has_left() -> None:
    async with session(Faults(late_frames_after_clear=99, chunk_sizes=[8000])) as (socket, provider):
        first = await begin_then_clear(socket)
        late, _ = await until(socket, "Cleared")
        assert first + late == ToneVoice().speak("a" * 300).audio("mulaw", 8000)
        assert provider.record.spoken[0].cut


async def test_cleared_can_be_late_and_holds_up_what_follows() -> None:
    async with session(Faults(cleared_delay_s=2)) as (socket, _):
        began = now()
        await begin_then_clear(socket, say("next"), "Flush")
        await until(socket, "Cleared")
        assert 2 <= now() - began < 2.1
        await until(socket, "Flushed")


async def test_cleared_may_never_come() -> None:
    async with session(Faults(never_cleared=True)) as (socket, _):
        await begin_then_clear(socket, say("next"), "Flush")
        _, messages = await until(socket, "Flushed")
        assert [message["type"] for message in messages] == ["Flushed"]


@pytest.mark.parametrize(("when", "expected"), [("before", ["Flushed", "Flushed", "Cleared"]), ("after", ["Cleared"])])
async def test_owed_flushes_can_still_be_answered(when: str, expected: list[str]) -> None:
    faults = Faults()
    faults.set("owed_flushed_after_clear", when)
    async with session(faults) as (socket, _):
        await send(socket, say("a" * 300), "Flush", say("b"), "Flush", "Clear")
        _, messages = await until(socket, "Cleared")
        assert [message["type"] for message in messages] == expected
        if when == "after":
            assert [json.loads(await socket.recv())["type"] for _ in range(2)] == ["Flushed", "Flushed"]
        assert await quiet_for(socket, 60)


@pytest.mark.parametrize(
    ("scheme", "expected"), [("zero", [0, 0, 0, 0]), ("each", [0, 1, 0, 2]), ("both", [0, 1, 2, 3])]
)
async def test_sequence_ids_follow_the_scheme(scheme: str, expected: list[int]) -> None:
    faults = Faults()
    faults.set("sequence_scheme", scheme)
    async with session(faults) as (socket, _):
        ids = []
        for kind in ("Flush", "Flush", "Clear", "Flush"):
            await send(socket, kind)
            ids.append(json.loads(await socket.recv())["sequence_id"])
        assert ids == expected


# -- Close -----------------------------------------------------------------------------------------------------------


async def test_close_lets_what_was_flushed_be_spoken_and_closes_normally() -> None:
    async with session() as (socket, provider):
        await send(socket, say("one "), "Flush", say("two "), "Flush", "Close")
        got, code, _ = await rest(socket)
        assert types(got) == ["audio", "Flushed", "audio", "Flushed"]
        assert code == 1000
        assert not provider.record.breaches
        assert b"".join(item for item in got if isinstance(item, bytes)) == b"".join(
            spoken.audio for spoken in provider.record.spoken
        )


async def test_close_can_cut_at_once_instead() -> None:
    async with session(Faults(close_drains=False)) as (socket, provider):
        await send(socket, say("a" * 300), "Flush")
        first = await socket.recv()
        await send(socket, "Close")
        got, code, _ = await rest(socket)
        assert code == 1000
        assert not any(isinstance(item, dict) for item in got)
        (spoken,) = provider.record.spoken
        assert spoken.cut
        assert spoken.audio == b"".join(item for item in (first, *got) if isinstance(item, bytes))


async def test_text_left_at_close_is_not_spoken_and_noted() -> None:
    async with session() as (socket, provider):
        await send(socket, say("lost"), "Close")
        assert (await rest(socket))[:2] == ([], 1000)
        assert provider.record.breaches == {"text_unflushed_at_close": 1}


async def test_clear_then_close_is_clean() -> None:
    async with session() as (socket, provider):
        await begin_then_clear(socket, "Close")
        got, code, _ = await rest(socket)
        assert (types(got)[-1], code) == ("Cleared", 1000)
        assert not provider.record.breaches


async def test_a_message_after_close_is_noted_and_ignored() -> None:
    async with session(Faults(chunk_gap_s=1)) as (socket, provider):
        await send(socket, say(TEXT), "Flush", "Close", "Clear")
        got, code, _ = await rest(socket)
        assert (types(got), code) == (["audio", "Flushed"], 1000)
        assert provider.record.breaches == {"after_close": 1}


async def test_a_last_metadata_can_precede_the_close() -> None:
    async with session(Faults(metadata_at_close=True)) as (socket, _):
        await send(socket, say(TEXT), "Flush", "Close")
        assert types((await rest(socket))[0]) == ["audio", "Flushed", "Metadata"]


async def test_a_client_may_leave_without_close_and_its_speech_is_recorded_as_cut() -> None:
    async with Provider() as provider:
        async with dial(provider) as socket:
            await send(socket, say("a" * 300), "Flush")
            await socket.recv()
        await asyncio.sleep(1)
        (spoken,) = provider.record.spoken
        assert spoken.cut
        assert 0 < len(spoken.audio) < 160_000
        assert provider.record.connections.open == 0
        assert not provider.record.breaches


# -- what closes a session -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code", "name", "breach"),
    [
        (b"\0\0", 1003, "MESSAGE-0000", "binary"),
        ("{", 1008, "DATA-0000", "bad_json"),
        ("[" * 100_000, 1008, "DATA-0000", "bad_json"),
        ("[]", 1008, "DATA-0000", "bad_json"),
        ('{"text":"hi"}', 1008, "DATA-0000", "bad_json"),
        ('{"type":"Reset"}', 1008, "DATA-0000", "unknown_type"),
        ('{"type":"speak","text":"hi"}', 1008, "DATA-0000", "unknown_type"),
        ('{"type":["Speak"]}', 1008, "DATA-0000", "unknown_type"),
        ('{"type":"KeepAlive"}', 1008, "DATA-0000", "keepalive"),
        ('{"type":"Speak"}', 1008, "DATA-0000", "bad_speak"),
        ('{"type":"Speak","text":7}', 1008, "DATA-0000", "bad_speak"),
        ('{"type":"Speak","text":"\\ud800"}', 1008, "DATA-0000", "bad_speak"),
        (json.dumps(say("a" * 2001)), 1009, "BIG-0001", "too_long_speak"),
        (" " * 2_000_001, 1009, "BIG-0000", "too_large_message"),
    ],
)
async def test_what_the_service_refuses_closes_the_session(
    message: str | bytes, code: int, name: str, breach: str
) -> None:
    async with session() as (socket, provider):
        await socket.send(message)
        got, closed_with, reason = await rest(socket)
        assert (got, closed_with) == ([], code)
        assert reason.startswith(f"{name}: ")
        assert provider.record.breaches == {breach: 1}


async def test_the_reason_can_be_the_bare_code_and_an_error_message_can_precede_it() -> None:
    async with session(Faults(close_reason="code", error_before_close=True)) as (socket, _):
        await send(socket, "Reset")
        got, code, reason = await rest(socket)
        assert (types(got), code, reason) == (["Error"], 1008, "DATA-0000")


async def test_audio_stops_and_is_on_record_when_the_session_is_closed_for_a_breach() -> None:
    async with session() as (socket, provider):
        await send(socket, say("a" * 300), "Flush")
        first = await socket.recv()
        await send(socket, "KeepAlive")
        got, code, _ = await rest(socket)
        assert code == 1008
        (spoken,) = provider.record.spoken
        assert spoken.cut
        assert spoken.audio == b"".join(item for item in (first, *got) if isinstance(item, bytes))


async def test_two_thousand_characters_are_allowed_and_characters_are_not_bytes() -> None:
    async with session() as (socket, _):
        await send(socket, say("ü" * 2000), "Flush")
        await until(socket, "Flushed")


@pytest.mark.parametrize(("unit", "n_fit"), [("code_point", 2000), ("utf16", 1000), ("utf8", 500)])
async def test_characters_can_be_counted_in_other_units(unit: str, n_fit: int) -> None:
    for n_chars, refused in ((n_fit, False), (n_fit + 1, True)):
        faults = Faults()
        faults.set("char_unit", unit)
        async with session(faults) as (socket, provider):
            await send(socket, say("\N{GRINNING FACE}" * n_chars), "Close")
            await rest(socket)
            assert ("too_long_speak" in provider.record.breaches) is refused


async def test_empty_text_is_noted_and_may_close() -> None:
    async with session() as (socket, provider):
        await send(socket, say(""))
        assert await quiet_for(socket, 60)
        assert provider.record.breaches == {"empty_speak": 1}
        provider.faults.empty_speak_closes = True
        await send(socket, say(""))
        assert (await rest(socket))[1] == 1008


async def test_unknown_keys_are_noted_and_may_close() -> None:
    async with session() as (socket, provider):
        await send(socket, {"type": "Speak", "text": "hi", "voice": "x"}, "Flush")
        await until(socket, "Flushed")
        assert provider.record.breaches == {"unknown_key": 1}
        provider.faults.unknown_keys = "refuse"
        await send(socket, {"type": "Flush", "id": 1})
        assert (await rest(socket))[1] == 1008


# -- limits over time ------------------------------------------------------------------------------------------------


async def test_characters_of_any_minute_are_limited_cleared_ones_included() -> None:
    async with session() as (socket, provider):
        await send(socket, say("a" * 2000), "Clear")
        await asyncio.sleep(30)
        await send(socket, say("a" * 400), "Clear")
        await asyncio.sleep(30)
        await send(socket, say("a" * 2000), "Clear")
        await asyncio.sleep(1)
        assert socket.state is State.OPEN
        await send(socket, say("a"))
        _, code, reason = await rest(socket)
        assert (code, reason.split(":")[0]) == (1008, "DATA-0001")
        assert provider.record.breaches == {"chars_per_minute": 1}


async def test_the_older_throughput_limit_can_be_set() -> None:
    async with session(Faults(chars_per_window=12000, chars_window_s=120)) as (socket, _):
        await send(socket, *[say("a" * 2000)] * 6)
        assert await quiet_for(socket, 119)
        await send(socket, say("a"))
        assert (await rest(socket))[1] == 1008


async def flush_times(socket: ClientConnection, n: int, gap_s: float = 0.0) -> list[str]:
    """Flush n times; the types of the answers."""
    answers = []
    for _ in range(n):
        await send(socket, "Flush")
        answers.append(json.loads(await socket.recv())["type"])
        await asyncio.sleep(gap_s)
    return answers


async def test_the_twenty_first_flush_of_a_minute_is_refused_by_a_warning() -> None:
    async with session() as (socket, provider):
        assert await flush_times(socket, 20) == ["Flushed"] * 20
        await send(socket, say(TEXT), "Flush")
        assert json.loads(await socket.recv()) == {
            "type": "Warning",
            "warn_code": "EXCESSIVE_FLUSH",
            "warn_msg": "Rate limit exceeded for flushes. Please try again later.",
        }
        assert provider.record.breaches == {"excessive_flush": 1}
        await asyncio.sleep(60)
        await send(socket, "Flush")
        assert (await until(socket, "Flushed"))[0] == ToneVoice().speak(TEXT).audio("mulaw", 8000)


async def test_a_refused_flush_can_lose_its_text_and_be_worded_as_in_the_schema() -> None:
    faults = Faults(refused_flush_keeps_text=False, warning_form="spec", flushes_per_window=1)
    async with session(faults) as (socket, _):
        await flush_times(socket, 1)
        await send(socket, say(TEXT), "Flush")
        warning = json.loads(await socket.recv())
        assert warning.keys() == {"type", "code", "description"}
        await asyncio.sleep(60)
        await send(socket, "Flush")
        assert (await until(socket, "Flushed"))[0] == b""


@pytest.mark.parametrize(("at_once", "expected"), [(False, ["Flushed", "Warning"]), (True, ["Warning", "Flushed"])])
async def test_a_refusal_waits_for_its_turn_unless_told_otherwise(at_once: bool, expected: list[str]) -> None:
    async with session(Faults(flushes_per_window=1, refusal_at_once=at_once, chunk_gap_s=1)) as (socket, _):
        await send(socket, say(TEXT), "Flush", "Flush", "Close")
        got, _, _ = await rest(socket)
        assert [name for name in types(got) if name != "audio"] == expected


@pytest.mark.parametrize(("shape", "expected"), [("sliding", 10), ("fixed", 20)])
async def test_windows_slide_or_are_fixed(shape: str, expected: int) -> None:
    # One flush at 0 s, ten at 50 s, then as many as it takes at 61 s: fixed windows have just begun anew.
    faults = Faults()
    faults.set("window_shape", shape)
    async with session(faults) as (socket, _):
        await flush_times(socket, 1)
        await asyncio.sleep(50)
        await flush_times(socket, 10)
        await asyncio.sleep(11)
        answers = await flush_times(socket, 21)
        assert answers == ["Flushed"] * expected + ["Warning"] * (21 - expected)


async def test_a_session_ends_after_an_hour_though_it_is_in_use() -> None:
    async with session() as (socket, provider):
        began = now()
        for _ in range(59):
            await asyncio.sleep(60)
            await send(socket, say(TEXT), "Flush")
            await until(socket, "Flushed")
        _, code, reason = await rest(socket)
        assert (code, reason.split(":")[0]) == (1011, "NET-0003")
        assert now() - began == pytest.approx(3600)
        assert provider.record.breaches == {"session_too_long": 1}


async def test_an_idle_limit_closes_a_silent_client_but_not_one_that_pings() -> None:
    async with session(Faults(idle_s=60)) as (socket, provider):
        began = now()
        _, code, reason = await rest(socket)
        assert (code, reason.split(":")[0]) == (1011, "NET-0001")
        assert now() - began == pytest.approx(60)
        async with dial(provider, ping_interval=20) as pinging:
            assert await quiet_for(pinging, 600)


# -- death -----------------------------------------------------------------------------------------------------------


async def test_a_connection_dies_after_so_many_chunks_without_a_close_frame() -> None:
    async with session(Faults(die_after_chunks=2)) as (socket, provider):
        await send(socket, say("a" * 300), "Flush", say("b"), "Flush")
        got, code, _ = await rest(socket)
        assert (len(got), code) == (2, 1006)
        dying, waiting = provider.record.spoken
        assert dying.audio == b"".join(item for item in got if isinstance(item, bytes))
        assert (dying.cut, waiting.cut, waiting.audio) == (True, True, b"")


async def test_a_connection_can_die_with_a_code_before_any_audio() -> None:
    async with session(Faults(die_after_chunks=0, die_close_code=1011, die_reason="NET-0000")) as (socket, _):
        await send(socket, say(TEXT), "Flush")
        assert await rest(socket) == ([], 1011, "NET-0000")


async def test_a_connection_can_die_between_the_last_audio_and_flushed() -> None:
    async with session(Faults(die_after_chunks=1, chunk_sizes=[1_000_000])) as (socket, provider):
        await send(socket, say(TEXT), "Flush")
        got, code, _ = await rest(socket)
        assert (types(got), code) == (["audio"], 1006)
        assert provider.record.spoken[0].audio == ToneVoice().speak(TEXT).audio("mulaw", 8000)
        assert provider.record.spoken[0].cut


async def test_each_of_the_next_connections_can_have_its_own_death() -> None:
    async with Provider(faults=Faults(die_after_chunks=[1, -1, 3])) as provider:
        n_chunks = []
        for _ in range(4):
            async with dial(provider) as socket:
                await send(socket, say("a" * 300), "Flush", "Close")
                got, code, _ = await rest(socket)
                n_chunks.append(sum(isinstance(item, bytes) for item in got) if code == 1006 else None)
        assert n_chunks == [1, None, 3, None]


async def test_a_fault_set_during_a_session_holds_from_then_on() -> None:
    async with session() as (socket, provider):
        await send(socket, say(TEXT), "Flush")
        await until(socket, "Flushed")
        provider.faults.die_after_chunks = 0
        await send(socket, say(TEXT), "Flush")
        assert await rest(socket) == ([], 1006, "")


async def test_what_a_client_sent_is_on_record() -> None:
    async with session() as (socket, provider):
        await send(socket, say("hi"), "Flush")
        await until(socket, "Flushed")
        await socket.send(b"\0")
        await rest(socket)
        assert list(provider.record.messages[1]) == [
            '{"type": "Speak", "text": "hi"}',
            '{"type": "Flush"}',
            "<binary, 1 bytes>",
        ]
