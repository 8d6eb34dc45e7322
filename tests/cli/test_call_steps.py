"""The talk of `make call`, judged; and each of its judgements made to fail by a record of a call that went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from lineside.agents.demo import Reception
from lineside.cli import call_checks
from lineside.cli.call_steps import check_steps
from lineside.cli.caller_script import Script, of_keys, parse
from lineside.cli.evidence import Evidence, ProviderRecord, TurnTaken
from lineside.cli.run_call import SILENCE_S, demo_script, play
from lineside.events import CallerEntered, CallerSilent, CutOff
from lineside.observe.timeline import Note
from lineside.standin.carrier_queue import Clear, Gap, Span
from lineside.testing import LinesideSettings, PhoneSettings, Settings, simulation

DEMO = demo_script()
_known: dict[str, Evidence] = {}  # a call is over for good: what is known of it serves every test


async def played(script: Script, ears: str, agent: Any = Reception, **chosen: Any) -> Evidence:
    """What is known of a call that followed a script."""
    notes: list[Note] = []
    loop = asyncio.get_running_loop()
    lineside = LinesideSettings(agent_loop="app", ears=ears, silence_s=SILENCE_S, **chosen)  # type: ignore[arg-type]
    async with simulation(
        agent,
        settings=Settings(lineside),
        phone=PhoneSettings("", round_trip_s=0.08),
        watcher=lambda _, note: notes.append(replace(note, at=loop.time())),
    ) as sim:
        call = await sim.phone.dial()
        caller, stuck = await play(call, script)
        await sim.idle()
        assert sim.provider is not None
        record = ProviderRecord.from_json(sim.provider.record.as_json())
    return Evidence.of(call, notes, record, caller.said, stuck, len(script.steps) - len(caller.left))


async def talk(ears: str = "deepgram") -> Evidence:
    if ears not in _known:
        _known[ears] = await played(DEMO, ears)
    return _known[ears]


def failed(evidence: Evidence, script: Script | None = None) -> list[str]:
    """The names of the checks that do not hold."""
    checks = call_checks.check(evidence) + check_steps(script or DEMO, evidence)
    return [check.name for check in checks if not check.passed]


@pytest.mark.parametrize("ears", ["deepgram", "deepgram-flux", "elevenlabs"])
async def test_the_demos_call_goes_as_it_is_written(ears: str) -> None:
    evidence = await talk(ears)
    checks = call_checks.check(evidence) + check_steps(DEMO, evidence)
    assert [(check.name, check.detail) for check in checks if not check.passed] == []
    assert len(checks) == 7 + 2 + sum(len(act.expects) for act in DEMO.acts)
    assert 40 <= evidence.ended - evidence.began <= 75


@pytest.mark.parametrize("ears", ["deepgram", "elevenlabs"])
async def test_how_long_an_answer_took_is_the_phones_to_say(ears: str) -> None:
    evidence = await talk(ears)
    (check,) = [check for check in check_steps(DEMO, evidence) if check.name.startswith(f"{ASKED} → answered with")]
    seconds = evidence.spans[1].at - evidence.said[0].ended_at
    assert seconds > 0.3  # nobody is understood sooner
    assert check.detail == f"heard {seconds:.2f} s after it"


async def held_and_resumed() -> Evidence:
    """The demo's call, by a detector that takes the hum for speech; so the agent is held until it is understood."""
    if "vad" not in _known:
        _known["vad"] = await played(DEMO, "deepgram", turn_policy="vad")
    return _known["vad"]


async def test_a_turn_that_was_held_and_resumed_is_one_turn() -> None:
    evidence = await held_and_resumed()
    assert any(turn.resumed for turn in evidence.turns)
    assert len(evidence.spans) > len(evidence.turns)
    assert failed(evidence) == []


def without_resuming(evidence: Evidence) -> Evidence:
    return replace(evidence, turns=tuple(replace(turn, resumed=()) for turn in evidence.turns))


def with_second_span(evidence: Evidence, change: Callable[[Span], Span]) -> Evidence:
    """What was resumed, otherwise."""
    order = evidence.turns[ORDER_TURN]
    second = next(spans[1] for turn, spans in evidence.played() if turn is order)
    return replace(evidence, spans=tuple(change(span) if span is second else span for span in evidence.spans))


async def test_a_hum_that_held_a_turn_for_good_had_an_effect() -> None:
    assert f"{HUM} → the agent speaks on" in failed(without_resuming(await held_and_resumed()))


async def test_a_turn_that_was_resumed_further_on_lost_words() -> None:
    evidence = with_second_span(await held_and_resumed(), lambda span: replace(span, audio=span.audio[12_000:]))
    assert "the caller heard what the provider spoke" in failed(evidence)


