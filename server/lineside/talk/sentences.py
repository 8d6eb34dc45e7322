"""Sentences out of text that arrives in pieces of any size. Pure: no clock, no I/O.

Ready-made splitters (pysbd, syntok, blingfire) take a whole text, and none says which of its boundaries the next piece
cannot change any more, which is all that matters here; hence small tables of our own.

What ends a sentence, and what must have been seen to know it:

| mark | ends a sentence when |
|---|---|
| `!` `?` `。` `।` and their kin | the next character is neither another mark nor closes a quote, bracket or emphasis |
| the same, closed: `!"` `?)` `!**` | white space follows, and then not a lower-case letter |
| `.` | white space follows, and what comes then does not make the dot part of an abbreviation, initial or ordinal |
| `...` `…` | white space follows, and then not a lower-case letter |
| any of them | a line ends, unless it may be an abbreviation |
| blank line | always |
| line end without a mark | the next line does not go on in lower case |

Never inside an address, a number, a list number, an SSML tag or a pronunciation object. When in doubt there is no cut:
the price is a longer sentence, while a wrong cut would be heard.

Sources:
https://developers.deepgram.com/docs/tts-text-chunking (sentence ends, decimals, abbreviations; 2000 characters)
https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input (pieces are joined as
they are: so no character may be lost or added here)
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from enum import Enum, auto
from typing import NamedTuple

LOOK = 32  # characters of marks, or of white space, that are read as one; no text needs more
MAX_TAG = 500  # characters; a tag or object that is not closed by then is none, and holds nothing up any more
MAX_TAGS = 3  # tags that may close with a sentence, as in `Hello.</s></p>`

_STRONG = "!?‼⁇⁈⁉！？。｡؟۔।॥։።፧។။"
_MARKS = ".…" + _STRONG
_CLOSING = "”’»›)]}」』）】》〉"  # closes even after white space
_CLOSERS = _CLOSING + "\"'“‘*_~`\ufe0f"  # closes when it touches the mark; “ does in German
_GOES_ON = ",;:—–-/=&"  # after `?` or `!`: the sentence goes on
_NO_BREAK = "\u00a0\u202f\u2007"

_INTEREST = re.compile(rf"[{_MARKS}<\\\n]")
_RUN = re.compile(rf"(?:[{_MARKS}{re.escape(_CLOSERS)}]|[{_NO_BREAK}]»){{1,{LOOK}}}")
_GAP = re.compile(rf"[^\S{_NO_BREAK}]{{1,{LOOK}}}")
_WORD_CHAR = re.compile(r"[^\W_]")
_LETTER = re.compile(r"[^\W\d_]")
_WORD_BEFORE = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*\Z")
_WORD_AFTER = re.compile(r"[\"'“‘„«(*_]*([^\W\d_]*)")
_LIST_NUMBER = re.compile(r"[\W_]*\d{1,3}\Z")
_LINK = re.compile(r"://|@|^[^\w-]*(?:[\w-]+\.)+[\w-]+/|^\W*www\.")
_BREAK = re.compile(r"(?P<clause>[,;:،؛—–]\s+|[，、；：])|\s+")
_COMPLETE = re.compile(rf"(?:\s|[{_MARKS}][{re.escape(_CLOSERS)}]*)\Z")

_TAG_START = re.compile(r"<|\\")
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two make a flag

_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*')"""
TAG = re.compile(rf"</?[A-Za-z][\w:-]*(?:{_ATTRIBUTE})*\s*/?>")
"""One SSML tag, with its quoted attributes. Prose such as `a<b` does not match."""
_TAG_BEGUN = re.compile(
    rf"""</?(?:[A-Za-z][\w:-]*(?:{_ATTRIBUTE})*(?:\s+[\w:-]+(?:\s*=(?:\s*(?:"[^"<>]*|'[^'<>]*))?)?)?\s*/?)?\Z"""
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Lower-cased, without the last dot. What follows one of these belongs to it.
_FORWARD = _words(
    """mr mrs ms mx dr prof rev hon gen col capt cpt lt sgt cmdr adm gov sen supt messrs e.g i.e eg ie vs cf approx viz
    ca m mm mme mlle pr av avda sr sra srta srs dra dres lic ing arq ee p.ej p.ex c.-à-d aprox hr fr frl mag dipl-ing
    z.b d.h u.a bspw sog vgl bzw inkl exkl zzgl evtl ggf sig sig.ra dott dott.ssa avv exmo"""
)
_SPACED = ("z. B", "d. h", "u. a", "i. d", "p. ej", "p. ex", "c. à")
# What follows belongs to it if it is a number.
_BEFORE_NUMBER = _words(
    "no nr nos art abs sec fig vol ch p pp pg pág pag núm num n apt ext rm ste tel tél sat sun mar fol ep"
)
# May end a sentence too: does when a word follows that often begins one.
_ENDING = _words(
    """etc inc ltd llc co corp jr bros dept est st ave blvd bd boul rd ln hwy pkwy sq mt ft al min max hrs mins secs lbs
    oz jan feb apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri usw ecc mio mrd str ud uds uu
    dpto depto env éd bzgl"""
)
_STARTERS = _words(
    """the it i we you he she they this that these those there here what when where who why how which is are do does did
    can could would should please thank thanks so but and or if yes no not now then let our your my his their to for in
    on at also however just after before have has don
    der die das ein eine es ich wir sie ihr ist sind haben hat können möchten bitte danke und aber oder wenn wie wann
    dann dort hier ja nein
    el la los las un una son usted ustedes su nuestro nuestra si por para en y pero puede quiere gracias hay también
    entonces
    le les il elle nous vous je c est ce cette et mais pour souhaitez pouvez avez merci oui non"""
)
# German writes ordinals with a dot: "am 3. Mai".
_ORDINAL_NOUNS = _words(
    """januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert stock etage
    klasse quartal obergeschoss og fc"""
)


class _Verdict(NamedTuple):
    """What a character means: a sentence ends at `at`, or none does before `at`."""

    cut: bool
    at: int


class _Dot(Enum):
    """What a dot may be besides the end of a sentence."""

    PLAIN = auto()
    FORWARD = auto()
    """Part of something that goes on: a title, a list number."""
    BEFORE_NUMBER = auto()
    ORDINAL = auto()
    ENDING = auto()
    """Part of an abbreviation or initial that ends sentences too."""


class Sentences:
    """Cuts streamed text into sentences; each keeps its white space, and joined they are the text, exactly.

    The cuts depend on the text alone, not on how it was divided into pieces, as long as nobody calls `overdue`. A
    sentence that is certain at its first white space does not wait for more of it: that leads the next one.

    Args:
        max_chars: the longest sentence; longer ones are cut after a clause, else a word, else a visible character.
    """

    def __init__(self, max_chars: int = 2000) -> None:
        if max_chars < 1:
            raise ValueError(f"a sentence needs at least one character, not {max_chars}")
        self._max = max_chars
        self._begin("")

    def _begin(self, text: str) -> None:
        self._text = text
        self._at = 0  # no sentence ends before it
        self._worded = False  # there is a letter or digit before it: marks without any are no sentence
        self._tags: list[tuple[int, int]] = []  # from and to, of those before it

    @property
    def pending(self) -> str:
        """The text that no sentence was made of yet."""
        return self._text

    def push(self, piece: str) -> list[str]:
        """Add text; the sentences that are complete now."""
        self._text += piece
        return self._take(final=False)

    def finish(self) -> list[str]:
        """No more text: the rest, the last of it possibly nothing but white space. A new text may follow."""
        sentences = self._take(final=True)
        if self._text:
            sentences.append(self._text)
        self._begin("")
        return sentences

    def overdue(self) -> str | None:
        """Give up waiting: the part of the pending text that can be spoken alone, None when there is none.

        All of it after a mark or white space, else up to the last clause if that is most of it, else whole words.
        """
        text = self._text
        self._tags, end = _tags_of(text)
        at_tag = end < len(text) or (self._tags and self._tags[-1][1] == end)
        if not at_tag and not _COMPLETE.search(text, max(0, end - LOOK)):
            end = self._break(text, 0, end)
        given = text[:end] if _WORD_CHAR.search(text, 0, end) else ""
        self._begin(text[len(given) :])
        return given or None

    def _take(self, final: bool) -> list[str]:
        text, start, taken = self._text, 0, list[str]()
        while (end := self._next_end(text, start, final)) is not None:
            taken.append(text[start:end])
            self._at = max(self._at, end)
            self._worded = _WORD_CHAR.search(text, end, self._at) is not None
            self._tags = [tag for tag in self._tags if tag[1] > end]
            start = end
        if start:
            self._text = text[start:]
            self._at -= start
            self._tags = [(begin - start, end - start) for begin, end in self._tags]
        return taken

    def _next_end(self, text: str, start: int, final: bool) -> int | None:
        limit = start + self._max
        while True:
            found = _INTEREST.search(text, self._at, limit)
            here = found.start() if found else max(self._at, min(limit, len(text)))
            self._worded = self._worded or _WORD_CHAR.search(text, self._at, here) is not None
            self._at = here
            if not found:
                return self._limited(text, start, limit) if len(text) > limit else None
            verdict = self._judge(text, start, here)
            if verdict is None and not final:
                return None
            if verdict is None or (verdict.cut and verdict.at > limit and not text[limit : verdict.at].isspace()):
                verdict = _Verdict(cut=False, at=here + 1)
            if verdict.cut:
                return min(verdict.at, limit)
            self._at = verdict.at

    def _judge(self, text: str, start: int, at: int) -> _Verdict | None:
        """What the character at `at` means; None when more text must tell."""
        char = text[at]
        if char in "<\\":
            end = _tag_end(text, at)
            if end is None:
                return None
            if end > at:
                self._tags.append((at, end))
                self._worded = self._worded or char == "\\"
            return _Verdict(cut=False, at=max(end, at + 1))
        if not self._worded:
            return _Verdict(cut=False, at=at + 1)
        return _judge_line_end(text, at) if char == "\n" else _judge_mark(text, start, at)

    def _limited(self, text: str, start: int, limit: int) -> int:
        """Where to cut a sentence that is too long: more than `start`, at most `limit`."""
        if (end := self._break(text, start, limit)) > start:
            return end
        if tag := self._tag_around(limit):
            return tag[0] if tag[0] > start else limit
        return next((at for at in range(limit, max(start, limit - LOOK), -1) if not _joined(text, start, at)), limit)

    def _break(self, text: str, start: int, limit: int) -> int:
        """The end of the last clause if it is in the latter half, else of the last word; `start` if there is none."""
        clause = word = start
        for match in _BREAK.finditer(text, start, limit):
            if match.start() > start and not self._tag_around(match.end()):
                word = match.end()
                clause = word if match["clause"] else clause
        return clause if 2 * (clause - start) >= limit - start else word

    def _tag_around(self, at: int) -> tuple[int, int] | None:
        index = bisect_left(self._tags, (at, 0)) - 1
        return self._tags[index] if index >= 0 and self._tags[index][1] > at else None


def _tag_end(text: str, at: int) -> int | None:
    """Where the tag or object that begins at `at` ends; `at` when it is none, None when more text must tell."""
    window = at + MAX_TAG
    if text[at] == "<":
        if match := TAG.match(text, at, window):
            return match.end()
        begun = _TAG_BEGUN.match(text, at, window) is not None
    else:
        if text.startswith("\\{", at) and (end := text.find("\\}", at, window)) >= 0:
            return end + 2
        begun = text.startswith("\\{", at) or at + 1 == len(text)
    return None if begun and len(text) < window else at


def _tags_of(text: str) -> tuple[list[tuple[int, int]], int]:
    """All tags and objects, and where one has begun that has not ended; else the text's length."""
    tags: list[tuple[int, int]] = []
    at = 0
    while match := _TAG_START.search(text, at):
        end = _tag_end(text, match.start())
        if end is None:
            return tags, match.start()
        if end > match.start():
            tags.append((match.start(), end))
        at = max(end, match.end())
    return tags, len(text)


def _judge_line_end(text: str, at: int) -> _Verdict | None:
    after = _end_of(_GAP, text, at)
    if (second := text.find("\n", at + 1, after)) >= 0:
        return _Verdict(cut=True, at=second + 1)
    if after - at == LOOK:
        return _Verdict(cut=True, at=after)
    if after == len(text):
        return None
    before = text[max(0, at - LOOK) : at].rstrip()[-1:]  # a dot there was judged to be no end
    goes_on = text[after].islower() or text[after] in _CLOSING or before in ",;."
    return _Verdict(cut=not goes_on, at=after)


def _judge_mark(text: str, start: int, at: int) -> _Verdict | None:
    end = _end_of(_RUN, text, at)
    marks, keep = text[at:end], _Verdict(cut=False, at=end)
    after = _after_tags(text, end)
    if after is None or after == len(text):
        return None
    strong = any(mark in _STRONG for mark in marks)
    closed = after > end or marks.strip(_MARKS) != ""
    if (gap_end := _end_of(_GAP, text, after)) == after:
        if text[after] in _NO_BREAK and after + 1 == len(text):
            return None  # a » may follow
        goes_on = not strong or _goes_on(text, start, at, after, closed)
        return keep if goes_on else _Verdict(cut=True, at=after)
    if strong and not closed:
        return _Verdict(cut=True, at=after + 1)

    single = not strong and "…" not in marks and ".." not in marks
    dot = _dot(text, start, at) if single else _Dot.PLAIN
    line_end = text.find("\n", after, gap_end)
    if line_end >= 0 and dot is _Dot.PLAIN:
        return _Verdict(cut=True, at=line_end + 1)
    cut = _Verdict(cut=True, at=gap_end)
    if gap_end - after == LOOK:
        return cut
    if gap_end == len(text):
        return None
    following = text[gap_end]
    if following in _MARKS or following in _CLOSING:
        return keep
    if not single:
        return keep if following.islower() else cut
    part = _is_part(dot, text, start, at, gap_end, new_line=line_end >= 0)
    return None if part is None else keep if part else cut


def _end_of(run: re.Pattern[str], text: str, at: int) -> int:
    match = run.match(text, at)
    return match.end() if match else at


def _after_tags(text: str, at: int) -> int | None:
    """The end of the tags that begin at `at`; None when more text must tell."""
    for _ in range(MAX_TAGS):
        if not text.startswith("<", at):
            break
        end = _tag_end(text, at)
        if end is None or end == at:
            return end
        at = end
    return at


def _goes_on(text: str, start: int, at: int, after: int, closed: bool) -> bool:
    """The sentence of the `!` or `?` at `at` goes on at `after`, where no white space is."""
    following = text[after]
    if following in _GOES_ON or text.startswith("![", at):  # an image in Markdown
        return True
    if closed and (following.islower() or following in "とっ、，"):  # Japanese: "...!" said somebody
        return True
    if following.isascii() and not text[at - 1].isspace():
        return _LINK.search(text[start:at].rsplit(None, 1)[-1]) is not None
    return False


def _dot(text: str, start: int, at: int) -> _Dot:
    """What the dot at `at` may be, by what stands before it."""
    found = _WORD_BEFORE.search(text, max(start, at - LOOK), at)
    word = found.group() if found else ""
    key = word.casefold()
    list_number = at - start <= LOOK and _LIST_NUMBER.match(text, start, at) is not None
    if list_number or key in _FORWARD or text.endswith(_SPACED, start, at):
        return _Dot.FORWARD
    if key in _BEFORE_NUMBER:
        return _Dot.BEFORE_NUMBER
    if len(word) <= 2 and word.isdecimal():
        return _Dot.ORDINAL
    dotted = "." in word and all(part.isalpha() and len(part) <= 2 for part in word.split("."))  # U.S, Ph.D
    initial = len(word) == 1 and word.lower() != word.upper()
    if initial or dotted or key in _ENDING or key.endswith("str"):  # German: "Hauptstr. 5"
        return _Dot.ENDING
    return _Dot.PLAIN


def _is_part(dot: _Dot, text: str, start: int, at: int, after: int, *, new_line: bool) -> bool | None:
    """The dot at `at` ends no sentence, seen what follows it at `after`; None when more text must tell."""
    following = text[after]
    if following.islower():
        first = _LETTER.search(text, start, start + LOOK)
        # In text that has capitals, none after a dot means an abbreviation, known or not.
        return dot not in (_Dot.PLAIN, _Dot.ORDINAL) or first is None or not first.group().islower()
    if dot is _Dot.PLAIN or (new_line and dot is not _Dot.FORWARD):
        return False
    if dot is _Dot.FORWARD or (following.isdecimal() and dot is not _Dot.ENDING):
        return True
    if following in "¿¡" or (dot is _Dot.BEFORE_NUMBER and text[at - 2 : at].isalpha()):
        return following == "#"
    match = _WORD_AFTER.match(text, after, after + LOOK)
    end = match.end() if match else after
    if end == len(text) and end - after < LOOK:
        return None
    word = match.group(1).casefold() if match else ""
    if dot is _Dot.ORDINAL:
        return word in _ORDINAL_NOUNS
    return word not in _STARTERS or text.startswith(".", end)


def _joined(text: str, start: int, at: int) -> bool:
    """A cut at `at` would go through what readers see as one character.

    Source: Unicode Standard Annex 29, the rules that occur in running text.
    """
    left, right = text[at - 1], text[at]
    if unicodedata.category(right) in ("Mn", "Mc", "Me") or right in "\u200c\u200d\uff9e\uff9f" or left == "\u200d":
        return True
    if "\U0001f3fb" <= right <= "\U0001f3ff" or "\U000e0020" <= right <= "\U000e007f":  # skin tones, flag tags
        return True
    if "\u1160" <= right <= "\u11ff" or (left == "\r" and right == "\n"):  # Hangul vowels and finals
        return True
    if unicodedata.combining(left) == 9:  # virama: the consonants of a conjunct
        return right.isalpha()
    if right not in _FLAG_LETTERS:
        return False
    before = text[start:at]
    return (len(before) - len(before.rstrip(_FLAG_LETTERS))) % 2 == 1
