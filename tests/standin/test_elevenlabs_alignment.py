"""When each character sounds, as ElevenLabs tells it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lineside.standin.elevenlabs_alignment import Alignment, align, normalise
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import WordTime


def spoken(text: str) -> Alignment:
    rendering = ToneVoice().speak(text)
    return align(text, rendering.words, len(rendering.pcm) // 8)


def ends(alignment: Alignment) -> int:
    return alignment.starts_ms[-1] + alignment.durations_ms[-1]


def test_a_words_characters_share_its_time_and_the_rest_shares_what_is_between() -> None:
    words = [WordTime(0, 2, 0.1, 0.3), WordTime(4, 6, 0.5, 0.9)]
    assert align("Hi, Al. ", words, 1000) == Alignment.of(
        [
            ("H", 0, 150),  # what is silent before the first word goes to its first character
            ("i", 150, 150),
            (",", 300, 100),
            (" ", 400, 100),
            ("A", 500, 200),
            ("l", 700, 200),
            (".", 900, 50),
            (" ", 950, 50),
        ]
    )


def test_of_blanks_in_a_row_the_first_has_all_the_time_and_normalised_they_are_one() -> None:
    raw = align("Hi  there ", [WordTime(0, 2, 0.0, 0.2), WordTime(4, 9, 0.3, 0.8)], 900)
    assert list(raw.timed())[2:5] == [(" ", 200, 100), (" ", 300, 0), ("t", 300, 100)]
    normal = normalise(raw, begins=False, expands_numbers=False)
    assert "".join(normal.chars) == "Hi there "
    assert list(normal.timed())[2:4] == [(" ", 200, 100), ("t", 300, 100)]


def test_a_text_without_words_is_spread_evenly() -> None:
    assert align("... ", [], 40).starts_ms == (0, 10, 20, 30)


def test_words_that_overlap_or_overrun_do_no_harm() -> None:
    words = [WordTime(0, 1, 0.3, 0.9), WordTime(2, 3, 0.5, 0.7), WordTime(4, 5, 1.0, 9.0)]
    alignment = align("a b c ", words, 1500)
    assert ends(alignment) == 1500
    assert min(alignment.durations_ms) >= 0


def test_the_beginning_of_a_context_has_a_leading_space_in_the_first_characters_time() -> None:
    raw = Alignment.of([("H", 0, 110), ("i", 110, 190), (".", 300, 120), (" ", 420, 130)])
    assert normalise(raw, begins=True, expands_numbers=False) == Alignment.of(
        [(" ", 0, 20), ("H", 20, 90), ("i", 110, 190), (".", 300, 120), (" ", 420, 130)]
    )
    assert normalise(raw, begins=False, expands_numbers=False) == raw


def test_a_text_that_begins_with_a_blank_gets_no_second_one() -> None:
    raw = Alignment.of([("\n", 0, 50), ("a", 50, 50)])
    assert normalise(raw, begins=True, expands_numbers=False).chars == (" ", "a")


def test_digits_become_words_that_share_their_time() -> None:
    raw = Alignment.of([("A", 0, 10), ("4", 10, 60), ("2", 70, 80), ("b", 150, 10), (" ", 160, 10), ("7", 170, 50)])
    normal = normalise(raw, begins=False, expands_numbers=True)
    assert "".join(normal.chars) == "A four two b seven"
    assert normal.starts_ms[: len("A four")] == (0, 10, 22, 34, 46, 58)
    assert ends(normal) == 220


def test_a_part_is_what_begins_in_it() -> None:
    raw = Alignment.of([("a", 0, 10), ("b", 10, 10), ("c", 20, 10)])
    assert raw.between(5, 20) == Alignment.of([("b", 10, 10)])
    assert raw.between(10, shift_ms=10) == Alignment.of([("b", 0, 10), ("c", 10, 10)])
    assert raw.between(25, 30) is None


def test_the_names_of_the_members_are_the_wires() -> None:
    assert Alignment.of([("a", 0, 10)]).as_json("charsDurationsMs") == {
        "chars": ["a"],
        "charStartTimesMs": [0],
        "charsDurationsMs": [10],
    }


@given(st.text("ab 1.\n'é😀", min_size=1, max_size=120), st.booleans(), st.booleans())
def test_every_alignment_covers_its_audio_without_gaps(text: str, begins: bool, expands: bool) -> None:
    raw = spoken(text)
    assert "".join(raw.chars) == text
    for alignment in (raw, normalise(raw, begins=begins, expands_numbers=expands)):
        assert alignment.starts_ms[0] == 0
        assert min(alignment.durations_ms) >= 0
        pairs = list(alignment.timed())
        assert all(at + ms == following[1] for (_, at, ms), following in pairwise(pairs))
        assert ends(alignment) == len(ToneVoice().speak(text).pcm) // 8


@given(st.text("ab 1.\n", min_size=1, max_size=60), st.lists(st.integers(0, 4000), max_size=5))
def test_parts_make_the_whole(text: str, cuts: list[int]) -> None:
    raw = spoken(text)
    edges = [0.0, *sorted(cuts), float("inf")]
    parts = [raw.between(begin, end) for begin, end in pairwise(edges)]
    assert [item for part in parts if part for item in part.timed()] == list(raw.timed())
