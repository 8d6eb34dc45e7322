"""The house's rules: what may import what, and how large a room may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "server" / "lineside"

FLOORS = {
    "errors": 0,
    "events": 0,
    "alarm": 0,
    "audio": 0,
    "wire": 1,
    "talk": 1,
    "ports": 2,
    "link": 2,
    "carriers": 3,
    "speech": 3,
    "hearing": 3,
    "agents": 3,
    "observe": 3,
    "stage": 4,
    "stretch": 4,
    "turn": 4,
    "conversation": 4,
    "call": 4,
    "cast": 4,
    "calls": 4,
    "web": 5,
    "standin": 5,
    "settings": 6,
    "settings_source": 6,
    "settings_providers": 6,
    "voices": 6,
    "ears": 6,
    "app": 6,
    "testing": 6,
    "bench": 6,
    "cli": 6,
}
STANDIN_MAY = {"errors", "audio", "standin"}
AGENTS_ARE_USERS = SOURCE / "agents" / "demo.py"  # written as a user would: `from lineside import ...`
ENTRY = {"__init__", "__main__"}
LONGEST_FILE = 450
LONGEST_FUNCTION = 60

FILES = sorted(SOURCE.rglob("*.py"))


def room(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """The rooms that a file imports from."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                modules = [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules = [f"{module}.{name.name}" for name in names]
            case _:
                continue
        for module in modules:
            parts = module.split(".")
            if parts[0] == "lineside" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_a_file_imports_from_its_own_folder_or_lower_floors(file: Path) -> None:
    here = room(file)
    if here in ENTRY or file == AGENTS_ARE_USERS:
        return
    for there in imports(file):
        assert there in FLOORS, f"{there} has no floor"
        assert there == here or FLOORS[there] < FLOORS[here] or _neighbours(here, there), f"{here} imports {there}"
        if here == "standin":
            assert there in STANDIN_MAY, f"a stand-in imports {there}"


def _neighbours(here: str, there: str) -> bool:
    """Rooms of one file each on the ground floor, the call's floor and the top floor may see each other."""
    return FLOORS[here] == FLOORS[there] and FLOORS[here] in (0, 4, 6)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_no_room_is_too_large(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name


def test_no_file_is_called_utils_or_manager() -> None:
    for file in FILES:
        assert not {"utils", "util", "manager", "helper", "helpers", "handler"} & set(file.stem.split("_"))
