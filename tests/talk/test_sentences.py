"""Where sentences end, and how early that is known."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineside.talk.sentences import LOOK, MAX_TAG, Sentences


def whole(text: str, max_chars: int = 2000) -> list[str]:
    sentences = Sentences(max_chars)
    return [*sentences.push(text), *sentences.finish()]


def by_character(text: str, max_chars: int = 2000) -> list[str]:
    sentences = Sentences(max_chars)
    return [*(sentence for char in text for sentence in sentences.push(char)), *sentences.finish()]


# `|` stands where a cut is expected.
CUTS = [
    # -- plain
    "Yes.",
    "Hello there. |How are you?",
    "Hello there! |How are you? |Fine.",
    "One. |Two. |Three.",
    "What?! |No way!!! |Yes.",
    "Is it 5? |Or 6?",
    "Two spaces.  |Then more.",
    "No space!|Then a word",
    "Tab.\t|Next.",
    "He left. |(She stayed.) |They met.",
    'I said "Stop!" and left. |Then "Go." |Then not.',
    "“Fine.” |Then she left.",
    "She said ‘yes.’ |He nodded.",
    "It works (really!) as I said. |Good.",
    "It works (really!). |Good.",
    "Really?, she asked. |Yes.",
    "Stop!—he cried. |Yes.",
    "So is this! |[See here]",
    "Look: ![a cat](cat.png) is here. |Good.",
    "She smiled. |“Come in.” |He did.",
    # -- abbreviations
    "Mr. Smith and Mrs. Jones met Dr. Who. |They left.",
    "Ask Prof. Lee, Rev. King and Capt. Cook. |They know.",
    "Fruit, e.g. Apples, i.e. the good ones. |Yes.",
    "Bread, milk, etc. are here. |Yes.",
    "Bread, milk, etc. |We have more.",
    "He lives in the U.S. Government housing. |Yes.",
    "He lives in the U.S. |The weather is fine.",
    "We open at 9 a.m. Eastern. |Call us.",
    "We close at 5 p.m. |Would that work?",
    "We close at 5 p.m. |Don't be late.",
    "We close at 5 p.m. 3 people came. |Yes.",
    "Turn on St. James St. |Then stop.",
    "He has a Ph.D. |It is in physics.",
    "Acme Inc. makes anvils. |Good.",
    "Acme Inc. |They make anvils.",
    "Room No. 5 is free. |Take it.",
    "Oh no. |I forgot.",
    "No. |Thanks.",
    "No. 5, please. |Thanks.",
    "Dial ext. 204 now. |Thanks.",
    "See Fig. 3 and p. 12 and vol. 2. |Good.",
    "See you Fri. 3 May or Sat. 4 May. |Bye.",
    "On Jan. 5 or Dec. 24. |Bye.",
    "J. K. Rowling wrote it. |John F. Kennedy did not.",
    "J. I. Packer wrote it. |Good.",
    "It is plan B. |The other failed.",
    "So do I. |But not now.",
    "Cats vs. Dogs. |Choose.",
    "It is approx. Five miles. |Go.",
    "An unheardofabbr. followed by small letters. |Yes.",
    "(approx. five). |Then.",
    "**Dr.** Smith is in. |Good.",
    # -- numbers, versions, times
    "It costs $29.50 today. |Good.",
    "It costs $29. |Good.",
    "Version 2.0.1 is out. |Get it.",
    "At 5:30. |See you.",
    "At 3.30 p.m. sharp. |See you.",
    "Pi is 3.14. |Good.",
    "In 1984. |And in 2024. |Good.",
    "1. Milk",
    "1. Milk and eggs. |2. Bread.",
    "1. Milk\n|2. Eggs\n|10. Bread",
    "1.\nMilk",
    "Option 1. |Sales. |Option 2. |Support.",
    "Press 1. |For sales, press 2.",
    "1) Milk. |2) Eggs.",
    # -- addresses
    "Go to www.example.com/a.b?c=d!e now. |Good.",
    "Go to https://example.com/?q=1&r=2. |Good.",
    "Go to https://example.com/what?really! |Good.",
    "Go to example.com. |Good.",
    "Go to x.com. |Good.",
    "Go to example.com/a?b=c now. |Good.",
    "Write to jane.doe@example.com. |Good.",
    "Use Node.js or ASP.NET. |Good.",
    "The file is config.toml. |Open it.",
    # -- ellipses
    "Well... maybe. |Yes.",
    "Well... |Maybe not.",
    "Wait...what? |Yes.",
    "Let me see… okay. |Found it.",
    "Let me see… |Found it.",
    "Hmm...? |Yes.",
    "Hold on . . . okay. |Found it.",
    # -- lines
    "A heading\n\n|A text.",
    "A heading\n|A text.",
    "# Heading\n\n|Text.\n|\nMore.",
    "a soft line\nends here. |Good.",
    "For sales,\nPress 1. |Good.",
    "- milk\n|- eggs\n|- bread",
    "First.\n|second.\n|Third.",
    "Ask Mr.\nSmith. |Good.",
    "- open 9 a.m.\n|- closed 5 p.m.\n|- thanks",
    "Hi!\n|\nThere.",
    "Windows.\r\n|Lines.\r\n|Here.",
    # -- nothing to say
    "! ? .",
    "Oui ! |Non ?",
    "Hi. |- ! - Yes.",
    "🎉 Great! |🎉 Yes.",
    "Great!|🎉 Yes.",
    "---\n\nText. |More.",
    # -- all in small letters
    "hey. |sure, i can do that. |what day?",
    "hey. |at 5 p.m. or later. |ok",
    # -- Spanish
    "El Sr. García vive en la Av. Libertad. |Gracias.",
    "Llame a la Dra. Pérez, p. ej. Mañana. |Gracias.",
    "¿Cómo está Ud. hoy? |¡Muy bien! |Gracias.",
    "Es de EE. UU. y de España. |Sí.",
    "Abre a las 9 a.m. |¿Le va bien?",
    "Así es. |Gracias.",
    "¡Hola!|¿Qué tal?",
    # -- German
    "Ich bin z.B. Arzt. |Du auch.",
    "Ich bin z. B. Arzt. |Du auch.",
    "Das ist d. h. Heute. |Gut.",
    "Am 3. Mai und am 4. Juni. |Gut.",
    "Im 19. Jahrhundert. |Gut.",
    "Am 3. und 4. Mai. |Gut.",
    "Hr. Müller wohnt Hauptstr. 5 bzw. Nr. 7. |Gut.",
    "Brot, Milch usw. |Wir haben alles.",
    "„Hallo.“ |Dann ging er.",
    "Ca. Fünf. |Gut.",
    # -- French
    "M. Dupont et Mme. Durand sont là. |Merci.",
    "M. Le Pen parle. |Merci.",
    "« Oui. » Il part. |Bien.",
    "« Oui\u00a0!\u00a0» dit-il. |Bien.",
    "Bonjour\u202f! |Ça va\u202f? |Oui.",
    "C'est p. ex. Paris. |Bien.",
    # -- Italian, Portuguese
    "Il Sig. Rossi e il Dott. Bianchi. |Grazie.",
    "O Exmo. Sr. Silva chegou. |Obrigado.",
    # -- other scripts
    "今日は。|いい天気です。|はい！|そう？|はい",
    "「はい。」と言った。|そう。",
    "「はい！」|「いいえ！」",
    "你好！|请问有什么可以帮您？|好的。",
    "他说：“你好。”|然后走了。",
    "Ｈｅｌｌｏ！|Ｙｅｓ",
    "वह आया। |फिर गया॥ |अंत।",
    "كيف حالك؟ |بخير.",
    "آپ کیسے ہیں؟ |ٹھیک ہوں۔ |شکریہ۔",
    "Привет. |Как дела? |Это т. е. Хорошо.",
    "Γεια σας. |Καλά.",
    "Բարեւ։ |Ինչպես",
    "안녕하세요. |반갑습니다!",
    # -- markup
    "**Hello. |How are you?** |Good.",
    "*Note.* |Then `code.` |Then.",
    "Say ~~no.~~ |Then yes.",
    "Run `a.b()` now. |Good.",
    # -- tags and pronunciation objects
    'Wait <break time="1. 5s"/> here. |Good.',
    "Wait <break time='a! b'/> here. |Good.",
    "<speak>Hello. |Again.</speak> |More.",
    'Hello.<break time="1s"/> |Again.',
    'Hello!<break time="1s"/>|Again.',
    "<p><s>One.</s> |<s>Two.</s></p> |Three.",
    'Take \\{"word":"A. B","pronounce":"a. B! c"\\} now. |Good.',
    "Say \\{pause:1s\\} this. |Good.",
    "If one<two. |Then three>two.",
    "If one <two and three. |Then four>three.",
    "I <3 you. |Yes.",
    "A < B. |C > D.",
    "A path C:\\dir. |Good.",
    "A set \\{one. |Two.",
]


@pytest.mark.parametrize("marked", CUTS)
def test_sentences_end_where_a_reader_would_pause(marked: str) -> None:
    expected = marked.split("|")
    text = "".join(expected)
    assert whole(text) == expected
    assert by_character(text) == expected


@pytest.mark.parametrize(
    ("pieces", "answers"),
    [
        # A dot needs white space and one more character; `!` and `?` need one.
        (["Hello", ".", " ", "H"], [[], [], [], ["Hello. "]]),
        (["Hello", "!", " ", "H"], [[], [], ["Hello! "], []]),
        (["Hello!", "How"], [[], ["Hello!"]]),
        (["Hello?", "!", " "], [[], [], ["Hello?! "]]),
        (["Hello!", '"', " ", "H"], [[], [], [], ['Hello!" ']]),
        (["はい。", "」", "次"], [[], [], ["はい。」"]]),
        (["はい。次"], [["はい。"]]),
        (["One moment.\n"], [["One moment.\n"]]),
        (["Heading\n", "\n"], [[], ["Heading\n\n"]]),
        (["Heading", "\n", "T"], [[], [], ["Heading\n"]]),
        (["heading", "\n", "t"], [[], [], []]),
        (["$29", ".", "50", " ", "now"], [[], [], [], [], []]),
        (["Dr", ".", " ", "Smith"], [[], [], [], []]),
        (["At 5 p.m.", " ", "W", "e", " "], [[], [], [], [], ["At 5 p.m. "]]),
        (["At 5 p.m.", " ", "W", "e", "st"], [[], [], [], [], []]),
        (["Yes. No. Now. T"], [["Yes. ", "No. ", "Now. "]]),
        (["https://a.b/?", "q=1", " ", "Yes!", " "], [[], [], [], [], ["https://a.b/?q=1 Yes! "]]),
        (["Hi <", "break", ' time="1. ', 'Two"', "/>", "! A"], [[], [], [], [], [], ['Hi <break time="1. Two"/>! ']]),
    ],
)
def test_a_sentence_is_given_as_soon_as_its_end_is_certain(pieces: list[str], answers: list[list[str]]) -> None:
    sentences = Sentences()
    assert [sentences.push(piece) for piece in pieces] == answers


REPLIES = [
    (
        "Sure! I can help with that. Dr. Lee is free on Tuesday at 3:30 p.m. Does that work for you?",
        [
            "Sure! ",
            "I can help with that. ",
            "Dr. Lee is free on Tuesday at 3:30 p.m. ",
            "Does that work for you?",
        ],
    ),
    (
        "Here are your **options**:\n\n1. **Basic** - $9.99 a month\n2. **Pro** - $29.50 a month\n\nWhich one?",
        [
            "Here are your **options**:\n\n",
            "1. **Basic** - $9.99 a month\n",
            "2. **Pro** - $29.50 a month\n\n",
            "Which one?",
        ],
    ),
    (
        "Gerne! Ihr Termin ist am 3. Mai um 14.30 Uhr. Möchten Sie noch etwas, z. B. eine Erinnerung?",
        ["Gerne! ", "Ihr Termin ist am 3. Mai um 14.30 Uhr. ", "Möchten Sie noch etwas, z. B. eine Erinnerung?"],
    ),
    (
        "¡Claro! El Dr. Ruiz le atiende a las 5 p.m. ¿Le viene bien? Si no, llame al 91.555.12.34.",
        [
            "¡Claro! ",
            "El Dr. Ruiz le atiende a las 5 p.m. ",
            "¿Le viene bien? ",
            "Si no, llame al 91.555.12.34.",
        ],
    ),
    (
        "かしこまりました。ご予約は５月３日の午後３時ですね？「はい。」とお答えください。",
        ["かしこまりました。", "ご予約は５月３日の午後３時ですね？", "「はい。」とお答えください。"],
    ),
]


@pytest.mark.parametrize(("reply", "expected"), REPLIES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 11, 1000])
def test_a_language_models_tokens_make_the_same_sentences(reply: str, expected: list[str], size: int) -> None:
    sentences = Sentences()
    tokens = [reply[at : at + size] for at in range(0, len(reply), size)]
    assert [*(s for token in tokens for s in sentences.push(token)), *sentences.finish()] == expected


# -- any text, any pieces ----------------------------------------------------------------------------------------------

SIGNS = " \n\r\t.…!?。।,;:()“”«»'\"*_~`<>\\@#|[]-—/=&aAIéßと\u00a0\u200d\ufe0f"
WORDS = ["St", "Dr", "U.S", "p.m", "No", "e.g", "The", "the", "word", "1", "12", "2024", "https://a.b/", "www.", ".com"]
RUNS = ["...", "?!", "**", "--", "![", "\n\n", "\r\n", "\u00a0»", "🎉", "👍🏽", "🇩🇪", "e\u0301", "はい", "क्ष"]
TAGS = ["<b>", "</b>", '<break time="1s"/>', '<a b="', "\\{", "\\}", '\\{"word":"a. b"\\}']
FRAGMENTS = st.sampled_from([*SIGNS, *WORDS, *RUNS, *TAGS, " ", ". ", " ", ". "])
TEXTS = st.lists(FRAGMENTS | st.characters(exclude_categories=["Cs"]), max_size=60).map("".join)


@given(TEXTS, st.lists(st.integers(1, 12), max_size=60), st.sampled_from([1, 2, 3, 7, 20, 50, 2000]))
@example("Hi!\u00a0» he", [3, 1, 1, 1], 2000)
@example("a <b c='x" + "y" * 30, [1] * 40, 7)
@example(". " + "🇩🇪" * 30, [1], 3)
def test_no_character_is_lost_and_pieces_do_not_matter(text: str, sizes: list[int], max_chars: int) -> None:
    sentences, at, given_out = Sentences(max_chars), 0, list[str]()
    for size in sizes:
        given_out += sentences.push(text[at : at + size])
        assert "".join(given_out) + sentences.pending == text[: at + size]
        at += size
    given_out += [*sentences.push(text[at:]), *sentences.finish()]
    assert "".join(given_out) == text
    assert all(0 < len(sentence) <= max_chars for sentence in given_out)
    assert given_out == whole(text, max_chars)
    assert sentences.pending == ""


@given(TEXTS, TEXTS)
def test_what_is_overdue_is_not_lost_either(first: str, second: str) -> None:
    sentences = Sentences()
    given_out = sentences.push(first)
    overdue = sentences.overdue()
    assert overdue is None or any(char.isalnum() for char in overdue)
    given_out += [overdue or "", *sentences.push(second), *sentences.finish()]
    assert "".join(given_out) == first + second


@given(TEXTS)
def test_it_is_empty_and_ready_for_another_text_when_finished(text: str) -> None:
    sentences = Sentences()
    sentences.push(text)
    sentences.finish()
    assert sentences.finish() == []
    assert [*sentences.push(text), *sentences.finish()] == whole(text)


@given(st.lists(st.sampled_from([*TAGS[:3], TAGS[-1], "One", "two", ".", "!", "?", " ", "\n", "…"]), max_size=40))
def test_no_tag_and_no_pronunciation_object_is_ever_split(parts: list[str]) -> None:
    ends, at = set[int](), 0
    for sentence in whole("".join(parts)):
        at += len(sentence)
        ends.add(at)
    at = 0
    for part in parts:
        if part[0] in "<\\":
            assert ends.isdisjoint(range(at + 1, at + len(part)))
        at += len(part)


# -- too long ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        ("one two, three four five", 20, ["one two, three four ", "five"]),  # a clause too early to be worth it
        ("one two three, four five", 20, ["one two three, ", "four five"]),
        ("one two three four five", 10, ["one two ", "three ", "four five"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("abcd", 4, ["abcd"]),
        ("abc. Def", 4, ["abc.", " Def"]),
        ("abc.  Def", 5, ["abc. ", " Def"]),
        ("ab\u0301cd", 2, ["a", "b\u0301", "cd"]),
        ("🇩🇪🇫🇷🇪🇸", 3, ["🇩🇪", "🇫🇷", "🇪🇸"]),
        ("a👍🏽b", 2, ["a", "👍🏽", "b"]),
        ("👩‍👩‍👧x", 5, ["👩‍👩‍👧", "x"]),
        ("कक्ष", 3, ["क", "क्ष"]),
        ("今日は天気が、いいです", 8, ["今日は天気が、", "いいです"]),
        ('ab <break time="1s"/> cd', 20, ["ab ", '<break time="1s"/> ', "cd"]),
        ('ab<break time="1s"/>', 19, ["ab", '<break time="1s"/>']),
        ('Hello.<break time="1s"/> Again', 20, ["Hello.", '<break time="1s"/> ', "Again"]),
    ],
)
def test_a_long_sentence_is_cut_where_it_hurts_least(text: str, max_chars: int, expected: list[str]) -> None:
    assert whole(text, max_chars) == expected
    assert by_character(text, max_chars) == expected


def test_a_text_without_any_end_is_given_in_parts_as_soon_as_it_is_too_long() -> None:
    sentences = Sentences(100)
    assert sentences.push("word " * 20) == []
    assert sentences.push("w") == ["word " * 20]
    assert sentences.pending == "w"


def test_the_longest_sentence_has_at_least_one_character() -> None:
    with pytest.raises(ValueError, match="not 0"):
        Sentences(0)


# -- given up waiting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pending", "overdue"),
    [
        ("One moment.", "One moment."),
        ("One moment. ", "One moment. "),
        ("One moment, please", "One moment, "),
        ("Well, let me have a look at th", "Well, let me have a look at "),
        ("Let me check…", "Let me check…"),
        ("He said “wait.”", "He said “wait.”"),
        ("Your code is 25.", "Your code is 25."),
        ("He saw Dr. ", "He saw Dr. "),
        ("Hello", None),
        ("", None),
        ("  ", None),
        ("...", None),
        ("Hello <break time=", "Hello "),
        ('Hello<break time="1. ', "Hello"),
        ('Hello.<break time="1s"/>', 'Hello.<break time="1s"/>'),
        ('Wait <break time="1s"/>h', "Wait "),
        ('Take \\{"word":"a b", ', "Take "),
        ("Take \\", "Take "),
        ("a <b", "a "),
        ("今日は、天", "今日は、"),
    ],
)
def test_what_waited_too_long_is_given_up_to_the_last_clause_or_word(pending: str, overdue: str | None) -> None:
    sentences = Sentences()
    assert sentences.push(pending) == []
    assert sentences.overdue() == overdue
    assert sentences.pending == pending.removeprefix(overdue or "")


def test_what_follows_something_overdue_is_cut_as_usual() -> None:
    sentences = Sentences()
    sentences.push("Let me look, one mom")
    assert sentences.overdue() == "Let me look, "
    assert sentences.push("ent. Here it is") == ["one moment. "]


# -- hostile text ------------------------------------------------------------------------------------------------------


def test_a_tag_that_never_closes_holds_nothing_up_for_ever() -> None:
    sentences = Sentences()
    begun = 'Hi <a b="'
    assert sentences.push(begun + "One. Two. ") == []
    assert sentences.push("x" * MAX_TAG) == [begun + "One. "]


def test_an_object_that_never_closes_holds_nothing_up_for_ever() -> None:
    sentences = Sentences()
    assert sentences.push("Hi \\{One. Two. ") == []
    assert sentences.push("x" * MAX_TAG) == ["Hi \\{One. "]


def test_an_angle_bracket_in_prose_holds_nothing_up_at_all() -> None:
    sentences = Sentences()
    assert sentences.push("If one<two. Then") == ["If one<two. "]
    assert sentences.push(" three <four and five. S") == ["Then three <four and five. "]


def test_white_space_without_end_holds_nothing_up() -> None:
    assert Sentences().push("Hello." + " " * LOOK) == ["Hello." + " " * LOOK]


HOSTILE = [
    *["a", ".", "?", "<", "\\", " ", "\n", "a. ", "a.... ", "x!", "x!,", 'a"!', "a!\u00a0", "a.)))"],
    *["<a ", "<a>", ".<a>", "<a b='c' ", "\\{a ", "http://a?b", "🇩🇪", "a\u0301", "Hello there, these are words. "],
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_is_linear_in_the_text_whatever_it_is(unit: str) -> None:
    text = (unit * 20_000)[:20_000]
    began = time.process_time()
    assert whole(text) == by_character(text)
    # Takes about 0.1 s; a look at all of the 2000 characters that may be pending for each new one would take many.
    assert time.process_time() - began < 2


def test_two_hundred_thousand_characters_one_at_a_time() -> None:
    text = "Hello there, Dr. Smith: it costs $29.50. Is that all right? " * 3334
    began = time.process_time()
    assert len(by_character(text)) == 6668
    assert time.process_time() - began < 10  # takes about 0.4 s
