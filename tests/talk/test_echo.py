"""The echo guard on simulated lines: real speech, delayed, softened, reflected, with noise and a caller over it."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.standin.espeak import EspeakVoice
from lineside.standin.recogniser import sounds
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import StandinVoice
from lineside.talk.echo import EchoGuard
from talk.line import BEGAN, Line, Recording, listen, on_time, record

# The rule that docs recommend: an event counts when so much of the last so many seconds was foreign.
WITHIN, AT_LEAST = 0.5, 0.1


@pytest.fixture(scope="module")
def espeak() -> StandinVoice:
    pytest.importorskip("espeakng_loader")
    return EspeakVoice()


def alarms(
    recording: Recording, guard: EchoGuard, *, after: float = 0.0, late: Callable[[int], float | None] = on_time
) -> int:
    """How many times the guard begins to say that somebody spoke, when asked every 80 ms."""
    n, before, asked = 0, False, 0.0

    def look(now: float) -> None:
        nonlocal n, before, asked
        if now < asked + 0.08:
            return
        asked = now
        alarm = now > after and guard.foreign(BEGAN + now, WITHIN) >= AT_LEAST - 1e-9
        n += alarm and not before
        before = alarm

    listen(guard, recording, look, late=late)
    return n


def recognised(recording: Recording, guard: EchoGuard, within: float) -> float:
    """The share of the caller's onsets after which, in time, enough was foreign."""
    open_onsets = list(recording.onsets)
    found = 0

    def look(now: float) -> None:
        nonlocal found
        while open_onsets and now >= open_onsets[0] + within:
            found += guard.foreign(BEGAN + now, now - open_onsets.pop(0)) >= AT_LEAST - 1e-9

    listen(guard, recording, look)
    return found / len(recording.onsets)


