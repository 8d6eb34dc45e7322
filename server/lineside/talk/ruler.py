"""Text as a ruler for speech: how far it is from one character to another, and how sure that is. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from math import sqrt

from lineside.talk.effort import Effort

DOUBT = 2.0  # standard deviations; text that takes longer than that before a word is one case in forty
ONSET = 2.0  # variance; where the first sound of a text begins, however little of the text one looks at


class Ruler:
    """Cumulative effort of a text that grows. Places are characters, lengths are efforts; see `effort`.

    Args:
        doubt: standard deviations by which a share is reckoned to be larger, or smaller, than is likely.
        onset: variance of where the first sound begins.
    """

    def __init__(self, doubt: float = DOUBT, onset: float = 0.0) -> None:
        self._doubt = doubt
        self._onset = onset
        self._means = [0.0]  # of speaking all before each character, and ...
        self._variances = [0.0]  # ... how uncertain it is

    def append(self, efforts: Iterable[Effort]) -> None:
        for each in efforts:
            self._means.append(self._means[-1] + each.mean)
            self._variances.append(self._variances[-1] + each.variance)

    def length(self, start: int, end: int) -> float:
        """The likely effort from one place to another."""
        return self._means[end] - self._means[start]

    def place(self, start: int, length: float) -> int:
        """The character that is so far behind another."""
        return bisect_right(self._means, self._means[start] + length) - 1

    def most(self, start: int, end: int) -> float:
        """The effort from one place to another that it hardly ever exceeds."""
        return self.length(start, end) + DOUBT * sqrt(self._variance(start, end) + self._onset)

    def latest_share(self, start: int, place: int, end: int) -> float:
        """The share of the way from `start` to `end` by which `place` was passed, at the latest."""
        whole = self.length(start, end)
        return (self.length(start, place) + self._doubt * self._deviation(start, place, end)) / whole if whole else 1.0

    def earliest_share(self, start: int, place: int, end: int) -> float:
        """The share by which `place` was passed, at the earliest."""
        whole = self.length(start, end)
        least = self.length(start, place) - self._doubt * self._deviation(start, place, end)
        return max(0.0, least) / whole if whole else 0.0

    def _variance(self, start: int, end: int) -> float:
        return max(0.0, self._variances[end] - self._variances[start])

    def _deviation(self, start: int, place: int, end: int) -> float:
        """How uncertain the effort up to `place` is where the effort from `start` to `end` is known."""
        before, behind = self._variance(start, place) + self._onset, self._variance(place, end)
        return sqrt(before * behind / (before + behind)) if before and behind else 0.0
