"""Pauses in audio that comes in chunks of any size."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.talk.sound import SHORTEST, Sound

LOUD, QUIET = bytes([0x10]), bytes([0xFF])

runs = st.lists(st.tuples(st.booleans(), st.integers(1, 3 * SHORTEST)), max_size=12)


def audio_of(parts: list[tuple[bool, int]]) -> bytes:
    return b"".join((LOUD if loud else QUIET) * n for loud, n in parts)


def sounding(audio: bytes) -> list[int]:
    """Bytes of sound before each place, found the slow way."""
    counts = [0]
    for quiet, run in itertools.groupby(audio, lambda code: code == QUIET[0]):
        n = len(list(run))
        pause = quiet and n >= SHORTEST
        counts += [counts[-1] + (0 if pause else at + 1) for at in range(n)]
    return counts


@given(parts=runs, cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_sound_is_what_is_left_without_pauses_however_it_was_chunked(
    parts: list[tuple[bool, int]], cuts: list[int]
) -> None:
    audio, sound = audio_of(parts), Sound()
    for begin, end in itertools.pairwise([0, *sorted(min(cut, len(audio)) for cut in cuts), len(audio)]):
        sound.add(audio[begin:end])
    counts = sounding(audio)
    assert [sound.until(at) for at in range(0, len(audio) + 1, 7)] == counts[::7]
    assert sound.until(len(audio)) == counts[-1]


@given(parts=runs, more=runs, share=st.floats(0, 1))
def test_audio_that_was_dropped_leaves_nothing_behind(
    parts: list[tuple[bool, int]], more: list[tuple[bool, int]], share: float
) -> None:
    audio, sound = audio_of(parts), Sound()
    sound.add(audio)
    kept = audio[: int(share * len(audio))]
    sound.cut(len(kept))
    sound.add(audio_of(more))
    counts = sounding(kept + audio_of(more))
    # Quiet too short for a pause is not remembered: that, and a pause too short without it, may be taken for sound.
    assert all(0 <= sound.until(at) - counts[at] < 2 * SHORTEST for at in range(0, len(counts), 7))


def test_pauses_between_two_places_are_counted() -> None:
    sound = Sound()
    sound.add(LOUD * 1000 + QUIET * SHORTEST + LOUD * 1000 + QUIET * (SHORTEST - 1) + LOUD * 10 + QUIET * 900 + LOUD)
    assert sound.pauses(0, 100_000) == 2
    assert sound.pauses(0, 1000) == 0
    assert sound.pauses(0, 1001) == sound.pauses(999, 2000) == 1
    assert sound.pauses(1000 + SHORTEST, 2900) == 0
    n_before = 3500 + 2 * SHORTEST
    sound.add(QUIET * SHORTEST)
    assert sound.pauses(0, n_before + 5000) == 3  # it may go on


@pytest.mark.parametrize("before", [b"", LOUD * 10, QUIET * 1000])
def test_audio_of_which_nothing_is_known_counts_as_sound(before: bytes) -> None:
    sound = Sound()
    sound.add(before)
    known = sound.until(len(before))
    sound.add_unknown(5000)
    assert sound.until(len(before) + 5000) == known + 5000
    sound.add(QUIET * 1000)
    assert sound.until(len(before) + 6000) == known + 5000
