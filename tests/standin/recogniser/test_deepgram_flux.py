"""Deepgram's `/v2/listen` (Flux) as the stand-in serves it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import cough, mix, noise, silence
from standin.phone_server import about
from standin.recogniser.client import FLUX, Client, Message, dial, now, refused, session

HELLO = encode("Hello there.")
HELLO_S = len(HELLO) / 8000
EAGER = FLUX + "&eager_eot_threshold=0.4&eot_threshold=0.9"
CHUNK = 640  # 80 ms


def faults(**switches: Any) -> Faults:
    return Faults(recogniser=RecogniserFaults(**switches))


def event(name: str) -> Any:
    return lambda message: message.get("event") == name


def is_(kind: str) -> Any:
    return lambda message: message["type"] == kind


def events(client: Client) -> list[str]:
    """All that happened to turns, but for Updates."""
    found = [message["event"] for message in client.messages if message["type"] == "TurnInfo"]
    return [name for name in found if name != "Update"]


def of(client: Client, name: str) -> list[Message]:
    return [message for message in client.messages if message.get("event") == name]


# -- the handshake ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "model=flux-general-en&encoding=linear16&sample_rate=16000&eot_threshold=0.5&eot_timeout_ms=60000&tag=a",
        "model=flux-general-multi&language_hint=en&language_hint=de&keyterm=a&keyterm=b&numerals=true",
        "model=flux-general-en&eager_eot_threshold=0.7&eot_threshold=0.7&redact=numbers&mip_opt_out=true",
    ],
)
async def test_a_good_query_is_let_in_and_greeted(query: str) -> None:
    async with session(f"/v2/listen?{query}") as client:
        _, message = await client.until(is_("Connected"))
        assert client.socket.response is not None
        assert message == {
            "type": "Connected",
            "request_id": client.socket.response.headers["dg-request-id"],
            "sequence_id": 0,
        }
        assert not client.breaches


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("model=nova-3", "model is one of"),
        ("encoding=mulaw&sample_rate=8000", "model is one of"),
        ("model=flux-general-en&encoding=mulaw", "needs sample_rate"),
        ("model=flux-general-en&encoding=mulaw&sample_rate=32000", "sample_rate is one of"),
        ("model=flux-general-en&encoding=flac&sample_rate=8000", "encoding is one of"),
        ("model=flux-general-en&eot_threshold=0.4", "0.5 to 1"),
        ("model=flux-general-en&eager_eot_threshold=0.95", "0.3 to 0.9"),
        ("model=flux-general-en&eager_eot_threshold=0.8", "at most eot_threshold"),
        ("model=flux-general-en&eot_timeout_ms=400", "500 to 60000"),
        ("model=flux-general-en&eot_threshold=much", "is a number"),
        ("model=flux-general-en&language_hint=en", "flux-general-multi"),
        ("model=flux-general-en&redact=pci", "redact is one of"),
        ("model=flux-general-en&numerals=yes", "true, false"),
        ("model=flux-general-en&interim_results=true", "unknown parameter 'interim_results'"),
        ("model=flux-general-en&" + "&".join("keyterm=x" for _ in range(101)), "keyterms"),
    ],
)
async def test_a_bad_query_is_refused(query: str, what: str) -> None:
    async with Provider() as provider:
        status, body = await refused(provider, f"/v2/listen?{query}")
        assert status == 400
        assert what in body["err_msg"]
        assert provider.record.breaches == {"bad_query": 1}


async def test_keys_and_numbers_of_connections_are_checked() -> None:
    async with Provider(faults=faults(max_connections=1, refuse=[503])) as provider:
        assert (await refused(provider, FLUX))[0] == 503
        assert (await refused(provider, FLUX, {"Authorization": "Token bad"}))[0] == 401
        async with dial(provider, FLUX):
            assert (await refused(provider, FLUX))[1]["err_code"] == "TOO_MANY_REQUESTS"


# -- turns -----------------------------------------------------------------------------------------------------------


async def test_a_turn_begins_with_its_first_word_and_ends_with_silence() -> None:
    async with session(FLUX) as client:
        began_at = now()
        await client.hear(silence(0.5) + HELLO + silence(0.4), chunk=CHUNK)
        start_at, start = await client.until(event("StartOfTurn"))
        end_at, end = await client.until(event("EndOfTurn"))
        assert start_at == about(began_at + 0.5 + 0.3 + 0.06, within=0.1)  # the word, and what is left of its chunk
        assert start["transcript"] == "Hello"
        assert end_at == about(began_at + 0.5 + HELLO_S + 0.26, within=0.1)
        assert (end["transcript"], end["trigger"], end["turn_index"]) == ("Hello there.", "model", 0)
        assert end["end_of_turn_confidence"] >= 0.7
        assert end["audio_window_start"] == 0
        assert end["audio_window_end"] == about(0.5 + HELLO_S + 0.2, within=0.04)
        hello, there = end["words"]
        assert (hello["word"], hello["start"], there["word"]) == ("Hello", 0.5, "there.")
        assert there["end"] == about(0.5 + HELLO_S)
        assert "trigger" not in start
        assert not client.breaches


async def test_every_message_is_numbered_and_turns_are_counted() -> None:
    async with session(FLUX) as client:
        await client.hear((HELLO + silence(0.5)) * 3, chunk=CHUNK)
        await client.until(event("EndOfTurn"), 3)
        assert [message["sequence_id"] for message in client.messages] == list(range(len(client.messages)))
        assert events(client) == ["StartOfTurn", "EndOfTurn"] * 3
        assert [message["turn_index"] for message in of(client, "EndOfTurn")] == [0, 1, 2]
        first, second, third = of(client, "EndOfTurn")
        assert second["audio_window_start"] == first["audio_window_end"]
        assert third["transcript"] == "Hello there."
        assert len({message["request_id"] for message in client.messages}) == 1


async def test_updates_come_every_quarter_second_of_audio_and_grow() -> None:
    async with session(FLUX) as client:
        await client.hear(encode("one two three four") + silence(0.4), chunk=CHUNK)
        await client.until(event("EndOfTurn"))
        texts = [message["transcript"] for message in of(client, "Update") if message["turn_index"] == 0]
        assert texts == ["", "one", "one two", "one two three", "one two three four"]
        windows = [message["audio_window_end"] for message in client.messages if message["type"] == "TurnInfo"]
        assert all(0 <= later - earlier < 0.261 for earlier, later in pairwise(windows))


async def test_updates_between_turns_are_a_switch() -> None:
    async with session(FLUX) as client:
        await client.hear(silence(2), chunk=CHUNK)
        await asyncio.sleep(0.1)
        assert len(of(client, "Update")) == 7  # every 0.26 s: whole frames
        assert {message["transcript"] for message in of(client, "Update")} == {""}
        client.provider.faults.recogniser.flux_idle_updates = False
        await client.hear(silence(2), chunk=CHUNK)
        await asyncio.sleep(0.1)
        assert len(of(client, "Update")) == 7


async def test_a_turn_that_may_be_over_is_told_and_then_is() -> None:
    async with session(EAGER) as client:
        await client.hear(HELLO + silence(0.6), chunk=CHUNK)
        eager_at, eager = await client.until(event("EagerEndOfTurn"))
        end_at, end = await client.until(event("EndOfTurn"))
        assert events(client) == ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn"]
        assert eager["transcript"] == end["transcript"] == "Hello there."
        assert 0.4 <= eager["end_of_turn_confidence"] < 0.9 <= end["end_of_turn_confidence"]
        assert end_at - eager_at == about((0.9 - 0.4) / 3.5, within=0.08)


async def test_a_turn_that_goes_on_is_told_and_may_be_over_again() -> None:
    async with session(EAGER) as client:
        await client.hear(encode("I want") + silence(0.18) + encode("this one") + silence(0.6), chunk=CHUNK)
        await client.until(event("EndOfTurn"))
        assert events(client) == ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]
        first, second = of(client, "EagerEndOfTurn")
        assert (first["transcript"], second["transcript"]) == ("I want", "I want this one")
        assert of(client, "EndOfTurn")[0]["transcript"] == "I want this one"
        assert of(client, "TurnResumed")[0]["transcript"] == "I want"


async def test_a_threshold_of_one_leaves_the_end_to_the_timeout() -> None:
    async with session(FLUX + "&eot_threshold=1.0&eot_timeout_ms=2000") as client:
        began_at = now()
        await client.hear(HELLO + silence(3), chunk=CHUNK)
        at, end = await client.until(event("EndOfTurn"))
        assert end["trigger"] == "timeout"
        assert at == about(began_at + HELLO_S + 2.0 + 0.06, within=0.1)


async def test_noise_leaves_the_end_to_the_timeout_too() -> None:
    async with session(FLUX + "&eot_timeout_ms=1500") as client:
        speech = HELLO + silence(2)
        await client.hear(mix(speech, noise(len(speech) / 8000, -30)), chunk=CHUNK)
        _, end = await client.until(event("EndOfTurn"))
        assert (end["trigger"], end["transcript"]) == ("timeout", "Hello there.")


async def test_a_turn_hangs_open_while_no_audio_comes() -> None:
    async with session(FLUX) as client:
        await client.hear(HELLO, chunk=CHUNK)
        await asyncio.sleep(30)
        assert events(client) == ["StartOfTurn"]
        await client.hear(silence(0.3), chunk=CHUNK)
        await client.until(event("EndOfTurn"))


async def test_what_is_no_word_begins_no_turn_unless_by_switch() -> None:
    async with session(FLUX) as client:
        await client.hear(cough() + silence(1), chunk=CHUNK)
        await asyncio.sleep(0.5)
        assert events(client) == []
    async with session(FLUX, faults(flux_start_on="voice")) as client:
        await client.hear(cough() + silence(1), chunk=CHUNK)
        await asyncio.sleep(0.5)
        assert events(client) == ["StartOfTurn", "EndOfTurn"]
        assert of(client, "EndOfTurn")[0]["transcript"] == ""


async def test_a_voice_begins_a_turn_before_its_word_is_out_by_switch() -> None:
    async with session(FLUX, faults(flux_start_on="voice")) as client:
        began_at = now()
        await client.hear(HELLO + silence(0.4))
        at, start = await client.until(event("StartOfTurn"))
        assert at == about(began_at + 0.06 + 0.06, within=0.001)
        assert start["transcript"] == ""
        await client.until(event("EndOfTurn"))
        assert events(client) == ["StartOfTurn", "EndOfTurn"]


async def test_the_multilingual_model_names_languages() -> None:
    async with session(FLUX.replace("-en", "-multi") + "&language_hint=en") as client:
        await client.hear(HELLO + silence(0.4), chunk=CHUNK)
        _, end = await client.until(event("EndOfTurn"))
        assert (end["languages"], end["languages_hinted"]) == (["en"], ["en"])


# -- the client's messages -------------------------------------------------------------------------------------------


async def test_a_turn_can_be_forced_to_end() -> None:
    async with session(FLUX) as client:
        await client.hear(HELLO, chunk=160)
        await client.send("ForceEndTurn")
        _, end = await client.until(event("EndOfTurn"))
        assert (end["trigger"], end["transcript"]) == ("manual", "Hello there.")
        assert not client.breaches


async def test_there_must_be_a_turn_to_force() -> None:
    async with session(FLUX) as client:
        await client.send("ForceEndTurn")
        _, warning = await client.until(is_("Warning"))
        assert warning["code"] == "FORCE_END_TURN_NO_ACTIVE_TURN"
        assert warning["sequence_id"] == 1
        assert client.breaches == {"no_active_turn": 1}


async def test_close_stream_ends_without_a_code_and_without_an_end_of_turn() -> None:
    async with session(FLUX) as client:
        await client.hear(HELLO, chunk=160)
        await client.send("CloseStream")
        await client.send("ForceEndTurn")
        assert await client.until_closed() == (1005, "")
        assert events(client) == ["StartOfTurn"]
        assert client.messages[-1]["event"] == "Update"
        assert client.messages[-1]["transcript"] == "Hello there."
        assert client.breaches == {"after_close": 1}


async def test_thresholds_can_be_changed() -> None:
    async with session(FLUX) as client:
        await client.send("Configure", thresholds={"eot_threshold": 0.9, "eager_eot_threshold": 0.4}, keyterms=["x"])
        _, success = await client.until(is_("ConfigureSuccess"))
        thresholds = {"eot_threshold": 0.9, "eager_eot_threshold": 0.4, "eot_timeout_ms": 5000}
        assert success["thresholds"] == thresholds
        assert success["keyterms"] == ["x"]
        assert "language_hints" not in success
        await client.hear(HELLO + silence(0.5), chunk=CHUNK)
        await client.until(event("EndOfTurn"))
        assert events(client) == ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn"]
        await client.send("Configure", numerals=True)
        _, success = await client.until(is_("ConfigureSuccess"), 2)
        assert (success["thresholds"], success["keyterms"], success["numerals"]) == (thresholds, ["x"], True)


async def test_language_hints_can_be_changed_and_cleared() -> None:
    async with session(FLUX.replace("-en", "-multi")) as client:
        for n, hints in enumerate((["en", "de"], []), start=1):
            await client.send("Configure", language_hints=hints)
            _, success = await client.until(is_("ConfigureSuccess"), n)
            assert success["language_hints"] == hints


@pytest.mark.parametrize(
    "configuration",
    [
        {"thresholds": {"eot_threshold": 0.3}, "keyterms": ["y"]},
        {"thresholds": {"eager_eot_threshold": 0.8}, "keyterms": ["y"]},
        {"thresholds": {"eot_timeout_ms": 100}, "keyterms": ["y"]},
        {"keyterms": ["y"] * 101},
        {"keyterms": ["y"], "language_hints": ["en"]},
    ],
)
async def test_a_configuration_that_cannot_be_is_refused_as_a_whole(configuration: dict[str, Any]) -> None:
    async with session(FLUX + "&keyterm=x") as client:
        await client.send("Configure", **configuration)
        _, failure = await client.until(is_("ConfigureFailure"))
        assert failure["code"]
        await client.send("Configure")
        _, success = await client.until(is_("ConfigureSuccess"))
        assert success["keyterms"] == ["x"]
        assert success["thresholds"] == {"eot_threshold": 0.7, "eot_timeout_ms": 5000}
        assert client.breaches == {"bad_configure": 1}


@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("{", "bad_json"),
        ("7", "bad_json"),
        ('{"type":"KeepAlive"}', "keepalive"),
        ('{"type":"Finalize"}', "unknown_type"),
        ('{"type":"Configure","features":{"numerals":true}}', "unknown_key"),
        ('{"type":"Configure","thresholds":{"patience":1}}', "bad_configure"),
        ('{"type":"Configure","thresholds":{"eot_threshold":true}}', "bad_configure"),
        ('{"type":"Configure","thresholds":[]}', "bad_configure"),
        ('{"type":"Configure","numerals":"true"}', "bad_configure"),
        ('{"type":"Configure","keyterms":[7]}', "bad_configure"),
        ('{"type":"ForceEndTurn","now":true}', "unknown_key"),
    ],
)
async def test_a_message_that_is_none_is_fatal(text: str, breach: str) -> None:
    async with session(FLUX) as client:
        await client.socket.send(text)
        assert (await client.until_closed())[0] == 1008
        error = client.messages[-1]
        assert (error["type"], error["code"], error["sequence_id"]) == ("Error", "UNPARSABLE_CLIENT_MESSAGE", 1)
        assert client.breaches == {breach: 1}


async def test_audio_that_cannot_be_decoded_is_fatal() -> None:
    async with session("/v2/listen?model=flux-general-en") as client:
        await client.send_audio(HELLO)
        assert (await client.until_closed())[0] == 1008
        assert client.breaches == {"undecodable_audio": 1}


async def test_empty_frames_and_text_as_audio_are_counted() -> None:
    async with session(FLUX) as client:
        await client.send_audio(b"")
        await client.socket.send(b'{"type":"CloseStream"}')
        await asyncio.sleep(0.1)
        assert client.breaches == {"empty_frame": 1, "text_as_audio": 1}
        assert client.closed is None


# -- time ------------------------------------------------------------------------------------------------------------


async def test_a_minute_without_anything_ends_the_connection() -> None:
    async with session(FLUX) as client:
        await client.hear(HELLO, chunk=CHUNK)
        heard_at = now()
        code, reason = await client.until_closed()
        assert (code, reason.startswith("NET-0001")) == (1011, True)
        assert client.closed_at == about(heard_at + 60)
        assert client.breaches == {"idle": 1}


async def test_pings_keep_the_connection() -> None:
    async with session(FLUX) as client:
        for _ in range(10):
            await asyncio.sleep(30)
            await (await client.socket.ping())
        assert client.closed is None
        assert not client.breaches


async def test_chunks_other_than_80_ms_are_noted_and_no_breach() -> None:
    async with session(FLUX) as client:
        await client.hear(silence(0.8), chunk=CHUNK)
        assert client.listened.off_size_chunks == 0
        await client.hear(silence(0.8), chunk=160)
        await asyncio.sleep(0.1)
        assert client.listened.off_size_chunks == 40
        assert not client.breaches


# -- faults of its own -----------------------------------------------------------------------------------------------


async def test_a_warning_of_an_unknown_code_comes_once() -> None:
    async with session(FLUX, faults(warning_after_s=0.5)) as client:
        await client.hear(HELLO + silence(2), chunk=CHUNK)
        await client.until(event("EndOfTurn"))
        assert [message["code"] for message in client.messages if message["type"] == "Warning"] == ["NEVER_HEARD_OF"]


async def test_an_error_of_the_service_is_fatal_and_nobodys_breach() -> None:
    async with session(FLUX, faults(error_after_s=0.5)) as client:
        await client.hear(HELLO, chunk=CHUNK)
        code, _ = await client.until_closed()
        assert code == 1011
        assert client.messages[-1]["code"] == "INTERNAL_SERVER_ERROR"
        assert not client.breaches