async def test_a_ledger_that_tells_of_the_first_part_only_lies() -> None:
    evidence = await held_and_resumed()
    order = evidence.turns[ORDER_TURN]
    first = next(spans[0] for turn, spans in evidence.played() if turn is order)
    assert order.cut_off is not None
    lie = replace(order.cut_off, heard_ms=len(first.audio) // 8)
    assert "the ledger tells the truth" in failed(with_turn(evidence, order, cut_off=lie))


# -- each judgement can fail -------------------------------------------------------------------------------------------

ASKED, COUGH, HUM = "say Hello, where is my order?", "cough", "say uh-huh"
INTERRUPTED, PRESSED, SILENT = "say Wait, can you change the address?", "press 4207", "silent 6"
GOODBYE = "say No, that is all. Goodbye!"


def turn_of(evidence: Evidence, kind: type) -> TurnTaken:
    return next(turn for turn in evidence.turns if isinstance(turn.cue, kind))


def with_turn(evidence: Evidence, turn: TurnTaken, **changes: Any) -> Evidence:
    turns = tuple(replace(each, **changes) if each is turn else each for each in evidence.turns)
    return replace(evidence, turns=turns)


def with_clear(evidence: Evidence, after: float) -> Evidence:
    clears = sorted((*evidence.clears, Clear(after, 0, ())), key=lambda clear: clear.at)
    return replace(evidence, clears=tuple(clears))


def broken_off(evidence: Evidence, at: float, seconds: float) -> Evidence:
    """What was played at a time stopped for a while, and went on."""
    spans: list[Span] = []
    for span in evidence.spans:
        if not span.at < at < span.end:
            spans.append(span)
            continue
        n_bytes = round((at - span.at) * 8000)
        spans += [Span(span.at, span.audio[:n_bytes]), Span(at + seconds, span.audio[n_bytes:])]
    return replace(evidence, spans=tuple(spans))


def later(evidence: Evidence, nth: int, seconds: float) -> Evidence:
    """The nth thing was said so much earlier than it was, for what came of it to be late."""
    said = [*evidence.said]
    said[nth] = replace(said[nth], began_at=said[nth].began_at - seconds)
    return replace(evidence, said=tuple(said))


def without_words(evidence: Evidence, n_kept: int) -> Evidence:
    return replace(evidence, record=replace(evidence.record, heard=evidence.record.heard[:n_kept]))


def said(evidence: Evidence, nth: int) -> float:
    return evidence.said[nth].ended_at


ORDER_TURN, PROMPT = 1, CallerSilent

Doctor = Callable[[Evidence], Evidence]
DOCTORED: list[tuple[str, Doctor, set[str]]] = [
    ("no greeting", lambda e: with_turn(e, e.turns[0], text="Hello."), {"the call starts → answered with"}),
    ("no answer", lambda e: with_turn(e, e.turns[ORDER_TURN], text=""), {f"{ASKED} → answered with"}),
    (
        "an answer of which too little was heard",
        lambda e: with_turn(e, e.turns[ORDER_TURN], cut_off=CutOff("Your order", "left our warehouse", 400)),
        {f"{ASKED} → answered with"},
    ),
    (
        "an answer before the question",
        lambda e: with_turn(e, e.turns[ORDER_TURN], started=e.said[0].began_at - 1),
        {f"{ASKED} → answered with"},
    ),
    ("a cough that clears", lambda e: with_clear(e, said(e, 1) + 0.1), {f"{COUGH} → the agent speaks on"}),
    ("a hum that clears", lambda e: with_clear(e, said(e, 2) + 1.2), {f"{HUM} → the agent speaks on"}),
    (
        "a cough that stops the voice",
        lambda e: broken_off(e, said(e, 1) + 0.3, 0.4),
        {f"{COUGH} → the agent speaks on"},
    ),
    ("a hum into silence", lambda e: replace(e, spans=e.spans[:1]), {f"{HUM} → the agent speaks on"}),
    (
        "a hum that the agent is told of",
        lambda e: replace(e, turns=(*e.turns, TurnTaken(9, said(e, 2) + 1, CallerSilent(1)))),
        {f"{HUM} → the agent speaks on"},
    ),
    ("no clear", lambda e: replace(e, clears=()), {f"{INTERRUPTED} → the agent falls silent"}),
    ("a clear too late", lambda e: later(e, 3, 2.0), {f"{INTERRUPTED} → the agent falls silent"}),
    (
        "a stale word",
        lambda e: replace(
            e, spans=tuple(sorted((*e.spans, Span(e.clears[0].at + 0.3, bytes(80))), key=lambda span: span.at))
        ),
        {f"{INTERRUPTED} → the agent falls silent"},
    ),
    (
        "an interruption that is not acknowledged",
        lambda e: with_turn(e, e.turns[2], text="To change the address, press the four digits."),
        {f"{INTERRUPTED} → answered with"},
    ),
    (
        "digits one by one",
        lambda e: with_turn(e, turn_of(e, CallerEntered), cue=CallerEntered("4", "length")),
        {f"{PRESSED} → 4207 reach the agent together"},
    ),
    ("a key too few", lambda e: replace(e, pressed=e.pressed[:3]), {f"{PRESSED} → 4207 reach the agent together"}),
    (
        "no prompt",
        lambda e: replace(e, turns=tuple(turn for turn in e.turns if not isinstance(turn.cue, PROMPT))),
        {f"{SILENT} → the agent asks, once"},
    ),
    (
        "two prompts",
        lambda e: replace(e, turns=(*e.turns, replace(turn_of(e, PROMPT), number=9))),
        {f"{SILENT} → the agent asks, once"},
    ),
    ("no farewell", lambda e: with_turn(e, e.turns[-1], text="Well."), {f"{GOODBYE} → answered with"}),
    ("a caller who had to hang up", lambda e: replace(e, ended_by="caller"), {f"{GOODBYE} → the agent says its last"}),
    ("a last word that is cut", lambda e: replace(e, n_unplayed=80), {f"{GOODBYE} → the agent says its last"}),
    ("a word lost", lambda e: without_words(e, 9), {"every word of the caller reached"}),
    ("steps not taken", lambda e: replace(e, n_taken=e.n_taken - 3), {"the caller did all"}),
    ("waiting in vain", lambda e: replace(e, n_taken=4, stuck="nobody"), {"the caller did all"}),
    ("lost", lambda e: replace(e, reason="lost"), {"the call ended as it should"}),
    ("a failure", lambda e: replace(e, failures=("ear_warning",)), {"the call ended as it should"}),
    ("a warning", lambda e: replace(e, warnings={"31950": 1}), {"the carrier had nothing"}),
    (
        "a breach",
        lambda e: replace(e, record=replace(e.record, breaches={"keepalive": 1})),
        {"no limit of the provider"},
    ),
    ("a gap", lambda e: replace(e, gaps=(Gap(1.0, 1.1, None),)), {"no gap"}),
    (
        "other audio",
        lambda e: replace(e, spans=(replace(e.spans[0], audio=e.spans[0].audio[:-400] + bytes(400)), *e.spans[1:])),
        {"the caller heard what the provider spoke"},
    ),
    (
        "a turn without its beginning",
        lambda e: replace(e, spans=(replace(e.spans[0], audio=e.spans[0].audio[1600:]), *e.spans[1:])),
        {"the caller heard what the provider spoke"},
    ),
    (
        "a turn without its end",
        lambda e: replace(e, spans=(replace(e.spans[0], audio=e.spans[0].audio[:-1600]), *e.spans[1:])),
        {"the caller heard what the provider spoke"},
    ),
    (
        "audio of nobody's",
        lambda e: replace(e, spans=(*e.spans, Span(e.ended - 0.1, bytes(80)))),
        {"the caller heard what the provider spoke"},
    ),
    (
        "audio at once after a clear",
        lambda e: replace(e, clears=(replace(e.clears[0], late_at=e.clears[0].at + 0.001),)),
        {"nothing of a cut turn"},
    ),
    (
        "a ledger that lies",
        lambda e: with_turn(
            e, e.turns[ORDER_TURN], cut_off=replace(e.turns[ORDER_TURN].cut_off or CutOff("", "", 0), heard_ms=15_000)
        ),
        {"the ledger tells the truth"},
    ),
]


@pytest.mark.parametrize(("doctor", "expected"), [each[1:] for each in DOCTORED], ids=[each[0] for each in DOCTORED])
async def test_a_step_that_went_wrong_is_found(doctor: Doctor, expected: set[str]) -> None:
    names = failed(doctor(await talk()))
    for beginning in expected:
        assert any(name.startswith(beginning) for name in names), names


async def test_a_call_that_breaks_off_names_the_line_and_all_that_did_not_come() -> None:
    evidence = await played(parse("after 0.7\npress 9\nafter 0.7\nsay hello\nexpect cut", "it"), "deepgram")
    script = parse("after 0.7\npress 9\nafter 0.7\nsay hello\nexpect cut", "it")
    checks = {check.name: check for check in check_steps(script, evidence)}
    assert checks["the caller did all of the script"].detail == "the call was over before line 4"
    assert checks["say hello → the agent falls silent"].detail == "the call did not come to it"


async def test_an_agent_that_says_nothing_is_waited_for_and_named() -> None:
    async def silent(cue: object) -> AsyncIterator[str]:
        for words in ():
            yield words

    evidence = await played(of_keys("1"), "none", silent)
    (check,) = check_steps(of_keys("1"), evidence)
    assert (check.passed, check.detail) == (False, "line 1: the agent was not heard in time")
