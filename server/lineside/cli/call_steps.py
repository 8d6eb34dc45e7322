"""Whether a call went as its script says: each expectation, judged by what the phone played and what it was told.

Times are the loop's, in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lineside.cli.caller_script import Act, Expect, Script
from lineside.cli.evidence import Check, Evidence, TurnTaken
from lineside.events import CallerEntered, CallerSilent
from lineside.standin.carrier_queue import Clear, Span
from lineside.standin.recogniser.caller import AfterAgent, HangUp, Press, Said, Say, Sound, Wait

CUT_WITHIN = 2.0  # s from the caller's first sound to silence: a word, 1 s between interims, their latency, the network
NO_EFFECT_FOR = 2.5  # s after the caller's last sound: what was said has been understood by then
WORD = re.compile(r"[^\W_]+")
SAME_TIME = 0.05  # s between the network's two ends, and of rounding


@dataclass(frozen=True, slots=True)
class Timed:
    """An act, and when it was done."""

    act: Act
    began: float
    ended: float
    until: float
    """When the caller was next to be heard, or the call ended."""


def check_steps(script: Script, evidence: Evidence) -> list[Check]:
    """Judge a call that is over, by what its caller was to do."""
    checks = [_all_taken(script, evidence)]
    if script.speaks:
        checks.append(_all_understood(evidence))
    timed = _timed(script.acts, evidence)
    for act in script.acts:
        done = next((each for each in timed if each.act is act), None)
        checks += [
            _judge(expect, done, evidence)
            if done is not None
            else Check(_name(expect, act), False, "the call did not come to it")
            for expect in act.expects
        ]
    return checks


def _all_taken(script: Script, evidence: Evidence) -> Check:
    n_taken = evidence.n_taken
    left = [
        line
        for step, line in zip(script.steps[n_taken:], script.lines[n_taken:], strict=True)
        if not isinstance(step, AfterAgent | HangUp)
    ]
    if evidence.stuck:
        return Check("the caller did all of the script", False, f"line {script.lines[n_taken]}: {evidence.stuck}")
    if left:
        return Check("the caller did all of the script", False, f"the call was over before line {left[0]}")
    return Check("the caller did all of the script", True, f"{len(script.steps)} steps")


def _all_understood(evidence: Evidence) -> Check:
    """The recogniser gives a word only if its audio arrived whole and in order."""
    said = [word for said in evidence.said for word in said.text.split()]
    missing = [word for word in said if word not in evidence.record.heard]
    passed = list(evidence.record.heard) == said
    detail = (
        f"{len(said)} words, whole and in order" if passed else f"missing: {' '.join(missing) or 'none, but order'}"
    )
    return Check("every word of the caller reached the recogniser", passed, detail)


def _timed(acts: Sequence[Act], evidence: Evidence) -> list[Timed]:
    """When each act was done. A silence lasts from what came before it to what comes after."""
    said, pressed = list(evidence.said), list(evidence.pressed)
    times: list[tuple[Act, float, float]] = []
    last = evidence.began
    for act in acts:
        match act.step:
            case Say() | Sound():
                if not said:
                    break
                one: Said = said.pop(0)
                began, ended = one.began_at, one.ended_at
            case Press(digits):
                keys, pressed = pressed[: len(digits)], pressed[len(digits) :]
                if len(keys) < len(digits):
                    break
                began, ended = keys[0][0], keys[-1][0]
            case _:
                began = ended = last
        times.append((act, began, ended))
        last = ended
    timed: list[Timed] = []
    until = evidence.ended
    for act, began, ended in reversed(times):
        timed.append(Timed(act, began, ended, until))
        until = until if isinstance(act.step, Wait) else began  # a silence ends nothing
    return timed[::-1]


def _judge(expect: Expect, done: Timed, evidence: Evidence) -> Check:
    match expect.kind:
        case "words":
            passed, detail = _words(expect.text, done, evidence)
        case "cut":
            passed, detail = _cut(done, evidence)
        case "no effect":
            passed, detail = _no_effect(done, evidence)
        case "digits":
            passed, detail = _digits(expect.text, done, evidence)
        case "prompt":
            passed, detail = _prompt(done, evidence)
        case "hang up":
            passed, detail = _hang_up(evidence)
    return Check(_name(expect, done.act), passed, detail)


def _name(expect: Expect, act: Act) -> str:
    wanted = {
        "words": f"answered with “{expect.text}”",
        "cut": "the agent falls silent",
        "no effect": "the agent speaks on",
        "digits": f"{expect.text} reach the agent together",
        "prompt": "the agent asks, once",
        "hang up": "the agent says its last word and hangs up",
    }
    return f"{act.text} → {wanted[expect.kind]}"


def _words(wanted: str, done: Timed, evidence: Evidence) -> tuple[bool, str]:
    """The first turn that began after the act, as far as the caller heard it."""
    for turn in evidence.turns:
        if turn.started >= done.began - SAME_TIME and turn.text:
            break
    else:
        return False, "nothing was said"
    if turn.started > done.until:
        return False, "nothing was said before the caller went on"
    if _plain(wanted) in _plain(turn.heard):
        return True, _after(done, turn, evidence)
    return False, f"“{turn.heard[:60]}” was heard"


def _after(done: Timed, turn: TurnTaken, evidence: Evidence) -> str:
    """When the phone began to play the answer; empty where nothing was answered."""
    heard_at = next((spans[0].at for each, spans in evidence.played() if each is turn and spans), None)
    if heard_at is None or not isinstance(done.act.step, Say | Sound | Press):
        return ""
    gap = heard_at - done.ended
    return f"heard {gap:.2f} s after it" if gap >= 0 else f"heard {-gap:.2f} s before its end"


def _plain(text: str) -> str:
    """In small letters, each word between blanks."""
    return f" {' '.join(WORD.findall(text.lower()))} "


def _playing(at: float, evidence: Evidence) -> Span | None:
    return next((span for span in evidence.spans if span.at <= at < span.end), None)


def _cut(done: Timed, evidence: Evidence) -> tuple[bool, str]:
    span = _playing(done.began, evidence)
    if span is None:
        return False, "the agent was not speaking"
    clear = _first_clear(done.began, done.until, evidence)
    if clear is None:
        return False, "nothing was cleared"
    silent_after = span.end - done.began
    following = next((each for each in evidence.spans if each.at >= clear.at), None)
    turns = [turn.started for turn in evidence.turns if turn.started > done.began]
    if following is not None and not any(started <= following.at for started in turns):
        return False, "something of the old turn followed"
    passed = silent_after <= CUT_WITHIN and span.end <= clear.at + SAME_TIME
    return passed, f"silent at the phone {silent_after:.2f} s after the caller's first sound"


def _first_clear(begin: float, end: float, evidence: Evidence) -> Clear | None:
    return next((clear for clear in evidence.clears if begin <= clear.at < end), None)


def _no_effect(done: Timed, evidence: Evidence) -> tuple[bool, str]:
    """No turn begins, and what was playing plays on: without a gap, to its own end at least.

    It may have been held, if it was resumed.
    """
    span = _playing(done.began, evidence)
    if span is None:
        return False, "the agent was not speaking"
    until = min(done.ended + NO_EFFECT_FOR, done.until)
    began = done.began
    while (clear := _first_clear(began, until, evidence)) is not None:
        span = _resumed(clear, done.began, evidence)
        if span is None:
            return False, "it was cleared"
        began = span.at
    if any(done.began < turn.started < min(until, span.end) for turn in evidence.turns):
        return False, "the agent was told"
    if span.end < until and _broke_off(span, evidence):
        return False, "the speech broke off"
    if began > done.began:
        return True, f"held, and resumed {began - done.ended:.1f} s after it for {span.end - began:.1f} s more"
    return True, f"without a gap for {span.end - done.began:.1f} s more"


def _resumed(clear: Clear, since: float, evidence: Evidence) -> Span | None:
    """What followed a clear, if it is of the same turn, which was resumed."""
    span = next((each for each in evidence.spans if each.at >= clear.at), None)
    if span is None or any(since < turn.started <= span.at for turn in evidence.turns):
        return None
    resumed = any(since <= at <= span.at for turn in evidence.turns for at in turn.resumed)
    return span if resumed else None


def _broke_off(span: Span, evidence: Evidence) -> bool:
    """Whether it ended before its turn did."""
    turns = [turn for turn in evidence.turns if turn.started <= span.at + SAME_TIME]
    following = next((each.at for each in evidence.spans if each.at > span.at), evidence.ended)
    answered = any(span.at + SAME_TIME < turn.started <= following for turn in evidence.turns)
    return not turns or turns[-1].cut or (following < evidence.ended and not answered)


def _digits(wanted: str, done: Timed, evidence: Evidence) -> tuple[bool, str]:
    told = [
        turn.cue.digits
        for turn in evidence.turns
        if isinstance(turn.cue, CallerEntered) and done.began - SAME_TIME <= turn.started < done.until
    ]
    return told == [wanted], f"the agent was told {' and '.join(told) or 'nothing'}"


def _prompt(done: Timed, evidence: Evidence) -> tuple[bool, str]:
    prompts = [
        turn
        for turn in evidence.turns
        if isinstance(turn.cue, CallerSilent) and done.began <= turn.started < done.until and turn.heard
    ]
    if len(prompts) != 1:
        return False, f"it asked {len(prompts)} times"
    silent = [span for span in evidence.spans if span.end <= prompts[0].started]
    since = silent[-1].end if silent else evidence.began
    return True, f"“{prompts[0].heard}” after {prompts[0].started - since:.1f} s of silence"


def _hang_up(evidence: Evidence) -> tuple[bool, str]:
    if evidence.ended_by not in ("rest", "twiml"):
        return False, f"ended by the {evidence.ended_by}"
    if evidence.n_unplayed:
        return False, f"{evidence.n_unplayed / 8:.0f} ms of the last words were not played"
    last = evidence.spans[-1].end if evidence.spans else evidence.began
    return True, f"{(evidence.ended - last) * 1000:.0f} ms after its last sound"
