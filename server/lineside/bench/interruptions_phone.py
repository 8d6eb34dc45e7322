"""The callers of the bench of interruptions, as a process: each presses a key while it is being spoken to.

    python -m lineside.bench.interruptions_phone --server ws://127.0.0.1:9001/media --calls 50 --seconds 20

The server is called as in `lineside.bench.load_phone`. Prints what was measured as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import aiohttp
import uvloop

from lineside.bench import script
from lineside.bench.load_call import BYTES_PER_S, Caller, LoadCall, Stream
from lineside.bench.load_phone import DIALLING, HANG_UP, BareLine, Pacer, TwilioLine, clock
from lineside.bench.report import percentiles
from lineside.standin.tone import ToneVoice

EARLIEST, MARGIN = 1.0, 0.3  # s: a key is pressed so long after an answer's first audio, and so long before its end
BEGINNING = 160  # bytes by which an answer is known: its first 20 ms
LOOKED_AT = 16_000  # bytes behind a clear in which the beginning of the next answer is looked for
WARM_UP = 6.0  # s of talk before anything counts
STUCK = 3.0  # s without an answer after which the next key is pressed


class Interrupter(Caller):
    """Presses the next key at a random moment of each answer."""

    def __init__(self, keys: str, rng: random.Random) -> None:
        super().__init__(keys)
        self._rng = rng
        self._key = ""
        self._begun = False  # the answer to the last key
        self._cut_at: float | None = None  # when the key was pressed whose clear has not come
        self._behind_clear: bytearray | None = None  # until the answer has begun
        self.cuts: list[tuple[float, float]] = []  # (when pressed, s until the clear had come)
        self.uncleared: list[float] = []
        self.stale: list[tuple[float, int]] = []  # (when, bytes of the old answer that came behind a clear)

    def press(self, now: float) -> str:
        """The next key; it interrupts, unless the answer to the last one did not come."""
        if self._cut_at is not None:
            self.uncleared.append(now)
        if self._key and not self._begun:
            self.stuck.append(now)
        self._cut_at = now if now < self.dry_at else None
        self._behind_clear = None
        self._begun = False
        self._key = self._keys[0]
        self._keys.rotate(-1)
        self.key_at = now + STUCK
        return self._key

    def play(self, audio: bytes, now: float) -> None:
        """Audio has come. What comes between a key and its clear is of the old answer, and rightly so."""
        self.dry_at = max(self.dry_at, now) + len(audio) / BYTES_PER_S
        if self._cut_at is not None:
            return
        if self._behind_clear is not None:
            self._behind_clear += audio
            place = self._behind_clear.find(beginning(self._key))
            if place < 0 and len(self._behind_clear) < LOOKED_AT:
                return
            self.stale.append((now, place if place >= 0 else len(self._behind_clear)))
            self._behind_clear = None
        if not self._begun:
            self._begun = True
            self.key_at = now + self._rng.uniform(EARLIEST, script.seconds(self._key) - MARGIN)

    def cleared(self, now: float) -> None:
        super().cleared(now)
        if self._cut_at is not None:
            self.cuts.append((self._cut_at, now - self._cut_at))
            self._cut_at, self._behind_clear = None, bytearray()


@cache
def beginning(key: str) -> bytes:
    """The first audio of the answer to a key, as the provider stand-in speaks it."""
    return ToneVoice().speak(script.ANSWERS[key]).audio("mulaw", BYTES_PER_S)[:BEGINNING]


class InterruptingCall(LoadCall):
    """A call whose caller listens to what is said."""

    def __init__(self, stream: Stream, caller: Interrupter) -> None:
        super().__init__(stream, caller, clock)
        self.interrupter = caller

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"media": {"payload": payload}}:
                self.interrupter.play(b64decode(payload), self._clock())
            case _:
                super()._take(message)


async def run(n_calls: int, seconds: float, dial: Callable[[], Awaitable[Stream]]) -> dict[str, Any]:
    """Call, talk, and measure while all talk."""
    calls = await _call(n_calls, dial)
    callers = [each.interrupter for each in calls]
    gc.collect()
    gc.disable()  # a collection of everything would be late frames
    with Pacer(calls) as pacer:
        for i, each in enumerate(callers):
            each.key_at = clock() + WARM_UP / 2 * i / len(callers)
        await asyncio.sleep(WARM_UP)
        began, n_frames = clock(), len(pacer.lateness)
        await asyncio.sleep(seconds)
        measured = {
            "delays_ms": [1000 * delay for each in callers for at, delay in each.cuts if at >= began],
            "uncleared": sum(at >= began for each in callers for at in each.uncleared),
            "stale": [n for each in callers for at, n in each.stale if at >= began],
            "stuck": sum(at >= began for each in callers for at in each.stuck),
            "lost": sum(each.lost for each in calls),
            "late_ms": 1000 * percentiles(pacer.lateness[n_frames:])[1],
        }
    for call in calls:
        call.hang_up()
    await asyncio.sleep(HANG_UP)
    for call in calls:
        call.abort()
    return measured


async def _call(n: int, dial: Callable[[], Awaitable[Stream]]) -> list[InterruptingCall]:
    rng = random.Random(n)
    room = asyncio.Semaphore(DIALLING)

    async def one() -> InterruptingCall:
        async with room:
            keys = rng.sample(script.TALK, len(script.TALK))
            call = InterruptingCall(await dial(), Interrupter("".join(keys), random.Random(rng.random())))
            await call.connect()
            return call

    async with asyncio.TaskGroup() as tasks:
        connecting = [tasks.create_task(one()) for _ in range(n)]
    return [each.result() for each in connecting]


async def _main(n_calls: int, seconds: float, server: str) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        if not server.startswith("http"):
            return await run(n_calls, seconds, BareLine(server).stream)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        account_id, auth_token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
        return await run(n_calls, seconds, TwilioLine(server, session, account_id, auth_token).stream)


def main() -> None:
    """Run as this process."""
    parser = argparse.ArgumentParser(description="Many calls at once, each interrupting again and again")
    parser.add_argument("--server", required=True, help="ws://... or the voice webhook's http://...")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(_main(given.calls, given.seconds, given.server))
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
