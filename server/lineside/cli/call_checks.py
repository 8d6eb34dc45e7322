"""What must be true of a call: judged from the phone's and the provider's own records, not from what we believe."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lineside.audio.formats import FRAME_BYTES, SILENCE
from lineside.events import CutOff
from lineside.observe.timeline import Note
from lineside.standin.carrier_queue import Span
from lineside.standin.phone import PhoneCall

INTENDED = frozenset({"31921"})  # the carrier's word for our closing the socket, as we do when REST fails
WITHIN_MS = 120  # between what we reckon the caller heard and what the phone played: a mark's spacing is far above it


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """What the provider stand-in saw and did."""

    spoken: tuple[tuple[str, bytes], ...]
    """Text and mu-law audio of each segment, in order."""
    breaches: dict[str, int]

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        spoken = tuple((each["text"], b64decode(each["audio"])) for each in record["spoken"])
        return cls(spoken, dict(record["breaches"]))


def check(call: PhoneCall, notes: Sequence[Note], record: ProviderRecord) -> list[Check]:
    """Judge a call that is over, whose voice spoke mu-law natively."""
    turns = [note for note in notes if note.kind in ("turn_ended", "turn_cut")]
    spans = [span for stream in call.streams for span in stream.queue.spans(stream.ended_at or 0.0)]
    return [
        _whole(call, notes),
        _no_warnings(call),
        _no_breaches(record),
        _no_gaps(call),
        _same_audio(turns, spans, record),
        _nothing_after_a_cut(call),
        _truth(turns, spans),
    ]


def _whole(call: PhoneCall, notes: Sequence[Note]) -> Check:
    failures = [note.kind for note in notes if note.kind in ("provider_lost", "agent_failed", "hang_up_failed")]
    ended = next((note.details["reason"] for note in notes if note.kind == "call_ended"), "not at all")
    passed = ended in ("agent", "caller") and not failures
    return Check("the call ended as it should", passed, f"ended by the {ended}{''.join(f', {f}' for f in failures)}")


def _no_warnings(call: PhoneCall) -> Check:
    warned = {code: count for code, count in call.warnings.items() if code not in INTENDED}
    return Check("the carrier had nothing to complain of", not warned, str(warned) if warned else "no warning")


def _no_breaches(record: ProviderRecord) -> Check:
    return Check("no limit of the provider was breached", not record.breaches, str(record.breaches or "no breach"))


def _no_gaps(call: PhoneCall) -> Check:
    gaps = [gap for stream in call.streams for gap in stream.queue.gaps if gap.mark is None]
    worst = max((gap.end - gap.start for gap in gaps), default=0.0)
    detail = f"{len(gaps)}, the longest {worst * 1000:.0f} ms" if gaps else "the queue never ran dry inside a turn"
    return Check("no gap", not gaps, detail)


def _same_audio(turns: Sequence[Note], spans: Sequence[Span], record: ProviderRecord) -> Check:
    """Each turn that was played is one span of the phone's; its audio is the provider's, up to the cut."""
    segments = list(record.spoken)
    played = list(spans)
    compared = 0
    for turn in turns:
        text, audio = "", b""
        wanted = _letters(turn.details["text"])
        while segments and _letters(text) != wanted:
            more, data = segments.pop(0)
            text, audio = text + more, audio + data
        if not wanted or not played:
            continue
        heard = played.pop(0).audio
        whole = turn.kind == "turn_ended"
        if not _matches(heard, audio, whole=whole):
            return Check("the caller heard what the provider spoke", False, f"turn {turn.details['turn']} differs")
        compared += len(heard)
    return Check("the caller heard what the provider spoke", not played, f"{compared} bytes, the same to the byte")


def _matches(heard: bytes, spoken: bytes, *, whole: bool) -> bool:
    if not whole:
        return spoken.startswith(heard) or heard.startswith(spoken)
    padding = heard[len(spoken) :]
    return heard.startswith(spoken) and len(padding) < FRAME_BYTES and not padding.strip(SILENCE)


def _letters(text: str) -> str:
    return "".join(text.split())


def _nothing_after_a_cut(call: PhoneCall) -> Check:
    """Whatever came after a clear and before the next turn's start would be a stale word."""
    clears = [clear for stream in call.streams for clear in stream.queue.clears]
    dropped = sum(clear.dropped for clear in clears)
    soon = [clear for clear in clears if clear.late_at is not None and clear.late_at - clear.at < 0.002]
    detail = (
        f"{len(clears)} cut, {dropped / 8:.0f} ms of speech dropped at the carrier" if clears else "nothing was cut"
    )
    return Check("nothing of a cut turn after the cut", not soon, detail)


def _truth(turns: Sequence[Note], spans: Sequence[Span]) -> Check:
    """What we told the agent the caller heard, against what the phone played."""
    errors = []
    for turn, span in zip([turn for turn in turns if turn.details["text"]], spans, strict=False):
        cut: CutOff | None = turn.details.get("cut_off")
        if turn.kind == "turn_cut" and cut is not None:
            errors.append(cut.heard_ms - len(span.audio) / 8)
    worst = max(errors, key=abs, default=0.0)
    detail = f"heard time off by {worst:+.0f} ms at the most" if errors else "nothing was cut"
    return Check("the ledger tells the truth", abs(worst) <= WITHIN_MS, detail)
