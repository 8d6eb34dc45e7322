"""What the bench makes of its interruptions, and what its speakers know of their own words."""

from __future__ import annotations

import numpy as np

from lineside.bench.heard import NETWORKS, OFFSETS, RATE, Cut, Row, plans, rows
from lineside.bench.heard_speaker import QUIET, Speaker, read_out


def test_a_single_word_too_many_misses_the_bound_and_so_do_too_many_too_few() -> None:
    assert Row("", [0, -1, 0], within=1, share=0.99).good
    assert not Row("", [0] * 999 + [1], within=1, share=0.99).good
    assert not Row("", [0] * 9 + [-2], within=1, share=0.99).good
    assert Row("", [0] * 9 + [-2], within=2, share=0.99).good
    assert Row("", [9]).good  # no bound


def test_every_network_and_offset_has_a_row() -> None:
    cuts = [Cut(plan, 3, 4, 2) for plan in plans(1)]
    lagging = [Cut(plan, 3, 4, 2) for plan in plans(1, offsets=True)]
    table = rows("deepgram", cuts, lagging)
    assert len(table) == 1 + 2 + len(NETWORKS) + len(OFFSETS)
    assert all(row.errors for row in table)
    assert [row.errors[0] for row in (table[0], table[-1])] == [-1, 1]  # against the carrier, against the ear


def test_a_word_is_over_when_its_last_sound_is() -> None:
    speaker = Speaker("tones")
    speaker.rate = 0.8
    text = "Room 42, please. Thank you."
    pcm, ends = speaker.speak(text).pcm, speaker.word_ends(text)
    assert len(ends) == 5
    for end, word in zip(ends, speaker.speak(text).words, strict=True):
        at = round(end * RATE)
        assert word.start_s < end <= word.end_s
        assert abs(int(pcm[at - 1])) > QUIET
        assert not np.any(np.abs(pcm[at : round(word.end_s * RATE)]) > QUIET)


def test_numbers_are_read_out() -> None:
    assert read_out("$9.50,") == "dollars nine point five zero,"
    assert read_out("10:15.") == "one zero   one five."
    assert read_out("plain,") == "plain,"
