"""Whose line it was."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lineside.agents import blame
from lineside.events import Say


@contextmanager
def running(work: Callable[[], object], started: threading.Event) -> Iterator[int]:
    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    assert thread.ident
    yield thread.ident
    thread.join()


def test_an_exception_from_a_library_is_placed_at_the_users_line() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    place = blame.in_traceback(caught.value.__traceback__)
    assert place
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in test_an_exception_from_a_library_is_placed_at_the_users_line")


def test_an_exception_from_generated_code_is_placed_at_the_users_line() -> None:
    name: Any = "vad"
    with pytest.raises(ValueError, match="barge_in") as caught:
        Say("Hello.", barge_in=name)
    assert any(entry.filename == "<string>" for entry in traceback.extract_tb(caught.value.__traceback__))
    place = blame.in_traceback(caught.value.__traceback__)
    assert place
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in test_an_exception_from_generated_code_is_placed_at_the_users_line")


def test_code_that_is_in_no_file_is_no_place() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", "<string>", "exec"))
    inner = caught.value.__traceback__
    assert inner
    assert blame.in_traceback(inner.tb_next) is None


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    assert blame.in_traceback(LookupError().__traceback__) is None


@pytest.mark.parametrize(
    ("file", "distance"),
    [
        ("/srv/shop/reception.py", 0),
        (str(Path(asyncio.__file__).parent.parent / "site-packages" / "acme" / "client.py"), 1),
        ("/usr/lib/python3/dist-packages/acme.py", 1),
        (asyncio.__file__, 2),
        (blame.__file__, 2),
    ],
)
def test_code_is_told_apart_by_its_file(file: str, distance: int) -> None:
    scope: dict[str, Callable[[], int]] = {}
    source = "import sys\nfrom lineside.agents.blame import _distance\ndef own(): return _distance(sys._getframe())"
    exec(compile(source, file, "exec"), scope)
    assert scope["own"]() == distance


@pytest.mark.realtime
def test_a_thread_that_waits_in_user_code_is_placed_there() -> None:
    started, go_on = threading.Event(), threading.Event()

    def look_up() -> None:
        started.set()
        go_on.wait()

    with running(look_up, started) as ident:
        place = blame.in_thread(ident)
        go_on.set()
    assert place
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in look_up")


@pytest.mark.realtime
def test_a_thread_whose_loop_has_nothing_to_do_is_nowhere() -> None:
    loop, started = asyncio.new_event_loop(), threading.Event()
    loop.call_soon(started.set)
    with running(loop.run_forever, started) as ident:
        place = blame.in_thread(ident)
        loop.call_soon_threadsafe(loop.stop)
    loop.close()
    assert place is None


async def test_a_generator_that_waits_is_placed_where_it_waits() -> None:
    async def inner() -> None:
        await asyncio.sleep(60)

    async def outer() -> None:
        await inner()

    task = asyncio.ensure_future(outer())
    await asyncio.sleep(0)
    place = blame.in_suspended(task.get_coro())
    task.cancel()
    await asyncio.wait([task])
    assert place
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in inner")
    assert blame.in_suspended(task.get_coro()) is None
