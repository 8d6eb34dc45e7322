r"""How long text takes to speak, as far as its characters tell. Pure.

The unit of effort is one small Latin letter in running prose. Where a character is not spoken as one sound, it counts
for the letters of what is said in its place, or for the letters that its silence would have had room for:

| what | effort | why |
|---|---|---|
| letter, space, any other sign | 1 | the unit |
| white space behind white space | 0.1 | shortened |
| digit in a group of one or two | 5 | "seven", "forty two" |
| the same in a time or date: 10:15, 12/05 | 3.5 | "ten fifteen", "twelve five" |
| digit in a longer group | 6 | "one thousand two hundred" takes 8 each, "one two three" takes 5 |
| `:` `/` between digits, `.` between letters | 1 | "ten fifteen" |
| `.` between digits | 6 | "point", "dollars and" |
| currency, percent and other signs with a name | 9 | "dollars", "percent" |
| letter of an acronym or a code: SMS, GB, BA452 | 3 | "ess em ess" |
| `,` `;` `:`, a dash, `-` between digits | 3 | 0.05 to 0.3 s of silence |
| the last of `.` `?` `!` `…`, a line's end without any | 6 | 0.15 to 0.6 s of silence |
| kana | 2 | seven to eight a second |
| Chinese character, Hangul syllable | 3.5 | about five a second |

None of it is certain; so each has a variance too, in the square of the unit: voices stretch words by a tenth and pauses
by half, and from the fourth digit on a number may be read digit by digit, in pairs, or as one.

Where pauses are told from speech by its sound, they are no part of the effort: signs of a pause count for the word
before them, which is drawn out, and white space behind them for nothing. What is left is more certain, but for where
one word ends and the next begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Effort(NamedTuple):
    mean: float
    variance: float


_LETTER = Effort(1, 0.05)
_KINDS = {
    "space": Effort(0.1, 0),
    "gap": _LETTER,
    "blank": _LETTER,
    "number": Effort(6, 60),
    "digits": Effort(6, 3),
    "clock": Effort(3.5, 3),
    "digit": Effort(5, 3),
    "joint": _LETTER,
    "point": Effort(6, 6),
    "sign": Effort(9, 6),
    "capital": Effort(3, 0.5),
    "pause": Effort(3, 1.5),
    "stop": Effort(6, 5),
    "kana": Effort(2, 0.1),
    "syllable": Effort(3.5, 0.4),
}
_SOUNDS = _KINDS | {"pause": Effort(1.5, 2), "stop": Effort(1.5, 2), "gap": Effort(0, 0), "blank": Effort(1, 0.3)}
_KIND = re.compile(
    r"""(?P<space>(?<=\s)\s)
    |(?P<gap>(?<=[,;:—–،؛、，；：.?!…。！？؟])\s)
    |(?P<number>(?<=\d{3})\d)
    |(?P<digits>(?<=\d\d)\d|(?<=\d)\d(?=\d)|\d(?=\d\d))
    |(?P<clock>\d(?=\d?[:/]\d)|(?<=\d[:/])\d|(?<=\d[:/]\d)\d)
    |(?P<digit>\d)
    |(?P<joint>(?<=\d)[:/](?=\d)|\.(?=[^\W\d_]))
    |(?P<point>(?<=\d)[.,](?=\d))
    |(?P<sign>[$€£¥₹%‰°§=+@&#])
    |(?P<capital>(?<![A-Za-z])[A-Z]{2,5}(?![A-Za-z])|(?<![A-Za-z])[A-Z](?=\d)|(?<=\d)[A-Z](?![a-z]))
    |(?P<pause>[,;:—–،؛、，；：]|(?<=\d)-(?=\d)|(?<=\s)-(?=\s))
    |(?P<stop>[.?!…。！？।؟](?![.?!…。！？])|(?<![\s.?!…,;:。！？、，；：])\n)
    |(?P<kana>[\u3041-\u30ff])
    |(?P<blank>\s)
    |(?P<syllable>[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7a3])
    """,
    re.VERBOSE,
)


def efforts(text: str, *, silences: bool = True) -> Iterator[Effort]:
    """The effort of each character of `text`.

    Args:
        silences: count those that signs of punctuation stand for.
    """
    kinds = _KINDS if silences else _SOUNDS
    at = 0
    for match in _KIND.finditer(text):
        yield from (_LETTER for _ in range(at, match.start()))
        yield from (kinds[match.lastgroup or ""] for _ in match.group())
        at = match.end()
    yield from (_LETTER for _ in range(at, len(text)))


def effort(text: str) -> float:
    """The likely effort of all of `text`."""
    return sum(each.mean for each in efforts(text))
