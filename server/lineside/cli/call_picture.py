"""A call as it happens, for people: one line for each thing worth knowing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lineside.cli.call_checks import Check
from lineside.events import CallerPressed, CallInfo, CallStarted
from lineside.observe.timeline import Note
from lineside.standin.phone import Event

LONGEST = 100  # characters of a line's text


class CallPicture:
    """Prints a call's timeline while it runs, and keeps it."""

    def __init__(self, console: Console) -> None:
        self.notes: list[Note] = []
        self._console = console
        self._zero = 0.0
        self._first_audio: dict[str, float] = {}

    def began(self, at: float, voice: str) -> None:
        """The phone dials at this loop time."""
        self._zero = at
        self._line(0.0, "phone", f"dials; voice: {voice}", "cyan")

    def hear(self, event: Event) -> None:
        """An event of the phone."""
        at = event.at - self._zero
        match event.kind:
            case "dtmf":
                self._line(at, "caller", f"presses {event.detail}", "yellow")
            case "clear":
                self._line(at, "phone", "clears what it had queued", "cyan")
            case "warning":
                self._line(at, "phone", f"WARNING {event.detail}", "bold red")
            case "ended":
                self._line(at, "phone", f"the call is over ({event.detail})", "cyan")

    def watch(self, _: CallInfo, note: Note) -> None:
        """A note of the server."""
        self.notes.append(note)
        details = note.details
        match note.kind:
            case "leg_attached":
                self._line(note.at, "phone", "is connected", "cyan")
            case "turn_started":
                self._line(note.at, "turn", f"{details['turn']}: {_cue(details['cue'])}", "dim")
            case "first_sent":
                self._line(note.at, "voice", f"first audio leaves {details['after_ms']:.0f} ms into the turn", "dim")
            case "turn_ended":
                self._line(note.at, "agent", f"“{details['text']}”", "green")
            case "turn_cut" if details["cut_off"] is not None:
                cut = details["cut_off"]
                self._line(note.at, "agent", f"“{cut.heard} ✂ {cut.unheard}”", "magenta")
                self._line(
                    note.at, "ledger", f"heard {cut.heard_ms / 1000:.2f} s, up to: …{cut.heard[-40:]}", "magenta"
                )
            case "gap" | "provider_lost" | "provider_warning" | "agent_failed" | "hang_up_failed" | "marks_missing":
                self._line(note.at, "server", f"{note.kind} {details}", "bold red")
            case "call_ended":
                self._line(note.at, "server", f"the call has ended: {details['reason']}", "cyan")

    def conclude(self, checks: Sequence[Check], out: Path) -> None:
        """The verdict."""
        self._console.print()
        for check in checks:
            sign, style = ("✓", "green") if check.passed else ("✗", "bold red")
            line = Text.assemble((f" {sign} {check.name}", style), (f": {check.detail}", "dim"))
            self._console.print(line, soft_wrap=True)
        passed = all(check.passed for check in checks)
        self._console.print()
        self._console.print(
            Text.assemble(
                ("The call is as it should be." if passed else "Something is wrong with the call.", "bold"),
                f" Listen to {out / 'call.wav'} (left: the caller, right: what the caller heard);"
                f" details in {out / 'call.json'}.",
            ),
            soft_wrap=True,
        )

    def _line(self, at: float, who: str, what: str, style: str) -> None:
        shown = what if len(what) <= LONGEST else f"{what[: LONGEST - 1]}…"
        line = Text.assemble((f"{max(0.0, at):8.3f}  ", "dim"), (f"{who:<7}", style), f" {shown}")
        self._console.print(line, soft_wrap=True)


def _cue(cue: object) -> str:
    match cue:
        case CallStarted(resumed=resumed):
            return "the call starts again" if resumed else "the call starts"
        case CallerPressed(digit=digit):
            return f"the caller pressed {digit}"
    return type(cue).__name__
