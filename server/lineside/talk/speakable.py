r"""Makes what a language model writes fit to be spoken. Pure, sentence by sentence, in linear time.

Voices read marks aloud or stumble over them. What is markup goes; every word stays; what is neither passes untouched.

| written | spoken |
|---|---|
| `# Heading`, `## Heading ##` | Heading |
| `- item`, `* item`, `+ item`, `• item`, `- [x] item`, `> quote` at the start of a line | item, quote |
| `1. item`, `1) item` | the same: the number is a word |
| `**bold**`, `__bold__`, `*stress*`, `_stress_`, `***both***`, `~~struck~~` | bold, stress, both, struck |
| `**` or `~~` with its partner in another sentence | nothing |
| `` `code` `` | code, as it stands; a backtick without a partner is nothing |
| ```` ```python ````, `---`, `***`, `===`, `\|---\|---\|` alone in a line | nothing |
| `\| Monday \| closed \|` | Monday, closed |
| `[our site](https://example.com/)`, `![a cat](cat.png)` | our site, a cat |
| `https://www.example.com/prices?id=7`, `<https://example.com>` | example dot com slash prices, example dot com |
| `jane.doe@example.com` | jane dot doe at example dot com |
| emoji; keycaps such as 1️⃣ | nothing; 1 |
| SSML tags, pronunciation objects `\{...\}` | the same, character by character |

Of a web address the host is spoken, and a path of one plain word. The signs in it are words of the language: en, es,
fr, de, it, pt. A bare host without scheme, `www` or path is an address if it ends in a common domain, such as .com.
A star or underline between spaces or within a word is no markup (2 * 3, snake_case, M*A*S*H), nor is one pair of stars
round a number (*67*), nor a single # before a small letter (# to repeat).
The text may become longer, by up to 16 characters for each sign of an address.

Sources: https://spec.commonmark.org/0.31.2/ (markup), https://unicode.org/reports/tr51/ (emoji),
https://developers.deepgram.com/docs/improving-aura-2-formatting (what a voice makes of signs)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lineside.talk.sentences import TAG

_SIGNS = "@./-_+"
_SPOKEN = {
    "en": ("at", "dot", "slash", "dash", "underscore", "plus"),
    "es": ("arroba", "punto", "barra", "guion", "guion bajo", "más"),
    "fr": ("arobase", "point", "slash", "tiret", "tiret bas", "plus"),
    "de": ("ät", "Punkt", "Schrägstrich", "Strich", "Unterstrich", "plus"),
    "it": ("chiocciola", "punto", "barra", "trattino", "trattino basso", "più"),
    "pt": ("arroba", "ponto", "barra", "hífen", "sublinhado", "mais"),
}

_FENCE = re.compile(r"\s*(?:```+|~~~+)\s*[\w+#.-]*")
_LINE_MARK = re.compile(r"[ \t]*(?:(?P<heading>#{2,6}|#(?![ \t]+[a-z]))|>|[-*+•‣▪●](?:[ \t]+\[[ xX]\])?)[ \t]+(?=\S)")
_SPACES = re.compile(r"[ \t]+(?=\S)")

# Emoji=Yes of UTS 51 but for signs that are words or stand in prose: digits, ©, ®, ™, arrows, notes, circled digits.
_EMOJI = (
    "[\u231a\u231b\u23e9-\u23fa\u2600-\u2604\u2607-\u2668\u2670-\u2775\u2794-\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f004\U0001f0cf\U0001f170-\U0001f19a\U0001f1e6-\U0001f1ff\U0001f201-\U0001f265\U0001f300-\U0001f6ff"
    "\U0001f7e0-\U0001f7ff\U0001f90c-\U0001faff]"
)
_PICTURE = rf"(?:{_EMOJI}|[\u2139\u2190-\u21ff\u2934\u2935\u2b05-\u2b07\u3030\u303d\u3297\u3299]\ufe0f)"
_PICTURE_TAIL = "[\ufe0e\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"

_HOST = r"(?:[\w-]{1,63}\.)+"
_PATH = r"(?:[/?#:][!#-;=?-_a-~]*)?"
_COMMON = "com|net|org|edu|gov|info|biz|io|ai|app|dev|co|eu"
_MARKUP = re.compile(
    rf"""(?P<object>\\\{{.{{0,500}}?\\\}})
    |<(?P<link>https?://[^\s<>]+|[^\s<>@]+@[^\s<>@]+)>
    |(?P<tag>{TAG.pattern})
    |(?P<ticks>`{{1,3}})(?!`)(?P<code>[^`]+)(?P=ticks)(?!`)
    |(?P<tick>`+)
    |!?\[(?P<label>[^\[\]]*)\]\((?P<target>(?:[^()\s]|\([^()\s]*\))*)(?:\s+"[^"]*")?\)
    |(?P<email>(?<![\w.+%-])(?:mailto:)?\w[\w.+%-]{{0,63}}@{_HOST}[^\W\d_]{{2,}})
    |(?P<url>(?:https?|ftp|wss?)://(?:[\w.:-]{{0,63}}@)?[\w.-]+{_PATH}
        |(?<![\w@./-])www\.{_HOST}[^\W\d_]{{2,}}{_PATH}
        |(?<![\w@./-]){_HOST}(?:{_COMMON})(?:\.[a-z]{{2}})?(?![\w-]){_PATH}
        |(?<![\w@./-]){_HOST}[a-z]{{2,}}(?=/){_PATH})
    |(?P<keycap>[0-9#*])\ufe0f?\u20e3
    |(?P<picture>{_PICTURE}{_PICTURE_TAIL}(?:[ ]?{_PICTURE}{_PICTURE_TAIL})*)
    |(?P<stress>\*+|_+|~~+)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_AFTER_URL = ".,;:!?'*_~)]}"  # not of the address when last in it
_HOST_END = re.compile(r"[/?#]")
_WORD_PATH = re.compile(r"/([^\W\d_][^\W\d_-]{0,29})/?(?![^?#])")


def speakable(sentence: str, language: str = "en") -> str:
    """The words of `sentence` without markup, as the table above says.

    Args:
        sentence: one out of `Sentences`, or a whole text; markup that spans sentences is taken off at both ends.
        language: a BCP 47 tag; chooses the words for the signs in addresses, English if we know none.

    Returns:
        What to speak, with the white space at the end kept; without any word if there was none but emoji or markup.
    """
    words = _SPOKEN.get(language.partition("-")[0].lower(), _SPOKEN["en"])
    signs = dict(zip(_SIGNS, words, strict=True))
    return "".join(_line(line, signs) for line in sentence.splitlines(keepends=True))


def _line(line: str, signs: Mapping[str, str]) -> str:
    body = line.rstrip()
    end = line[len(body) :]
    if _FENCE.fullmatch(body) or _is_rule(body):
        return end
    at, heading = 0, False
    while mark := _LINE_MARK.match(body, at):
        at, heading = mark.end(), heading or mark["heading"] is not None
    body = body[at:]
    if heading and (title := body.rstrip("#")).endswith((" ", "\t")):
        body = title.rstrip()
    if body.startswith("| ") or body.endswith(" |") or (body[:1] == "|" == body[-1:]):
        body = ", ".join(cell for cell in map(str.strip, body.split("|")) if cell)
    return _inline(body, signs) + end


def _is_rule(body: str) -> bool:
    """A line across the page, or the one between a table's head and body."""
    marks = body.replace(" ", "").replace("\t", "")
    if len(marks) >= 3 and marks[0] in "-*_=" and marks == marks[0] * len(marks):
        return True
    return "|" in marks and "-" in marks and not marks.strip("|-:")


def _inline(text: str, signs: Mapping[str, str]) -> str:
    out: list[str] = []
    openers: dict[str, tuple[int, int]] = {}  # marks of stress: where in `out`, and where in `text` they end
    at = 0
    while match := _MARKUP.search(text, at):
        start, end, kind = match.start(), match.end(), match.lastgroup
        out.append(text[at:start])
        before, after = text[start - 1 : start], text[end : end + 1]
        match kind:
            case "object" | "tag" | "code" | "keycap":
                out.append(match[kind])
            case "label" | "target":
                out.append(_label(match, signs))
            case "link":
                out.append(_address(match["link"], signs))
            case "email":
                out.append(_address(match["email"], signs))
            case "url":
                url = _without_tail(match["url"])
                out.append(_address(url, signs))
                end = start + len(url)
            case "picture":
                if after and after in ".,;:!?)…":
                    out[-1] = out[-1].rstrip(" \t")
                elif (not before or before.isspace()) and (spaces := _SPACES.match(text, end)):
                    end = spaces.end()
                elif before.isalnum() and after.isalnum():
                    out.append(" ")
            case "stress":
                _stress(match, before, after, out, openers)
        at = end
    return "".join([*out, text[at:]])


def _stress(match: re.Match[str], before: str, after: str, out: list[str], openers: dict[str, tuple[int, int]]) -> None:
    """Put out the marks of stress that are none; blank the ones before them that were their partner."""
    marks, text = match.group(), match.string
    # Chinese and Japanese have no spaces between words: there, marks between letters are not within a word.
    within = before.isalnum() and after.isalnum() and max(before, after) < "\u2e80"
    opens = after.strip() != "" and not within
    closes = before.strip() != "" and not (within and len(marks) == 1) and not (marks[0] == "_" and after.isalnum())
    opens = opens and not (marks[0] == "_" and before.isalnum())
    if closes and marks in openers:
        index, begin = openers.pop(marks)
        if len(marks) > 1 or any(map(str.isalpha, text[begin : match.start()])):
            out[index] = ""
            return
    partner_elsewhere = marks in ("**", "***", "~~") and not within and (before + after).strip() != ""
    out.append("" if partner_elsewhere else marks)
    if opens:
        openers[marks] = (len(out) - 1, match.end())


def _label(match: re.Match[str], signs: Mapping[str, str]) -> str:
    """The text of a link or image; all of it when it leads nowhere, as in `f[i](x)`."""
    label, target = match["label"], match["target"]
    if target and not any(sign in target for sign in "./#:@"):
        return match.group()
    if label or match.group().startswith("!"):
        return _inline(label, signs)
    return _address(target, signs)


def _without_tail(url: str) -> str:
    """Without the punctuation of the sentence around it."""
    end, unmatched = len(url), url.count(")") - url.count("(")
    while end and url[end - 1] in _AFTER_URL and (url[end - 1] != ")" or unmatched > 0):
        end -= 1
        unmatched -= url[end] == ")"
    return url[:end]


def _address(address: str, signs: Mapping[str, str]) -> str:
    """An address in words."""
    if "://" not in address and "@" in address:
        return _spell(address.removeprefix("mailto:"), signs)
    rest = address.partition("://")[2] or address
    match = _HOST_END.search(rest)
    end = match.start() if match else len(rest)
    host = rest[:end].rpartition("@")[2].partition(":")[0].removeprefix("www.")
    word = _WORD_PATH.match(rest, end)
    return _spell(f"{host}/{word[1]}" if word else host, signs)


def _spell(address: str, signs: Mapping[str, str]) -> str:
    return " ".join("".join(f" {signs[char]} " if char in signs else char for char in address).split())
