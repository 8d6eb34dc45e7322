"""Where in the user's code it happened, for messages that name the line to look at.

A place reads `/app/reception.py:31 in lookup`. It is the innermost frame of the user's own code; when there is none,
the innermost of an installed package, which may be the agent or what it uses; only then any.
"""

from __future__ import annotations

import logging
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, TracebackType

from lineside.errors import AgentError

logger = logging.getLogger(__name__)

_OURS = str(Path(__file__).parents[1])
_STDLIB = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")


def in_traceback(traceback: TracebackType | None) -> str | None:
    """The place an exception came from."""
    stack = []
    while traceback:
        stack.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return _place(reversed(stack))


def in_thread(thread_id: int) -> str | None:
    """The place a thread is at now; None when that is neither the user's code nor an installed package's."""
    stack = []
    frame = sys._current_frames().get(thread_id)
    while frame:
        stack.append((frame, frame.f_lineno))
        frame = frame.f_back
    return _place(each for each in stack if _distance(each[0]) < 2)


def in_suspended(awaitable: object) -> str | None:
    """The place a coroutine or an async generator waits at; None when it runs or has ended."""
    stack = []
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "ag_frame", None)
        if frame:
            stack.append((frame, frame.f_lineno))
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "ag_await", None)
    return _place(reversed(stack))


def agent_error(exc: BaseException) -> AgentError:
    """What user code raised, as our error; its traceback is logged here, once.

    The original is not kept as the cause: it holds the frames of a call that may be over.
    """
    what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    place = in_traceback(exc.__traceback__)
    logger.error("agent raised %s (%s)", type(exc).__name__, place, exc_info=exc)
    return AgentError(f"{what} ({place})" if place else what)


def _place(stack: Iterable[tuple[FrameType, int]]) -> str | None:
    """The frame nearest to the user in a stack whose innermost frame comes first.

    Code that was generated, such as a dataclass's `__init__` (`<string>`), is in no file that anybody could look at.
    """
    in_files = (each for each in stack if not each[0].f_code.co_filename.startswith("<"))
    nearest = min(in_files, key=lambda each: _distance(each[0]), default=None)
    if nearest is None:
        return None
    frame, line = nearest
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _distance(frame: FrameType) -> int:
    """0: the user's own code. 1: an installed package's. 2: the standard library's or ours."""
    file = frame.f_code.co_filename
    if file.startswith(_OURS):
        return 2
    if any(folder in file for folder in _INSTALLED):  # before the standard library, whose folder it may be in
        return 1
    return 2 if file.startswith(_STDLIB) else 0
