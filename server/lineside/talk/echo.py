"""Telling the caller's voice from our own coming back. Pure; time is passed in, in seconds of the loop's clock.

Carriers return what we play, late and softer, and cancel nothing; the agent must not take itself for the caller. What
we play is noted by time and band. What is heard is foreign where it is louder, in any band, than both the line's noise
and the loudest that the line may be returning just then. Delay and gain of the line are learnt while we speak; until
then an echo is reckoned with at any delay of 50 to 500 ms, 6 dB down in each band. That a line returns nothing is
learnt likewise.

Nothing waits here, and nothing is held back: it is asked about a time that has passed. Frames are only noted as they
come; the reckoning is done for half a second of them at once, or when somebody asks.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from lineside.talk.echo_path import BANDS, REACH, SILENT_DB, SLOT, SLOT_S, SOONEST, EchoPath, Levels, decibels, powers

HISTORY = 512  # slots of our voice, 10 s: 5 to come, and what may be asked about
NOTED = 64  # pieces of our voice; at 100 to 200 ms each, more than is asked about
BLOCK = 25  # slots learnt from at a time: half a second
BLOCKS_KEPT = 6  # measured once more when the delay becomes known
FOREIGN_KEPT = 256  # slots: 5 s of the caller's voice
ABOVE_NOISE = 8.0  # dB over the noise floor from which something is a sound; what comes by chance stays below
FAINTEST = -58.0  # dB of full scale in one band; a caller so soft is not understood either
UNKNOWN_NOISE = -45.0  # dB; the noise floor for the first half second
QUIET_SHARE = 5  # one slot in five is free of speech, even in half a second of it
NOISE_BLOCKS = 6  # speech without a pause is shorter than the 3 s of these
SPEAKING = -50.0  # dB; below it we teach nothing
MOST_LATE = 30  # slots; after a longer stall an echo may be taken for the caller
PUNCTUAL = 0.1  # s; frames that come later than this were lost or held up, and do not tell the delay
CROWDED = 0.4  # share of a block that is foreign, from which on it teaches nothing: the caller speaks, ...
PATIENCE = 6  # ... unless there are more of these than of others: callers are yielded to, so the line has changed
LOUDER = 8.0  # dB; by so much less noise, an echo that was thought to be none may show
NOW_AND_THEN = 4  # of so many blocks one is looked at while the line returns nothing: that may change
OWN = 0.2  # of the weight of others: what seems foreign hardly counts as echo, but a line that grows louder is learnt
SILENCE = b"\xff"


class EchoGuard:
    """One call's. A recogniser's or detector's event counts as the caller's when `foreign` says that somebody spoke."""

    def __init__(self) -> None:
        self._played = _Played()
        self._path = EchoPath()
        self._noise = _NoiseFloor()
        self._at: float | None = None  # when the latest frame would have come if none were ever late
        self._waiting: list[bytes] = []  # frames not looked at yet, ...
        self._first_at = 0.0  # ... and when the first of them was due
        self._block: list[tuple[Levels, Levels]] = []  # levels, and how far they may be our own
        self._block_slot = 0
        self._n_judged = 0
        self._soonest, self._latest = math.inf, 0.0  # s; how late the block's frames were
        self._unheard_below: Levels = np.full(BANDS, SILENT_DB)  # the highest threshold under which we measured
        self._n_blocks = 0
        self._n_crowded = 0  # blocks, less those that were not
        self._blocks: deque[tuple[int, Levels, Levels]] = deque(maxlen=BLOCKS_KEPT)
        self._foreign: deque[float] = deque(maxlen=FOREIGN_KEPT)  # when each foreign slot was due

    # -- what happens ------------------------------------------------------------------------------------------------

    def played(self, audio: bytes, at: float) -> None:
        """The carrier begins to play `audio` (mu-law) at `at`, up to 5 s from now. Pieces follow each other in time."""
        if audio:
            self._played.add(audio, at)

    def cleared(self, at: float) -> None:
        """What the carrier was to play after `at` it does not play."""
        self._played.cut(at)

    def heard(self, audio: bytes, now: float) -> None:
        """Caller audio (mu-law, whole frames) arrived. Frames may come late, in bursts, or not at all."""
        for start in range(0, len(audio), SLOT):
            frame = audio[start : start + SLOT]
            self._take(frame if len(frame) == SLOT else frame.ljust(SLOT, SILENCE), now)

    # -- what is known -----------------------------------------------------------------------------------------------

    def foreign(self, now: float, within: float) -> float:
        """Seconds of sound, of the last `within` (at most 5), that are above the line's noise and not our own voice."""
        self._judge()
        n = 0
        for at in reversed(self._foreign):
            if at <= now - within:
                break
            n += 1
        return n * SLOT_S

    @property
    def heard_until(self) -> float | None:
        """Loop time at which the latest frame was due; it may have come later. None before the first."""
        return self._at

    @property
    def needed(self) -> bool:
        """Our own voice may be coming back, or it is not known yet whether it does."""
        return not self._path.silent

    @property
    def delay(self) -> float | None:
        """Seconds until our voice returns, within 20 ms; None while no echo is known."""
        return None if self._path.delay is None else self._path.delay * SLOT_S

    @property
    def gain(self) -> float | None:
        """How loud it returns, in dB of what we played; None while no echo is known."""
        return self._path.gain

    # -- how ---------------------------------------------------------------------------------------------------------

    def _take(self, frame: bytes, now: float) -> None:
        at = now if self._at is None else self._at + SLOT_S
        if now < at:
            if now < at - SLOT_S:  # frames were late for so long that we took it for the line's delay
                self._judge()
                self._latest = max(self._latest, at - now)
            at = now
        self._at, late = at, now - at
        if late > self._latest:
            self._latest = late
        if late < self._soonest:
            self._soonest = late
        if not self._waiting:
            self._first_at = at
        self._waiting.append(frame)
        if len(self._waiting) + self._n_judged >= BLOCK:
            self._n_blocks += 1
            if self._path.silent and self._n_blocks % NOW_AND_THEN:
                self._pass_over()
            else:
                self._judge()
                self._learn()

    def _pass_over(self) -> None:
        """Nothing of this block is looked at."""
        self._waiting.clear()
        self._block.clear()
        self._n_judged = 0
        self._next_block()

    def _judge(self) -> None:
        """Look at the waiting frames."""
        n = len(self._waiting)
        if not n:
            return
        slot = round(self._first_at / SLOT_S - 1)  # of the loop's clock: in which the first one began to arrive
        levels = decibels(powers(b"".join(self._waiting)))
        self._waiting.clear()
        sound = levels > self._noise.threshold
        if sound.any():
            # A late frame was held up, or those before it are lost: its sound is of any time in between.
            doubt = min(round(self._latest / SLOT_S), MOST_LATE)
            played = self._played.levels(slot - REACH, slot + n + SOONEST + doubt)
            sound &= levels > self._path.explained(played, n)
        foreign = sound.any(1)
        self._foreign.extend((self._first_at + np.flatnonzero(foreign) * SLOT_S).tolist())
        if not self._block:
            self._block_slot = slot
        self._block.append((levels, np.where(foreign, OWN, 1.0)))
        self._n_judged += n

    def _learn(self) -> None:
        """A block is complete: learn the noise, and while we speak the echo's path."""
        levels = np.concatenate([each for each, _ in self._block])
        trust = np.concatenate([each for _, each in self._block])
        self._block.clear()
        self._n_judged = 0
        self._noise.heard(levels)
        if self._latest <= PUNCTUAL:
            self._learn_path(self._block_slot, levels, trust)
        self._next_block()

    def _next_block(self) -> None:
        if self._at is not None:
            self._at += self._soonest  # frames were lost, the line became slower, or its clock drifts
        self._soonest, self._latest = math.inf, 0.0

    def _learn_path(self, slot: int, levels: Levels, trust: Levels) -> None:
        played = self._around(slot, len(levels))
        if np.max(played) < SPEAKING:
            return
        crowded = bool(np.mean(trust < 1) > CROWDED)
        self._n_crowded = min(self._n_crowded + 1, 2 * PATIENCE) if crowded else max(self._n_crowded - 1, 0)
        if crowded and self._n_crowded <= PATIENCE and self.needed:
            return
        self._blocks.append((slot, levels, trust))
        noise = self._noise
        self._unheard_below = np.maximum(self._unheard_below, noise.threshold)
        audible_now = np.any(noise.threshold < self._unheard_below - LOUDER)
        if not self._path.compare(levels, played, noise.level) and not audible_now:
            self._path.measure(levels, played, noise.level, noise.threshold, trust)
            return
        self._path.forget_gain()
        self._unheard_below = noise.threshold
        for slot, levels, trust in self._blocks:
            self._path.measure(levels, self._around(slot, len(levels)), noise.level, noise.threshold, trust)

    def _around(self, slot: int, n: int) -> Levels:
        return self._played.levels(slot - REACH, slot + n + SOONEST)


