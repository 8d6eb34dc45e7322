"""What is known of one call on the local phone: who it is, how far it is, everything that happened."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from lineside.standin.carrier_queue import Clear, Span
from lineside.standin.phone_settings import PhoneSettings

ONCE_A_STREAM = {"31931", "31950", "31951"}  # the carrier reports these once per stream, however often they happen
GEOGRAPHY = {"City": "", "State": "CA", "Zip": "", "Country": "US"}  # guesses, and some are empty on real calls


class Event(NamedTuple):
    """One thing that happened. `at` is the loop's time."""

    at: float
    kind: str
    detail: str


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Direction:
    """Who called whom, in the carrier's words."""

    name: str  # inbound, outbound-api
    from_: str
    to: str


class CallRecord:
    """One call's identity, status and history. `epoch` is the wall-clock time at zero of the loop's time."""

    def __init__(
        self, settings: PhoneSettings, direction: Direction, epoch: datetime, listener: Listener | None = None
    ) -> None:
        self.settings = settings
        self.direction = direction
        self.call_sid = new_sid("CA")
        self.status = "ringing" if direction.name == "inbound" else "queued"
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.events: list[Event] = []
        self.warnings: Counter[str] = Counter()
        """As the carrier reports them: some codes once a stream."""
        self.occurrences: Counter[str] = Counter()
        """How often it really happened."""
        self.transcript: list[str] = []
        """The TwiML verbs that ran."""
        self.documents: list[str] = []
        """The TwiML that was received."""
        self.played_urls: list[str] = []
        self._epoch = epoch
        self._listener = listener

    def note(self, at: float, kind: str, detail: str = "") -> None:
        event = Event(at, kind, detail)
        self.events.append(event)
        if self._listener is not None:
            self._listener(event)

    def warn(self, at: float, code: str, why: str, told: set[str] | None = None) -> None:
        """Count a warning.

        Args:
            told: the codes that this stream was told already; the caller keeps it.
        """
        self.occurrences[code] += 1
        if told is not None and code in ONCE_A_STREAM:
            if code in told:
                return
            told.add(code)
        self.warnings[code] += 1
        self.note(at, "warning", f"{code} {why}")

    def wall(self, at: float) -> datetime:
        """The wall-clock time that belongs to a time of the loop, in UTC."""
        return self._epoch + timedelta(seconds=at)

    def fields(self, **more: str) -> dict[str, str]:
        """The form of a voice request.

        Source: https://www.twilio.com/docs/voice/twiml#request-parameters
        """
        from_, to = self.direction.from_, self.direction.to
        form = {
            "AccountSid": self.settings.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_sid,
            "CallStatus": self.status,
            "Direction": self.direction.name,
            "From": from_,
            "Caller": from_,
            "To": to,
            "Called": to,
        }
        for who, what in itertools.product(("From", "To", "Caller", "Called"), GEOGRAPHY):
            form[who + what] = GEOGRAPHY[what]
        return form | dict(self.settings.extra_fields) | more


def new_sid(prefix: str) -> str:
    """An identifier of the carrier's shape: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


def reply_delays(events: Iterable[Event], spans: Sequence[Span]) -> list[float]:
    """For each time that the caller fell silent: seconds until the server's next audio began to play.

    A silence that the caller ended before any audio came is left out.
    """
    delays = []
    said = [event for event in events if event.kind in ("caller_speaks", "caller_silent")]
    for event, following in itertools.zip_longest(said, said[1:]):
        if event.kind == "caller_silent":
            until = following.at if following else float("inf")
            starts = (span.at for span in spans if event.at <= span.at < until)
            if (start := next(starts, None)) is not None:
                delays.append(start - event.at)
    return delays


def barge_in_delays(events: Iterable[Event], spans: Sequence[Span], clears: Iterable[Clear]) -> list[float]:
    """For each time that the caller spoke into the server's audio: seconds until the server cleared it."""
    delays = []
    clear_times = [clear.at for clear in clears]
    for event in events:
        if event.kind == "caller_speaks" and any(span.at <= event.at < span.end for span in spans):
            delays += [at - event.at for at in clear_times if at >= event.at][:1]
    return delays
