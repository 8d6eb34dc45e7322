"""One client's connection as every recogniser has it: its messages, its audio, its answers, and how it may break."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from lineside.standin.endpoint import Socket, Studio
from lineside.standin.recogniser.ear import Ear, Moment
from lineside.standin.recogniser.listened import Listened
from lineside.standin.recogniser.outlet import Outlet, Say, Stamp, now
from lineside.standin.voice import Encoding


class Ending(Exception):
    """The connection must end for what the client did, or for a fault.

    Args:
        code: the protocol's own name of the reason.
        breach: its name in the record; empty when the client is not to blame.
    """

    def __init__(self, code: str, breach: str = "", detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.breach = breach
        self.detail = detail


class _Lost(Exception):
    """A fault has taken the connection."""


class Line:
    """What the protocols of the recognisers have in common.

    Args:
        limited: audio is taken in no faster than the faults' `max_ingest`.
        chunk_s: shortest and longest audio that a message should carry.
    """

    def __init__(
        self,
        socket: Socket,
        studio: Studio,
        listened: Listened,
        encoding: Encoding,
        rate: int,
        *,
        limited: bool = True,
        chunk_s: tuple[float, float] = (0.0, math.inf),
        stamp: Stamp | None = None,
    ) -> None:
        self.socket = socket
        self.studio = studio
        self.faults = studio.faults.recogniser
        self.listened = listened
        self._ear = Ear(encoding, rate, listened)
        self._outlet = Outlet(socket, self.faults, listened, stamp)
        self._limited = limited
        self._chunk_s = chunk_s
        self._die_after = _take(self.faults.die_after_bytes)
        self._stall_after = _take(self.faults.stall_after_bytes)
        self._taken_in_at = now()  # when the service has caught up with the audio so far
        self._behind = False
        self._failed = False

    async def run(self, converse: Callable[[], Awaitable[None]]) -> None:
        """Serve the connection until it ends.

        Args:
            converse: takes the client's messages until the connection ends.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._outlet.run())
                try:
                    await converse()
                finally:
                    sender.cancel()
        except* (ConnectionClosed, _Lost):
            pass
        finally:
            self._ear.finish()

    @property
    def audio_s(self) -> float:
        """Audio received."""
        return self._ear.seconds

    def breach(self, name: str) -> None:
        self.studio.record.breach(name)

    # -- from the client ---------------------------------------------------------------------------------------------

    async def receive(self, until: float) -> str | bytes | None:
        """The client's next message; None when a loop time comes first.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if until == math.inf else until):
                message = await self.socket.recv()  # cancelling this loses no message
                self.studio.record.heard(self.listened.connection, message)
                return message
        return None

    async def listen(self, audio: bytes) -> list[Moment]:
        """Take up audio; what is said from now on is due so much later as the service lags behind.

        Raises:
            _Lost: a fault has taken the connection.
        """
        await self._outlet.room()
        seconds = self._ear.seconds_of(audio)
        if not self._chunk_s[0] - 1e-9 <= seconds <= self._chunk_s[1] + 1e-9:
            self.listened.off_size_chunks += 1
        await self._break_down(len(audio))
        self._take_in(seconds)
        return self._ear.feed(audio, now())

    def rest(self) -> list[Moment]:
        """Take up what is left of less than 20 ms."""
        return self._ear.rest(now())

    def fails(self) -> bool:
        """A fault makes the service fail here; told once."""
        if self._failed or self.faults.error_after_s is None or self.audio_s < self.faults.error_after_s:
            return False
        self._failed = True
        return True

    async def _break_down(self, n_bytes: int) -> None:
        """Die or stall before these bytes if a fault says so."""
        n_after = self.listened.n_bytes + n_bytes
        if self._die_after is not None and n_after > self._die_after:
            faults = self.studio.faults
            if faults.die_close_code:
                await self.socket.close(faults.die_close_code, faults.die_reason)
            else:
                self.socket.transport.abort()
            raise _Lost
        if self._stall_after is not None and n_after > self._stall_after:
            self._stall_after = None
            with suppress(TimeoutError):
                async with asyncio.timeout(self.faults.stall_s):
                    await self.socket.wait_closed()

    def _take_in(self, seconds: float) -> None:
        """Keep the clock of a service that takes in audio at a limited pace."""
        pace = self.faults.max_ingest
        if not self._limited or not pace:
            self._taken_in_at = now()
            return
        self._taken_in_at = max(now(), self._taken_in_at + seconds / pace)
        behind = self._taken_in_at - now() > self.faults.ingest_slack_s
        if behind and not self._behind:
            self.breach("ingest_too_fast")
        self._behind = behind

    # -- to the client -----------------------------------------------------------------------------------------------

    def say(self, messages: Iterable[Say]) -> None:
        """Have messages sent when they are due."""
        for message in messages:
            self._outlet.put(message, max(now(), self._taken_in_at))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close the connection once everything was sent; None: without a code."""
        self._outlet.close(code, reason)


def _take(counts: list[int]) -> int | None:
    """A new connection's own share of a list of counts, used up; None when there is none."""
    count = counts.pop(0) if counts else -1
    return None if count < 0 else count
