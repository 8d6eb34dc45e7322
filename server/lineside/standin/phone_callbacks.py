"""The callbacks of a call: its status, its recordings.

Source: https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent,
https://www.twilio.com/docs/voice/api/recording
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from email.utils import format_datetime

from lineside.standin.phone_record import CallRecord, new_sid
from lineside.standin.phone_webhook import Callback, Courier

EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}  # the rest is `completed`


class StatusCallbacks:
    """Numbers and sends status callbacks. The carrier does not promise their order, so this may break it too."""

    def __init__(
        self, record: CallRecord, courier: Courier, url: str | None, events: tuple[str, ...], method: str = "POST"
    ) -> None:
        self._record = record
        self._courier = courier
        self._url = url if record.settings.status_callbacks else None
        self._events = events
        self._method = method
        self._sequence = 0
        self._held: list[Callback] = []

    def report(self, at: float) -> None:
        """The call's status is what its record says."""
        status = self._record.status
        terminal = status not in EVENT_OF
        if self._url is None or EVENT_OF.get(status, "completed") not in self._events:
            return
        callback = Callback(self._url, self._fields(at, terminal=terminal), self._method)
        if self._record.settings.status_order == "in order":
            self._send(callback)
        elif not terminal:
            self._held.append(callback)
        else:
            self._send(callback)
            for late in reversed(self._held):
                self._send(late)

    def _fields(self, at: float, *, terminal: bool) -> dict[str, str]:
        fields = self._record.fields(
            Timestamp=format_datetime(self._record.wall(at)),
            SequenceNumber=str(self._sequence),
            CallbackSource="call-progress-events",
        )
        self._sequence += 1
        if terminal:
            seconds = at - (at if self._record.answered_at is None else self._record.answered_at)
            fields |= {"CallDuration": str(round(seconds)), "Duration": str(math.ceil(seconds / 60))}
        return fields

    def _send(self, callback: Callback) -> None:
        for _ in range(2 if self._record.settings.status_duplicates else 1):
            self._courier.send(callback)


@dataclass
class Recording:
    """A recording that was asked for by REST. There is no audio behind it: `PhoneCall.heard` and `said` are better."""

    record: CallRecord
    courier: Courier
    began: float
    callback: str | None = None
    method: str = "POST"
    events: tuple[str, ...] = ("completed",)
    channels: str = "1"
    status: str = "in-progress"
    sid: str = field(default_factory=lambda: new_sid("RE"))

    def report(self, at: float) -> None:
        """Tell the recording's status."""
        if self.callback is None or self.status not in self.events:
            return
        settings = self.record.settings
        fields = {
            "AccountSid": settings.account_sid,
            "CallSid": self.record.call_sid,
            "RecordingSid": self.sid,
            "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{settings.account_sid}/Recordings/{self.sid}",
            "RecordingStatus": self.status,
            "RecordingChannels": self.channels,
            "RecordingSource": "StartCallRecordingAPI",
            "RecordingTrack": "both",
            "RecordingStartTime": format_datetime(self.record.wall(self.began)),
        }
        if self.status == "completed":
            fields["RecordingDuration"] = str(round(at - self.began))
        self.courier.send(Callback(self.callback, fields, self.method))

    def finish(self, at: float) -> None:
        """Stopped, or the call ended."""
        if self.status != "completed":
            self.status = "completed"
            self.report(at)
