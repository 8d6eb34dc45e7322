"""A call as it happens, for people: one line for each thing worth knowing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lineside.cli.evidence import Check
from lineside.events import CallerEntered, CallerPressed, CallerSaid, CallerSilent, CallInfo, CallStarted
from lineside.observe.timeline import Note
from lineside.standin.phone import Event, PhoneCall
from lineside.standin.recogniser.caller import Caller, Say

LONGEST = 100  # characters of a line's text
SPEAKS_ON = 2.0  # s after the caller's last sound, when it has been understood if it ever is


class CallPicture:
    """Prints a call's timeline while it runs, and keeps it."""

    def __init__(self, console: Console) -> None:
        self.notes: list[Note] = []
        """With loop times, unlike the server's own."""
        self.caller: Caller | None = None
        """Who speaks, if they speak by a script."""
        self._console = console
        self._loop = asyncio.get_running_loop()
        self._zero = 0.0
        self._call: PhoneCall | None = None
        self._over = False
        self._n_clears_before: int | None = None  # when the caller began to speak into the agent's turn

    def began(self, call: PhoneCall, how: str) -> None:
        """The phone dials now."""
        self._zero = self._loop.time()
        self._call = call
        self._line(self._zero, "phone", f"dials; {how}", "cyan")

    def since(self, at: float) -> float:
        """Seconds from the start to a loop time."""
        return round(at - self._zero, 4)

    def hear(self, event: Event) -> None:
        """An event of the phone."""
        match event.kind:
            case "dtmf":
                self._line(event.at, "caller", f"presses {event.detail}", "yellow")
            case "caller_speaks":
                self._caller_speaks(event.at)
            case "caller_silent":
                if self._n_clears_before is not None:
                    self._loop.call_later(SPEAKS_ON, self._look_again, self._n_clears_before)
            case "clear":
                self._line(event.at, "phone", "clears what it had queued", "cyan")
            case "warning":
                self._line(event.at, "phone", f"WARNING {event.detail}", "bold red")
            case "ended":
                self._over = True
                self._line(event.at, "phone", f"the call is over ({event.detail})", "cyan")

    def _caller_speaks(self, at: float) -> None:
        step = self.caller.left[0] if self.caller is not None and self.caller.left else None
        said = f"says “{step.text}”" if isinstance(step, Say) else "coughs"
        self._n_clears_before = self._n_clears() if self._agent_is_heard() else None
        into = "" if self._n_clears_before is None else ", into the agent's turn"
        self._line(at, "caller", said + into, "yellow")

    def _look_again(self, n_clears_before: int) -> None:
        if not self._over and self._n_clears() == n_clears_before and self._agent_is_heard():
            self._line(self._loop.time(), "phone", "hears the agent speak on: that had no effect", "cyan")

    def _n_clears(self) -> int:
        return len(self._call.queue.clears) if self._call is not None and self._call.streams else 0

    def _agent_is_heard(self) -> bool:
        return self._call is not None and bool(self._call.streams) and self._call.queue.depth(self._loop.time()) > 0

    def watch(self, _: CallInfo, note: Note) -> None:
        """A note of the server."""
        note = replace(note, at=self._loop.time())
        self.notes.append(note)
        details = note.details
        match note.kind:
            case "leg_attached":
                self._line(note.at, "phone", "is connected", "cyan")
            case "caller_said":
                self._line(note.at, "ears", f"understood “{details['text']}”", "dim")
            case "turn_started":
                self._line(note.at, "turn", f"{details['turn']}: {_cue(details['cue'])}", "dim")
            case "turn_drafted":
                self._line(note.at, "turn", f"{details['turn']} is prepared, unheard", "dim")
            case "latency":
                self._line(note.at, "voice", _latency(details, self._cue_of(details["turn"])), "dim")
            case "turn_held":
                self._line(note.at, "agent", "holds its breath", "magenta")
            case "turn_resumed":
                self._line(note.at, "agent", "goes on", "magenta")
            case "turn_ended":
                self._line(note.at, "agent", f"“{details['text']}”", "green")
            case "turn_cut" if details["cut_off"] is not None:
                cut = details["cut_off"]
                told = f"heard {cut.heard_ms / 1000:.2f} s, up to: {_end(cut.heard)}"
                self._line(note.at, "agent", f"“{_end(cut.heard)} ✂ {cut.unheard}”", "magenta")
                self._line(note.at, "ledger", told, "magenta")
            case (
                "gap"
                | "provider_lost"
                | "provider_warning"
                | "agent_failed"
                | "hang_up_failed"
                | "marks_missing"
                | "ear_warning"
            ):
                self._line(note.at, "server", f"{note.kind} {details}", "bold red")
            case "call_ended":
                self._line(note.at, "server", f"the call has ended: {details['reason']}", "cyan")

    def _cue_of(self, turn: int) -> object:
        started = (note for note in self.notes if note.kind == "turn_started" and note.details["turn"] == turn)
        return next((note.details["cue"] for note in started), None)

    def conclude(self, checks: Sequence[Check], out: Path) -> None:
        """The verdict."""
        self._console.print()
        for check in checks:
            sign, style = ("✓", "green") if check.passed else ("✗", "bold red")
            detail = f": {check.detail}" if check.detail else ""
            line = Text.assemble((f" {sign} {check.name}", style), (detail, "dim"))
            self._console.print(line, soft_wrap=True)
        passed = all(check.passed for check in checks)
        self._console.print()
        self._console.print(
            Text.assemble(
                ("The call is as it should be." if passed else "Something is wrong with the call.", "bold"),
                f" Listen to {out / 'call.wav'} (left: the caller{self._dubbing()}, right: what the caller heard);"
                f" details in {out / 'call.json'}.",
            ),
            soft_wrap=True,
        )

    def _dubbing(self) -> str:
        spoke = self.caller is not None and any(said.text for said in self.caller.said)
        return ", in a voice where the line carried tones" if spoke else ""

    def _line(self, at: float, who: str, what: str, style: str) -> None:
        shown = what if len(what) <= LONGEST else f"{what[: LONGEST - 1]}…"
        line = Text.assemble((f"{max(0.0, at - self._zero):8.3f}  ", "dim"), (f"{who:<7}", style), f" {shown}")
        self._console.print(line, soft_wrap=True)


