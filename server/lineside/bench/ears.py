"""How long a caller's audio takes through Lineside to the recogniser, beyond the chunks that the recogniser wants.

Callers speak words without a pause, each its own words, in frames of 20 ms. The recogniser stand-in notes when the
message came that had a word's last sample; that message could leave when its own last sample had left the phone.
Measured is the time from then: the network of this machine, the server's loop, and the way on. Words that did not come
whole are counted.

Provider stand-in and server are processes of their own, the server alone on a core where there is more than one; the
phones are in this one. It needs Linux. A run whose phones were late by over 5 ms at their 99th percentile is void.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from rich import box
from rich.console import Console
from rich.table import Table

from lineside.bench.load import OURS
from lineside.bench.processes import cores, environment, process
from lineside.bench.report import LATE, percentiles
from lineside.errors import LinesideError
from lineside.hearing.deepgram import CHUNK
from lineside.standin.phone import Phone, PhoneCall, PhoneSettings
from lineside.standin.recogniser.modem import SECONDS_PER_WORD, encode

CALLS = 20
SECONDS = 30.0
MOST_MS = 25.0  # at the 99th percentile
CHUNK_S = CHUNK / 8000
OPENING = 3.0  # s from a call's start until its recogniser listens for certain
HEAR_OUT = 1.0
SAME_TIME = 1e-6  # s


@dataclass(frozen=True, slots=True)
class Measured:
    delays_ms: Sequence[float]
    """Of each word that came, beyond its chunk."""
    n_said: int
    late_ms: float
    """The phones' lateness at its 99th percentile."""

    @property
    def lost(self) -> int:
        return self.n_said - len(self.delays_ms)

    @property
    def holds(self) -> bool:
        """Every word came, and in time."""
        in_time = bool(self.delays_ms) and percentiles(self.delays_ms)[1] <= MOST_MS
        return in_time and not self.lost and self.late_ms <= LATE


def beyond_chunk(word: Mapping[str, Any], began_at: float, chunk_s: float = CHUNK_S) -> float:
    """Seconds from when the chunk with a word's end was complete at the phone until the recogniser had it.

    Args:
        word: as the stand-in's record has it: `start_s` and `end_s` of the socket's audio, loop time `at`.
        began_at: loop time at which the phone began to say it.
    """
    chunk_ends_s = math.ceil(word["end_s"] / chunk_s - SAME_TIME) * chunk_s
    return float(word["at"] - (began_at + chunk_ends_s - word["start_s"]))


def measure(calls: int = CALLS, seconds: float = SECONDS) -> Measured:
    """Have so many callers speak for so long.

    Raises:
        LinesideError: a process did not start.
    """
    if sys.platform != "linux":
        raise LinesideError("the bench of the ears needs Linux: it gives the server a core of its own")
    variables = environment()
    with tempfile.TemporaryDirectory() as folder, cores() as core:
        options = ["--ears", *([] if core is None else ["--core", str(core)])]
        with (
            process(["lineside.standin.provider", "--voice", "tone"], variables, folder) as (_, provider),
            process([OURS.module, "--provider", provider, *options], variables, folder) as (_, address),
        ):
            phone = PhoneSettings(
                OURS.url.format(address=address),
                account_sid=variables["TWILIO_ACCOUNT_SID"],
                auth_token=variables["TWILIO_AUTH_TOKEN"],
            )
            said, late_ms = asyncio.run(_talk(phone, calls, seconds))
            heard = _heard(provider)
    delays = [1000 * beyond_chunk(word, said[word["text"]]) for word in heard]
    return Measured(delays, len(said), late_ms)


def _heard(provider: str) -> list[dict[str, Any]]:
    """All words of the provider's record."""
    with urlopen(f"http://{provider.removeprefix('ws://')}/standin/record?audio=false") as answer:
        listened: dict[str, Any] = json.load(answer)["listened"]
    return [word for each in listened.values() for word in each["words"]]


async def _talk(settings: PhoneSettings, calls: int, seconds: float) -> tuple[dict[str, float], float]:
    """Make the calls; when the phones began to say each word, and their lateness in ms at the 99th percentile."""
    async with Phone(settings) as phone:
        texts = [_words(n, seconds) for n in range(calls)]  # made before the first call: it takes a while
        made = [await phone.dial() for _ in range(calls)]
        spoken = await asyncio.gather(*map(_speak, made, texts))
        late = _late(made)
    return {word: at for each in spoken for word, at in each.items()}, late


def _words(number: int, seconds: float) -> dict[str, bytes]:
    """Words that no other caller says, and how they sound."""
    words = [f"c{number}w{n}" for n in range(round(seconds / SECONDS_PER_WORD))]
    return {word: encode(word) for word in words}


async def _speak(call: PhoneCall, words: Mapping[str, bytes]) -> dict[str, float]:
    """Say words; when the phone began to say each."""
    await call.connected()
    await asyncio.sleep(OPENING + random.uniform(0, 1))  # not all callers' frames at once
    at, begins = call.stream.speaks_until, {}
    for word, audio in words.items():
        begins[word] = at
        call.speak(audio)
        at += len(audio) / 8000
    await asyncio.sleep(at - asyncio.get_running_loop().time() + HEAR_OUT)
    return begins


def _late(calls: Iterable[PhoneCall]) -> float:
    return 1000 * percentiles(late for call in calls for late in call.lateness)[1]


def rows(measured: Measured) -> list[list[str]]:
    """The table as text: a head, then a row a measure."""
    p50, p99 = percentiles(measured.delays_ms)
    return [
        ["", "lineside" + (" (void)" if measured.late_ms > LATE else ""), "at most"],
        ["words said", str(measured.n_said), ""],
        ["words lost", str(measured.lost), "0"],
        [f"through Lineside, beyond chunks of {CHUNK_S * 1000:.0f} ms, p50 ms", f"{p50:.2f}", ""],
        ["the same, p99 ms", f"{p99:.2f}", f"{MOST_MS:.0f}"],
        ["phones late p99 ms", f"{measured.late_ms:.2f}", f"{LATE:.0f}"],
    ]


def main() -> bool:
    """Print the table; True if every word came, and 99 of a hundred within 25 ms of their chunk."""
    measured = measure()
    heads, *body = rows(measured)
    table = Table(title=f"{CALLS} callers speak for {SECONDS:g} s", box=box.SIMPLE_HEAD)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    for row in body:
        table.add_row(*row)
    Console().print(table)
    return measured.holds


if __name__ == "__main__":
    sys.exit(not main())
