"""What one of ElevenLabs' sockets sends: messages by the names in force, at their pace, with the faults ordered."""

from __future__ import annotations

import asyncio
import json
import math
import random
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

from websockets.protocol import State

from lineside.standin.elevenlabs_account import Account
from lineside.standin.elevenlabs_alignment import Alignment
from lineside.standin.elevenlabs_errors import Ending
from lineside.standin.elevenlabs_upgrade import SocketSettings
from lineside.standin.endpoint import Socket, Studio

TAIL_S = (0.009, 0.033)  # s of audio in a segment's last message, as seen on the wire


class Lost(Exception):
    """A fault takes the connection, as soon as it is on record how far everything got."""


class Outlet:
    """The way out of one connection, shared by its contexts."""

    account: Account  # from the moment that the client's key is known and good

    def __init__(self, socket: Socket, number: int, settings: SocketSettings, studio: Studio) -> None:
        self._socket = socket
        self.number = number
        self.settings = settings
        self.studio = studio
        self._faults = studio.faults
        self._rng = random.Random(f"{self._faults.chunk_seed}/{number}")
        self._n_frames = 0
        self._die_after = self._faults.take("die_after_chunks")
        self._stall_after = self._faults.take("stall_after_chunks")

    @property
    def open(self) -> bool:
        """Whether what is sent now can still reach the client."""
        return self._socket.state is State.OPEN

    # -- messages ----------------------------------------------------------------------------------------------------

    async def send_audio(
        self, audio: bytes, alignment: Alignment | None, normalised: Alignment | None, context_id: str | None
    ) -> None:
        faults = self._faults.elevenlabs
        message: dict[str, Any] = {"audio": b64encode(audio).decode()}
        if faults.is_final_of_audio != "absent":
            message[faults.is_final_name] = None if faults.is_final_of_audio == "null" else False
        message["normalizedAlignment"] = normalised and normalised.as_json(faults.durations_name)
        message["alignment"] = alignment and alignment.as_json(faults.durations_name)
        self._n_frames += 1
        await self._send(message | self._naming(context_id), n_bytes=faults.min_message_bytes)

    async def send_final(self, context_id: str | None) -> None:
        faults = self._faults.elevenlabs
        message: dict[str, Any] = {"audio": None if faults.final_audio == "null" else "", faults.is_final_name: True}
        if not self.settings.multi:
            message |= {"normalizedAlignment": None, "alignment": None}
        await self._send(message | self._naming(context_id))

    async def send_error(self, ending: Ending) -> None:
        naming = self._naming(ending.context_id) if self._faults.elevenlabs.errors_name_context else {}
        await self._send(ending.message | naming)

    def _naming(self, context_id: str | None) -> dict[str, str | None]:
        return {self._faults.elevenlabs.context_id_name: context_id} if self.settings.multi else {}

    async def _send(self, message: dict[str, Any], *, n_bytes: int = 0) -> None:
        text = json.dumps(message, separators=(",", ":"))
        await self._socket.send(text[:-1] + " " * (n_bytes - len(text)) + "}")

    async def close(self, delay_s: float, code: int = 1000, reason: str = "") -> None:
        """Close the connection after a while; at once when the client does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._socket.wait_closed()
        await self._socket.close(code, reason)

    async def die(self) -> None:
        """Lose the connection."""
        if self._faults.die_close_code:
            await self._socket.close(self._faults.die_close_code, self._faults.die_reason)
        else:
            self._socket.transport.abort()

    # -- pace and faults ---------------------------------------------------------------------------------------------

    def sizes(self, n_bytes: int) -> Iterator[int]:
        """The sizes of a segment's messages, in bytes of audio: one large and a small tail, if nothing else is set."""
        settings, faults = self.settings, self._faults
        if faults.chunk_sizes:
            yield from cycle(max(1, size) for size in faults.chunk_sizes)
        tail = round(self._rng.uniform(*TAIL_S) * settings.rate) * settings.sample_bytes
        body = n_bytes - tail if 4 * tail < n_bytes else n_bytes
        longest = max(1, round(faults.elevenlabs.frame_s * settings.rate)) * settings.sample_bytes
        while faults.elevenlabs.frame_s and body > longest:
            yield longest
            body -= longest
        yield body
        yield tail

    def gap(self, n_bytes: int) -> float:
        """Seconds from a message with so much audio to the next."""
        faults = self._faults
        if faults.burst:
            return 0.0
        if faults.chunk_gap_s is not None:
            return faults.chunk_gap_s
        return n_bytes / self.settings.bytes_per_s / faults.speed_up if faults.speed_up else 0.0

    async def suffer_faults(self, cut: asyncio.Event) -> None:
        """Stall here if a fault says so.

        Raises:
            Lost: a fault says that it ends here.
        """
        faults = self._faults
        die_after = faults.count("die_after_chunks", self._die_after)
        if die_after is not None and self._n_frames >= die_after:
            raise Lost
        stall_after = faults.count("stall_after_chunks", self._stall_after)
        if stall_after is not None and self._n_frames >= stall_after:
            self._stall_after = -1  # one stall a connection
            await wait(math.inf if faults.stall_s is None else faults.stall_s, cut)


def now() -> float:
    """The loop's clock, s."""
    return asyncio.get_running_loop().time()


async def wait(seconds: float, cut: asyncio.Event) -> None:
    """Wait, but no longer once `cut` is set."""
    if seconds <= 0 or cut.is_set():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            await cut.wait()
