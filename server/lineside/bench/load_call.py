"""One call of the load: as little work as keeps a server from telling it from a real one.

`Caller` is the person (keys, and the ear), `LoadCall` the carrier (one WebSocket, frames written by hand). Times are of
one monotonic clock, in seconds, and are passed in where possible.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from math import inf
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

from lineside.bench import script
from lineside.errors import RemoteProtocolError
from lineside.standin.recogniser import sounds

BYTES_PER_S = 8000
FRAME_MS = 20
FRAME = FRAME_MS * BYTES_PER_S // 1000  # bytes
SPEECH, SILENCE = 3.0, 5.0  # s; a caller who speaks does so for so long at a time, and then listens
COMPLETE = 0.9  # of an answer's length: servers may drop blanks between sentences
PAUSE = 0.5  # s between the end of an answer and the next key
CONNECT_TIMEOUT = 10.0  # s
STUCK = 5.0  # s beyond an answer's length after which it is given up

NO_MASK = bytes(4)  # a client must mask; this key costs the server as much as any other, and us nothing


class Opcode(IntEnum):
    """The kinds of WebSocket frames that occur here."""

    TEXT = 0x1
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Caller:
    """What one caller does and hears.

    The carrier's queue is reckoned: what was given, less 8000 bytes for each second since. It may run dry at the end of
    an answer only. The end is known by the answer's length, so no server needs to tell it.

    Args:
        keys: pressed one after the other, again and again.
    """

    def __init__(self, keys: str) -> None:
        self._keys = deque(keys)
        self._pressed_at = 0.0
        self._n_bytes = 0  # of the present answer
        self._n_complete = 0
        self.key_at = inf  # when to press the next key
        self.dry_at = 0.0
        self.n_bytes = 0  # in all
        self.delays: list[tuple[float, float]] = []  # (when pressed, seconds to the first audio)
        self.underruns: list[float] = []
        self.stuck: list[float] = []

    def press(self, now: float) -> str:
        """The next key; the answer to the last one is over."""
        if self._n_bytes < self._n_complete:
            self.stuck.append(now)
        key = self._keys[0]
        self._keys.rotate(-1)
        self._pressed_at = now
        self._n_bytes = 0
        self._n_complete = int(COMPLETE * script.seconds(key) * BYTES_PER_S)
        self.key_at = now + script.seconds(key) + STUCK
        return key

    def heard(self, n_bytes: int, now: float) -> None:
        """Audio has come."""
        if self._n_bytes == 0:
            self.delays.append((self._pressed_at, now - self._pressed_at))
        elif now > self.dry_at:
            self.underruns.append(now)
        self.n_bytes += n_bytes
        self._n_bytes += n_bytes
        self.dry_at = max(self.dry_at, now) + n_bytes / BYTES_PER_S
        if self._n_bytes >= self._n_complete:
            self.key_at = self.dry_at + PAUSE

    def cleared(self, now: float) -> None:
        """The server took back what was not played yet."""
        self.dry_at = min(self.dry_at, now)


@dataclass(frozen=True, slots=True)
class Stream:
    """Where a call's stream goes, and as what."""

    url: str
    call_id: str
    stream_id: str
    account_id: str
    signature: str = ""


