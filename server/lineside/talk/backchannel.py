"""Telling a listener's noises from a turn of the caller's. Pure.

"Uh-huh" while the agent speaks means "go on". "Yes" may mean that, or answer a question whose end the caller did not
wait for: it does not interrupt, but it is not lost either (see `lineside.talk.turns`).
"""

from __future__ import annotations

import re
import unicodedata

_LETTERS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")

# Sounds without a meaning of their own: never a turn, in any language.
_NOISE_WORDS = """
ah aha ahem eh er erm ha hah haha hm hmm hmmm huh mh mhm mm mmh mmhm mmm oh ooh uh uhm uhuh um umm
ähm äh öhm öh euh ehm este nnn phew tsk
"""
_NOISES = frozenset(_NOISE_WORDS.split())
_NOISE_PAIRS = frozenset({"uh huh", "mm hm", "mm hmm", "mhm mhm", "uh uh", "hm hm", "oh oh", "ah ha"})

# Agreement that costs the speaker nothing: no interruption, yet an answer if the agent has just asked.
_AGREEMENT = {
    "en": "yes yeah yep yup ok okay right sure fine good great alright all i see got it no nope nah exactly cool",
    "es": "sí si vale ya claro bueno bien no ajá de acuerdo",
    "fr": "oui ouais ok d'accord bien non voilà exactement",
    "de": "ja jo jaja ok okay gut genau klar nein nee richtig stimmt aha achso",
    "it": "sì si ok va bene certo no esatto giusto",
    "pt": "sim ok tá está bem certo não claro isso",
    "nl": "ja jawel oké ok goed precies nee klopt",
}
LONGEST_AGREEMENT = 3  # words; "yes I see" is one, a longer run of such words is a sentence


def words_of(text: str) -> list[str]:
    """The words of a transcript, in small letters, without punctuation."""
    return [word.replace("’", "'") for word in _LETTERS.findall(unicodedata.normalize("NFC", text).lower())]


def is_noise(text: str) -> bool:
    """Nothing but sounds: "uh-huh", "hmm", or no word at all."""
    words = words_of(text)
    return all(word in _NOISES for word in words) or " ".join(words) in _NOISE_PAIRS


def is_agreement(text: str, language: str = "en") -> bool:
    """At most a few words of agreement or refusal, such as "yes" or "okay, I see"."""
    words = words_of(text)
    known = frozenset(_AGREEMENT.get(language.partition("-")[0].lower(), _AGREEMENT["en"]).split()) | _NOISES
    return 0 < len(words) <= LONGEST_AGREEMENT and all(word in known for word in words)
