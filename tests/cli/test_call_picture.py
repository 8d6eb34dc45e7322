"""The picture of a call: what somebody who watches can tell from it."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from lineside.agents.demo import Reception
from lineside.cli.call_picture import CallPicture
from lineside.cli.evidence import Check
from lineside.cli.run_call import SILENCE_S, demo_script, play
from lineside.events import CallerSaid, CallInfo, CallStarted
from lineside.observe.timeline import Note
from lineside.testing import LinesideSettings, PhoneSettings, Settings, simulation

DEMO = demo_script()


async def test_a_talk_is_told_line_by_line() -> None:
    printed = io.StringIO()
    picture = CallPicture(Console(file=printed, width=200))
    settings = Settings(LinesideSettings(agent_loop="app", ears="deepgram", silence_s=SILENCE_S))
    phone = PhoneSettings("", round_trip_s=0.08)
    async with simulation(Reception, settings=settings, phone=phone, watcher=picture.watch) as sim:
        call = await sim.phone.dial(listener=picture.hear)
        picture.began(call, "voice: deepgram, ears: deepgram")
        await play(call, DEMO, picture)
        await sim.idle()
    lines = printed.getvalue().splitlines()
    told = [re.sub(r"^ +[\d.]+  ", "", line) for line in lines]
    expected = [
        "phone   dials; voice: deepgram, ears: deepgram",
        "turn    1: the call starts",
        "phone   is connected",
        "caller  says “Hello, where is my order?”",
        "ears    understood “Hello, where is my order?”",
        "turn    2: the caller has finished",
        "caller  coughs, into the agent's turn",
        "phone   hears the agent speak on: that had no effect",
        "caller  says “uh-huh”, into the agent's turn",
        "ears    understood “uh-huh”",
        "phone   hears the agent speak on: that had no effect",
        "caller  says “Wait, can you change the address?”, into the agent's turn",
        "phone   clears what it had queued",
        "turn    3: the caller has finished",
        "caller  presses 4",
        "caller  presses 7",
        "turn    4: the caller entered 4207 (complete by length)",
        "turn    5: nothing came from the caller for 4 s",
        "agent   “Are you still there?”",
        "caller  says “No, that is all. Goodbye!”",
        "agent   “Thank you for calling. Goodbye!”",
        "phone   the call is over (rest)",
        "server  the call has ended: agent",
    ]
    place = iter(told)
    assert [line for line in expected if line not in place] == []  # each of them after the one before it
    (cut,) = [line for line in told if "✂" in line]
    (ledger,) = [line for line in told if line.startswith("ledger")]
    assert ledger.split("up to: ")[1] in cut
    assert sum("ms to the first sound = " in line for line in told) == 6
    times = [float(line.split()[0]) for line in lines]
    assert all(later >= earlier - 0.1 for earlier, later in pairwise(times))  # a network leg


async def test_a_latency_from_the_callers_last_word_is_only_told_where_that_is_known() -> None:
    printed = io.StringIO()
    picture = CallPicture(Console(file=printed, width=200))
    cues = {1: CallStarted(), 2: CallerSaid("hello"), 3: CallerSaid("hello")}
    for turn, endpoint_ms in ((1, None), (2, None), (3, 600.0)):
        picture.watch(CallInfo("CA"), Note(0.0, "turn_started", {"turn": turn, "cue": cues[turn]}))
        details = {"turn": turn, "gap_ms": 651.0 if endpoint_ms else 51.0, "endpoint_ms": endpoint_ms, "agent_ms": 51.0}
        picture.watch(CallInfo("CA"), Note(0.0, "latency", details))
    assert [line.split("  ")[-1].strip() for line in printed.getvalue().splitlines() if " voice " in line] == [
        "51 ms to the first sound = agent 51",
        "51 ms after the words were understood = agent 51",
        "651 ms to the first sound = endpoint 600 + agent 51",
    ]


async def test_the_verdict_names_what_failed() -> None:
    printed = io.StringIO()
    picture = CallPicture(Console(file=printed, width=200))
    picture.conclude([Check("this", True, ""), Check("that", False, "it broke")], Path("there"))
    lines = printed.getvalue().splitlines()
    assert lines[1:3] == [" ✓ this", " ✗ that: it broke"]
    assert lines[-1].startswith("Something is wrong with the call. Listen to there/call.wav (left: the caller, right")
