"""One phone call, from the webhook to its end. The only file that knows the order of things.

A call is keyed by the carrier's call id. Legs attach to it and detach from it; the agent, the voices and the ears live
as long as the call. What is said meanwhile, and by whom, is the matter of its `Conversation`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lineside.alarm import Alarm
from lineside.cast import Cast, VoiceSet, cast_of
from lineside.conversation import Conversation, TalkOptions
from lineside.errors import CarrierError
from lineside.events import CallEnded, CallInfo, CallStarted
from lineside.hearing.attention import Attention
from lineside.hearing.vad import Detector
from lineside.observe.timeline import Timeline
from lineside.ports import AgentSession, Carrier, Ear, Leg
from lineside.talk.playout import RoundTrip

ADMISSION_POLL = 0.05  # s between looks whether a voice has room
HANG_UP_GRACE = 2.0  # s for the carrier to close the leg after it agreed to hang up
FAREWELL = 5.0  # s for the agent's answer to CallEnded
SHUTDOWN = "shutdown"  # the reason for an end that neither side of the call asked for


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call goes. Times in seconds."""

    talk: TalkOptions
    detector: Callable[[], Detector] | None = None
    """Makes the call's own detector of speech, where the recogniser is not to tell its beginning."""
    echo_guard: bool = True
    """Tell our own voice from the caller's, where the line brings it back."""
    greeting_delay: float = 0.0
    """Between the leg's start and our first audio: some media paths swallow the first moments."""
    attach_timeout: float = 30.0
    """For the first leg to come after the webhook."""
    reattach_timeout: float = 10.0
    """For a new leg, after one was lost without the carrier saying that the call is over."""


