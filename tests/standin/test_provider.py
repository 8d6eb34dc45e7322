"""The stand-in's server: handshakes, HTTP, faults and record from outside, its process, and a stranger's client."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.speak.v1.types import SpeakV1Text
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from lineside.errors import SettingsError
from lineside.standin.budget import Budget
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.record import Record, Spoken
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import Rendering

KEY = {"Authorization": "Token key"}
TEXT = "Your table is booked for seven."


async def get(provider_url: str, target: str, headers: str = "") -> tuple[int, dict[str, str], bytes]:
    """A plain HTTP GET: status, headers in lower case, body."""
    host, port = provider_url.removeprefix("ws://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), {line.split(": ")[0].lower(): line.split(": ", 1)[1] for line in lines}, body


async def refused(provider: Provider, path: str = "/v1/speak", headers: dict[str, str] | None = None) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(provider.url + path, additional_headers=KEY if headers is None else headers):
            pass
    return refusal.value


# -- handshakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Bad Request"),
        (401, "INVALID_AUTH"),
        (402, "PAYMENT_REQUIRED"),
        (403, "INSUFFICIENT_PERMISSIONS"),
        (429, "Too Many Requests"),
        (503, "Service Unavailable"),
    ],
)
async def test_a_handshake_can_be_refused_and_the_next_one_succeeds(status: int, code: str) -> None:
    async with Provider(faults=Faults(refuse=[status])) as provider:
        response = (await refused(provider)).response
        assert response.status_code == status
        assert response.body is not None
        body = json.loads(response.body)
        assert body["err_code"] == code
        assert body["err_msg"] == response.headers["dg-error"]
        assert body["request_id"] == response.headers["dg-request-id"]
        async with connect(f"{provider.url}/v1/speak", additional_headers=KEY):
            pass
        assert provider.record.refused == {status: 1}
        assert not provider.record.breaches


async def test_refusals_by_rule_are_breaches() -> None:
    async with Provider(keys=["mine"]) as provider:
        assert (await refused(provider)).response.status_code == 401
        mine = {"Authorization": "Token mine"}
        assert (await refused(provider, "/v1/speak?encoding=mp3", mine)).response.status_code == 400
        assert provider.record.breaches == {"bad_key": 1, "bad_query": 1}
        assert provider.record.connections.opened == 0


async def test_the_browsers_form_of_the_key_is_echoed_without_the_key() -> None:
    async with Provider() as provider:
        offer = [Subprotocol("token"), Subprotocol("key")]
        async with connect(f"{provider.url}/v1/speak", subprotocols=offer) as socket:
            assert socket.subprotocol == "token"
            assert socket.response is not None
            assert socket.response.headers["Sec-WebSocket-Protocol"] == "token"


async def test_a_project_has_so_many_sockets_open_at_once() -> None:
    async with Provider(faults=Faults(max_connections=2)) as provider:
        url = f"{provider.url}/v1/speak"
        async with connect(url, additional_headers=KEY) as first, connect(url, additional_headers=KEY) as second:
            assert (await refused(provider)).response.status_code == 429
            await first.close()
            async with connect(url, additional_headers=KEY):
                assert await second.recv()
        assert provider.record.breaches == {"max_connections": 1}
        assert (provider.record.connections.opened, provider.record.connections.max_open) == (3, 2)


async def test_a_handshake_can_be_slow() -> None:
    async with Provider(faults=Faults(handshake_delay_s=40)) as provider:
        began = asyncio.get_running_loop().time()
        async with connect(f"{provider.url}/v1/speak", additional_headers=KEY, open_timeout=None):
            assert asyncio.get_running_loop().time() - began == pytest.approx(40)


async def test_leaving_waits_for_no_slow_handshake() -> None:
    loop = asyncio.get_running_loop()
    async with Provider(faults=Faults(handshake_delay_s=4000)) as provider:
        dialling = loop.create_task(refused(provider))
        await asyncio.sleep(1)
        began = loop.time()
    assert loop.time() - began < 5
    dialling.cancel()
    await asyncio.wait([dialling])


async def test_leaving_closes_connections_as_going_away() -> None:
    async with Provider(faults=Faults(stall_after_chunks=1)) as provider:
        socket = await connect(f"{provider.url}/v1/speak", additional_headers=KEY)
        await socket.send(json.dumps({"type": "Speak", "text": TEXT}))
        await socket.send('{"type":"Flush"}')
        assert isinstance(await socket.recv(), str)
        assert isinstance(await socket.recv(), bytes)
    await socket.wait_closed()
    assert socket.close_code == 1001
    assert provider.record.connections.open == 0
    assert provider.record.spoken[0].cut


async def test_a_path_that_is_not_served_is_a_404() -> None:
    async with Provider() as provider:
        assert (await refused(provider, "/v1/nothing")).response.status_code == 404
        assert (await get(provider.url, "/standin/nothing"))[0] == 404


async def test_a_plain_get_of_the_socket_is_told_to_upgrade_and_uses_up_no_refusal() -> None:
    async with Provider(faults=Faults(refuse=[503])) as provider:
        assert (await get(provider.url, "/v1/speak"))[0] == 426
        assert provider.faults.refuse == [503]


class BrokenVoice:
    blocking = True

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        if text == "fail":
            raise OSError("no voice")
        return Rendering(np.zeros(0, np.int16), 8000, ())


async def test_a_voice_that_fails_is_an_internal_error_of_that_connection_only() -> None:
    async with Provider(BrokenVoice()) as provider:
        url = f"{provider.url}/v1/speak"
        async with connect(url, additional_headers=KEY) as one, connect(url, additional_headers=KEY) as two:
            for socket, text in ((one, "fail"), (two, "speak")):
                await socket.send(json.dumps({"type": "Speak", "text": text}))
                await socket.send('{"type":"Flush"}')
            await one.wait_closed()
            assert one.close_code == 1011
            assert json.loads(await two.recv())["type"] == "Metadata"
            assert json.loads(await two.recv())["type"] == "Flushed"


# -- plain HTTP ------------------------------------------------------------------------------------------------------


async def speak_once(provider: Provider) -> bytes:
    audio = b""
    async with connect(f"{provider.url}/v1/speak?encoding=mulaw", additional_headers=KEY) as socket:
        await socket.send(json.dumps({"type": "Speak", "text": TEXT}))
        await socket.send('{"type":"Flush"}')
        await socket.send('{"type":"Close"}')
        async for message in socket:
            audio += message if isinstance(message, bytes) else b""
    return audio


async def test_health_is_ok() -> None:
    async with Provider() as provider:
        status, _, body = await get(provider.url, "/standin/health")
        assert (status, body) == (200, b"ok")


async def test_the_record_can_be_read_as_json() -> None:
    async with Provider() as provider:
        audio = await speak_once(provider)
        status, headers, body = await get(provider.url, "/standin/record")
        assert (status, headers["content-type"]) == (200, "application/json")
        record = json.loads(body)
        (spoken,) = record["spoken"]
        assert b64decode(spoken["audio"]) == audio
        assert (spoken["text"], spoken["cut"], spoken["connection"]) == (TEXT, False, 1)
        assert record["connections"] == {"opened": 1, "open": 0, "max_open": 1}
        assert len(record["messages"]["1"]) == 3
        (spoken,) = json.loads((await get(provider.url, "/standin/record?audio=false"))[2])["spoken"]
        assert "audio" not in spoken
        assert spoken["n_bytes"] == len(audio)


async def test_faults_can_be_set_and_read_over_http() -> None:
    async with Provider() as provider:
        target = "/standin/faults?refuse=429,503&die_after_chunks=3&burst=true&warning_form=spec&chunk_gap_s=0.5"
        status, _, body = await get(provider.url, target)
        assert status == 200
        faults = provider.faults
        assert (faults.refuse, faults.die_after_chunks, faults.burst) == ([429, 503], 3, True)
        assert (faults.warning_form, faults.chunk_gap_s) == ("spec", 0.5)
        assert Faults(**json.loads(body)) == faults
        await get(provider.url, "/standin/faults?die_after_chunks=none&chunk_gap_s=")
        assert (faults.die_after_chunks, faults.chunk_gap_s) == (None, None)


async def test_a_fault_that_does_not_exist_or_fit_is_a_400_that_says_why() -> None:
    async with Provider() as provider:
        for query, word in (("no_such=1", "no_such"), ("burst=perhaps", "burst"), ("warning_form=x", "warning_form")):
            status, _, body = await get(provider.url, f"/standin/faults?{query}")
            assert status == 400
            assert word in json.loads(body)["error"]
        assert provider.faults == Faults()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("die_after_chunks", "2,-1", [2, -1]),
        ("stall_s", "1.5", 1.5),
        ("max_speak_chars", "10", 10),
        ("die_reason", "NET-0000", "NET-0000"),
        ("close_drains", "off", False),
        ("chunk_sizes", "", []),
    ],
)
def test_a_fault_is_read_from_text_by_its_type(name: str, text: str, value: Any) -> None:
    faults = Faults()
    faults.set(name, text)
    assert getattr(faults, name) == value


def test_a_fault_does_not_take_what_is_not_of_its_type() -> None:
    for name, text in (("max_speak_chars", "many"), ("refuse", "429,x"), ("stall_s", "soon"), ("burst", "")):
        with pytest.raises(SettingsError, match=name):
            Faults().set(name, text)


# -- budgets and record ----------------------------------------------------------------------------------------------


def test_a_refused_spending_does_not_count() -> None:
    budget = Budget()
    spend = [
        budget.spend(amount, now, limit=10, window_s=60, fixed=False)
        for amount, now in ((8, 0.0), (5, 1.0), (2, 2.0), (1, 59.9), (8, 60.0), (1, 60.1))
    ]
    assert spend == [True, False, True, False, True, False]


def test_a_fixed_window_begins_with_its_first_use() -> None:
    budget = Budget()
    spend = [budget.spend(1, now, limit=2, window_s=60, fixed=True) for now in (50.0, 60.0, 109.0, 110.0, 169.0, 169.5)]
    assert spend == [True, True, False, True, True, False]


def test_the_record_forgets_its_oldest_audio_and_says_so() -> None:
    record = Record(audio_kept=250)
    for i in range(5):
        record.spoke(Spoken(1, str(i), bytes(100), 0.0))
    assert [spoken.text for spoken in record.spoken] == ["3", "4"]
    assert record.n_forgotten == 3
    record.spoke(Spoken(1, "long", bytes(1000), 0.0))
    assert [spoken.text for spoken in record.spoken] == ["long"]


# -- as a process ----------------------------------------------------------------------------------------------------


async def start(*arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lineside.standin.provider", "--port", "0", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("listening on ws://127.0.0.1:")
    return process, line.removeprefix("listening on ").strip()


@pytest.mark.realtime
@pytest.mark.parametrize("voice", ["tone", "espeak"])
async def test_the_process_speaks_and_ends_when_its_stdin_does(voice: str) -> None:
    if voice == "espeak":
        pytest.importorskip("espeakng_loader")
    process, url = await start("--voice", voice)
    audio = b""
    async with connect(f"{url}/v1/speak?encoding=mulaw", additional_headers=KEY) as socket:
        await socket.send(json.dumps({"type": "Speak", "text": TEXT}))
        await socket.send('{"type":"Flush"}')
        await socket.send('{"type":"Close"}')
        async for message in socket:
            audio += message if isinstance(message, bytes) else b""
    record = json.loads((await get(url, "/standin/record"))[2])
    assert b64decode(record["spoken"][0]["audio"]) == audio
    assert len(audio) > 8000
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.realtime
async def test_the_process_ends_on_sigterm_with_a_client_connected() -> None:
    process, url = await start("--voice", "tone")
    async with connect(f"{url}/v1/speak", additional_headers=KEY) as socket:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        await socket.wait_closed()
        assert socket.close_code == 1001


# -- the vendor's own client -----------------------------------------------------------------------------------------

SENTENCES = ("Good evening. ", "Your table is booked for seven.")
# deepgram-sdk 7.17 imports these two names of websockets when a socket is first asked for.
sdk_uses_old_names = pytest.mark.filterwarnings(
    r"ignore:websockets\.exceptions\.InvalidStatusCode is deprecated:DeprecationWarning",
    r"ignore:websockets\.legacy is deprecated:DeprecationWarning",
)
OPTIONS = {"model": "aura-2-thalia-en", "encoding": "mulaw", "sample_rate": 8000}


def environment(url: str) -> DeepgramClientEnvironment:
    http = url.replace("ws://", "http://")
    return DeepgramClientEnvironment(base=http, production=url, agent=url, agent_rest=http)


def collect_with_sdk(url: str) -> tuple[bytes, list[str]]:
    """Two flushes and a Close by the blocking client: the audio, and the types of the messages."""
    audio, types = b"", []
    with DeepgramClient(api_key="key", environment=environment(url)).speak.v1.connect(**OPTIONS) as socket:
        for sentence in SENTENCES:
            socket.send_text(SpeakV1Text(text=sentence))
            socket.send_flush()
        socket.send_close()
        for message in socket:
            if isinstance(message, bytes):
                audio += message
            else:
                types.append(message.type)  # never its class: the client's classes mislead
    return audio, types


@pytest.mark.realtime
@sdk_uses_old_names
async def test_the_vendors_blocking_client_gets_every_byte_on_record() -> None:
    async with Provider() as provider:
        audio, types = await asyncio.to_thread(collect_with_sdk, provider.url)
        assert types == ["Metadata", "Flushed", "Flushed"]
        assert [spoken.text for spoken in provider.record.spoken] == list(SENTENCES)
        assert audio == b"".join(spoken.audio for spoken in provider.record.spoken)
        assert len(audio) == sum(len(ToneVoice().speak(sentence).pcm) for sentence in SENTENCES)
        assert not provider.record.breaches


@sdk_uses_old_names
async def test_the_vendors_async_client_gets_every_byte_on_record_and_cleared() -> None:
    async with Provider(faults=Faults(late_frames_after_clear=2)) as provider:
        audio, types = b"", []
        client = AsyncDeepgramClient(api_key="key", environment=environment(provider.url))
        async with client.speak.v1.connect(**OPTIONS) as socket:
            await socket.send_text(SpeakV1Text(text="a" * 300))
            await socket.send_flush()
            async for message in socket:
                if not isinstance(message, bytes):
                    types.append(message.type)
                elif not audio:
                    audio += message
                    await socket.send_clear()
                    await socket.send_close()
                else:
                    audio += message
        assert types == ["Metadata", "Cleared"]
        (spoken,) = provider.record.spoken
        assert spoken.cut
        assert spoken.audio == audio
        assert 0 < spoken.n_late_bytes < len(audio)
        assert not provider.record.breaches