@pytest.mark.parametrize("noise", [None, -50, -40])
@pytest.mark.parametrize("delay", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("echo", [-10, -20, -30])
def test_the_agent_does_not_interrupt_itself(
    espeak: StandinVoice, echo: float, delay: float, noise: float | None
) -> None:
    recording = record(espeak, Line(echo, delay, noise), turns=15)
    assert alarms(recording, EchoGuard()) == 0


def test_a_room_that_rings_on_is_no_caller(espeak: StandinVoice) -> None:
    hall = Line(-15, 0.25, -55, room=((0, 1), (0.031, 0.6), (0.071, 0.35), (0.12, 0.2)))
    assert alarms(record(espeak, hall, turns=15), EchoGuard()) == 0


@pytest.mark.parametrize(("over", "within", "share"), [(10, 0.2, 0.85), (3, 0.3, 0.7), (0, 0.6, 0.85), (-3, 1.0, 0.9)])
@pytest.mark.parametrize("echo", [-10, -20])
def test_a_caller_is_heard_over_the_echo(
    espeak: StandinVoice, echo: float, over: float, within: float, share: float
) -> None:
    recording = record(espeak, Line(echo, 0.25, -60), turns=40, over=over, seed=3)
    assert recognised(recording, EchoGuard(), within) >= share


def test_a_caller_is_heard_over_the_agent_where_nothing_is_returned(espeak: StandinVoice) -> None:
    recording = record(espeak, Line(None, 0.0, -55), turns=30, over=5.0, seed=3)
    guard = EchoGuard()
    assert recognised(recording, guard, 0.3) >= 0.75  # once nothing was returned for long, it looks half the time
    assert not guard.needed
    assert guard.delay is None
    assert guard.gain is None


def test_a_caller_is_heard_before_the_line_is_known() -> None:
    guard = EchoGuard()
    for i in range(50):
        guard.heard(sounds.noise(0.02, -55, seed=i), 0.02 * i)
    guard.played(sounds.babble(1.0, -20), 1.0)
    caller = sounds.babble(0.4, -18, seed=5)
    for i in range(20):
        guard.heard(caller[160 * i : 160 * i + 160], 1.1 + 0.02 * i)
    assert guard.foreign(1.5, 0.4) >= 0.1


def test_the_first_word_of_a_call_that_returns_at_once_is_ours() -> None:
    guard = EchoGuard()
    greeting = sounds.babble(1.0, -20)
    guard.played(greeting, 1.0)
    for i in range(25):
        guard.heard(sounds.silence(0.02), 0.2 + 0.02 * i)
    returned = sounds.quieter(sounds.silence(0.1) + greeting, 11)
    for i in range(25):
        guard.heard(returned[160 * i : 160 * i + 160], 1.02 + 0.02 * i)
    assert guard.foreign(1.5, 1.0) < 0.06


def test_delay_and_gain_are_learnt_in_the_first_turns(espeak: StandinVoice) -> None:
    guard = EchoGuard()
    learnt: list[float] = []
    recording = record(espeak, Line(-20, 0.3, -50), turns=6)
    listen(guard, recording, lambda now: learnt.append(now) if guard.delay is not None and not learnt else None)
    assert learnt[0] < 0.5 + 2.5
    assert guard.delay == pytest.approx(0.3, abs=0.03)
    assert guard.gain == pytest.approx(-20, abs=2)


def test_the_tone_voice_is_known_again() -> None:
    recording = record(ToneVoice(), Line(-15, 0.2, -50, room=((0, 1),)), turns=12)
    guard = EchoGuard()
    assert alarms(recording, guard) == 0
    assert guard.delay == pytest.approx(0.2, abs=0.03)


def test_a_clock_that_drifts_is_followed(espeak: StandinVoice) -> None:
    recording = record(espeak, Line(-15, 0.3, -50), turns=40)
    guard = EchoGuard()
    assert alarms(recording, guard, late=lambda i: 0.02 * i * 3e-4) == 0
    assert guard.delay == pytest.approx(0.3 + recording.seconds * 3e-4, abs=0.04)


@pytest.mark.parametrize("jitter", [0.03, 0.08])
def test_jitter_does_not_keep_it_from_learning(espeak: StandinVoice, jitter: float) -> None:
    rng = random.Random(1)
    guard = EchoGuard()
    assert alarms(record(espeak, Line(-15, 0.3, -50), turns=15), guard, late=lambda i: rng.uniform(0, jitter)) == 0
    assert guard.delay == pytest.approx(0.3, abs=0.03)


def test_bursts_and_gaps_of_the_callers_audio_are_no_caller(espeak: StandinVoice) -> None:
    def held(i: int) -> float:  # 0.3 s in one burst, every 7 s
        return 0.02 * (15 - i % 350) if i % 350 < 15 else 0.0

    recording = record(espeak, Line(-15, 0.3, -50), turns=15)
    assert alarms(recording, EchoGuard(), late=held) == 0
    assert alarms(recording, EchoGuard(), late=lambda i: None if i % 350 < 10 else 0.0) == 0


def test_a_line_that_changes_is_learnt_anew(espeak: StandinVoice) -> None:
    before, after = (record(espeak, Line(-20, delay, -50), turns=20) for delay in (0.15, 0.4))
    guard = EchoGuard()
    listen(guard, before)
    shifted = Recording(
        tuple((at + before.seconds + 1, audio) for at, audio in after.pieces),
        sounds.silence(before.seconds + 1) + after.heard,
        (),
    )
    begin = before.seconds + 1
    assert alarms(shifted, guard, after=begin + 15, late=lambda i: 0.0 if 0.02 * i > begin else None) == 0
    assert guard.delay == pytest.approx(0.4, abs=0.03)


def test_an_echo_that_grows_louder_is_learnt(espeak: StandinVoice) -> None:
    recording = record(espeak, Line(-28, 0.2, None), turns=30)
    middle = len(recording.heard) // 2
    louder = recording.heard[:middle] + sounds.quieter(recording.heard[middle:], -16)
    guard = EchoGuard()
    changed = Recording(recording.pieces, louder, ())
    assert alarms(changed, guard, after=recording.seconds / 2 + 20) == 0


def test_a_line_that_begins_to_return_our_voice_is_guarded_again(espeak: StandinVoice) -> None:
    silent = record(espeak, Line(None, 0.0, -60), turns=8)
    guard = EchoGuard()
    listen(guard, silent)
    assert not guard.needed
    after = record(espeak, Line(-20, 0.2, -60), turns=20)
    begin = silent.seconds + 1
    changed = Recording(
        tuple((at + begin, audio) for at, audio in after.pieces), sounds.silence(begin) + after.heard, ()
    )
    needed_at: list[float] = []

    def look(now: float) -> None:
        if guard.needed and not needed_at:
            needed_at.append(now)

    listen(guard, changed, look, late=lambda i: 0.0 if 0.02 * i > begin else None)
    assert needed_at[0] - begin <= 30
    assert guard.needed
    assert guard.delay == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("noise", [None, -50])
def test_a_line_without_echo_costs_its_watch_only_for_a_few_seconds_of_our_voice(
    espeak: StandinVoice, noise: float | None
) -> None:
    recording = record(espeak, Line(None, 0.0, noise), turns=6)
    guard = EchoGuard()
    assert guard.needed
    listen(guard, recording)
    assert not guard.needed


def test_what_was_cleared_explains_nothing(espeak: StandinVoice) -> None:
    guard = EchoGuard()
    recording = record(espeak, Line(-10, 0.2, -50), turns=8)
    listen(guard, recording)
    now = BEGAN + recording.seconds + 1.0
    for cleared in (False, True):
        guard.played(sounds.babble(3.0, -10), now)
        if cleared:
            guard.cleared(now)
        for i in range(100):
            guard.heard(sounds.babble(0.02, -32, seed=i), now + 0.5 + 0.02 * i)
        assert (guard.foreign(now + 2.5, 2.0) > 0.5) is cleared
        now += 10.0


def test_noise_of_the_line_is_nobody() -> None:
    guard = EchoGuard()
    hiss = sounds.noise(30.0, -40)
    for i in range(1500):
        guard.heard(hiss[160 * i : 160 * i + 160], 0.02 * i)
    assert guard.foreign(30.0, 5.0) == 0


def test_a_gap_that_the_line_fills_with_silence_does_not_make_its_noise_a_caller() -> None:
    guard = EchoGuard()
    hiss = sounds.noise(10.0, -40)
    hiss = hiss[:40000] + sounds.silence(0.3) + hiss[40000 + 2400 :]
    for i in range(500):
        guard.heard(hiss[160 * i : 160 * i + 160], 0.02 * i)
    assert guard.foreign(10.0, 5.0) <= 0.02


def test_a_caller_on_a_silent_line_is_heard_to_the_last_frame_and_forgotten_in_time() -> None:
    guard = EchoGuard()
    for i in range(100):
        guard.heard(sounds.silence(0.02), 0.02 * i)
    speech = sounds.babble(0.5, -25)
    for i in range(25):
        guard.heard(speech[160 * i : 160 * i + 160], 2.0 + 0.02 * i)
    assert guard.foreign(2.48, 0.5) == pytest.approx(0.5, abs=0.06)
    assert guard.foreign(2.48, 0.1) == pytest.approx(0.1)
    assert guard.foreign(3.2, 0.5) == 0


def test_audio_of_any_length_is_taken() -> None:
    guard = EchoGuard()
    guard.played(b"", 1.0)
    guard.heard(b"", 1.0)
    guard.played(bytes(7), 1.0)
    guard.heard(mulaw.encode(np.full(400, 9000, np.int16) * np.tile(np.array([1, -1], np.int16), 200)), 1.0)
    assert guard.foreign(1.1, 1.0) >= 0


def test_the_past_is_bounded() -> None:
    guard = EchoGuard()
    loud = sounds.babble(1.0, -15)
    for second in range(0, 3000, 100):  # jumps forward, and back
        guard.played(loud, float(second))
        guard.played(loud, second - 60.0)
        for i in range(0, 8000, 160):
            guard.heard(loud[i : i + 160], second + 0.5 + i / 8000)
    parts = (guard._played, guard._path, guard._noise, guard)
    held = sum(
        value.nbytes if isinstance(value, np.ndarray) else len(value) if hasattr(value, "__len__") else 0
        for part in parts
        for value in vars(part).values()
    )
    assert held < 40_000  # bytes, or things
