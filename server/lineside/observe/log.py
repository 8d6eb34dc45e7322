"""A call's notes as log lines: what an operator must know, and nothing that a caller or an agent said."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from statistics import median

from lineside.events import CallInfo
from lineside.observe.timeline import Note

log = logging.getLogger("lineside.call")

MOST_WAITS = 1000  # answers of a call that its line speaks of; the oldest are left out

_WARNINGS = frozenset(
    {
        "agent_failed",
        "ear_warning",
        "hang_up_failed",
        "marks_missing",
        "no_such_voice",
        "provider_lost",
        "provider_warning",
        "speech_given_up",
        "voice_changed",
    }
)
_SECRET = re.compile(
    r"(?<=/twilio/media/)[^\s?\"]+|(?<=authorization: ).+|(?<=x-twilio-signature: ).+|(?<=xi-api-key: ).+",
    re.IGNORECASE,
)
_TALKERS = ("uvicorn.error", "uvicorn.access", "websockets.client", "websockets.server")
"""They log the path of each stream, and at DEBUG every header of their own requests."""


def call_log(info: CallInfo) -> Callable[[Note], None]:
    """Logs one call: a line when it ends, and one for each thing that went wrong.

    `wait_ms` in that line is how long the caller waited for an answer, the median and the longest.
    """
    counts: dict[str, int] = {}
    waits: deque[float] = deque(maxlen=MOST_WAITS)

    def on_note(note: Note) -> None:
        counts[note.kind] = counts.get(note.kind, 0) + 1
        if note.kind == "latency":
            if note.details["turn"] > 1 and note.details["gap_ms"] is not None:  # the first one answers nothing
                waits.append(note.details["gap_ms"])
        elif note.kind in _WARNINGS:
            details = " ".join(f"{name}={value}" for name, value in note.details.items())
            log.warning("call=%s at=%.3f %s %s", info.call_id, note.at, note.kind, details)
        elif note.kind == "stream_status" and note.details["error"]:
            said = _SECRET.sub("...", note.details["error"])  # it may quote the stream's address
            log.warning("call=%s at=%.3f carrier says %s: %s", info.call_id, note.at, note.details["event"], said)
        elif note.kind == "call_ended":
            log.info(
                "call=%s ended reason=%s seconds=%.1f turns=%d cut=%d gaps=%d provider_lost=%d wait_ms=%s",
                info.call_id,
                note.details["reason"],
                note.at,
                counts.get("turn_started", 0),
                counts.get("turn_cut", 0),
                counts.get("gap", 0),
                counts.get("provider_lost", 0),
                f"{median(waits):.0f}/{max(waits):.0f}" if waits else "-",
            )

    return on_note


class HideSecrets(logging.Filter):
    """Keeps what opens a door out of other packages' log lines: the pass in a stream's path, keys in headers."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if _SECRET.search(message):
            record.msg, record.args = _SECRET.sub("...", message), ()
        return True


_hide_secrets = HideSecrets()


def hide_secrets() -> None:
    """From now on these packages' loggers tell no secrets. Once or many times is the same."""
    for name in _TALKERS:
        logging.getLogger(name).addFilter(_hide_secrets)
