"""The load bench: what the generator counts, what the report makes of it, and one small run of everything."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import asdict, replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.bench import script
from lineside.bench.load import run
from lineside.bench.load_call import (
    PAUSE,
    SILENCE,
    SPEECH,
    Caller,
    LoadCall,
    Opcode,
    Stream,
    frames,
    speech,
    upgrade,
)
from lineside.bench.report import Figures, Report, percentiles
from lineside.standin.recogniser.modem import Decoder

KEY = "1"
LENGTH = int(script.seconds(KEY) * 8000)  # bytes of its answer
STREAM = Stream("ws://127.0.0.1:9/media", "CA" + "1" * 32, "MZ" + "2" * 32, "AC" + "3" * 32, signature="c2lnbmVk")


# -- the caller ---------------------------------------------------------------------------------------------------


def test_first_audio_is_timed_from_the_key() -> None:
    caller = Caller(KEY)
    caller.press(10.0)
    caller.heard(800, 10.25)
    caller.heard(800, 10.3)
    assert caller.delays == [(10.0, 0.25)]


def test_the_queue_that_runs_dry_within_an_answer_is_an_underrun() -> None:
    caller = Caller(KEY)
    caller.press(10.0)
    caller.heard(800, 10.0)  # 0.1 s
    caller.heard(800, 10.1)  # just in time
    caller.heard(800, 10.21)
    assert caller.underruns == [10.21]


def test_the_silence_after_an_answer_is_no_underrun_and_ends_with_the_next_key() -> None:
    caller = Caller(KEY)
    assert caller.key_at == inf
    caller.press(10.0)
    caller.heard(LENGTH, 10.0)
    assert caller.key_at == pytest.approx(10.0 + LENGTH / 8000 + PAUSE)
    caller.press(caller.key_at)
    caller.heard(800, 30.0)
    assert caller.underruns == []
    assert caller.stuck == []


def test_an_answer_that_stays_away_is_given_up_and_counted() -> None:
    caller = Caller(KEY)
    caller.press(10.0)
    assert caller.key_at < inf
    caller.heard(800, 10.1)
    caller.press(given_up := caller.key_at)
    assert caller.stuck == [given_up]


def test_keys_are_pressed_in_order_again_and_again() -> None:
    caller = Caller("12")
    assert [caller.press(at) for at in (1.0, 2.0, 3.0)] == ["1", "2", "1"]


# -- the stream ---------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def take(self) -> list[tuple[int, bytes]]:
        """The frames written since the last time. The mask is all zeros, so to unmask is to skip it."""
        found, at = [], 0
        while at < len(self.written):
            opcode, length, start = self.written[at] & 15, self.written[at + 1] & 127, at + 2
            if length == 126:
                length, start = int.from_bytes(self.written[start : start + 2], "big"), start + 2
            assert self.written[at + 1] & 128, "a client masks"
            assert self.written[start : start + 4] == bytes(4)
            found.append((opcode, bytes(self.written[start + 4 : start + 4 + length])))
            at = start + 4 + length
        self.written.clear()
        return found


def sent(wire: Wire) -> list[dict[str, object]]:
    return [json.loads(payload) for opcode, payload in wire.take() if opcode == Opcode.TEXT]


def frame(payload: bytes, opcode: int = Opcode.TEXT) -> bytes:
    """As a server sends it."""
    n = len(payload)
    head = bytes((n,)) if n < 126 else b"\x7e" + n.to_bytes(2, "big") if n < 65536 else b"\x7f" + n.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + head + payload


def media(n_bytes: int) -> bytes:
    payload = base64.b64encode(bytes(n_bytes)).decode()
    return frame(json.dumps({"event": "media", "media": {"payload": payload}}).encode())


def opened(*, speaks: bool = False) -> tuple[LoadCall, Wire]:
    call, wire = LoadCall(STREAM, Caller(KEY), asyncio.get_running_loop().time, speaks=speaks), Wire()
    call.connection_made(wire)
    wire.written.clear()
    call.data_received(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    return call, wire


async def test_a_stream_begins_as_the_carriers_does() -> None:
    call, wire = opened()
    connected, started = sent(wire)
    assert call.opened.done()
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert (started["event"], started["sequenceNumber"], started["streamSid"]) == ("start", "1", STREAM.stream_id)


async def test_frames_are_twenty_ms_each_and_counted() -> None:
    call, wire = opened()
    wire.take()
    call.send_frame(0.0)
    call.send_frame(0.0)
    first, second = sent(wire)
    assert (first["sequenceNumber"], second["sequenceNumber"]) == ("2", "3")
    audio = second["media"]
    assert isinstance(audio, dict)
    assert (audio["chunk"], audio["timestamp"]) == ("2", "40")
    assert len(base64.b64decode(audio["payload"])) == 160


async def test_a_caller_who_speaks_says_what_no_recogniser_takes_for_words_and_then_listens() -> None:
    call, wire = opened(speaks=True)
    wire.take()
    for _ in speech():
        call.send_frame(0.0)
    payloads = [message["media"]["payload"] for message in sent(wire) if isinstance(message["media"], dict)]
    first = payloads.index(speech()[0].decode())
    assert payloads[first:] + payloads[:first] == [each.decode() for each in speech()]
    audio = b"".join(map(base64.b64decode, speech()))
    silent = audio.count(b"\xff") / len(audio)
    assert SILENCE / (SPEECH + SILENCE) <= silent < 1
    decoder = Decoder()
    assert decoder.feed(audio) == []


async def test_a_key_follows_the_frame_when_it_is_time() -> None:
    call, wire = opened()
    wire.take()
    call.caller.key_at = 5.0
    call.send_frame(4.99)
    call.send_frame(5.01)
    assert [message["event"] for message in sent(wire)] == ["media", "media", "dtmf"]


async def test_a_mark_comes_back_when_the_audio_before_it_was_played() -> None:
    call, wire = opened()
    wire.take()
    call.data_received(media(8000) + frame(b'{"event":"mark","mark":{"name":"a"}}'))
    await asyncio.sleep(0.99)
    assert sent(wire) == []
    await asyncio.sleep(0.02)
    assert [message["mark"] for message in sent(wire)] == [{"name": "a"}]


async def test_a_clear_sends_every_mark_back_at_once_in_order() -> None:
    call, wire = opened()
    wire.take()
    marks = [frame(b'{"event":"mark","mark":{"name":"%b"}}' % name) for name in (b"a", b"b")]
    call.data_received(media(8000) + b"".join(marks) + frame(b'{"event":"clear"}'))
    assert [message["mark"] for message in sent(wire)] == [{"name": "a"}, {"name": "b"}]
    await asyncio.sleep(2)
    assert sent(wire) == []


async def test_a_ping_is_answered_and_a_lost_socket_counted() -> None:
    call, wire = opened()
    wire.take()
    call.data_received(frame(b"1234", Opcode.PING))
    assert wire.take() == [(Opcode.PONG, b"1234")]
    call.connection_lost(None)
    assert call.lost


async def test_a_socket_that_ends_after_we_hung_up_is_not_lost() -> None:
    call, wire = opened()
    wire.take()
    call.hang_up()
    (_, stop), (opcode, code) = wire.take()
    assert json.loads(stop)["event"] == "stop"
    assert (opcode, code) == (Opcode.CLOSE, b"\x03\xe8")
    call.connection_lost(None)
    assert not call.lost


def test_the_handshake_has_the_signature_and_no_origin() -> None:
    request = upgrade(STREAM).decode()
    assert request.startswith("GET /media HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert "\r\nX-Twilio-Signature: c2lnbmVk\r\n" in request
    assert "Origin" not in request


@given(st.lists(st.binary(max_size=70_000), max_size=3), st.data())
def test_messages_survive_any_division_of_the_bytes(messages: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(frame, messages))
    cut = data.draw(st.integers(0, len(whole)))
    received = bytearray(whole[:cut])
    found = [payload for _, payload in frames(received)]
    received += whole[cut:]
    found += [payload for _, payload in frames(received)]
    assert found == messages
    assert not received


# -- the report ---------------------------------------------------------------------------------------------------

BARE = Figures(
    cpu_ms=2.0,
    idle_kb=50.0,
    first_audio_ms=(1.0, 3.0),
    n_answers=10,
    underruns=0,
    stuck=0,
    lost=0,
    n_bytes=8000,
    late_ms=(0.1, 1.0),
    waited=0.01,
    provider=0.25,
)
OURS = replace(BARE, cpu_ms=1.0, idle_kb=100.0, first_audio_ms=(2.0, 5.0), underruns=2)
LATE = replace(BARE, cpu_ms=99.0, late_ms=(0.1, 5.1))


def test_ratios_are_of_one_round_and_then_their_median() -> None:
    slow = {"bare": replace(BARE, cpu_ms=10.0), "lineside": replace(OURS, cpu_ms=4.0)}
    report = Report(2, 1.0, [{"bare": BARE, "lineside": OURS}, slow, slow])
    assert report.cpu_ratio("lineside") == pytest.approx(0.4)
    assert report.idle_ratio("lineside") == pytest.approx(2.0)
    assert report.added_ms("lineside") == pytest.approx((1.0, 2.0))


def test_a_round_whose_generator_was_late_does_not_count() -> None:
    report = Report(2, 1.0, [{"bare": LATE, "lineside": OURS}, {"bare": BARE, "lineside": OURS}])
    assert not report.void
    assert report.cpu_ratio("lineside") == pytest.approx(0.5)
    assert ["ran dry within an answer", "0", "2", ""] in report.rows()


def test_a_report_of_late_generators_alone_says_so() -> None:
    report = Report(2, 1.0, [{"bare": BARE, "lineside": LATE}])
    assert report.void
    assert report.rows()[0] == ["", "bare (void)", "lineside (void)", "lineside to bare"]


def test_the_table_has_a_column_a_server_and_one_to_compare() -> None:
    assert Report(2, 1.0, [{"bare": BARE, "lineside": replace(OURS, stuck=3, lost=1)}]).rows() == [
        ["", "bare", "lineside", "lineside to bare"],
        ["CPU ms per call-second", "2.00", "1.00", "x 0.50"],
        ["first audio p50 ms", "1.0", "2.0", "+1.0"],
        ["first audio p99 ms", "3.0", "5.0", "+2.0"],
        ["ran dry within an answer", "0", "2", ""],
        ["answers or calls lost", "0", "4", ""],
        ["idle call kB", "50", "100", "x 2.00"],
        ["generator late p50 ms", "0.10", "0.10", ""],
        ["generator late p99 ms", "1.00", "1.00", ""],
        ["waited for a core %", "1.0", "1.0", ""],
        ["provider % of a core", "25", "25", ""],
    ]


def test_a_third_server_gets_its_columns() -> None:
    report = Report(2, 1.0, [{"bare": BARE, "lineside": OURS, "ears": OURS}])
    assert {len(row) for row in report.rows()} == {6}
    assert report.rows()[2][-2:] == ["+1.0", "+1.0"]


def test_any_server_may_be_the_yardstick() -> None:
    report = Report(2, 1.0, [{"eared": BARE, "lineside": OURS, "deaf": BARE}], "eared")
    assert report.rows()[0] == ["", "eared", "lineside", "deaf", "lineside to eared", "deaf to eared"]
    assert report.cpu_ratio("lineside") == pytest.approx(0.5)


def test_figures_survive_the_way_between_processes() -> None:
    assert Figures.of(json.loads(json.dumps(asdict(OURS)))) == OURS


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([]) == (0.0, 0.0)
    assert percentiles([3.0]) == (3.0, 3.0)
    assert percentiles(map(float, range(1001))) == (500.0, 990.0)


# -- all of it ----------------------------------------------------------------------------------------------------


@pytest.mark.realtime
def test_a_small_run_measures_both_servers() -> None:
    report = run(2, 1.5, keys=script.SMALL_TALK)
    (measured,) = report.rounds
    assert list(measured) == ["bare", "lineside"]
    for figures in measured.values():
        assert figures.cpu_ms > 0
        assert figures.n_answers > 0
        assert 0 < figures.first_audio_ms[0] <= figures.first_audio_ms[1]
        assert figures.n_bytes > 0
        assert figures.late_ms[1] > 0
        assert isinstance(figures.underruns, int)
        assert (figures.stuck, figures.lost) == (0, 0)
    assert report.cpu_ratio("lineside") > 0
    assert report.table().row_count == len(report.rows()) - 1


@pytest.mark.realtime
def test_a_small_run_with_ears_measures_them_beside_a_bare_loop_that_hears() -> None:
    report = run(2, 1.0, keys=script.SMALL_TALK, ears=True)
    (measured,) = report.rounds
    assert list(measured) == ["bare + ears", "lineside", "lineside + ears", "lineside + ears + VAD"]
    assert report.yardstick == "bare + ears"
    for figures in measured.values():
        assert figures.n_answers > 0
        assert (figures.stuck, figures.lost) == (0, 0)
        assert figures.provider > 0
