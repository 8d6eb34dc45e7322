"""A call's life at the carrier: rings, follows its TwiML, is ended or redirected from outside, and says so.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lineside.standin.phone_callbacks import Recording, StatusCallbacks
from lineside.standin.phone_leg import PhoneLeg
from lineside.standin.phone_record import CallRecord, Direction
from lineside.standin.phone_script import Ending, Fetch, Script, Source, retried
from lineside.standin.phone_socket import CLOSE_TIMEOUT
from lineside.standin.phone_webhook import Callback, Courier, Webhooks

Step = Literal["stop", "close", "status"]
EVERY_STEP: tuple[Step, ...] = ("stop", "close", "status")


@dataclass(frozen=True)
class Placement:
    """How a call came about, and what was asked for with it."""

    direction: Direction
    source: Source
    status_url: str | None = None
    status_events: tuple[str, ...] = ("completed",)
    status_method: str = "POST"
    time_limit_s: float | None = None
    ring_timeout_s: float = 60.0
    amd: Literal["", "blocking", "background"] = ""
    amd_url: str | None = None


@dataclass
class Order:
    """Somebody ends the running document from outside."""

    by: str
    steps: Sequence[Step]
    source: Source | None = None
    """The document that replaces it; None: the call ends."""
    status: str = "completed"
    carried_out: asyncio.Event = field(default_factory=asyncio.Event)


class CallLife:
    """From the first ring to the last callback."""

    def __init__(
        self, record: CallRecord, placement: Placement, webhooks: Webhooks, announce: Callable[[], None]
    ) -> None:
        """
        Args:
            announce: called when a stream has started and when all is over.
        """
        self.recordings: dict[str, Recording] = {}
        self.ended_by = ""
        self.over = asyncio.Event()
        """Set when the last callback was sent."""
        self._record = record
        self._settings = record.settings
        self._placement = placement
        self._announce = announce
        self._courier = Courier(webhooks, record)
        self._status = StatusCallbacks(
            record, self._courier, placement.status_url, placement.status_events, placement.status_method
        )
        self._script = Script(record, webhooks, self._courier, self._answer, announce)
        self._loop = asyncio.get_running_loop()
        self._orders: deque[Order] = deque()
        self._ordered = asyncio.Event()
        self._limit: asyncio.TimerHandle | None = None
        self._asides: list[asyncio.Task[None]] = []
        self._tasks = asyncio.TaskGroup()

    @property
    def legs(self) -> list[PhoneLeg]:
        """Every attempt to open a stream, in order."""
        return self._script.legs

    # -- orders from outside -------------------------------------------------------------------------------------------

    async def order(self, order: Order) -> None:
        """End or replace the running document; returns when that is done. Nothing happens when the call is over."""
        if self._record.ended_at is None:
            self._give(order)
            await order.carried_out.wait()

    def limit(self, seconds: float) -> None:
        """End the call so many seconds after it was answered."""
        if self._limit is not None:
            self._limit.cancel()
        began = self._loop.time() if self._record.answered_at is None else self._record.answered_at
        self._limit = self._loop.call_at(began + seconds, self._give, Order("time_limit", EVERY_STEP))

    def record_call(self, callback: str | None, method: str, events: tuple[str, ...], channels: str) -> Recording:
        """Begin a recording; it is finished with the call."""
        now = self._loop.time()
        recording = Recording(self._record, self._courier, now, callback, method, events, channels)
        self.recordings[recording.sid] = recording
        recording.report(now)
        return recording

    # -- the life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live. The phone that owns the call runs this once."""
        try:
            async with self._tasks:
                self._tasks.create_task(self._courier.run())
                await self._live()
                for task in self._asides:
                    task.cancel()
                self._courier.finish()
        finally:
            if self._limit is not None:
                self._limit.cancel()
            self.over.set()
            self._announce()
            for order in self._orders:
                order.carried_out.set()

    async def _live(self) -> None:
        if self._record.direction.name == "inbound":
            self._report("ringing")
        source: Source | None = retried(self._placement.source, self._settings.webhook_repeats)
        while source is not None:
            source = await self._follow(source)

    async def _follow(self, source: Source) -> Source | None:
        """Run documents until they end or are ended; what comes instead."""
        self._script.halted = False
        async with asyncio.TaskGroup() as tasks:
            script = tasks.create_task(self._begin(source))
            ordered = tasks.create_task(self._ordered.wait())
            await asyncio.wait({script, ordered}, return_when=asyncio.FIRST_COMPLETED)
            ordered.cancel()
            if not self._orders:
                self._end_of_script(script.result())
                return None
            order = self._orders.popleft()
            if not self._orders:
                self._ordered.clear()
            await self._carry_out(order, script)
            script.cancel()
        return order.source

    async def _begin(self, source: Source) -> Ending:
        if self._record.direction.name != "inbound" and self._record.answered_at is None:
            outcome = await self._ring()
            if outcome != "answered":
                return outcome
        return await self._script.follow(source)

    async def _ring(self) -> Literal["answered"] | Ending:
        self._report("initiated")
        self._report("ringing")
        settings = self._settings
        if settings.ring_s >= self._placement.ring_timeout_s:
            await asyncio.sleep(self._placement.ring_timeout_s)
            return "no-answer"
        await asyncio.sleep(settings.ring_s)
        if settings.outcome != "answered":
            return settings.outcome
        self._answer()
        if self._placement.amd == "blocking":
            await asyncio.sleep(settings.amd_s)
        elif self._placement.amd == "background" and self._placement.amd_url is not None:
            self._asides.append(self._tasks.create_task(self._tell_who_answered(self._placement.amd_url)))
        return "answered"

    async def _tell_who_answered(self, url: str) -> None:
        await asyncio.sleep(self._settings.amd_s)
        fields = {
            "AccountSid": self._settings.account_sid,
            "CallSid": self._record.call_sid,
            "AnsweredBy": self._settings.answered_by,
            "MachineDetectionDuration": str(round(self._settings.amd_s * 1000)),
        }
        self._courier.send(Callback(url, fields))

    def _answer(self) -> None:
        if self._record.answered_at is None:
            self._record.answered_at = self._loop.time()
            self._report("in-progress")
            if self._placement.time_limit_s is not None:
                self.limit(self._placement.time_limit_s)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _give(self, order: Order) -> None:
        self._orders.append(order)
        self._ordered.set()

    async def _carry_out(self, order: Order, script: asyncio.Task[Ending]) -> None:
        self._script.halted = True
        action, self._script.action = self._script.action, None
        leg = self.legs[-1] if self.legs and self.legs[-1].live else None
        if order.source is None:
            self.ended_by = order.by
        for step in order.steps:
            if step == "stop" and leg is not None:
                leg.stop()
            elif step == "close" and leg is not None:
                await self._close(leg)
            elif step == "status":
                self._finish(order.status)
        if order.source is None:
            self._finish(order.status, report=False)
            if action is not None and self._settings.action_after_hang_up:
                self._tasks.create_task(self._ask_in_vain(action))
        order.carried_out.set()
        if leg is not None:
            shaking_hands = 3 * CLOSE_TIMEOUT + self._settings.round_trip_s + 2 * self._settings.jitter_s
            await asyncio.wait({script}, timeout=shaking_hands if "close" in order.steps else self._settings.linger_s)

    async def _ask_in_vain(self, action: Fetch) -> None:
        """The caller is gone: the carrier still asks, and nobody follows the answer."""
        self._record.note(self._loop.time(), "webhook", action.url)
        await self._courier.deliver(Callback(action.url, self._record.fields(**action.fields), action.method))

    async def _close(self, leg: PhoneLeg) -> None:
        try:
            async with asyncio.timeout(self._settings.linger_s):
                await leg.close()
        except TimeoutError:
            leg.drop()  # the network stalls: no close frame can leave

    def _end_of_script(self, ending: Ending) -> None:
        self.ended_by = "error" if ending == "failed" else "twiml"
        self._finish(ending if self._record.answered_at is None else "completed")

    def _finish(self, status: str, *, report: bool = True) -> None:
        if self._record.ended_at is not None:
            return
        now = self._loop.time()
        self._record.status, self._record.ended_at = status, now
        if report:
            self._report(status)
        for recording in self.recordings.values():
            recording.finish(now)
        self._record.note(now, "ended", self.ended_by)

    def _report(self, status: str) -> None:
        now = self._loop.time()
        self._record.status = status
        self._record.note(now, "status", status)
        self._status.report(now)