class _Played:
    """The power of what we play, by slots of the loop's clock: the last 10 s that are known, most of it to come."""

    def __init__(self) -> None:
        self._powers = np.zeros((HISTORY, BANDS))
        self._end = 0  # the first slot of which nothing is known
        self._noted: deque[tuple[float, bytes]] = deque(maxlen=NOTED)  # pieces that are not in it yet

    def add(self, audio: bytes, at: float) -> None:
        """Noted only: most of it is never asked about where the line returns nothing."""
        self._noted.append((at, audio))

    def _reckon(self, start: int) -> None:
        """Bring the powers up to date, but for pieces that were over before slot `start`."""
        while self._noted:
            at, audio = self._noted.popleft()
            if at / SLOT_S + len(audio) / SLOT + 1 >= start:
                self._add(audio, at)

    def _add(self, audio: bytes, at: float) -> None:
        slot, part = divmod(round(at / SLOT_S * SLOT), SLOT)
        padded = SILENCE * part + audio + SILENCE * (-(part + len(audio)) % SLOT)
        end = slot + len(padded) // SLOT
        if end > self._end:
            self._powers[np.arange(max(self._end, end - HISTORY), end) % HISTORY] = 0
            self._end = end
        first = max(slot, self._end - HISTORY)
        if first < end:  # else it is long past
            self._powers[np.arange(first, end) % HISTORY] += powers(padded[(first - slot) * SLOT :])

    def cut(self, at: float) -> None:
        self._reckon(self._end - HISTORY)
        first = max(math.ceil(at / SLOT_S), self._end - HISTORY)
        self._powers[np.arange(first, self._end) % HISTORY] = 0

    def levels(self, start: int, stop: int) -> Levels:
        """Shape (stop - start, BANDS), in dB of full scale; silence where nothing is known."""
        self._reckon(start)
        slots = np.arange(start, stop)
        power = self._powers[slots % HISTORY]
        power[(slots >= self._end) | (slots < self._end - HISTORY)] = 0
        return decibels(power)


class _NoiseFloor:
    """The line's noise in each band: the softer slots of each half second, and the softest of these but one."""

    def __init__(self) -> None:
        self.level: Levels = np.full(BANDS, UNKNOWN_NOISE)
        self._blocks: deque[Levels] = deque(maxlen=NOISE_BLOCKS)

    def heard(self, levels: Levels) -> None:
        rank = len(levels) // QUIET_SHARE
        self._blocks.append(np.partition(levels, rank, axis=0)[rank])
        softest = np.sort(np.array(self._blocks), axis=0)
        self.level = softest[min(1, len(softest) - 1)]  # one may be a gap that the line filled with silence

    @property
    def threshold(self) -> Levels:
        """The level from which something is a sound."""
        return np.maximum(self.level + ABOVE_NOISE, FAINTEST)
