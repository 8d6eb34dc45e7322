"""The load generator, as a process: many calls at once to one server, paced to a fraction of a millisecond.

    python -m lineside.bench.load_phone --server ws://127.0.0.1:9001/media --watch PID --calls 50 --seconds 10

The server is a plain WebSocket, or Lineside's voice webhook (`http://...`), which is signed with TWILIO_AUTH_TOKEN in
the name of TWILIO_ACCOUNT_SID. Prints the figures as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Self
from xml.etree import ElementTree

import aiohttp
import uvloop
from twilio.request_validator import RequestValidator

from lineside.bench import script
from lineside.bench.load_call import FRAME_MS, PAUSE, Caller, LoadCall, Stream
from lineside.bench.report import Figures, percentiles
from lineside.errors import RemoteProtocolError

DIALLING = 10  # calls that connect at the same time
HANG_UP = 0.5  # s for the server to close what was hung up
SETTLE = 1.0  # s of calls with nothing said, before their memory is measured

clock = time.monotonic  # real time, finer than the loop's: uvloop counts whole milliseconds


# -- the server's use of the machine ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far, as Linux tells."""

    cpu: float
    """Seconds of user and system time, all threads."""
    resident: int
    """Bytes of memory, now."""
    waiting: float
    """Seconds that its main thread was ready to run and others had the core; 0 where the kernel does not say."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """
        Sources: https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html,
        https://docs.kernel.org/scheduler/sched-stats.html
        """
        # The number that clock_getcpuclockid(3) gives: in ns, where /proc counts hundredths of a second.
        cpu = time.clock_gettime((~pid << 3) | 2)
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        waiting = 0.0
        with suppress(FileNotFoundError):
            waiting = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
        return cls(cpu, resident, waiting)


# -- dialling -----------------------------------------------------------------------------------------------------


class BareLine:
    """Calls that go straight to a WebSocket."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def stream(self) -> Stream:
        return Stream(self._url, _sid("CA"), _sid("MZ"), _sid("AC"))


class TwilioLine:
    """Calls that go by way of a signed webhook, as the carrier's do."""

    def __init__(self, webhook: str, session: aiohttp.ClientSession, account_id: str, auth_token: str) -> None:
        self._webhook = webhook
        self._session = session
        self._account_id = account_id
        self._validator = RequestValidator(auth_token)

    async def stream(self) -> Stream:
        """Raises: RemoteProtocolError: the answer opens no stream."""
        call_id = _sid("CA")
        form = {
            "AccountSid": self._account_id,
            "ApiVersion": "2010-04-01",
            "CallSid": call_id,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": "+15550100",
            "To": "+15550199",
        }
        headers = {"X-Twilio-Signature": self._validator.compute_signature(self._webhook, form)}
        async with self._session.post(self._webhook, data=form, headers=headers) as response:
            answer = await response.text()
        if response.status != 200:
            raise RemoteProtocolError(f"expected HTTP 200 from the voice webhook, got {response.status}")
        # What we parse comes from our own server on this machine.
        stream = ElementTree.fromstring(answer).find("Connect/Stream")  # noqa: S314
        if stream is None:
            raise RemoteProtocolError(f"expected <Connect><Stream> from the voice webhook, got {answer[:200]}")
        url = stream.attrib["url"]
        return Stream(url, call_id, _sid("MZ"), self._account_id, self._validator.compute_signature(url, {}))


def _sid(prefix: str) -> str:
    return prefix + token_hex(16)


# -- pacing -------------------------------------------------------------------------------------------------------


class Pacer:
    """Has every call send its frame every 20 ms, on absolute deadlines, one call after the other.

    A timer of the kernel's wakes it for each frame where Python offers one (3.13, Linux); elsewhere the loop does each
    millisecond, and frames leave in small bursts.
    """

    def __init__(self, calls: Sequence[LoadCall]) -> None:
        self._calls = calls
        self._period_ns = FRAME_MS * 1_000_000 // len(calls)
        self._began = clock()
        self._n_sent = 0
        self.lateness = array("d")  # s, of each frame
        self._loop = asyncio.get_running_loop()
        self._stop: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self._began = clock()
        if sys.version_info >= (3, 13) and sys.platform == "linux":
            fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
            os.timerfd_settime_ns(fd, initial=self._period_ns, interval=self._period_ns)
            self._loop.add_reader(fd, self._on_timer, fd)
            self._stop = lambda: (self._loop.remove_reader(fd), os.close(fd), None)[-1]
        else:
            self._tick()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def _on_timer(self, fd: int) -> None:
        os.read(fd, 8)
        self._send_due()

    def _tick(self) -> None:
        timer = self._loop.call_later(0.001, self._tick)
        self._stop = timer.cancel
        self._send_due()

    def _send_due(self) -> None:
        period = self._period_ns / 1e9
        for n in range(self._n_sent, int((clock() - self._began) / period) + 1):
            now = clock()
            self._calls[n % len(self._calls)].send_frame(now)
            self.lateness.append(now - self._began - n * period)
            self._n_sent = n + 1


