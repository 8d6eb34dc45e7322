"""LINESIDE_AGENT to an agent, and every way in which it can be wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineside.agents.loader import load
from lineside.errors import SettingsError
from lineside.events import CallInfo, CallStarted

GOOD = """
class Reception:
    async def reply(self, cue):
        yield "Hello."
"""


@pytest.fixture(autouse=True)
def import_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(spec: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(spec)
    assert "LINESIDE_AGENT" in str(caught.value)
    return str(caught.value)


def first_line(spec: str) -> object:
    factory = load(spec)  # it reads files: a server's loop does not run yet

    async def ask_it() -> object:
        async with factory(CallInfo("CA1")) as ask:
            return await anext(ask(CallStarted()))

    return asyncio.run(ask_it())


def test_a_file_and_a_name_in_it(folder: Path) -> None:
    (folder / "reception.py").write_text(GOOD)
    assert first_line("reception.py:Reception") == "Hello."
    assert first_line(f"{folder}/reception.py:Reception") == "Hello."


def test_a_module_and_a_name_in_it() -> None:
    assert "Harbour Books" in str(first_line("lineside.agents.demo:Reception"))


def test_a_module_is_found_in_the_working_folder(folder: Path) -> None:
    (folder / "my_reception.py").write_text(GOOD)
    assert first_line("my_reception:Reception") == "Hello."


def test_a_dotted_name(folder: Path) -> None:
    (folder / "shop.py").write_text(
        "class Shop:\n    class Desk:\n        async def reply(self, cue):\n            yield 'Desk.'\n"
    )
    assert first_line("shop.py:Shop.Desk") == "Desk."


def test_a_file_can_import_what_lies_beside_it(folder: Path) -> None:
    (folder / "brands").mkdir()
    (folder / "brands" / "brand_texts.py").write_text("GREETING = 'Ahoy.'")
    (folder / "brands" / "desk.py").write_text(
        "from brand_texts import GREETING\nasync def agent(cue):\n    yield GREETING\n"
    )
    assert first_line("brands/desk.py:agent") == "Ahoy."


def test_two_files_of_one_name_are_two_agents(folder: Path) -> None:
    for brand in ("north", "south"):
        (folder / brand).mkdir()
        (folder / brand / "desk.py").write_text(f"async def agent(cue):\n    yield '{brand}'\n")
    assert first_line("north/desk.py:agent") == "north"
    assert first_line("south/desk.py:agent") == "south"


def test_a_file_named_like_a_library_does_not_hide_it(folder: Path) -> None:
    (folder / "json.py").write_text(GOOD)
    load("json.py:Reception")
    assert sys.modules["json"] is json


def test_a_file_is_imported_once(folder: Path) -> None:
    (folder / "reception.py").write_text(GOOD + "with open('imports', 'a') as file:\n    file.write('x')\n")
    load("reception.py:Reception")
    load(str(folder / "reception.py") + ":Reception")
    assert (folder / "imports").read_text() == "x"


@pytest.mark.parametrize("spec", ["", "reception", ":Reception", "reception.py", "reception.py:"])
def test_a_spec_has_two_parts(spec: str) -> None:
    assert "expected `module:name` or `path/to/file.py:name`" in refusal(spec)


def test_a_missing_file_is_named_in_full_with_what_is_like_it(folder: Path) -> None:
    (folder / "reception.py").write_text(GOOD)
    message = refusal("recepton.py:Reception")
    assert f"there is no file {folder}/recepton.py" in message
    assert "did you mean reception.py?" in message


def test_a_missing_module_says_where_it_was_looked_for(folder: Path) -> None:
    message = refusal("no_such_reception:Reception")
    assert "no module no_such_reception" in message
    assert str(folder) in message


def test_a_missing_module_of_a_package_is_named() -> None:
    assert "no module lineside.agents.nothing" in refusal("lineside.agents.nothing:Reception")


def test_a_missing_name_comes_with_those_like_it(folder: Path) -> None:
    (folder / "reception.py").write_text(GOOD)
    message = refusal("reception.py:Receptoin")
    assert f"{folder}/reception.py has no `Receptoin`; did you mean Reception?" in message


def test_a_missing_name_in_a_class_names_the_class(folder: Path) -> None:
    (folder / "reception.py").write_text(GOOD)
    assert "Reception has no `answer`" in refusal("reception.py:Reception.answer")


def test_an_import_that_raises_shows_the_last_line_and_the_place(folder: Path) -> None:
    (folder / "reception.py").write_text("def connect():\n    raise OSError('no database')\nconnect()\n")
    message = refusal("reception.py:Reception")
    assert f"its import raised OSError: no database ({folder}/reception.py:2 in connect)" in message


def test_a_failed_import_is_tried_anew(folder: Path) -> None:
    (folder / "reception.py").write_text("raise OSError('no database')\n")
    refusal("reception.py:Reception")
    (folder / "reception.py").write_text(GOOD)
    load("reception.py:Reception")


def test_an_import_inside_that_fails_is_not_taken_for_the_agents_own(folder: Path) -> None:
    (folder / "my_reception.py").write_text("import no_such_library\n")
    for spec in ("my_reception.py:Reception", "my_reception:Reception"):
        message = refusal(spec)
        assert "ModuleNotFoundError: No module named 'no_such_library'" in message
        assert "my_reception.py:1" in message


def test_a_syntax_error_has_its_line(folder: Path) -> None:
    (folder / "reception.py").write_text("x = 1\nclass Reception\n")
    message = refusal("reception.py:Reception")
    assert "SyntaxError: expected ':'" in message
    assert f"{folder}/reception.py:2" in message


def test_an_import_that_exits_is_an_error_like_any(folder: Path) -> None:
    (folder / "reception.py").write_text("import sys\nsys.exit('bye')\n")
    assert "its import raised SystemExit: bye" in refusal("reception.py:Reception")


def test_a_wrong_shape_is_found_now_and_named_with_the_setting(folder: Path) -> None:
    (folder / "reception.py").write_text("agent = 'hello'")
    assert "LINESIDE_AGENT=reception.py:agent: it is a str" in refusal("reception.py:agent")


@pytest.mark.parametrize(
    "spec", ["ivr:menu.toml", "relay:wss://x.example", "http://x.example", "https://x.example", "twiml:x", "llm:x"]
)
def test_other_kinds_of_agents_are_said_not_to_be_there(spec: str) -> None:
    prefix = spec.partition(":")[0]
    assert f"`{prefix}:` agents are not built in this version" in refusal(spec)


def test_a_url_with_a_password_is_not_repeated() -> None:
    assert "sesame" not in refusal("https://user:sesame@x.example")
