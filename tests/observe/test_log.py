"""What an operator reads of a call, and what nobody reads."""

from __future__ import annotations

import logging

import pytest

from lineside.events import CallEnded, CallInfo, CutOff
from lineside.observe.log import call_log, hide_secrets
from lineside.observe.timeline import KEPT, Note, Timeline

CALL = CallInfo("CA1", caller="+15557654321", called="+15551234567", parameters={"CallerName": "Ann"})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_call_is_one_line_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    timeline = Timeline(clock, call_log(CALL))
    timeline.note("call_started")
    for n in range(3):
        timeline.note("turn_started", turn=n, cue="secret")
    timeline.note("turn_cut", turn=1, text="secret", cut_off=CutOff("secret", "secret", 10))
    timeline.note("caller_pressed", digit="4")
    timeline.note("turn_ended", turn=2, text="secret")
    timeline.note("gap", seconds=0.2, agent_waited=True)
    for turn, gap_ms in ((1, 9000.0), (2, 700.4), (3, 900.0), (4, None), (5, 1100.0)):
        timeline.note("latency", turn=turn, gap_ms=gap_ms)
    clock.now += 12.34
    timeline.note("call_ended", reason="caller")
    (line,) = caplog.messages
    assert line == "call=CA1 ended reason=caller seconds=12.3 turns=3 cut=1 gaps=1 provider_lost=0 wait_ms=900/1100"


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("provider_lost", {"voice": "deepgram", "error": "code 1011", "restart": 1}),
        ("agent_failed", {"error": "it raised"}),
        ("hang_up_failed", {"error": "HTTP 500"}),
        ("stream_status", {"event": "stream-error", "error": "Protocol Error"}),
    ],
)
def test_what_goes_wrong_is_a_warning_with_its_details(
    kind: str, details: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    Timeline(Clock(), call_log(CALL)).note(kind, **details)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "call=CA1" in record.getMessage()
    for value in details.values():
        assert str(value) in record.getMessage()


def test_nothing_that_anybody_said_or_pressed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    timeline = Timeline(Clock(), call_log(CALL))
    for kind in ("turn_started", "turn_ended", "turn_cut", "caller_pressed", "leg_attached", "first_sent", "anything"):
        timeline.note(kind, text="secret", digit="7", cue=CallEnded("secret"))
    timeline.note("stream_status", event="stream-started", error="")
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "line", "shown"),
    [
        ("uvicorn.error", '"WebSocket /twilio/media/AbC-_9" [accepted]', '"WebSocket /twilio/media/..." [accepted]'),
        ("uvicorn.access", '1.2.3.4 - "GET /x/twilio/media/AbC HTTP/1.1" 403', 'GET /x/twilio/media/... HTTP/1.1" 403'),
        ("websockets.client", "> Authorization: Token abc def", "> Authorization: ..."),
        ("websockets.server", "< x-twilio-signature: abc=", "< x-twilio-signature: ..."),
        ("websockets.client", "> xi-api-key: abc", "> xi-api-key: ..."),
        ("websockets.client", "> Host: example.net", "> Host: example.net"),
        ("websockets.server", "< GET /twilio/voice HTTP/1.1", "< GET /twilio/voice HTTP/1.1"),
    ],
)
def test_other_packages_lines_lose_their_secrets_and_nothing_else(
    name: str, line: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=name)
    hide_secrets()
    hide_secrets()
    logging.getLogger(name).debug("%s", line)
    (message,) = caplog.messages
    assert message.endswith(shown)


def test_hiding_secrets_many_times_is_hiding_them_once() -> None:
    hide_secrets()
    before = len(logging.getLogger("uvicorn.error").filters)
    for _ in range(100):
        hide_secrets()
    assert len(logging.getLogger("uvicorn.error").filters) == before


def test_a_timeline_keeps_the_newest_notes_and_counts_all() -> None:
    clock = Clock()
    told: list[Note] = []
    timeline = Timeline(clock, told.append)
    for n in range(KEPT + 10):
        clock.now = 100.0 + n
        timeline.note("mark", n=n)
    assert len(timeline.notes) == KEPT
    assert timeline.notes[0].details == {"n": 10}
    assert timeline.notes[-1].at == KEPT + 9
    assert timeline.counts == {"mark": KEPT + 10}
    assert len(told) == KEPT + 10
