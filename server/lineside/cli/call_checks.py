"""What must be true of a call: judged from the phone's and the provider's own records, not from what we believe."""

from __future__ import annotations

from collections.abc import Sequence

from lineside.audio.formats import FRAME_BYTES, SILENCE
from lineside.cli.evidence import Check, Evidence, TurnTaken

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


def _over(evidence: Evidence) -> Sequence[TurnTaken]:
    """The turns that said something, and whose end is known."""
    return [turn for turn in evidence.turns if turn.text]


def _same_audio(evidence: Evidence) -> Check:
    """Each turn that was played is one span of the phone's; its audio is the provider's, up to the cut."""
    segments = list(evidence.record.spoken)
    played = list(evidence.spans)
    compared = 0
    for turn in _over(evidence):
        text, audio = "", b""
        wanted = _letters(turn.text)
        while segments and text != wanted and wanted.startswith(text + _letters(segments[0][0])):
            more, data = segments.pop(0)
            text, audio = text + _letters(more), audio + data
        if not played:
            continue
        heard = played.pop(0).audio
        if not _matches(heard, audio, whole=not turn.cut):
            return Check("the caller heard what the provider spoke", False, f"turn {turn.number} differs")
        compared += len(heard)
    detail = f"{compared} bytes, the same to the byte" if not played else "something was played that no turn said"
    return Check("the caller heard what the provider spoke", not played, detail)


def _matches(heard: bytes, spoken: bytes, *, whole: bool) -> bool:
    if not whole:
        return spoken.startswith(heard) or heard.startswith(spoken)
    padding = heard[len(spoken) :]
    return heard.startswith(spoken) and len(padding) < FRAME_BYTES and not padding.strip(SILENCE)


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
        turn.cut_off.heard_ms - len(span.audio) / 8
        for turn, span in zip(_over(evidence), evidence.spans, strict=False)
        if turn.cut and turn.cut_off is not None
    ]
    worst = max(errors, key=abs, default=0.0)
    detail = f"heard time off by {worst:+.0f} ms at the most" if errors else "nothing was cut"
    return Check("the ledger tells the truth", abs(worst) <= WITHIN_MS, detail)
