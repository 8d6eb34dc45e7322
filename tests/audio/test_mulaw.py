"""Every mu-law byte and every 16-bit sample against tables built from the Recommendation, not from bit tricks.

Source: ITU-T G.711 (11/1988), table 2a: 8 segments of 16 steps; the first step is half a step, the steps of the first
segment are 2 (of a peak of 8159), and those of each further segment are twice the last one's.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from itertools import pairwise

import numpy as np
import pytest

from lineside import audio
from lineside.audio import mulaw
from lineside.errors import LocalProtocolError


def decision_values() -> list[int]:
    """x_1 .. x_128 of table 2a, column 3: where one step ends and the next begins, 14 bits."""
    values = [1]
    for segment in range(8):
        steps = 15 if segment == 0 else 16  # the half step at zero is one of the first segment's
        for _ in range(steps):
            values.append(values[-1] + (2 << segment))
    return values


def levels() -> list[int]:
    """y_0 .. y_127 of table 2a, column 8: zero, then the middle of each step, 14 bits."""
    edges = decision_values()
    return [0] + [(low + high) // 2 for low, high in pairwise(edges)]


def test_the_tables_have_the_printed_figures() -> None:
    edges = decision_values()
    assert len(edges) == 128
    assert [edges[i] for i in (15, 31, 47, 63, 79, 95, 111, 127)] == [31, 95, 223, 479, 991, 2015, 4063, 8159]
    assert [levels()[i] for i in (0, 1, 2, 16, 127)] == [0, 2, 4, 33, 8031]


def test_all_256_bytes_decode_to_the_levels_of_the_table() -> None:
    # Characters are transmitted with all value bits inverted: 0xFF is +0, 0x80 the loudest positive one.
    positive = [4 * level for level in levels()]
    expected = [-value for value in reversed(positive)] + list(reversed(positive))
    assert mulaw.decode(bytes(range(256))).tolist() == expected


def test_all_65536_samples_encode_to_the_step_they_lie_in() -> None:
    pcm = np.arange(-32768, 32768).astype(np.int16)
    wide = pcm.astype(int) >> 2  # to 14 bits, rounded down
    step = np.minimum(np.searchsorted(decision_values(), np.abs(wide), side="right"), 127)
    expected = np.where(wide < 0, 0x7F - step, 0xFF - step).astype(np.uint8)
    assert mulaw.encode(pcm) == expected.tobytes()


def test_every_byte_survives_a_round_trip_but_minus_zero() -> None:
    every = bytes(range(256))
    assert mulaw.encode(mulaw.decode(every)) == every.replace(b"\x7f", b"\xff")


def test_silence_is_ff() -> None:
    assert mulaw.encode(np.zeros(3, np.int16)) == b"\xff\xff\xff"
    assert mulaw.decode(b"\xff\x7f").tolist() == [0, 0]


def test_the_loudest_samples_do_not_wrap() -> None:
    assert mulaw.encode(np.array([32767, -32768], np.int16)) == b"\x80\x00"
    assert mulaw.decode(b"\x80\x00").tolist() == [32124, -32124]


def test_bytes_are_little_endian() -> None:
    assert mulaw.encode(b"\x00\x01" * 2) == mulaw.encode(np.array([256, 256], np.int16))


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="even number of bytes, got 3"):
        mulaw.encode(b"\x00\x00\x00")


def test_nothing_stays_nothing() -> None:
    assert mulaw.encode(b"") == b""
    assert mulaw.encode(np.zeros(0, np.int16)) == b""
    assert mulaw.decode(b"").shape == (0,)


def test_an_array_with_gaps_is_encoded_like_its_copy() -> None:
    pcm = np.arange(-3000, 3000, 7).astype(np.int16)
    assert mulaw.encode(pcm[::-3]) == mulaw.encode(pcm[::-3].copy())


def test_decoding_gives_int16() -> None:
    assert mulaw.decode(bytes(160)).dtype == np.int16


def test_the_error_is_within_half_a_step() -> None:
    """For every sample that is not limited. Half a step is at most a 32nd of the 14-bit value plus the bias of 33."""
    pcm = np.arange(-32124, 32125).astype(np.int16)
    wide = pcm.astype(int) >> 2
    error = np.abs(mulaw.decode(mulaw.encode(pcm)).astype(int) // 4 - wide)
    assert (error <= (np.abs(wide) + 33) / 32).all()


def test_the_farewell_of_the_standard_librarys_audioop_is_silenced_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python 3.11 and 3.12 warn at the import; a stand-in module warns the same here on any version."""

    class Finder:
        message = ""

        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "audioop":
                warnings.warn(self.message, DeprecationWarning, stacklevel=2)

    finder = Finder()
    monkeypatch.setattr(audio, "mulaw", mulaw)  # the package names the module too; this puts ours back afterwards
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])

    def imported() -> types.ModuleType:
        monkeypatch.delitem(sys.modules, "audioop", raising=False)
        monkeypatch.delitem(sys.modules, "lineside.audio.mulaw", raising=False)
        return importlib.import_module("lineside.audio.mulaw")

    finder.message = "'audioop' is deprecated and slated for removal in Python 3.13"
    assert imported().encode(b"\x00\x00") == b"\xff"
    finder.message = "something else"
    with pytest.raises(DeprecationWarning, match="something else"):
        imported()
