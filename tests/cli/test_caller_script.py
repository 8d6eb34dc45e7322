"""A caller written down: what each line means, and what is said about one that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineside.cli import caller_script
from lineside.cli.caller_script import (
    BETWEEN,
    COUGH_DBFS,
    INTO_A_TURN,
    LAST_PATIENCE,
    LAST_WORD,
    Expect,
    Script,
    of_keys,
    parse,
)
from lineside.cli.run_call import demo_script
from lineside.errors import SettingsError
from lineside.standin.recogniser import sounds
from lineside.standin.recogniser.caller import AfterAgent, DuringAgent, HangUp, Press, Say, Sound, Step, Wait

REPOSITORY = Path(__file__).parents[2]
THE_END = AfterAgent(LAST_WORD, LAST_PATIENCE)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("say Where is it?", Say("Where is it?")),
        ("  say   two  blanks ", Say("two  blanks")),
        ("say it # as a question", Say("it")),
        ("cough", Sound(sounds.cough(COUGH_DBFS))),
        ("press 4207", Press("4207")),
        ("press 42#", Press("42#")),
        ("press #", Press("#")),
        ("press *A", Press("*A")),
        ("silent 6", Wait(6)),
        ("wait 0.5", Wait(0.5)),
        ("after 0.7", AfterAgent(0.7)),
        ("during 12", DuringAgent(12)),
    ],
)
def test_a_line_is_a_step_and_then_the_agent_may_end_the_call(line: str, step: Step) -> None:
    script = parse(f"# a caller\n\n{line}", "it")
    assert script.steps == (step, THE_END)
    assert script.lines == (3, 3)


def test_after_a_hang_up_nobody_waits() -> None:
    assert parse("hang up", "it").steps == (HangUp(),)


def test_what_is_expected_belongs_to_what_was_done_last() -> None:
    script = parse(
        "expect words Hello\nsay one\nduring 2\nexpect cut\nexpect words two three\nsilent 4\nwait 1\n", "it"
    )
    start, said, silence = script.acts
    assert start.expects == [Expect(1, "words", "Hello")]
    assert said.expects == [Expect(4, "cut"), Expect(5, "words", "two three")]
    assert silence.expects == []
    assert [act.text for act in script.acts] == ["the call starts", "say one", "silent 4"]


def test_it_is_known_whether_anybody_must_listen() -> None:
    assert parse("cough", "it").speaks
    assert not parse("press 1", "it").speaks
    assert parse("silent 4\nexpect prompt", "it").prompted
    assert not parse("silent 4", "it").prompted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("shout hello", "line 1: expected say, cough, press, silent, after, during, wait, expect or hang up"),
        ("cough\nsay", "line 2: expected `say` and words"),
        ("say " + "x" * 41, "line 1: expected a word of at most 40 bytes"),
        ("cough twice", "line 1: expected say, cough,"),
        ("press 12x", "line 1: expected `press` and keys out of 0-9 * # A-D, got 'press 12x'"),
        ("press", "line 1: expected `press` and keys"),
        ("after", "line 1: expected `after` and seconds, above 0 and at most 60, got ''"),
        ("silent 0", "line 1: expected `silent` and seconds"),
        ("during nan", "line 1: expected `during` and seconds"),
        ("wait 61", "line 1: expected `wait` and seconds"),
        ("hang on", "line 1: expected say,"),
        ("hang up\nsay x", "line 2: nothing can follow `hang up`"),
        ("expect applause", "line 1: expected one of words WORDS, cut, no effect, digits DIGITS, prompt, hang up"),
        ("expect", "line 1: expected one of"),
        ("say x\nexpect words", "line 2: expected `expect words` and what they are"),
        ("expect cut", "line 1: `expect cut` cannot be about `the call starts`"),
        ("silent 4\nexpect no effect", "line 2: `expect no effect` cannot be about `silent 4`"),
        ("say x\nexpect digits 1", "line 2: `expect digits` cannot be about `say x`"),
        ("press 1\nexpect prompt", "line 2: `expect prompt` cannot be about `press 1`"),
    ],
)
def test_a_wrong_line_is_named_with_what_it_should_be(text: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as info:
        parse(text, "it.txt")
    assert str(info.value).startswith(f"it.txt, {complaint}")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for name, content in (("missing", None), ("bytes", b"\xff\xfe"), ("empty", b"# nothing\n")):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match=name):
            caller_script.read(file)


def test_keys_are_pressed_when_the_agent_is_silent_or_into_its_turn() -> None:
    expected: tuple[Step, ...] = (AfterAgent(BETWEEN), Press("1"), DuringAgent(INTO_A_TURN), Press("9"), THE_END)
    assert of_keys("1!9").steps == expected
    assert of_keys("").steps == (THE_END,)
    for keys in ("x", "1!", "1 2"):
        with pytest.raises(SettingsError, match="--keys"):
            of_keys(keys)


def test_the_callers_of_the_demo_and_of_the_examples_are_one() -> None:
    example = REPOSITORY / "examples" / "caller.txt"
    assert caller_script.read(example) == demo_script()
    packaged = Path(caller_script.__file__).with_name("caller.txt")
    assert example.read_bytes() == packaged.read_bytes()


def test_the_demos_caller_does_everything_that_callers_do() -> None:
    script: Script = demo_script()
    kinds = {expect.kind for act in script.acts for expect in act.expects}
    assert kinds == {"words", "cut", "no effect", "digits", "prompt", "hang up"}
    assert script.prompted
