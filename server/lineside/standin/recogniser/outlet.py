"""What a recogniser's client is told: each message when it is due, in order, unless a fault says otherwise."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from lineside.standin.endpoint import Socket
from lineside.standin.recogniser.faults import RecogniserFaults
from lineside.standin.recogniser.listened import Interim, Listened, Transcript

WAITING = 1000  # messages; with more of them the client is not read

Kind = Literal["interim", "final", "event"]
Message = dict[str, Any]
Stamp = Callable[[Message], Message]


@dataclass(frozen=True, slots=True)
class Say:
    """One message to the client."""

    message: Message
    kind: Kind = "event"
    text: str | None = None
    """The words that it brings, for the record."""
    latency_s: float | None = None
    """From the audio that led to it; None: what is usual for its kind."""


@dataclass(order=True, slots=True)
class _Entry:
    due: float
    nth: int
    say: Say = field(compare=False)


class Outlet:
    """One connection's messages.

    Args:
        stamp: the last change to a message as it leaves, such as its number.
    """

    def __init__(
        self, socket: Socket, faults: RecogniserFaults, listened: Listened, stamp: Stamp | None = None
    ) -> None:
        self._socket = socket
        self._faults = faults
        self._listened = listened
        self._stamp = stamp
        self._entries: list[_Entry] = []
        self._n_put = 0
        self._latest_due = 0.0
        self._closing: tuple[int | None, str] | None = None
        self._changed = asyncio.Event()
        self._held: Say | None = None
        self._opened_at = now()

    def put(self, say: Say, since: float) -> None:
        """Have a message sent, so much later than `since` (loop time) as its kind takes."""
        faults = self._faults
        if say.kind == "interim" and faults.no_interims:
            return
        usual = {
            "interim": faults.interim_latency_s,
            "final": faults.final_latency_s,
            "event": faults.event_latency_s,
        }
        due = since + (usual[say.kind] if say.latency_s is None else say.latency_s)
        due = self._latest_due = max(due, self._latest_due)
        if say.kind == "final":
            due += faults.late_finals_s
        self._n_put += 1
        heapq.heappush(self._entries, _Entry(due, self._n_put, say))
        self._changed.set()

    def close(self, code: int | None, reason: str = "") -> None:
        """Close the connection once everything was sent. None: with a frame that carries no code."""
        if self._closing is None:
            self._closing = (code, reason)
            self._changed.set()

    async def room(self) -> None:
        """Wait until there are not too many messages waiting."""
        while len(self._entries) > WAITING:
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Send until the connection is to be closed, and close it.

        Raises:
            ConnectionClosed: the client has gone before.
        """
        while (say := await self._next()) is not None:
            await self._silence()
            await self._send(say)
        if self._held is not None:
            await self._write(self._held.message)
        code, reason = self._closing or (1000, "")
        await self._socket.close(cast(int, code), reason)  # websockets takes None for a frame without a code

    async def _next(self) -> Say | None:
        """The next message when it is due; None when none is left and the connection is to be closed."""
        while True:
            if self._entries and self._entries[0].due <= now():
                self._changed.set()
                return heapq.heappop(self._entries).say
            if not self._entries and self._closing:
                return None
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._entries[0].due if self._entries else None):
                    await self._changed.wait()

    async def _silence(self) -> None:
        """Wait here while a fault keeps the service silent."""
        after_s = self._faults.mute_after_s
        if after_s is not None and now() >= (begins_at := self._opened_at + after_s):
            await asyncio.sleep(max(0.0, begins_at + self._faults.mute_s - now()))

    async def _send(self, say: Say) -> None:
        if say.kind == "interim" and self._faults.out_of_order_interims and self._held is None:
            self._held = say
            return
        held, self._held = self._held, None
        if say.kind == "final":
            await self._send_garbage(say.message)
        await self._write(say.message)
        if say.text is not None:
            self._listened.keep((Transcript if say.kind == "final" else Interim)(say.text, now()))
        if say.kind == "final" and self._faults.duplicate_finals:
            await self._write(say.message)
        if held is not None:
            await self._write(held.message)

    async def _send_garbage(self, message: Message) -> None:
        match self._faults.garbage:
            case "text":
                await self._socket.send("{garbage")
            case "unknown":
                await self._write({"type": "Surprise", "message_type": "surprise"})
            case "fields":
                await self._write({name: message[name] for name in ("type", "message_type") if name in message})
            case "binary":
                await self._socket.send(b"\x00garbage")

    async def _write(self, message: Message) -> None:
        stamped = self._stamp(message) if self._stamp else message
        await self._socket.send(json.dumps(stamped, separators=(",", ":"), ensure_ascii=False))


def now() -> float:
    """The loop's clock, s."""
    return asyncio.get_running_loop().time()
