"""From the setting LINESIDE_AGENT to an agent: `module:name` or `path/to/file.py:name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from lineside.agents import blame
from lineside.agents.shapes import AgentFactory, factory_of
from lineside.errors import SettingsError

_RESERVED = ("ivr", "relay", "http", "https", "twiml", "llm")  # other ways to say what answers a call


def load(spec: str) -> AgentFactory:
    """Find, import and check an agent. `name` may be dotted.

    The working folder, and for a file the file's own, are added to the end of the import path, so that agents can
    import what lies beside them and cannot hide what is installed. A file is imported once, however often it is named.
    Reads files and runs the module: do it before the media loop runs.

    Raises:
        SettingsError: what is wrong with it, and how to mend it.
    """
    if (prefix := spec.partition(":")[0]) in _RESERVED:
        raise SettingsError(
            f"LINESIDE_AGENT: `{prefix}:` agents are not built in this version; "
            "give `module:name` or `path/to/file.py:name`"
        )
    try:
        return factory_of(_find(spec))
    except SettingsError as exc:
        raise SettingsError(f"LINESIDE_AGENT={spec}: {exc}") from exc.__cause__


def _find(spec: str) -> object:
    source, _, dotted = spec.rpartition(":")
    if not source or not dotted:
        raise SettingsError("expected `module:name` or `path/to/file.py:name`")
    found: object = _from_file(Path(source)) if source.endswith(".py") else _from_path(source, dotted)
    for name in dotted.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise SettingsError(_no_such(found, name)) from None
    return found


def _from_path(name: str, attribute: str) -> ModuleType:
    folder = Path.cwd()
    _reach(folder)
    try:
        with _importing(name):
            return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"no module {exc.name} on the import path or in {folder}; "
            f"a file is given as `path/to/file.py:{attribute}`, and a package must be installed here"
        ) from None


def _from_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise SettingsError(f"there is no file {path}{_did_you_mean(path.name, _names(path.parent))}")
    # A name of its own: `json.py` must not take the place of json, nor one client's `agent.py` that of another's.
    name = f"{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    _reach(path.parent)
    loader = SourceFileLoader(name, str(path))
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their module up
    try:
        with _importing(name):
            loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importing(name: str) -> Iterator[None]:
    """Say what went wrong inside the module. A missing module goes through when it is the named one itself."""
    try:
        yield
    except (Exception, SystemExit) as exc:  # user code ends here
        if isinstance(exc, ModuleNotFoundError) and exc.name and f"{name}.".startswith(f"{exc.name}."):
            raise
        place = blame.in_traceback(exc.__traceback__)
        if isinstance(exc, SyntaxError) and exc.filename:
            place = f"{exc.filename}:{exc.lineno}"
        last_line = traceback.format_exception_only(exc)[-1].strip()
        raise SettingsError(f"its import raised {last_line} ({place})") from exc


def _reach(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _no_such(found: object, name: str) -> str:
    place = getattr(found, "__file__", None) or getattr(found, "__qualname__", type(found).__name__)
    return f"{place} has no `{name}`{_did_you_mean(name, [each for each in dir(found) if not each.startswith('_')])}"


def _did_you_mean(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.py")]