# -- a run --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """What to do, and to which process."""

    calls: int
    seconds: float
    keys: str
    watch: int
    provider: int
    """The process of the provider stand-in, which must not be what limits the others."""
    speaks: bool = False
    """The callers are heard, not only their keys."""

    @property
    def cycle(self) -> float:
        """Seconds from a key to the next, on average."""
        return sum(map(script.seconds, self.keys)) / len(self.keys) + PAUSE


async def run(load: Load, dial: Callable[[], Awaitable[Stream]]) -> Figures:
    """Call, stay silent, talk, and measure while all talk."""
    await _hang_up(await _call(1, load, dial))  # what a server does once, it has done now
    before = Usage.of(load.watch)
    calls = await _call(load.calls, load, dial)
    with _no_garbage_collection(), Pacer(calls) as pacer:
        await asyncio.sleep(SETTLE)
        idle = Usage.of(load.watch)
        for i, each in enumerate(calls):
            each.caller.key_at = clock() + load.cycle * i / len(calls)
        await asyncio.sleep(load.cycle)
        figures = await _measure(load, calls, pacer, (idle.resident - before.resident) / len(calls))
    await _hang_up(calls)
    return figures


async def _measure(load: Load, calls: Sequence[LoadCall], pacer: Pacer, idle_bytes: float) -> Figures:
    callers = [each.caller for each in calls]
    n_frames, n_bytes = len(pacer.lateness), sum(each.n_bytes for each in callers)
    began, before, provider = clock(), Usage.of(load.watch), Usage.of(load.provider)
    await asyncio.sleep(load.seconds)
    after, ended = Usage.of(load.watch), clock()
    first_audio = [delay for each in callers for pressed_at, delay in each.delays if pressed_at >= began]
    return Figures(
        cpu_ms=1000 * (after.cpu - before.cpu) / (len(calls) * (ended - began)),
        idle_kb=idle_bytes / 1000,
        first_audio_ms=_ms(percentiles(first_audio)),
        n_answers=len(first_audio),
        underruns=sum(at >= began for each in callers for at in each.underruns),
        stuck=sum(at >= began for each in callers for at in each.stuck),
        lost=sum(each.lost for each in calls),
        n_bytes=sum(each.n_bytes for each in callers) - n_bytes,
        late_ms=_ms(percentiles(pacer.lateness[n_frames:])),
        waited=(after.waiting - before.waiting) / (ended - began),
        provider=(Usage.of(load.provider).cpu - provider.cpu) / (ended - began),
    )


def _ms(seconds: tuple[float, float]) -> tuple[float, float]:
    return seconds[0] * 1000, seconds[1] * 1000


async def _call(n: int, load: Load, dial: Callable[[], Awaitable[Stream]]) -> list[LoadCall]:
    """Connect `n` calls."""
    rng, keys = random.Random(n), load.keys
    room = asyncio.Semaphore(DIALLING)

    async def one() -> LoadCall:
        first = rng.randrange(len(keys))
        async with room:
            call = LoadCall(await dial(), Caller(keys[first:] + keys[:first]), clock, speaks=load.speaks)
            await call.connect()
            return call

    async with asyncio.TaskGroup() as tasks:
        connecting = [tasks.create_task(one()) for _ in range(n)]
    return [each.result() for each in connecting]


async def _hang_up(calls: Sequence[LoadCall]) -> None:
    for each in calls:
        each.hang_up()
    await asyncio.sleep(HANG_UP)
    for each in calls:
        each.abort()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection of everything would be late frames."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _main(load: Load, server: str) -> Figures:
    async with AsyncExitStack() as stack:
        if not server.startswith("http"):
            return await run(load, BareLine(server).stream)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        account_id, auth_token = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
        return await run(load, TwilioLine(server, session, account_id, auth_token).stream)


def main() -> None:
    """Run as this process."""
    parser = argparse.ArgumentParser(description="Many calls at once")
    parser.add_argument("--server", required=True, help="ws://... or the voice webhook's http://...")
    parser.add_argument("--watch", type=int, required=True, help="the server's process id")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--keys", default=script.TALK, help="the keys that callers press")
    parser.add_argument("--provider", type=int, required=True, help="the provider stand-in's process id")
    parser.add_argument("--speaks", action="store_true", help="have the callers speak, too")
    given = parser.parse_args()
    load = Load(given.calls, given.seconds, given.keys, given.watch, given.provider, given.speaks)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_main(load, given.server))
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")


if __name__ == "__main__":
    main()
