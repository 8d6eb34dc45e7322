"""The words of an agent: values that cannot be are told at once."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lineside.events import BargeIn, Say


def test_a_policys_name_is_no_barge_in_of_a_line() -> None:
    name: Any = "vad"
    with pytest.raises(ValueError, match=re.escape("""BargeIn("words") or BargeIn("vad"), not 'vad'""")) as caught:
        Say("Hello.", barge_in=name)
    assert str(caught.value) == """Say: barge_in is BargeIn("words") or BargeIn("vad"), not 'vad'"""


def test_a_line_takes_a_barge_in_or_none() -> None:
    assert Say("Hello.").barge_in is None
    assert Say("Hello.", barge_in=BargeIn("vad")).barge_in == BargeIn("vad")