class LoadCall(asyncio.Protocol):
    """The carrier's side of one media stream.

    Args:
        clock: the pace-maker's, not the loop's: uvloop's counts whole milliseconds.
        speaks: the caller is heard, see `speech`; else every frame has the same noise, which nobody listens to.
    """

    transport: asyncio.Transport

    def __init__(self, stream: Stream, caller: Caller, clock: Callable[[], float], *, speaks: bool = False) -> None:
        self.caller = caller
        self.lost = False  # by no doing of ours
        self._hung_up = False
        self._stream = stream
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._received = bytearray()
        self._sequence = 0
        self._n_frames = 0
        self._marks: deque[tuple[bytes, asyncio.TimerHandle]] = deque()
        rng = random.Random(stream.call_id)
        self._payloads = speech() if speaks else [base64.b64encode(rng.randbytes(FRAME))]
        self._first_payload = rng.randrange(len(self._payloads))  # callers do not all speak at the same time
        self._media = (
            b'{"event":"media","sequenceNumber":"%%d","streamSid":"%b","media":{"track":"inbound","chunk":"%%d",'
            b'"timestamp":"%%d","payload":"%%b"}}' % stream.stream_id.encode()
        )

    async def connect(self) -> None:
        """
        Raises:
            RemoteProtocolError: the server does not take the stream.
            TimeoutError: it does not answer.
        """
        url = urlsplit(self._stream.url)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await self._loop.create_connection(lambda: self, url.hostname or "", url.port or 80)
            await self.opened

    # -- to the server -----------------------------------------------------------------------------

    def send_frame(self, now: float) -> None:
        """Send the next 20 ms of the caller's voice, and the next key when it is time."""
        if self.lost or self._hung_up:
            return
        self._sequence += 1
        self._n_frames += 1
        payload = self._payloads[(self._first_payload + self._n_frames) % len(self._payloads)]
        self._write(self._media % (self._sequence, self._n_frames, self._n_frames * FRAME_MS, payload))
        if now >= self.caller.key_at:
            key = self.caller.press(self._clock())
            self._send("dtmf", b'"dtmf":{"track":"inbound_track","digit":"%b"}' % key.encode())

    def hang_up(self) -> None:
        """Say so. The server closes; closing here would reset the connection while its audio is on the way to us, and
        what we said would be lost with it.
        """
        ids = (self._stream.account_id.encode(), self._stream.call_id.encode())
        self._hung_up = True
        self._send("stop", b'"stop":{"accountSid":"%b","callSid":"%b"}' % ids)
        self._write((1000).to_bytes(2, "big"), Opcode.CLOSE)

    def abort(self) -> None:
        self.transport.abort()

    def _send(self, event: str, rest: bytes) -> None:
        self._sequence += 1
        stream = self._stream.stream_id.encode()
        head = b'{"event":"%b","sequenceNumber":"%d","streamSid":"%b",' % (event.encode(), self._sequence, stream)
        self._write(head + rest + b"}")

    def _write(self, payload: bytes, opcode: int = Opcode.TEXT) -> None:
        n = len(payload)
        length = bytes((0x80 | n,)) if n < 126 else b"\xfe" + n.to_bytes(2, "big")
        self.transport.write(bytes((0x80 | opcode,)) + length + NO_MASK + payload)

    # -- from the server ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not by their class
        self.transport.write(upgrade(self._stream))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = not self._hung_up
        while self._marks:
            self._marks.popleft()[1].cancel()
        if not self.opened.done():
            self.opened.set_exception(RemoteProtocolError("the server closed the connection at the handshake"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.opened.done() and not self._take_handshake():
            return
        for opcode, payload in frames(self._received):
            match opcode:
                case Opcode.TEXT:
                    self._take(orjson.loads(payload))
                case Opcode.PING:
                    self._write(payload, Opcode.PONG)
                case Opcode.CLOSE if not self._hung_up:
                    self._write(payload, Opcode.CLOSE)

    def _take_handshake(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return False
        status = bytes(head.partition(b"\r\n")[0])
        if b" 101 " not in status:
            self.opened.set_exception(RemoteProtocolError(f"expected HTTP 101 to the upgrade, got {status!r}"))
            return False
        self._received = rest
        self._write(b'{"event":"connected","protocol":"Call","version":"1.0.0"}')
        start = {
            "accountSid": self._stream.account_id,
            "callSid": self._stream.call_id,
            "streamSid": self._stream.stream_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": BYTES_PER_S, "channels": 1},
            "customParameters": {},
        }
        self._send("start", b'"start":' + orjson.dumps(start))
        self.opened.set_result(None)
        return True

    def _take(self, message: dict[str, Any]) -> None:
        now = self._clock()
        match message:
            case {"media": {"payload": payload}}:
                self.caller.heard(len(payload) // 4 * 3 - payload.endswith("=") - payload.endswith("=="), now)
            case {"mark": {"name": name}}:
                played = self._loop.call_later(max(0.0, self.caller.dry_at - now), self._return_mark)
                self._marks.append((name.encode(), played))
            case {"event": "clear"}:
                self.caller.cleared(now)
                for _, timer in tuple(self._marks):
                    timer.cancel()
                    self._return_mark()

    def _return_mark(self) -> None:
        """The oldest mark was reached: they are reached in order."""
        name, _ = self._marks.popleft()
        if not self.transport.is_closing():
            self._send("mark", b'"mark":{"name":"%b"}' % name)


@cache
def speech() -> Sequence[bytes]:
    """A caller's audio, frame by frame in base64, to be repeated: speech without words, then silence.

    It has no words because those would interrupt the answers that are measured. A recogniser and a detector of speech
    have as much to do with it as with any.
    """
    audio = sounds.babble(SPEECH, -20.0) + sounds.silence(SILENCE)
    return [base64.b64encode(audio[at : at + FRAME]) for at in range(0, len(audio), FRAME)]


def upgrade(stream: Stream) -> bytes:
    """The carrier's WebSocket handshake: no Origin, no sub-protocol, no extension."""
    url = urlsplit(stream.url)
    lines = [
        f"GET {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(random.randbytes(16)).decode()}",
        "User-Agent: Twilio.TmeWs/1.0",
        "Accept-Encoding: gzip",
    ]
    if stream.signature:
        lines.append(f"X-Twilio-Signature: {stream.signature}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def frames(received: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take every whole WebSocket frame of a server from the front of `received`: its opcode and payload.

    Servers do not mask, and those that are measured here send no message in fragments.
    """
    while len(received) >= 2:
        length, start = received[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(received[2:start], "big")
        if len(received) < start + length:
            return
        yield received[0] & 0x0F, bytes(received[start : start + length])
        del received[: start + length]
