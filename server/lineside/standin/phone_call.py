"""One call on the local phone: what the caller can do, and what one can know about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from lineside.errors import LocalProtocolError, RemoteProtocolError
from lineside.standin.carrier_queue import CarrierQueue, Span, render
from lineside.standin.phone_leg import PhoneLeg
from lineside.standin.phone_life import EVERY_STEP, CallLife, Order, Placement, Step
from lineside.standin.phone_record import CallRecord, Event, Listener, barge_in_delays, reply_delays
from lineside.standin.phone_settings import PhoneSettings
from lineside.standin.phone_stream import CarrierStream
from lineside.standin.phone_webhook import Webhooks


class PhoneCall:
    """A call of `Phone`. Audio is mu-law, 8 kHz, mono; times are the loop's."""

    def __init__(
        self,
        settings: PhoneSettings,
        placement: Placement,
        webhooks: Webhooks,
        epoch: datetime,
        listener: Listener | None = None,
    ) -> None:
        """
        Args:
            epoch: the wall-clock time at zero of the loop's time.
            listener: told of every event as it happens.
        """
        self.record = CallRecord(settings, placement.direction, epoch, listener)
        self.life = CallLife(self.record, placement, webhooks, self._announce)
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    # -- the caller ----------------------------------------------------------------------------------------------------

    async def connected(self, nth: int = 1) -> None:
        """Wait until the nth stream of this call has started.

        Raises:
            RemoteProtocolError: the call ended before.
        """
        while len(self.streams) < nth:
            if self.life.over.is_set():
                raise RemoteProtocolError(f"the call ended without stream {nth}: {dict(self.warnings)}")
            await self._news.wait()

    async def ended(self, timeout: float | None = None) -> None:
        """Wait until the call is over and every callback was sent.

        Raises:
            TimeoutError: it is not within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            await self.life.over.wait()

    def press(self, digit: str) -> None:
        """Press one key: 0-9, *, #, A-D.

        Raises:
            LocalProtocolError: no such key, or no stream is open.
        """
        leg = self._open_leg()
        self.stream.press(digit, self._loop.time())
        leg.wake()

    def speak(self, audio: bytes) -> None:
        """Say mu-law audio, after what was said before. It leaves in the frames to come.

        Raises:
            LocalProtocolError: no stream is open.
        """
        self._open_leg()
        self.stream.speak(audio)

    def stall(self, seconds: float) -> None:
        """For so long nothing passes between carrier and server; then everything does, in order."""
        leg = self._open_leg()
        self.stream.stall(self._loop.time() + seconds)
        leg.wake()

    async def hang_up(self, steps: Sequence[Step] = EVERY_STEP) -> None:
        """End the call; returns when the steps were taken.

        Args:
            steps: `stop` message, socket close, terminal status: all of them in any order, or some.
        """
        await self.life.order(Order("caller", steps))

    async def stop_without_close(self) -> None:
        """The call ends, `stop` is sent, and the socket stays open until the server closes it."""
        await self.hang_up(("stop", "status"))

    async def close_without_stop(self) -> None:
        """The call ends, and the socket is closed without a `stop`."""
        await self.hang_up(("close", "status"))

    async def drop(self) -> None:
        """The network between carrier and server breaks, without a close frame. The call goes on with its TwiML."""
        self._open_leg().drop()
        await asyncio.sleep(0)

    # -- what is known -----------------------------------------------------------------------------------------------

    @property
    def call_sid(self) -> str:
        return self.record.call_sid

    @property
    def status(self) -> str:
        """The carrier's CallStatus."""
        return self.record.status

    @property
    def over(self) -> bool:
        """The call has a terminal status; callbacks may still be on their way."""
        return self.record.ended_at is not None

    @property
    def ended_by(self) -> str:
        """`caller`, `rest`, `twiml` (a document ended), `time_limit`, `error` (a webhook or document failed)."""
        return self.life.ended_by

    @property
    def legs(self) -> list[PhoneLeg]:
        """Every attempt to open a stream, in order."""
        return self.life.legs

    @property
    def streams(self) -> list[CarrierStream]:
        """Every stream that was opened, in order."""
        return [leg.stream for leg in self.legs if leg.stream is not None]

    @property
    def stream(self) -> CarrierStream:
        """The latest stream.

        Raises:
            LocalProtocolError: none was opened yet.
        """
        if not (streams := self.streams):
            raise LocalProtocolError("no stream was opened yet")
        return streams[-1]

    @property
    def stream_sid(self) -> str:
        return self.stream.stream_sid

    @property
    def queue(self) -> CarrierQueue:
        """The latest stream's playout."""
        return self.stream.queue

    @property
    def warnings(self) -> Counter[str]:
        """As the carrier reports them: some codes once a stream."""
        return self.record.warnings

    @property
    def occurrences(self) -> Counter[str]:
        """How often what the warnings name really happened."""
        return self.record.occurrences

    @property
    def events(self) -> list[Event]:
        return self.record.events

    @property
    def transcript(self) -> list[str]:
        """The TwiML verbs that ran."""
        return self.record.transcript

    @property
    def documents(self) -> list[str]:
        """The TwiML that was received."""
        return self.record.documents

    @property
    def played_urls(self) -> list[str]:
        return self.record.played_urls

    @property
    def lateness(self) -> list[float]:
        """Seconds by which each 20 ms tick came late, over all streams: how busy this machine was."""
        return [late for stream in self.streams for late in stream.lateness]

    def heard(self) -> bytes:
        """What the caller heard so far: mu-law, 8 kHz, from the first stream's start."""
        return self._line(self.heard_spans())

    def heard_spans(self) -> list[Span]:
        """What the caller heard so far, and when."""
        now = self._loop.time()
        return [span for stream in self.streams for span in stream.heard_spans(now)]

    def said(self) -> bytes:
        """What the caller said so far, on the same time line as `heard`."""
        return self._line([Span(stream.began, stream.said()) for stream in self.streams])

    def reply_delays(self) -> list[float]:
        """Seconds from each time the caller fell silent until the server's audio began to play."""
        return reply_delays(self.events, self._played_spans())

    def barge_in_delays(self) -> list[float]:
        """Seconds from each time the caller spoke into the server's audio until the server cleared it."""
        clears = [clear for stream in self.streams for clear in stream.queue.clears]
        return barge_in_delays(self.events, self._played_spans(), clears)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _open_leg(self) -> PhoneLeg:
        if not self.legs or not self.legs[-1].live:
            raise LocalProtocolError("no stream is open")
        return self.legs[-1]

    def _played_spans(self) -> list[Span]:
        now = self._loop.time()
        return [span for stream in self.streams for span in stream.queue.spans(stream.until(now))]

    def _line(self, spans: list[Span]) -> bytes:
        if not (streams := self.streams):
            return b""
        now = self._loop.time()
        return render(spans, streams[0].began, max(stream.until(now) for stream in streams))
