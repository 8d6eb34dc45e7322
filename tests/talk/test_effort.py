"""How long text takes to speak, by its characters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.talk.effort import effort, efforts

from .voice import LETTERS_PER_S, PROSE, TEXTS, Voice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("hello", 5),
        ("Hello there", 11),
        ("Yes.", 3 + 6),
        ("well, yes", 9 + 2),
        ("no...", 2 + 2 + 6),
        ("what?!", 4 + 1 + 6),
        ("a  b", 3.1),
        ("a\nb", 2 + 6),
        ("a.\n\nb", 2 + 6 + 1 + 0.1),
        ("7", 5),
        ("42", 10),
        ("452", 18),
        ("$5", 9 + 5),
        ("45%", 10 + 9),
        ("29.50", 10 + 6 + 10),
        ("10:15", 3.5 * 4 + 1),
        ("9:05.", 3.5 * 3 + 1 + 6),
        ("12/05/2026", 3.5 * 4 + 2 + 6 * 4),
        ("555-0142", 18 + 3 + 24),
        ("SMS", 9),
        ("A cat", 5),
        ("I am OK", 5 + 6),
        ("BA452", 6 + 18),
        ("IMPORTANT", 9),
        ("p.m. ", 3 + 6 + 1),
        ("well-known", 10),
        ("this — that", 11 + 2),
        ("你好。", 3.5 * 2 + 6),
        ("こんにちは", 10),
        ("안녕", 7),
    ],
)
def test_text_takes_what_is_said_in_its_place(text: str, expected: float) -> None:
    assert effort(text) == pytest.approx(expected)


@given(st.text(st.sampled_from("aZ9 \n.,:-$%…你か한👍é"), max_size=60))
def test_each_character_takes_some_effort_and_none_but_white_space_is_certain(text: str) -> None:
    every = list(efforts(text))
    assert len(every) == len(text)
    assert all(each.mean > 0 for each in every)
    assert all(each.variance > 0 for char, each in zip(text, every, strict=True) if not char.isspace())
    assert effort(text) == pytest.approx(sum(each.mean for each in every))


def test_prose_takes_little_more_than_its_letters() -> None:
    """So that the typical pace is 15 written characters a second."""
    assert effort("".join(PROSE)) / sum(map(len, PROSE)) == pytest.approx(1.14, abs=0.01)


@pytest.mark.parametrize("kind", TEXTS)
def test_effort_tells_how_long_a_voice_speaks(kind: str) -> None:
    told, took = 0.0, 0.0
    for seed in range(40):
        text = "".join(TEXTS[kind](seed, 3))
        took += len(Voice(random.Random(seed).randrange(1000), 1.0).speak(text, 0, len(text)).audio) / 8000
        told += effort(text) / LETTERS_PER_S
    assert told == pytest.approx(took, rel=0.05)


def test_signs_of_a_pause_are_nearly_silent_where_pauses_are_not_counted() -> None:
    def sounds(text: str) -> float:
        return sum(each.mean for each in efforts(text, silences=False))

    assert sounds("ab") == effort("ab")
    assert sounds("10:15 for $9") == effort("10:15 for $9")
    assert sounds("ab, cd. ") < sounds("ab cd") + 3 < effort("ab, cd. ")
    assert sounds("ab. ") == sounds("ab.")  # the sound is over with the word
