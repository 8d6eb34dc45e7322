"""A caller written down: a step a line, and what must come of it.

    say WORDS      the caller says this, in one breath
    cough          a sound that is no word
    press KEYS     0-9 * # A-D
    silent S       nothing, for S seconds
    hang up        the caller ends the call; as does the end of the script, if the agent has not

    after S        wait until the agent was heard, and then silent for S seconds
    during S       wait until the agent spoke for S seconds in its turn
    wait S         wait

    expect words WORDS    the agent's next turn has these words, and the caller hears them
    expect cut            it interrupted the agent
    expect no effect      the agent spoke on over it
    expect digits KEYS    the keys reached the agent together
    expect prompt         the agent spoke into the silence, once
    expect hang up        the agent ended the call, after its last word

What follows a `#` between blanks is a remark. An `expect` is about the last thing that the caller did, or about the
start of the call; nothing is expected of what has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from lineside.errors import LinesideError, SettingsError
from lineside.standin.recogniser import modem, sounds
from lineside.standin.recogniser.caller import AfterAgent, DuringAgent, HangUp, Press, Say, Sound, Step, Wait

Kind = Literal["words", "cut", "no effect", "digits", "prompt", "hang up"]
WITH_TEXT = ("words", "digits")
LONGEST = 60.0  # s of one wait
KEYS = re.compile(r"[0-9*#A-D]+")
LAST_WORD, LAST_PATIENCE = (
    1.0,
    15.0,
)  # s of silence after which a caller without a further line hangs up; for it to come
BETWEEN = 0.6  # s from the agent's last sound to a key of `of_keys`
COUGH_DBFS = -21.0  # RMS; as loud as the voice that the caller has in the recording
INTO_A_TURN = 5.0  # s of a turn that the caller hears before interrupting it there
_REMARK = re.compile(r"(?:^\s*#|\s#\s).*")


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come of an act."""

    line: int
    kind: Kind
    text: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that the caller does, and what must come of it."""

    line: int
    text: str
    """As it is written; "the call starts" for what comes before everything."""
    step: Step | None = None
    expects: list[Expect] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller does from the start of a call to its end."""

    steps: tuple[Step, ...]
    lines: tuple[int, ...]
    """Of each step."""
    acts: tuple[Act, ...]
    """The start of the call, then each step that is no waiting for the agent."""

    @property
    def speaks(self) -> bool:
        return any(isinstance(step, Say | Sound) for step in self.steps)

    @property
    def prompted(self) -> bool:
        """The agent is to notice a silence."""
        return any(expect.kind == "prompt" for act in self.acts for expect in act.expects)


def read(file: Path) -> Script:
    """The script in a file.

    Raises:
        SettingsError: it cannot be read, or which line of it is wrong and what it should be.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{file}: {exc.strerror if isinstance(exc, OSError) else 'not text in UTF-8'}") from None
    script = parse(text, str(file))
    if len(script.steps) == 1:
        raise SettingsError(f"{file} holds no step; write `after 0.7`, and `say` and words in the next line")
    return script


def of_keys(keys: str) -> Script:
    """The script that presses each key once the agent fell silent, or into its turn where `!` stands before it.

    Raises:
        SettingsError: `keys` holds something else.
    """
    if not re.fullmatch(r"(?:!?[0-9*#A-D])*", keys):
        raise SettingsError(f"--keys: expected keys 0-9 * # A-D, each with a ! before it or none, got {keys!r}")
    lines = []
    for interrupting, key in re.findall("(!?)(.)", keys):
        lines += [f"during {INTO_A_TURN}" if interrupting else f"after {BETWEEN}", f"press {key}"]
    return parse("\n".join(lines), "--keys")


def parse(text: str, name: str) -> Script:
    """A script from its text; `name` is what errors call it.

    Raises:
        SettingsError: which line is wrong, and what it should be.
    """
    steps: list[Step] = []
    lines: list[int] = []
    acts = [Act(0, "the call starts")]
    for number, line in enumerate(text.splitlines(), 1):
        if not (plain := _REMARK.sub("", line.rstrip()).strip()):
            continue
        try:
            if plain.split()[0] == "expect":
                acts[-1].expects.append(_expect(number, plain.removeprefix("expect").strip(), acts[-1]))
                continue
            step = _step(plain)
        except LinesideError as exc:
            raise SettingsError(f"{name}, line {number}: {exc}") from None
        if isinstance(steps[-1] if steps else None, HangUp):
            raise SettingsError(f"{name}, line {number}: nothing can follow `hang up`; take it out, or this line")
        steps.append(step)
        lines.append(number)
        if isinstance(step, Say | Sound | Press | HangUp) or plain.startswith("silent"):
            acts.append(Act(number, plain, step))
    if not isinstance(steps[-1] if steps else None, HangUp):
        steps.append(AfterAgent(LAST_WORD, LAST_PATIENCE))  # lets the agent end the call
        lines.append(lines[-1] if lines else 0)
    return Script(tuple(steps), tuple(lines), tuple(acts))


def _step(line: str) -> Step:
    verb, _, rest = line.partition(" ")
    match verb:
        case "say":
            words = rest.strip()
            modem.encode(words)  # which refuses what it cannot say
            return Say(_given(words, "`say` and words"))
        case "cough" if not rest:
            return Sound(sounds.cough(COUGH_DBFS))
        case "press" if KEYS.fullmatch(rest.strip()):
            return Press(rest.strip())
        case "press":
            raise SettingsError(f"expected `press` and keys out of 0-9 * # A-D, got {line!r}")
        case "hang" if rest.strip() == "up":
            return HangUp()
    if verb in _WAITS:
        return _WAITS[verb](_seconds(verb, rest))
    raise SettingsError(
        f"expected say, cough, press, silent, after, during, wait, expect or hang up at its beginning, got {line!r}"
    )


_WAITS: dict[str, Callable[[float], Step]] = {"after": AfterAgent, "during": DuringAgent, "wait": Wait, "silent": Wait}


def _seconds(verb: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise SettingsError(f"expected `{verb}` and seconds, above 0 and at most {LONGEST:g}, got {text.strip()!r}")
    return seconds


def _given(text: str, what: str) -> str:
    if not text:
        raise SettingsError(f"expected {what}")
    return text


def _expect(number: int, text: str, act: Act) -> Expect:
    """Raises:
    SettingsError: there is nothing of the kind, or nothing that it could be expected of.
    """
    for kind in cast("tuple[Kind, ...]", get_args(Kind)):
        if text == kind or (kind in WITH_TEXT and text.startswith(f"{kind} ")):
            break
    else:
        known = ", ".join(_written(get_args(Kind)))
        raise SettingsError(f"expected one of {known} after `expect`, got {text!r}")
    rest = text.removeprefix(kind).strip()
    if kind in WITH_TEXT:
        _given(rest, f"`expect {kind}` and what they are")
    sounds = isinstance(act.step, Say | Sound | Press)
    fits = {
        "cut": sounds,
        "no effect": sounds,
        "digits": isinstance(act.step, Press),
        "prompt": isinstance(act.step, Wait),
    }
    if not fits.get(kind, True):
        raise SettingsError(f"`expect {kind}` cannot be about `{act.text}`, the last thing that the caller did before")
    return Expect(number, kind, rest)


def _written(kinds: Iterable[str]) -> list[str]:
    return [f"{kind} {kind.upper()}" if kind in WITH_TEXT else kind for kind in kinds]
