"""Stream messages as plain calls, and plain calls as stream messages."""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from lineside.carriers.twilio_leg import MOST_BROKEN, TwilioLeg
from lineside.ports import Leg
from lineside.standin.phone_messages import Writer
from lineside.wire.twilio import Started

ACCOUNT, CALL, STREAM = "AC" + "1" * 32, "CA" + "2" * 32, "MZ" + "3" * 32
WRITER = Writer(ACCOUNT, CALL, STREAM)
FRAME = bytes(range(160))


class Socket:
    backlog = 0

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.n_dropped = 0
        self.closed = False

    def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def drop_unsent_text(self) -> None:
        self.n_dropped += 1

    def close(self) -> None:
        self.closed = True


class Listener:
    def __init__(self) -> None:
        self.told: list[object] = []

    def pressed(self, digit: str) -> None:
        self.told.append(digit)

    def marked(self, name: str) -> None:
        self.told.append(name)

    def left(self, leg: Leg, *, stopped: bool) -> None:
        self.told.append(stopped)


def leg(on_audio: Callable[[bytes], None] | None = None) -> tuple[TwilioLeg, Socket, Listener]:
    socket, listener = Socket(), Listener()
    started = Started(STREAM, CALL, ACCOUNT, 1, ("inbound",), {})
    return TwilioLeg(socket, started, listener, on_audio), socket, listener


def test_audio_marks_and_clears_are_the_messages_of_this_stream() -> None:
    line, socket, _ = leg()
    line.play(FRAME)
    line.mark("t1s1-1")
    line.clear()
    media, mark, clear = socket.sent
    assert {each["streamSid"] for each in socket.sent} == {STREAM} == {line.stream_id}
    assert b64decode(media["media"]["payload"]) == FRAME
    assert mark["mark"] == {"name": "t1s1-1"}
    assert clear == {"event": "clear", "streamSid": STREAM}
    assert socket.n_dropped == 1  # before the clear: what the network has not taken must not follow it


def test_keys_and_marks_are_told() -> None:
    line, _, listener = leg()
    line.receive(WRITER.dtmf(2, "#"))
    line.receive(WRITER.mark(3, "t1s1-1"))
    assert listener.told == ["#", "t1s1-1"]


@pytest.mark.parametrize("first", ["stop", "loss"])
def test_the_end_is_told_once(first: str) -> None:
    line, _, listener = leg()
    if first == "stop":
        line.receive(WRITER.stop(2))
    line.left(stopped=False)
    line.receive(WRITER.stop(2))
    line.left(stopped=False)
    assert listener.told == [first == "stop"]


def test_nothing_is_told_behind_the_end() -> None:
    line, _, listener = leg()
    line.receive(WRITER.stop(2))
    line.receive(WRITER.dtmf(3, "1"))
    line.receive(WRITER.mark(4, "t1s1-1"))
    line.receive("nonsense")
    assert listener.told == [True]


def test_what_belongs_to_another_stream_or_call_is_not_told() -> None:
    line, _, listener = leg()
    elsewhere = Writer(ACCOUNT, CALL, "MZ" + "4" * 32)
    other_call = Writer(ACCOUNT, "CA" + "4" * 32, STREAM)
    for message in (elsewhere.dtmf(2, "1"), elsewhere.mark(3, "t1s1-1"), other_call.stop(4)):
        line.receive(message)
    assert listener.told == []


def test_caller_audio_goes_to_whoever_listens() -> None:
    heard: list[bytes] = []
    line, _, _ = leg(heard.append)
    line.receive(WRITER.media(2, 1, 73, FRAME))
    line.receive(json.dumps({"media": json.loads(WRITER.media(3, 2, 93, FRAME))["media"], **_rest(3)}))
    assert heard == [FRAME, FRAME]


def _rest(sequence: int) -> dict[str, str]:
    return {"streamSid": STREAM, "sequenceNumber": str(sequence), "event": "media"}


def test_caller_audio_is_counted_and_not_read_while_nobody_listens() -> None:
    line, _, _ = leg()
    for _ in range(MOST_BROKEN * 2):
        line.receive('{"event":"media","media":{"payload":"not base64!"}}')
    assert line.n_messages == MOST_BROKEN * 2


def test_events_that_we_do_not_know_are_passed_over() -> None:
    line, socket, listener = leg()
    for message in ('{"event":"something-new"}', WRITER.connected(), WRITER.start(1, {})):
        line.receive(message)
    assert listener.told == []
    assert not socket.closed


def test_broken_messages_are_counted_told_once_and_too_many_close_the_socket(caplog: pytest.LogCaptureFixture) -> None:
    line, socket, listener = leg()
    for n in range(1, MOST_BROKEN + 1):
        line.receive("nonsense")
        assert socket.closed is (n == MOST_BROKEN)
        assert len(caplog.records) == (2 if socket.closed else 1)
    for _ in range(1000):
        line.receive("nonsense")
    assert len(caplog.records) == 2
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert listener.told == []  # the socket's end will tell


def test_the_backlog_is_the_sockets() -> None:
    line, socket, _ = leg()
    socket.backlog = 12_345
    assert line.backlog == 12_345
