"""A thread that runs the loop of the blocking face, and threads that run callbacks of the user.

Invariants
  T1  No callback of the user runs in the loop's thread: it may block as long
      as it likes without a renewal being late.
  T2  A wait that is interrupted (Ctrl-C) cancels what it waited for.
  T3  When the thread ends, whoever waits for it in another one is told so.
Elsewhere: what is run there (blocking, blockingsession).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from lockcore.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
CLOSE_S: Final = 15.0
GONE_TEXT: Final = "this client was closed, or belongs to the process that forked this one; connect again"

log = logging.getLogger(__name__)


class LoopThread:
    """A loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._posting = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="lockring-client", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)  # of threads that wait still (T3)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))

    def wait_for(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run a coroutine there and wait for what it returns (T2)."""
        if os.getpid() != self._pid:  # asked first: the lock may have been held when the process forked
            work.close()
            raise LockError(GONE_TEXT)
        with self._posting:  # what is handed over after the end would never be done
            if self._stopping or not self._thread.is_alive():
                work.close()
                raise LockError(GONE_TEXT)
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise LockError("this client was closed while it was asked; connect again") from None
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Run a function there and wait for what it returns."""

        async def work() -> T:
            return function()

        return self.wait_for(work())

    def stop(self) -> None:
        """End the thread."""
        if os.getpid() == self._pid and self._thread.is_alive():
            with self._posting:
                self._stopping = True
                self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CLOSE_S)
            if not self._thread.is_alive():
                self.loop.close()


class HasThread(Protocol):
    """What `waits` makes methods for: `live` is the asyncio namesake."""

    @property
    def thread(self) -> LoopThread: ...  # noqa: D102 - see above
    @property
    def live(self) -> Any: ...  # noqa: D102


def waits(method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[HasThread, P], T]:
    """Make a blocking method of an asyncio one."""

    @wraps(method)
    def blocking(self: HasThread, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.thread.wait_for(method(self.live, *args, **kwargs))

    return blocking


class Callbacks:
    """Runs callbacks in a thread of their own, in order (T1); the thread begins with the first."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    def run(self, callback: Callable[[T], object] | None, argument: T) -> None:
        """Call back, soon."""
        if callback is None:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lockring-callback")
        self._thread.submit(_logged, callback, argument)

    def elsewhere(self, callback: Callable[[T], object] | None) -> Callable[[T], object] | None:
        """Return a callback that runs the given one there."""
        return None if callback is None else lambda argument: self.run(callback, argument)

    def end(self) -> None:
        """Let the thread end when it has run what was asked for."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None


def _logged(callback: Callable[[T], object], argument: T) -> None:
    try:
        callback(argument)
    except Exception:
        log.exception("a callback failed")
