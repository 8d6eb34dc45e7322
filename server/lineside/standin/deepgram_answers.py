"""The answers of Deepgram's speak socket: audio at its pace, Flushed, Cleared, Warning, one after the other.

Whatever the client asks for becomes a job, and one task does the jobs in turn, so the answers leave in the order in
which they were asked for.

Sources: https://developers.deepgram.com/docs/tts-ws-flush, https://developers.deepgram.com/docs/tts-ws-clear,
https://developers.deepgram.com/docs/tts-ws-close
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid5

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from lineside.standin.deepgram_upgrade import SpeakSettings
from lineside.standin.endpoint import Socket, Studio
from lineside.standin.record import Spoken
from lineside.standin.voice import encode, speak

JOBS_WAITING = 256  # more than any limit lets a client have open; beyond it the client is not read
CHUNK_S = (0.1, 0.4)  # s of audio; the service's real sizes are not published
BYTES_PER_SAMPLE = {"linear16": 2, "mulaw": 1, "alaw": 1}


class _Lost(Exception):
    """A fault has taken the connection."""


@dataclass(slots=True, eq=False)
class _Flush:
    """Text to be spoken, and how far that got."""

    text: str
    answered: bool = True
    """Whether a Flushed follows."""
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    audio: bytes = b""
    n_sent: int = 0
    n_late: int = 0
    began_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Refuse:
    """Tell that a flush was one too many."""


@dataclass(frozen=True, slots=True)
class _Clear:
    """Tell that everything before was dropped, `n_owed` flushes among it."""

    n_owed: int


@dataclass(frozen=True, slots=True)
class _Close:
    """End the session."""


class Answers:
    """What one connection is told and sent."""

    def __init__(self, socket: Socket, number: int, settings: SpeakSettings, request_id: str, studio: Studio) -> None:
        self._socket = socket
        self._number = number
        self._settings = settings
        self._request_id = request_id
        self._voice, self._faults, self._record = studio.voice, studio.faults, studio.record

        self._jobs: asyncio.Queue[_Flush | _Refuse | _Clear | _Close] = asyncio.Queue(JOBS_WAITING)
        self._unanswered: list[_Flush] = []
        self._sequence = {"Flushed": 0, "Cleared": 0}
        self._bytes_per_s = settings.rate * BYTES_PER_SAMPLE[settings.encoding]
        self._sizes = _sizes(random.Random(f"{self._faults.chunk_seed}/{number}"), self._bytes_per_s)
        self._n_chunks = 0
        self._die_after = self._faults.take("die_after_chunks")
        self._stall_after = self._faults.take("stall_after_chunks")

    # -- asking ------------------------------------------------------------------------------------------------------

    async def flush(self, text: str, *, answered: bool = True) -> None:
        """Speak `text`; then say Flushed if `answered`."""
        flush = _Flush(text, answered)
        self._unanswered.append(flush)
        await self._jobs.put(flush)

    async def refuse(self) -> None:
        """Tell that a flush was one too many."""
        if self._faults.refusal_at_once:
            await self.say(self._warning())
        else:
            await self._jobs.put(_Refuse())

    async def clear(self) -> None:
        """Drop every flush that is not answered yet; then say Cleared."""
        owed = [flush for flush in self._unanswered if not flush.cut.is_set()]
        for flush in owed:
            flush.cut.set()
        await self._jobs.put(_Clear(sum(flush.answered for flush in owed)))

    async def close(self) -> None:
        """End the connection when everything before was answered."""
        await self._jobs.put(_Close())

    def drop(self) -> None:
        """Cut what is not answered yet and put it into the record: the connection ends."""
        for flush in tuple(self._unanswered):
            flush.cut.set()
            self._note(flush)

    async def say(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message, separators=(",", ":")))

    def metadata(self) -> dict[str, Any]:
        model = self._settings.model
        return {
            "type": "Metadata",
            "request_id": self._request_id,
            "model_name": model,
            "model_version": "2025-04-07.0",
            "model_uuid": str(uuid5(NAMESPACE_DNS, f"{model}.deepgram.com")),
            "additional_model_uuids": [],
        }

    # -- answering ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do the jobs until the connection ends or the task is cancelled."""
        with suppress(ConnectionClosed, _Lost):
            while True:
                match await self._jobs.get():
                    case _Flush() as flush:
                        await self._answer_flush(flush)
                    case _Refuse():
                        await self.say(self._warning())
                    case _Clear(n_owed=n_owed):
                        await self._answer_clear(n_owed)
                    case _Close():
                        if self._faults.metadata_at_close:
                            await self.say(self.metadata())
                        await self._socket.close(1000)

    async def _answer_flush(self, flush: _Flush) -> None:
        if flush.text and not flush.cut.is_set():
            await self._send_audio(flush)
            await self._suffer_faults(flush)
        await _sleep(self._faults.flushed_delay_s, flush.cut)
        self._note(flush)
        if flush.cut.is_set() or not flush.answered or self._faults.no_flushed:
            return
        if flush.text or self._faults.empty_flush_answers:
            await self._say_numbered("Flushed")

    async def _send_audio(self, flush: _Flush) -> None:
        """Send the flush's audio at its pace. A cut ends it, but for the late chunks that the faults ask for."""
        faults, settings = self._faults, self._settings
        flush.began_at = now()
        if faults.zero_audio:
            return
        rendering = await speak(self._voice, flush.text, settings.speed)
        flush.audio = await encode(self._voice, rendering, settings.encoding, settings.rate)
        due_at = flush.began_at + faults.first_audio_delay_s
        n_late_chunks = 0
        sizes = cycle(faults.chunk_sizes) if faults.chunk_sizes else self._sizes
        while flush.n_sent < len(flush.audio):
            await self._suffer_faults(flush)
            if n_late_chunks and n_late_chunks < faults.late_frames_after_clear:
                await asyncio.sleep(max(0.0, due_at - now()))
            await _sleep(due_at - now(), flush.cut)
            if flush.cut.is_set():
                if n_late_chunks >= faults.late_frames_after_clear:
                    return
                n_late_chunks += 1
            chunk = flush.audio[flush.n_sent : flush.n_sent + max(1, next(sizes))]
            if self._socket.state is State.OPEN:
                flush.n_sent += len(chunk)
                flush.n_late += len(chunk) if n_late_chunks else 0
            self._n_chunks += 1
            await self._socket.send(chunk)
            due_at = max(due_at, now()) + self._gap(len(chunk))  # what a stall held up comes no faster after it

    def _gap(self, n_bytes: int) -> float:
        """Seconds from a chunk to the next."""
        faults = self._faults
        if faults.burst:
            return 0.0
        if faults.chunk_gap_s is not None:
            return faults.chunk_gap_s
        return n_bytes / self._bytes_per_s / faults.speed_up if faults.speed_up else 0.0

    async def _suffer_faults(self, flush: _Flush) -> None:
        """Stall or die here if a fault says so.

        Raises:
            _Lost: died.
        """
        faults = self._faults
        die_after = faults.count("die_after_chunks", self._die_after)
        if die_after is not None and self._n_chunks >= die_after:
            self.drop()
            if faults.die_close_code:
                await self._socket.close(faults.die_close_code, faults.die_reason)
            else:
                self._socket.transport.abort()
            raise _Lost
        stall_after = faults.count("stall_after_chunks", self._stall_after)
        if stall_after is not None and self._n_chunks >= stall_after:
            self._stall_after = -1  # one stall a connection
            await _sleep(math.inf if faults.stall_s is None else faults.stall_s, flush.cut)

    async def _answer_clear(self, n_owed: int) -> None:
        faults = self._faults
        await asyncio.sleep(faults.cleared_delay_s)
        if faults.owed_flushed_after_clear == "before":
            for _ in range(n_owed):
                await self._say_numbered("Flushed")
        if not faults.never_cleared:
            await self._say_numbered("Cleared")
        if faults.owed_flushed_after_clear == "after":
            for _ in range(n_owed):
                await self._say_numbered("Flushed")

    def _note(self, flush: _Flush) -> None:
        """Put a flush that has ended into the record, once."""
        if flush not in self._unanswered:
            return
        self._unanswered.remove(flush)
        began_at = now() if flush.began_at is None else flush.began_at
        audio = flush.audio[: flush.n_sent]
        self._record.spoke(Spoken(self._number, flush.text, audio, began_at, flush.cut.is_set(), flush.n_late))

    async def _say_numbered(self, kind: Literal["Flushed", "Cleared"]) -> None:
        scheme = self._faults.sequence_scheme
        counted = {"zero": 0, "each": self._sequence[kind], "both": sum(self._sequence.values())}
        self._sequence[kind] += 1
        await self.say({"type": kind, "sequence_id": counted[scheme]})

    def _warning(self) -> dict[str, str]:
        names = ("warn_code", "warn_msg") if self._faults.warning_form == "wire" else ("code", "description")
        sentence = "Rate limit exceeded for flushes. Please try again later."
        return {"type": "Warning", names[0]: "EXCESSIVE_FLUSH", names[1]: sentence}


def now() -> float:
    """The loop's clock, s."""
    return asyncio.get_running_loop().time()


async def _sleep(seconds: float, cut: asyncio.Event) -> None:
    """Wait, but no longer once `cut` is set."""
    if seconds <= 0 or cut.is_set():
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            await cut.wait()


def _sizes(rng: random.Random, bytes_per_s: int) -> Iterator[int]:
    """Chunk sizes: irregular and odd, so never a whole number of 20 ms frames nor of 16-bit samples."""
    low, high = (int(seconds * bytes_per_s) for seconds in CHUNK_S)
    while True:
        yield rng.randrange(low, high) | 1
