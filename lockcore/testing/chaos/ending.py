"""How a run is ended from outside: by a signal, or because whoever started it has gone.

Elsewhere: what is tidied up then (run), children that end with us (dying).
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
LOOK_S: Final = 0.5
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Told(Exception):  # noqa: N818 - an order, and no error
    """The run was ended from outside; the text says how."""


async def until_told(work: Coroutine[Any, Any, T], limit_s: float, *, watches_parent: bool) -> T:
    """Return what `work` returns.

    Args:
        work: cancelled, and waited for, when the run is to end; a second signal does not disturb its tidying up.
        limit_s: how long it may take.
        watches_parent: end also when our parent ends, or our stdin, where that is a pipe.

    Raises:
        Told: it was ended.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    why: list[str] = []

    def end(reason: str) -> None:
        if not why and not task.done():
            why.append(reason)
            task.cancel()

    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as under nohup
    for number in heard:
        loop.add_signal_handler(number, end, f"got {number.name}")
    timer = loop.call_later(limit_s, end, f"did not come to its end within {limit_s:.0f} s")
    watch = loop.create_task(_watch_parent(end)) if watches_parent else None
    try:
        return await task
    except asyncio.CancelledError:
        raise Told(why[0] if why else "was cancelled") from None
    finally:
        timer.cancel()
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        for number in heard:
            loop.remove_signal_handler(number)


async def _watch_parent(end: Callable[[str], None]) -> None:
    watches = [_watch_pid(end)]
    if _is_pipe(sys.stdin.fileno()):
        watches.append(_watch_stdin(end))
    await asyncio.gather(*watches)


async def _watch_pid(end: Callable[[str], None]) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(LOOK_S)
    end("has lost its parent")


async def _watch_stdin(end: Callable[[str], None]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1_024):
        pass
    end("was left alone: its stdin has ended")


def _is_pipe(file: int) -> bool:
    mode = os.fstat(file).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
