"""How the recognisers fail when they are told to, and what is on record of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed

from lineside.errors import SettingsError
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.listened import KEPT, Listened, Transcript
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import silence
from standin.phone_server import about
from standin.recogniser.client import FLUX, LISTEN, SCRIBE, Client, Message, dial, now, session

HELLO = encode("Hello there.")
HELLO_S = len(HELLO) / 8000
TURN = HELLO + silence(0.6)
VAD = SCRIBE + "&commit_strategy=vad&vad_silence_threshold_secs=0.3"
ALL = pytest.mark.parametrize("path", [LISTEN, FLUX, VAD])


def faults(**switches: Any) -> Faults:
    return Faults(recogniser=RecogniserFaults(**switches))


def is_end(message: Message) -> bool:
    """The final by which a turn ends, in any of the three protocols."""
    ends = (
        message.get("speech_final"),
        message.get("event") == "EndOfTurn",
        message.get("message_type") == "committed_transcript",
    )
    return any(ends)


def is_interim(message: Message) -> bool:
    return (
        message.get("is_final") is False
        or message.get("event") == "Update"
        or message.get("message_type") == "partial_transcript"
    )


def text(message: Message) -> str:
    if "channel" in message:
        found = message["channel"]["alternatives"][0]["transcript"]
    else:
        found = message.get("transcript", message.get("text"))
    return str(found).lower().replace(".", "")


# -- the connection --------------------------------------------------------------------------------------------------


@ALL
async def test_a_slow_handshake_is_slow(path: str) -> None:
    began_at = now()
    async with session(path, Faults(handshake_delay_s=7)):
        assert now() == about(began_at + 7)


@ALL
async def test_a_connection_dies_after_so_much_audio(path: str) -> None:
    async with Provider(faults=faults(die_after_bytes=[1000, -1])) as provider:
        async with dial(provider, path) as client:
            with pytest.raises(ConnectionClosed):
                await client.hear(TURN)
            assert await client.until_closed() == (1006, "")
            assert client.listened.n_bytes == 960
            assert not client.breaches
        async with dial(provider, path) as client:
            await client.hear(TURN)
            await client.until(is_end)


async def test_a_connection_may_die_with_a_close_frame() -> None:
    switches = Faults(die_close_code=1011, die_reason="gone", recogniser=RecogniserFaults(die_after_bytes=[0]))
    async with session(LISTEN, switches) as client:
        await client.send_audio(HELLO)
        assert await client.until_closed() == (1011, "gone")


async def test_a_word_cut_by_the_connections_end_is_a_loss() -> None:
    async with session(LISTEN, faults(die_after_bytes=[3000])) as client:
        with pytest.raises(ConnectionClosed):
            await client.hear(HELLO)
        await client.until_closed()
        await asyncio.sleep(0.1)
        assert client.listened.text == "Hello"
        assert [loss.how for loss in client.listened.losses] == ["unfinished"]


@ALL
async def test_a_service_that_does_not_read_for_a_while_hears_it_all_later(path: str) -> None:
    async with session(path, faults(stall_after_bytes=[1000], stall_s=3)) as client:
        began_at = now()
        await client.hear(TURN)
        at, message = await client.until(is_end)
        assert at >= began_at + 3.1
        assert text(message) == "hello there"
        assert client.listened.behind_s >= 1.8


async def test_a_service_may_never_read_again() -> None:
    async with session(LISTEN, faults(stall_after_bytes=[1000])) as client:
        await client.hear(TURN)
        await asyncio.sleep(600)
        assert client.listened.n_bytes == 960
        assert client.got == []


@ALL
async def test_ten_seconds_of_silence_from_the_service(path: str) -> None:
    async with session(path, faults(mute_after_s=0.5, mute_s=10)) as client:
        opened_at = now()
        await client.hear(TURN + silence(9))
        times = [at for at, _ in client.got if at > opened_at + 0.45]
        at, message = await client.until(is_end)
        assert at >= opened_at + 10.5
        assert not [at for at in times if at < opened_at + 10.5 - 1e-6]
        assert text(message) == "hello there"


@ALL
async def test_a_service_that_fails_says_so_and_closes(path: str) -> None:
    async with session(path, faults(error_after_s=0.3)) as client:
        await client.hear(HELLO[:2400])
        code, _ = await client.until_closed()
        assert code == (1000 if path == VAD else 1011)
        last = client.messages[-1]
        assert last.get("type", last.get("message_type")) in ("Error", "error")
        assert not client.breaches


# -- the messages ----------------------------------------------------------------------------------------------------


@ALL
async def test_without_interims_there_are_finals_alone(path: str) -> None:
    async with session(path, faults(no_interims=True)) as client:
        await client.hear(HELLO * 3 + silence(0.6))
        await client.until(is_end)
        assert not any(map(is_interim, client.messages))


@ALL
async def test_finals_may_come_twice(path: str) -> None:
    async with session(path, faults(duplicate_finals=True)) as client:
        await client.hear(TURN)
        _, first = await client.until(is_end)
        _, second = await client.until(is_end, 2)
        assert text(first) == text(second) == "hello there"
        assert {name for name in first if first[name] != second[name]} <= {"sequence_id"}
        assert len(client.listened.transcripts) == 1


@ALL
async def test_late_finals_are_overtaken(path: str) -> None:
    async with session(path, faults(late_finals_s=3, interim_every_s=0.3, partial_every_s=0.3)) as client:
        await client.hear(TURN)
        ended_at = now()
        await client.hear(HELLO * 2 + silence(3))
        at, message = await client.until(is_end)
        assert at >= ended_at + 2.5
        assert text(message) == "hello there"
        later = [other for when, other in client.got if ended_at < when < at]
        assert any("hello there hello there" in text(other) for other in later if is_interim(other))


@ALL
async def test_interims_may_be_overtaken(path: str) -> None:
    switches = faults(out_of_order_interims=True, interim_every_s=0.1, partial_every_s=0.1, flux_update_every_s=0.1)
    async with session(path, switches) as client:
        await client.hear(encode("one two three four") + silence(0.6))
        await client.until(is_end)
        texts = [text(message) for message in client.messages if is_interim(message)]
        assert sorted(texts, key=len) != texts
        assert texts.index("one two three four") < len(texts)


@ALL
async def test_interims_may_be_revised(path: str) -> None:
    async with session(path, faults(revised_interims=True, interim_every_s=0.3)) as client:
        await client.hear(encode("Hello there my friend.") + silence(0.6))
        _, end = await client.until(is_end)
        texts = [text(message) for message in client.messages if is_interim(message) and text(message)]
        assert "hel" in texts
        assert set(texts) <= {"hel", "hello the", "hello there m", "hello there my frie"}
        assert text(end) == "hello there my friend"


@ALL
@pytest.mark.parametrize("garbage", ["text", "unknown", "fields", "binary"])
async def test_garbage_comes_before_a_final(path: str, garbage: Any) -> None:
    async with session(path, faults(garbage=garbage, no_interims=True)) as client:
        await client.hear(TURN)
        _, end = await client.until(lambda message: is_end(message) and text(message) == "hello there")
        before = client.messages[client.messages.index(end) - 1] if len(client.messages) > 1 else {}
        match garbage:
            case "text":
                assert client.strange == ["{garbage"]
            case "binary":
                assert client.strange == [b"\x00garbage"]
            case "unknown":
                assert before["type"] == "Surprise"
            case "fields":
                assert before.keys() - {"sequence_id"} <= {"type", "message_type"}


async def test_a_client_that_does_not_read_is_not_read_for_ever() -> None:
    async with session(LISTEN, faults(interim_every_s=0.02, interim_latency_s=1e6)) as client:
        await client.hear(silence(30), chunk=160, pace=0)
        await asyncio.sleep(1)
        assert client.listened.seconds == about(20, within=0.1)  # 1000 messages wait


# -- the switches and the record -------------------------------------------------------------------------------------


def test_switches_are_set_from_text() -> None:
    switches = Faults()
    switches.set("recogniser.garbage", "binary")
    switches.set("recogniser.die_after_bytes", "100,-1")
    switches.set("recogniser.mute_after_s", "1.5")
    switches.set("recogniser.no_interims", "true")
    recogniser = switches.recogniser
    assert (recogniser.garbage, recogniser.die_after_bytes) == ("binary", [100, -1])
    assert (recogniser.mute_after_s, recogniser.no_interims) == (1.5, True)
    with pytest.raises(SettingsError):
        switches.set("recogniser.garbage", "much")
    with pytest.raises(SettingsError):
        switches.set("garbage", "text")


def test_switches_survive_json() -> None:
    switches = faults(garbage="text", refuse=[429])
    assert Faults(**json.loads(json.dumps(switches.as_json()))) == switches


async def test_the_record_has_what_was_heard_and_goes_out_as_json() -> None:
    async with session(LISTEN) as client:
        began_at = now()
        await client.hear(TURN)
        await client.until(is_end)
        listened = client.listened
        assert (listened.protocol, listened.connection, listened.text) == ("listen", 1, "Hello there.")
        hello, there = listened.words
        assert (hello.start_s, there.end_s) == (0.0, HELLO_S)
        assert hello.at == about(began_at + there.start_s, within=0.021)
        assert listened.seconds == about(len(TURN) / 8000)
        assert [entry.text for entry in listened.transcripts] == ["hello there"]
        answer = json.loads(json.dumps(client.provider.record.as_json()))["listened"]["1"]
        assert answer["words"][0]["text"] == "Hello"
        assert answer["n_bytes"] == len(TURN)


def test_the_record_of_a_connection_has_an_end() -> None:
    listened = Listened(1, "listen")
    for n in range(KEPT + 3):
        listened.keep(Transcript(str(n), 0.0))
    assert [entry.text for entry in listened.transcripts] == [str(n) for n in range(KEPT)]
    assert listened.n_not_kept == 3


@pytest.mark.realtime
async def test_the_record_is_to_be_had_over_http() -> None:
    async with session(LISTEN) as client:
        await client.hear(TURN, pace=0, chunk=800)
        await client.until(is_end)
        url = client.provider.url.replace("ws://", "http://") + "/standin/record"
        record = json.loads(await asyncio.to_thread(lambda: urlopen(url).read()))
        assert record["listened"]["1"]["words"][1]["text"] == "there."


async def test_missing_audio_is_told_from_what_could_not_be_read() -> None:
    async with session(LISTEN) as client:
        await client.hear(silence(0.5))
        await asyncio.sleep(2)  # frames that never came
        await client.hear(HELLO[:2000] + bytes(160) + HELLO[2160:] + silence(0.6))
        listened = client.listened
        assert [(pause.at_s, pause.seconds) for pause in listened.pauses] == [(0.5, about(2.02))]
        assert listened.behind_s == about(2)
        assert [loss.how for loss in listened.losses] == ["garbled"]
        assert listened.text == "there."


async def test_connections_are_kept_apart() -> None:
    async with Provider() as provider, dial(provider, LISTEN) as one, dial(provider, FLUX) as two:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.hear(encode("first caller") + silence(0.6)))
            tasks.create_task(two.hear(encode("second caller") + silence(0.6), chunk=640))
        await one.until(is_end)
        await two.until(is_end)
        texts = [listened.text for listened in provider.record.listened.values()]
        assert texts == ["first caller", "second caller"]
        assert heard(one) == {"first caller"}
        assert heard(two) == {"second caller"}


def heard(client: Client) -> set[str]:
    return {text(message) for message in client.messages if is_end(message)}


# -- figures ---------------------------------------------------------------------------------------------------------


async def test_how_long_it_takes_to_begin_speech() -> None:
    async with session(LISTEN + "&vad_events=true", faults(onset_s=0.2, event_latency_s=0)) as client:
        began_at = now()
        await client.hear(HELLO[:1200] + silence(0.1) + HELLO)  # 160 ms of it are no speech
        at, message = await client.until(lambda message: message["type"] == "SpeechStarted")
        assert (at, message["timestamp"]) == (about(began_at + 0.44, within=0.001), 0.24)


async def test_how_long_a_segment_grows_and_how_much_finalize_needs() -> None:
    async with session(LISTEN, faults(segment_s=2, finalize_min_s=0.1)) as client:
        await client.hear(silence(4.4))
        await client.send("Finalize")
        await asyncio.sleep(0.5)
        ends = [message["start"] + message["duration"] for message in client.messages if message["is_final"]]
        assert ends == [about(2), about(4), about(4.4)]


async def test_how_sure_silence_makes_and_how_late_it_is_told() -> None:
    async with session(FLUX, faults(flux_confidence_per_s=0.7, flux_latency_s=0.5)) as client:
        began_at = now()
        await client.hear(HELLO + silence(1.2))
        at, message = await client.until(is_end)
        assert at == about(began_at + HELLO_S + 1.0 + 0.5, within=0.03)
        assert message["end_of_turn_confidence"] == about(0.7, within=0.02)


async def test_how_long_flux_may_be_idle() -> None:
    async with session(FLUX, faults(flux_idle_s=5)) as client:
        opened_at = now()
        await client.until_closed()
        assert client.closed_at == about(opened_at + 5)
    async with session(FLUX, faults(flux_idle_s=0)) as client:
        await asyncio.sleep(3600)
        assert client.closed is None


async def test_how_soon_scribe_lets_commit_and_how_late_it_answers() -> None:
    switches = faults(commit_min_s=0.1, commit_latency_s=0.9, timestamps_delay_s=0.2, partial_every_s=0.1)
    async with session(SCRIBE + "&include_timestamps=true", switches) as client:
        await client.hear(HELLO[:2400])
        await client.commit()
        asked_at = now()
        at, committed = await client.until(is_end)
        timed_at, timed = await client.until(lambda message: "words" in message)
        assert (at, timed_at) == (about(asked_at + 0.9), about(asked_at + 1.1))
        assert committed["text"] == timed["text"] == "Hello"


async def test_how_fast_audio_may_come() -> None:
    async with session(LISTEN, faults(max_ingest=2, ingest_slack_s=6)) as client:
        began_at = now()
        await client.hear(silence(9) + TURN, pace=0, chunk=2000)
        at, _ = await client.until(is_end)
        assert at == about(began_at + (9.3 + HELLO_S) / 2 + 0.3, within=0.1)
        assert not client.breaches
    async with session(LISTEN, faults(max_ingest=0)) as client:
        began_at = now()
        await client.hear(silence(9) + TURN, pace=0, chunk=2000)
        at, _ = await client.until(is_end)
        assert at == about(began_at + 0.3, within=0.01)
        assert not client.breaches


@pytest.mark.parametrize("path", [LISTEN, FLUX])
async def test_a_close_may_name_its_code_alone_and_follow_an_error(path: str) -> None:
    switches = Faults(close_reason="code", error_before_close=True, recogniser=RecogniserFaults(flux_idle_s=10))
    async with session(path, switches) as client:
        assert await client.until_closed() == (1011, "NET-0001")
        error = client.messages[-1]
        assert error["type"] == "Error"
        assert "NET-0001" in (error.get("code"), error.get("variant"))