def _end(text: str) -> str:
    """Its last words."""
    return text if len(text) <= LONGEST // 2 else f"…{text[-LONGEST // 2 :].partition(' ')[2]}"


def _cue(cue: object) -> str:
    match cue:
        case CallStarted(resumed=resumed):
            return "the call starts again" if resumed else "the call starts"
        case CallerSaid():
            return "the caller has finished"
        case CallerPressed(digit=digit):
            return f"the caller pressed {digit}"
        case CallerEntered(digits=digits, ended_by=ended_by):
            return f"the caller entered {digits or 'nothing'} (complete by {ended_by})"
        case CallerSilent(seconds=seconds):
            return f"nothing came from the caller for {seconds:g} s"
    return type(cue).__name__


def _latency(details: dict[str, object], cue: object) -> str:
    """Where the time went until the agent was heard; what is not known is left out.

    A recogniser that does not say when the caller's last word was spoken leaves the time from there on unknown.
    """
    unknown = isinstance(cue, CallerSaid) and details.get("endpoint_ms") is None
    parts = [
        f"{name.removesuffix('_ms')} {value:.0f}"
        for name, value in details.items()
        if name.endswith("_ms") and name != "gap_ms" and isinstance(value, int | float)
    ]
    gap = details.get("gap_ms")
    until = "after the words were understood" if unknown else "to the first sound"
    total = f"{gap:.0f} ms {until} = " if isinstance(gap, int | float) else "not heard: "
    return total + " + ".join(parts)
