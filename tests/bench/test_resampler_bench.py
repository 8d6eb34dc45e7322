"""The figures that the bench takes, against what was promised. CPU is left to the bench: a test's machine is busy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineside.audio.formats import RATES
from lineside.bench.resampler import Figures, alias_db, delay_ms, main, measure, report, ripple_db

GOOD = Figures(rate=24000, delay_ms=1.5, alias_db=-70.0, ripple_db=0.03, cpu_percent=0.1)


@pytest.mark.parametrize("rate", RATES)
def test_the_delay_is_under_two_ms(rate: int) -> None:
    assert delay_ms(rate) <= 2.0


@pytest.mark.parametrize("rate", RATES)
def test_tones_from_4600_hz_up_are_60_db_down(rate: int) -> None:
    assert alias_db(rate) <= -60.0


@pytest.mark.parametrize("rate", RATES)
def test_tones_up_to_3200_hz_keep_their_loudness_within_half_a_db(rate: int) -> None:
    assert ripple_db(rate) <= 0.5


def test_8000_hz_passes_untouched() -> None:
    assert delay_ms(8000) == 0
    assert ripple_db(8000) == 0
    assert alias_db(8000) == float("-inf")  # it holds no tone above 4 kHz


def test_the_bench_gives_a_row_a_rate_and_none_misses() -> None:
    rows = measure((8000, 22050))
    assert [row.rate for row in rows] == [8000, 22050]
    assert [row.missed for row in rows] == [(), ()]
    assert all(row.cpu_percent > 0 for row in rows)


def test_a_missed_bound_is_named() -> None:
    bad = replace(GOOD, delay_ms=3.1, alias_db=-59.0)
    assert bad.missed == ("delay_ms", "alias_db")
    assert report([GOOD, bad])[-1] == "24000 Hz misses its bound: delay_ms, alias_db"


def test_the_report_is_a_line_a_rate_between_heading_and_bounds() -> None:
    lines = report([GOOD])
    assert len(lines) == 3
    assert lines[1].split() == ["24000", "1.50", "-70.0", "0.030", "0.100"]
    assert lines[2].split() == ["bound", "3.00", "-60.0", "0.500", "0.150"]


def test_the_command_writes_a_line_for_every_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [str(rate) for rate in RATES]
    assert lines[-1].split()[0] == "bound"  # and no rate misses its own