class Call:
    """A call in progress. `run` is its life; everything else may be called at any time, from the media loop."""

    def __init__(
        self,
        info: CallInfo,
        agent: AgentSession,
        voices: VoiceSet,
        carrier: Carrier,
        timeline: Timeline,
        options: CallOptions,
        ear: Ear | None = None,
    ) -> None:
        self.info = info
        self.timeline = timeline
        self.trip = RoundTrip()
        self._agent = agent
        self._voices = voices
        self._carrier = carrier
        self._ear = ear
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._leg: Leg | None = None
        self._stage: Leg | None = None  # the same, with those who overhear it
        self._leg_ready = False
        self.n_legs = 0  # that have attached so far
        self.leaving = False  # hanging up: the carrier need not bring the caller back
        self.on_audio: Callable[[bytes], None] | None = None  # who listens to the caller
        self._leg_timer: asyncio.TimerHandle | None = None
        self._conversation = Conversation(self, agent, options.talk, info.call_id)
        self._cast: Cast | None = None
        self._attention: Attention | None = None
        self._ended: asyncio.Future[str] = self._loop.create_future()

    # -- its life ------------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Talk until the call is over; returns why it ended. Everything opened here is closed on return."""
        self.timeline.note("call_started")
        self._wait_for_leg(self._options.attach_timeout, "never connected")
        try:
            async with cast_of(self._voices, self._loop.time) as cast, self._listening():
                self._cast = cast
                talk = self._loop.create_task(self._talk(cast), name=f"call {self.info.call_id}")
                try:
                    ends: list[asyncio.Future[Any]] = [talk, self._ended]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    if self.over and self._ended.result() == SHUTDOWN:
                        await self._hang_up()  # nobody will be here to answer what the carrier asks next
                finally:
                    await self._stop(talk)
            reason = self._ended.result()
            self.timeline.note("call_ended", reason=reason)
            await self._farewell(reason)
            if not talk.cancelled():
                talk.result()  # raises what went wrong in here, now that all is in order
        finally:
            self._agent.close()
        return reason

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Somebody hears the caller, if anybody is to."""
        if self._ear is None:
            yield
            return
        make = self._options.detector
        self._attention = attention = Attention(
            self._conversation.heard,
            self._loop.time,
            detector=None if make is None else make(),
            guard=self._options.echo_guard,
        )
        async with self._ear.connect(attention.heard) as hearing:
            attention.listen_with(hearing)
            self.on_audio = attention.feed
            yield

    async def _talk(self, cast: Cast) -> None:
        """Until the agent hangs up."""
        await self._conversation.run(cast)
        await self._hang_up()
        self.end("agent")

    async def _stop(self, talk: asyncio.Task[None]) -> None:
        """The conversation is over, by its own end, by the call's, or because we are being cancelled."""
        if self._leg_timer is not None:
            self._leg_timer.cancel()
        talk.cancel()
        if self._leg is not None:
            self._leg.close()
            self._leg, self._leg_ready = None, False
        await asyncio.wait([talk])
        self.end("error")  # unless a better reason is known

    async def _hang_up(self) -> None:
        """End the call at the carrier; if its REST side fails, closing the leg ends it too."""
        self.timeline.note("hanging_up")
        self.leaving = True
        try:
            await self._carrier.hang_up(self.info.call_id, self.info.account_id)
        except CarrierError as exc:
            self.timeline.note("hang_up_failed", error=str(exc))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_GRACE):
                await asyncio.shield(self._ended)

    async def _farewell(self, reason: str) -> None:
        """Tell the agent that it is over, for its own book-keeping."""
        rung = Alarm()
        reply = self._agent.reply(CallEnded(reason, cut_off=self._conversation.cut_off), rung.ring)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    while not reply.done:
                        while reply.take() is not None:
                            pass
                        if not reply.done:
                            await rung.wait(None)
            if reply.error is not None:
                self.timeline.note("agent_failed", error=str(reply.error))
        finally:
            reply.close()

    def end(self, reason: str) -> None:
        """The call is over. Only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    @property
    def over(self) -> bool:
        return self._ended.done()

    async def admit(self, patience: float) -> bool:
        """Wait, while it rings, until a voice has room for this call. False: none had within `patience` seconds."""
        began = self._loop.time()
        while not self.over:
            if self._cast is not None and self._cast.lead().speech.admitted:
                if (waited := self._loop.time() - began) > ADMISSION_POLL:
                    self.timeline.note("admitted", after_ms=round(waited * 1000))
                return True
            if self._loop.time() - began >= patience:
                return False
            await asyncio.sleep(ADMISSION_POLL if self._cast is not None else 0)
        return False

    # -- legs ----------------------------------------------------------------------------------------------------------

    @property
    def leg(self) -> Leg | None:
        """Where audio may be sent now; see `lineside.stage.Connection`."""
        return self._stage if self._leg_ready else None

    @property
    def connected(self) -> bool:
        return self._leg is not None

    def attach(self, leg: Leg) -> None:
        """A leg has come. A former one, if it is still there, is closed: the carrier has given it up."""
        resumed = self.n_legs > 0
        if self._leg is not None:
            former, self._leg = self._leg, None
            self._conversation.fall_silent()
            former.close()
        self.timeline.note("leg_attached", stream=leg.stream_id, resumed=resumed)
        self._leg, self._leg_ready = leg, False
        self._stage = leg if self._attention is None else self._attention.overhearing(leg)
        self.n_legs += 1
        if resumed:
            self.trip = RoundTrip()
        if self._leg_timer is not None:
            self._leg_timer.cancel()
        if resumed:
            self._conversation.interrupt(CallStarted(resumed=True))  # what was being prepared is no answer to it
        if self._options.greeting_delay > 0 and not resumed:
            self._leg_timer = self._loop.call_later(self._options.greeting_delay, self._open_leg, leg)
        else:
            self._open_leg(leg)

    def _open_leg(self, leg: Leg) -> None:
        if self._leg is leg:
            self._leg_ready = True
            self._conversation.wake()

    def left(self, leg: Leg, *, stopped: bool) -> None:
        """A leg is gone; see `lineside.ports.LegListener`."""
        if leg is not self._leg:
            return
        self.timeline.note("leg_left", stream=leg.stream_id, stopped=stopped)
        self._leg, self._leg_ready = None, False
        if stopped:
            self.end("agent" if self.leaving else "caller")
            leg.close()
        elif not self.over:
            self._conversation.fall_silent()
            self._wait_for_leg(self._options.reattach_timeout, "lost")

    def _wait_for_leg(self, timeout: float, reason: str) -> None:
        self._leg_timer = self._loop.call_later(timeout, self.end, reason)

    def marked(self, name: str) -> None:
        self._conversation.marked(name)

    def pressed(self, digit: str) -> None:
        self._conversation.pressed(digit)

    # -- what the carrier's side channel says --------------------------------------------------------------------------

    def finished_at_carrier(self, status: str) -> None:
        """The carrier reports a terminal status."""
        self.timeline.note("carrier_status", status=status)
        ended_by = "agent" if self.leaving else "caller"
        self.end(ended_by if status == "completed" else status)
