"""Reads the query of an upgrade, one parameter after the other. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lineside.audio.formats import RATES
from lineside.standin.endpoint import Refusal
from lineside.standin.voice import Encoding

DECODERS: dict[str, Encoding] = {"linear16": "linear16", "mulaw": "mulaw", "alaw": "alaw"}


class Query:
    """What is left of a query to be read.

    Args:
        bad: makes the refusal of a query, given what is wrong with it.
    """

    def __init__(self, query: Iterable[tuple[str, str]], bad: Callable[[str], Refusal]) -> None:
        self._left: dict[str, list[str]] = {}
        for name, value in query:
            self._left.setdefault(name, []).append(value)
        self._bad = bad

    def has(self, name: str) -> bool:
        return name in self._left

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return self._left.pop(name, [])

    def one(self, name: str, default: str | None = None) -> str | None:
        """The value of a parameter that may not.

        Raises:
            Refusal: it is repeated. The other methods raise it for any bad value, too.
        """
        values = self._left.pop(name, [])
        if len(values) > 1:
            raise self._bad(f"{name} is given twice")
        return values[0] if values else default

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = self.one(name) or default
        if value not in choices:
            raise self._bad(f"{name} is one of {', '.join(choices)}, not {value!a}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        return self.choice(name, ("true", "false"), "true" if default else "false") == "true"

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float | None:
        """A number in a range, both ends in it."""
        if (text := self.one(name)) is None:
            return default
        try:
            value = float(text)
        except ValueError:
            raise self._bad(f"{name} is a number, not {text!a}") from None
        if not low <= value <= high:
            raise self._bad(f"{name} is {low:g} to {high:g}, not {text!a}")
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number in a range, both ends in it."""
        text = self.one(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            raise self._bad(f"{name} is a whole number, not {text!a}")
        if not low <= int(text) <= high:
            raise self._bad(f"{name} is {low} to {high}, not {text}")
        return int(text)

    def audio(self, encodings: Sequence[str], rates: Sequence[int]) -> tuple[Encoding, int] | None:
        """The form of raw audio; None where it is left to a container, for which the stand-ins have no reader."""
        encoding, rate = self.one("encoding"), self.whole("sample_rate", 1, 1_000_000)
        if encoding is None:
            return None
        if encoding not in encodings:
            raise self._bad(f"encoding is one of {', '.join(encodings)}, not {encoding!a}")
        if rate is None:
            raise self._bad(f"{encoding} needs sample_rate")
        if rates and rate not in rates:
            raise self._bad(f"sample_rate is one of {', '.join(map(str, rates))}, not {rate}")
        if encoding not in DECODERS or rate not in RATES:
            raise self._bad(f"this stand-in has no decoder for {encoding} at {rate} Hz")
        return DECODERS[encoding], rate

    def unread(self) -> list[str]:
        """Names that nobody has asked for."""
        return sorted(self._left)
