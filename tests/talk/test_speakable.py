"""What is markup goes, what is a word stays."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineside.talk.sentences import Sentences
from lineside.talk.speakable import speakable

SPOKEN = [
    # -- headings, lists, quotes
    ("# Heading", "Heading"),
    ("## Heading ##\n", "Heading\n"),
    ("###### Deep\n\n", "Deep\n\n"),
    ("\n# Heading\nText", "\nHeading\nText"),
    ("# C# and F#", "C# and F#"),
    ("- milk", "milk"),
    ("* milk", "milk"),
    ("+ milk", "milk"),
    ("• milk", "milk"),
    ("  - milk\n", "milk\n"),
    ("- [ ] milk\n- [x] eggs", "milk\neggs"),
    ("> a quote", "a quote"),
    ("> - **both** of them", "both of them"),
    ("1. Milk", "1. Milk"),
    ("2) Eggs", "2) Eggs"),
    ("1. **Basic** - $9.99 a month\n", "1. Basic - $9.99 a month\n"),
    # -- stress
    ("This is **bold**.", "This is bold."),
    ("This is __bold__.", "This is bold."),
    ("This is *stress*.", "This is stress."),
    ("This is _stress_.", "This is stress."),
    ("This is ***both***.", "This is both."),
    ("This is ~~struck~~ gone.", "This is struck gone."),
    ("**a** and **b** and *c* and _d_", "a and b and c and d"),
    ("**Note:** *read* this", "Note: read this"),
    ("“**Hi**,” she said", "“Hi,” she said"),
    ("**bold**face", "boldface"),
    ("You owe **$25**.", "You owe $25."),
    ("**a *b* c**", "a b c"),
    ("**Hello there. ", "Hello there. "),
    ("How are you?** ", "How are you? "),
    ("~~Not this. ", "Not this. "),
    ("这是**重点**内容。", "这是重点内容。"),
    ("これは*大事*です。", "これは大事です。"),
    # -- code
    ("Run `make test` now.", "Run make test now."),
    ("Use ``a_b`` and `**c**`.", "Use a_b and **c**."),
    ("A lone ` here", "A lone  here"),
    ("```python\n", "\n"),
    ("```python\nprint(1)\n```\n", "\nprint(1)\n\n"),
    ("```\ncode\n```", "\ncode\n"),
    ("~~~\ncode\n~~~", "\ncode\n"),
    # -- rules and tables
    ("---\n\nText", "\n\nText"),
    ("* * *\n", "\n"),
    ("Title\n=====\n", "Title\n\n"),
    ("| Monday | closed |\n", "Monday, closed\n"),
    ("| Day | Hours |\n|-----|:----:|\n| Mon | 9-5 |\n", "Day, Hours\n\nMon, 9-5\n"),
    ("|a|b|", "a, b"),
    ("| **Mon** |  | `9` |", "Mon, 9"),
    # -- links and images
    ("See [our site](https://example.com/a?b=c).", "See our site."),
    ("See [our **new** site](https://example.com) now", "See our new site now"),
    ("See **[our site](https://example.com)**.", "See our site."),
    ('See [it](https://example.com "A title").', "See it."),
    ("See [it](https://example.com/a_(b)).", "See it."),
    ("See [Lee](mailto:lee@example.com).", "See Lee."),
    ("See [top](#top).", "See top."),
    ("![a cat](cat.png) sleeps", "a cat sleeps"),
    ("![](cat.png)", ""),
    ("[](https://example.com)", "example dot com"),
    # -- web addresses
    ("Go to https://example.com.", "Go to example dot com."),
    ("Go to https://www.example.com/ now", "Go to example dot com now"),
    ("Go to http://example.com/prices?id=7#top, please", "Go to example dot com slash prices, please"),
    ("Go to https://example.com/a/b/c.html!", "Go to example dot com!"),
    ("Go to https://user:pass@example.com:8080/x1 now", "Go to example dot com now"),
    ("Go to www.my-site.co.uk/help", "Go to my dash site dot co dot uk slash help"),
    ("Go to example.com.", "Go to example dot com."),
    ("Go to example.com/prices.", "Go to example dot com slash prices."),
    ("Go to bit.ly/abc today", "Go to bit dot ly slash abc today"),
    ("Go to <https://example.com>.", "Go to example dot com."),
    ("See https://example.com/a/b_(c) now", "See example dot com now"),
    ("(see https://example.com/faq)", "(see example dot com slash faq)"),
    ("**https://example.com**", "example dot com"),
    ("_https://example.com_", "example dot com"),
    ("Is it example.com?", "Is it example dot com?"),
    ("http://192.168.0.1:80/", "192 dot 168 dot 0 dot 1"),
    ("見て https://example.com/です。", "見て example dot comです。"),
    ("https://münchen.de/zeiten", "münchen dot de slash zeiten"),
    # -- mail addresses
    ("Write to jane.doe@example.com.", "Write to jane dot doe at example dot com."),
    (
        "Write to mailto:a_b+c-d@e-f.co.uk, please",
        "Write to a underscore b plus c dash d at e dash f dot co dot uk, please",
    ),
    ("Write to <info@example.com> now", "Write to info at example dot com now"),
    ("**info@example.com**", "info at example dot com"),
    # -- emoji
    ("Great! 🎉", "Great! "),
    ("Great 🎉!", "Great!"),
    ("Hi 👋 there", "Hi there"),
    ("👋 Hi", "Hi"),
    ("yes👍no", "yes no"),
    ("🎉", ""),
    ("🎉🎊 🎈", ""),
    ("👍🏽 thumbs", "thumbs"),
    ("A 👨‍👩‍👧 family", "A family"),
    ("From 🇩🇪 to 🏴󠁧󠁢󠁥󠁮󠁧󠁿 now", "From to now"),
    ("I ❤️ it ☺ so ✅", "I it so "),
    ("ℹ️ Note ➡️ here", "Note here"),
    ("1️⃣ Milk #️⃣", "1 Milk #"),
    ("- ✅ **Done**", "Done"),
    ("## 🚀 Launch", "Launch"),
    ("はい🎉です", "はい です"),
]


@pytest.mark.parametrize(("written", "spoken"), SPOKEN)
def test_markup_is_not_spoken(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n",
        "Hello there. ",
        "2 * 3 is 6, and 2*3*4 is 24.",
        "2 ** 3, 2**3 and 2**3**4",
        "a * b * c",
        "snake_case and _private and other_snake_case",
        "Name: ____",
        "C# and F# and #1 and #hashtag",
        "# to repeat",
        "Press * or #, then 5*.",
        "Press *, then *.",
        "Dial *67* or *#06# now.",
        "5* and 4* hotels",
        "Terms* apply.",
        "Rated ***** by ****1234.",
        "M*A*S*H and f**k and s**t",
        "*args and *more",
        "a<b and c>d",
        "I <3 you, x < y > z",
        "array[0](x) and f[i][j] and [1] and [sic]",
        "a || b and x | y",
        "~5 minutes",
        "and/or, 24/7, km/h, 12/25/2024",
        "e.g. this, i.e. that, U.S. and p.m. and Node.js",
        "The file is config.toml in v2.0.1.",
        "It costs $29.50 (50% off) & more = good + cheap",
        "-5 degrees, +1 555 0100, - or -- or —",
        "me @ home, @jane",
        "A — dash – and … more",
        "Mail©, brand®, name™, 5°, F♯, ❶, ★, → and ½",
        "½ ² № § ¶ † ‰",
        'Wait <break time="1.5s"/> here.',
        '<phoneme alphabet="ipa" ph="ˈtə*m_eɪ">tomato</phoneme>',
        '<say-as interpret-as="digits">*12*</say-as>',
        'Take \\{"word":"*dupilumab*","pronounce":"_duːˈpɪl_"\\} now.',
        "Say \\{pause:1s\\} this.",
        "C:\\dir\\file",
        "¿Cómo está? ¡Muy bien!",
        "Ich möchte 3. Mai, z. B. heute.",
        "« Oui », dit-il.",
        "今日は。「はい」・そう〜です。",
        "वह आया। क्‍ष",
        "مرحبا، كيف حالك؟",
        "می‌خواهم",
    ],
)
def test_what_is_no_markup_is_spoken_to_the_letter(text: str) -> None:
    assert speakable(text) == text


@pytest.mark.parametrize(
    ("language", "spoken"),
    [
        ("en", "a dash b at example dot com"),
        ("en-GB", "a dash b at example dot com"),
        ("es", "a guion b arroba example punto com"),
        ("es-MX", "a guion b arroba example punto com"),
        ("fr", "a tiret b arobase example point com"),
        ("de", "a Strich b ät example Punkt com"),
        ("it", "a trattino b chiocciola example punto com"),
        ("pt-BR", "a hífen b arroba example ponto com"),
        ("xx", "a dash b at example dot com"),
    ],
)
def test_the_signs_of_an_address_are_words_of_the_language(language: str, spoken: str) -> None:
    assert speakable("a-b@example.com", language) == spoken


PLAIN = st.text(
    st.characters(categories=["L", "M", "Nd", "Zs"], include_characters=" ,;!?'\"()%$&=:…–—。！？«»“”¿¡/+"),
    max_size=80,
).filter(lambda text: not re.match(r"\s*\+", text) and "://" not in text)


@given(PLAIN)
@example("A plain sentence, with signs (and brackets); is it? ")
def test_plain_text_passes_to_the_letter(text: str) -> None:
    assert speakable(text) == text


WRITTEN = st.lists(
    st.sampled_from(
        ["**", "*", "_", "__", "~~", "`", " ", " ", "🎉", "- ", "\n", "# ", "> ", "|", ". ", "! ", ", ", "(", ")"]
    )
    | st.from_regex(r"[a-zA-Z]{1,8}", fullmatch=True),
    max_size=40,
)


@given(WRITTEN)
def test_no_word_is_lost_or_changed(parts: list[str]) -> None:
    written = "".join(parts)
    letters = "".join(filter(str.isalpha, written))
    assert "".join(filter(str.isalpha, speakable(written))) in (letters, _without_fences(written))


def _without_fences(written: str) -> str:
    lines = (line for line in written.splitlines() if not re.fullmatch(r"\s*(```+|~~~+)\s*\w*\s*", line))
    return "".join(filter(str.isalpha, "".join(lines)))


@given(WRITTEN)
def test_words_stay_apart(parts: list[str]) -> None:
    spaced = " ".join(parts)
    assert re.findall(r"[a-zA-Z]+", speakable(spaced)) == re.findall(r"[a-zA-Z]+", spaced)


@given(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("*_~`[]()<>|#-.@:/ \n\\{}\ufe0f🎉"), max_size=80)
)
def test_white_space_at_the_end_is_kept_and_nothing_fails(text: str) -> None:
    end = text[len(text.rstrip()) :]
    assert speakable(text).endswith(end)


@given(
    st.lists(st.sampled_from(['<break time="1s"/>', '\\{"word":"*a*","pronounce":"_b_"\\}', "**a** ", "b ", "`c` "]))
)
def test_tags_and_pronunciation_objects_pass_to_the_letter(parts: list[str]) -> None:
    pattern = r"<[^>]*>|\\\{.*?\\\}"
    assert re.findall(pattern, speakable("".join(parts))) == re.findall(pattern, "".join(parts))


def test_a_language_models_reply_is_spoken_sentence_by_sentence() -> None:
    reply = (
        "## 🗓️ Your options\n\n"
        "**Good news! We have *two* slots:**\n\n"
        "1. **Tuesday** at 3:30 p.m. with Dr. Lee 👩‍⚕️\n"
        "2. **Friday** at 9 a.m.\n\n"
        "| Fee | Price |\n|---|---|\n| Visit | $29.50 |\n\n"
        "See [our site](https://example.com/fees) or write to care@example.com. Which one? 😊"
    )
    sentences = Sentences()
    tokens = re.findall(r"\s?\S{1,4}|\s", reply)
    assert "".join(tokens) == reply
    given_out = [*(s for token in tokens for s in sentences.push(token)), *sentences.finish()]
    assert [spoken for s in given_out if (spoken := speakable(s).strip())] == [
        "Your options",
        "Good news!",
        "We have two slots:",
        "1. Tuesday at 3:30 p.m. with Dr. Lee",
        "2. Friday at 9 a.m.",
        "Fee, Price",
        "Visit, $29.50",
        "See our site or write to care at example dot com.",
        "Which one?",
    ]


HOSTILE = [
    *[
        "a",
        "*",
        "**",
        "* a",
        "*a",
        "*a*",
        "_a_ ",
        "~~",
        "~~a",
        "`",
        "`a",
        "|",
        "| a",
        "# ",
        "- ",
        "> ",
        "#",
        "-",
        " ",
        "\t",
    ],
    *["[", "[a](", "[a](b", "[a]", "![", "(", ")", "<", "<a ", "<a b='", "<a@", "<a:", "\\{", "🎉", "🎉 ", "1️⃣"],
    *[
        "a.",
        "a.b.",
        "ab.ab.",
        "a-",
        "a@",
        "a@b.",
        "x:",
        "https://",
        "https://a",
        "https://a)",
        "https://a@",
        "www.",
        "\n",
    ],
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_is_linear_in_the_text_whatever_it_is(unit: str) -> None:
    text = (unit * 30_000)[:30_000]
    began = time.process_time()
    speakable(text)
    assert time.process_time() - began < 1.5  # takes less than 0.05 s; in the square of the length it would be many
