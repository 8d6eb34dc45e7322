"""What must be true of a call: judged from the phone's and the provider's own records, not from what we believe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lineside.audio.formats import FRAME_BYTES, SILENCE
from lineside.cli.evidence import Check, Evidence, TurnTaken
from lineside.standin.carrier_queue import Span

INTENDED = frozenset({"31921"})  # the carrier's word for our closing the socket, as we do when REST fails
WITHIN_MS = 120  # between what we reckon the caller heard and what the phone played: a mark's spacing is far above it


def check(evidence: Evidence) -> list[Check]:
    """Judge a call that is over, whose voice spoke mu-law natively."""
    return [
        _whole(evidence),
        _no_warnings(evidence),
        _no_breaches(evidence),
        _no_gaps(evidence),
        _same_audio(evidence),
        _nothing_after_a_cut(evidence),
        _truth(evidence),
    ]


def _whole(evidence: Evidence) -> Check:
    failures = "".join(f", {each}" for each in evidence.failures)
    passed = evidence.reason in ("agent", "caller") and not failures
    return Check("the call ended as it should", passed, f"ended by the {evidence.reason}{failures}")


def _no_warnings(evidence: Evidence) -> Check:
    warned = {code: count for code, count in evidence.warnings.items() if code not in INTENDED}
    return Check("the carrier had nothing to complain of", not warned, str(warned) if warned else "no warning")


def _no_breaches(evidence: Evidence) -> Check:
    breaches = evidence.record.breaches
    return Check("no limit of the provider was breached", not breaches, str(breaches or "no breach"))


def _no_gaps(evidence: Evidence) -> Check:
    gaps = [gap for gap in evidence.gaps if gap.mark is None]
    worst = max((gap.end - gap.start for gap in gaps), default=0.0)
    detail = f"{len(gaps)}, the longest {worst * 1000:.0f} ms" if gaps else "the queue never ran dry inside a turn"
    return Check("no gap", not gaps, detail)


@dataclass(frozen=True, slots=True)
class Compared:
    """A turn that said something, what the provider spoke for it, and how far the phone played that."""

    turn: TurnTaken
    spoken: bytes
    stops: tuple[int | None, ...]
    """Where each of its spans stopped, in bytes of `spoken`; None for one that is nowhere in it."""

    @property
    def same(self) -> bool:
        if None in self.stops:
            return False
        left = self.spoken[self._last :]
        return self.turn.cut or (len(left) < FRAME_BYTES and not left.strip(SILENCE))

    @property
    def heard_ms(self) -> float:
        """How far the phone played it."""
        return self._last / 8

    @property
    def _last(self) -> int:
        return (self.stops[-1] if self.stops else None) or 0


def _compared(evidence: Evidence) -> list[Compared]:
    segments = list(evidence.record.spoken)
    result = []
    for turn, spans in evidence.played():
        text, spoken = "", b""
        wanted = _letters(turn.text)
        while segments and text != wanted and wanted.startswith(text + _letters(segments[0][0])):
            more, audio = segments.pop(0)
            text, spoken = text + _letters(more), spoken + audio
        result.append(Compared(turn, spoken, tuple(_stops(spans, spoken, cut=turn.cut))))
    return result


def _stops(spans: Sequence[Span], spoken: bytes, *, cut: bool) -> Iterator[int | None]:
    """The first span begins with the turn, each other one where the last stopped, or before: at the beginning of a
    word, if the turn was resumed.
    """
    stopped: int | None = None
    for nth, span in enumerate(spans):
        heard = span.audio
        padding = min(FRAME_BYTES - 1, len(heard) - len(heard.rstrip(SILENCE)))  # the last frame's, before a pause too
        latest = (stopped or 0) + FRAME_BYTES if nth else 0
        stopped = _stop(heard, spoken, latest)
        if stopped is None and padding:
            stopped = _stop(heard[:-padding], spoken, latest)
        if stopped is None and cut and not nth and heard.startswith(spoken):
            stopped = len(heard)  # the provider was interrupted and has no account of the rest
        yield stopped


def _stop(heard: bytes, spoken: bytes, latest: int) -> int | None:
    """Where audio stops that begins at `latest`, or as shortly before as it is found."""
    begins = (begin for begin in range(latest, -1, -1) if spoken.startswith(heard, begin))
    begin = next(begins, None)
    return None if begin is None else begin + len(heard)


def _same_audio(evidence: Evidence) -> Check:
    """What the phone played of each turn is the provider's audio, up to the cut."""
    name = "the caller heard what the provider spoke"
    compared = _compared(evidence)
    for each in compared:
        if not each.same:
            return Check(name, False, f"turn {each.turn.number} differs")
    if evidence.spans and not compared:
        return Check(name, False, "something was played that no turn said")
    n_bytes = sum(len(span.audio) for span in evidence.spans)
    return Check(name, True, f"{n_bytes} bytes, the same to the byte")


def _letters(text: str) -> str:
    return "".join(text.split())


def _nothing_after_a_cut(evidence: Evidence) -> Check:
    """Whatever came after a clear and before the next turn's start would be a stale word."""
    clears = evidence.clears
    dropped = sum(clear.dropped for clear in clears)
    soon = [clear for clear in clears if clear.late_at is not None and clear.late_at - clear.at < 0.002]
    cut = f"{len(clears)} cut, {dropped / 8:.0f} ms of speech dropped at the carrier" if clears else "nothing was cut"
    return Check("nothing of a cut turn after the cut", not soon, f"speech came {len(soon)} times" if soon else cut)


def _truth(evidence: Evidence) -> Check:
    """What we told the agent the caller heard, against what the phone played."""
    errors = [
        each.turn.cut_off.heard_ms - each.heard_ms
        for each in _compared(evidence)
        if each.turn.cut and each.turn.cut_off is not None
    ]
    worst = max(errors, key=abs, default=0.0)
    detail = f"heard time off by {worst:+.0f} ms at the most" if errors else "nothing was cut"
    return Check("the ledger tells the truth", abs(worst) <= WITHIN_MS, detail)
