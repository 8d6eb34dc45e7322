"""A synthetic voice that can be checked: it knows when it spoke each word, and its audio tells.

It knows nothing of how the ledger reckons: it reads numbers, money, times, dates and acronyms out as English words, at
so many letters a second, and is silent for a while after punctuation.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WORD = re.compile(r"\S+")
LAST = 0x80  # flag of the last byte of a word in synthetic audio
BYTES_PER_MS = 8
LETTERS_PER_S = 17  # at rate 1

PROSE = (
    "Thank you for calling Harbour Dental. ",
    "How can I help you today? ",
    "I can see two openings this week, one on Tuesday at ten and one on Friday afternoon. ",
    "Yes. ",
    "I am sorry to hear that. ",
    "Would you like me to book it for you, or do you want to hear more? ",
    "Please hold on a moment while I look that up. ",
    "Your appointment is confirmed, and you will get a text message shortly. ",
    "No problem at all. ",
    "Is there anything else that I can do for you? ",
    "Great! ",
)
# "9" stands for any digit but 0, "0" for any.
FIGURES = (
    "Your order 9000 ships on March 2rd, within 90 days. ",
    "That comes to $90.50, with a discount of 90% already taken off. ",
    "You can reach us at 900-000-0000, any day from 9:30 to 17:00. ",
    "The next free times are 10:15, 11:45 and 14:30 on 12/05/2026. ",
    "It is room 900 at 9000 Main Street, and the ZIP code is 90000. ",
    "We sent an SMS with the PIN 0000 to the number that ends in 00. ",
    "It costs 29.50 a month, and you have used 9.0 GB of 90 GB. ",
    "We have had 9000 customers since 1998, and 900 of them came back. ",
    "Flight BA900 leaves at 9:45 from gate 90. ",
)

_WORDS = re.compile(r"\w+")
_ONES: Sequence[str] = _WORDS.findall(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS: Sequence[str] = ("", "", *_WORDS.findall("twenty thirty forty fifty sixty seventy eighty ninety"))
_NAMES = _WORDS.findall(
    "ay bee see dee ee eff gee aitch eye jay kay ell em en oh pee cue are ess tee you vee doubleyou ex why zee"
)
_LETTERS = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _NAMES, strict=True))
_MONEY = re.compile(r"\$(\d+)\.(\d\d)")
_DECIMAL = re.compile(r"(\d+)\.(\d+)")
_TIME = re.compile(r"(\d\d?):(\d\d)")
_DATE = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})")


def prose(seed: int, n_sentences: int) -> list[str]:
    dice = random.Random(seed)
    return [dice.choice(PROSE) for _ in range(n_sentences)]


def figures(seed: int, n_sentences: int) -> list[str]:
    """Sentences full of numbers."""
    dice = random.Random(seed)
    templates = [dice.choice(FIGURES) for _ in range(n_sentences)]
    return ["".join(_drawn(char, dice) for char in template) for template in templates]


def mixed(seed: int, n_sentences: int) -> list[str]:
    dice = random.Random(seed)
    return [dice.choice((prose, figures))(dice.randrange(10_000), 1)[0] for _ in range(n_sentences)]


TEXTS: dict[str, Callable[[int, int], list[str]]] = {"prose": prose, "figures": figures, "mixed": mixed}


def _drawn(char: str, dice: random.Random) -> str:
    return dice.choice("123456789") if char == "9" else dice.choice("0123456789") if char == "0" else char


def read_out(word: str, dice: random.Random) -> str:
    """A word as it is spoken; a comma is silence within it."""
    core = word.strip(",.?!;:")
    if money := _MONEY.fullmatch(core):
        return f"{_cardinal(int(money[1]))} dollars and {_cardinal(int(money[2]))} cents"
    if decimal := _DECIMAL.fullmatch(core):
        return f"{_cardinal(int(decimal[1]))} point {_digits(decimal[2])}"
    if time := _TIME.fullmatch(core):
        return f"{_cardinal(int(time[1]))} {_cardinal(int(time[2]))}"
    if date := _DATE.fullmatch(core):
        return f"{_cardinal(int(date[1]))} {dice.choice(('', 'slash '))}{_cardinal(int(date[2]))} {_pairs(date[3])}"
    if core.endswith("%"):
        return f"{_cardinal(int(core[:-1]))} percent"
    if "-" in core and core[0].isdigit():
        return ",".join(_digits(group) for group in core.split("-"))
    if core.isdigit():
        return _number(core, dice)
    if any(map(str.isdigit, core)) or (len(core) > 1 and core.isupper()):
        return " ".join(_ONES[int(char)] if char.isdigit() else _LETTERS.get(char, char) for char in core)
    return core


def _number(digits: str, dice: random.Random) -> str:
    """How a number of four digits is read, the voice decides each time."""
    if len(digits) > 4 or digits[0] == "0":
        return _digits(digits)
    if len(digits) == 4:
        return dice.choice((_digits(digits), _pairs(digits), _cardinal(int(digits))))
    return _cardinal(int(digits))


def _digits(digits: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in digits)


def _pairs(digits: str) -> str:
    return f"{_cardinal(int(digits[:2]))} {_cardinal(int(digits[2:]))}"


def _cardinal(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f" {_ONES[number % 10]}" if number % 10 else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = f" {_cardinal(number % size)}" if number % size else ""
    return f"{_cardinal(number // size)} {name}{rest}"


@dataclass(frozen=True)
class Speech:
    """One rendition: when each character is spoken, and audio whose bytes tell the word being spoken.

    0 is silence; otherwise the number of the word in the whole text, from 1; its last byte has the flag `LAST`.
    """

    starts_ms: tuple[int, ...]
    ends_ms: tuple[int, ...]
    audio: bytes


class Voice:
    """Speaks with a rate of its own, after a breath, with silence at punctuation, and words that vary by 15 %."""

    def __init__(self, seed: int, rate: float) -> None:
        self._dice = random.Random(seed)
        self._rate = rate

    def speak(self, whole: str, start: int, end: int) -> Speech:
        """Speak `whole[start:end]`; `start` is the beginning of a word or of the space before it."""
        words = [word for word in WORD.finditer(whole) if start < word.end() and word.start() < end]
        at = self._dice.uniform(50, 250)
        starts: dict[int, float] = {}
        ends: dict[int, float] = {}
        for word in words:
            letter = self._dice.uniform(0.85, 1.15) * 1000 / (LETTERS_PER_S * self._rate)
            spoken = read_out(word.group(), self._dice)
            took = sum(self._dice.uniform(50, 300) if char == "," else letter for char in spoken) / len(word.group())
            for index in range(max(word.start(), start), min(word.end(), end)):
                starts[index], ends[index] = at, at + took
                at += took
            at += letter + self._silence_after(word.group())
        return self._speech(whole, start, end, starts, ends, at)

    def _silence_after(self, word: str) -> float:
        if word[-1] in ".?!":
            return self._dice.uniform(150, 600)
        return self._dice.uniform(50, 300) if word[-1] in ",;:" else 0.0

    def _speech(
        self, whole: str, start: int, end: int, starts: dict[int, float], ends: dict[int, float], last: float
    ) -> Speech:
        starts_ms, ends_ms, reached = [], [], 0
        for index in range(start, end):
            starts_ms.append(round(starts.get(index, reached)))
            reached = round(ends.get(index, reached))
            ends_ms.append(reached)
        audio = bytearray(round(last) * BYTES_PER_MS if ends else 0)
        for number, word in enumerate(WORD.finditer(whole), 1):
            if word.end() <= start or word.start() >= end:
                continue
            first, final = max(word.start(), start) - start, min(word.end(), end) - start - 1
            begin, stop = starts_ms[first] * BYTES_PER_MS, ends_ms[final] * BYTES_PER_MS
            audio[begin:stop] = bytes([number]) * (stop - begin)
            if word.end() <= end and word.start() >= start:
                audio[stop - 1] |= LAST
        return Speech(tuple(starts_ms), tuple(ends_ms), bytes(audio))
