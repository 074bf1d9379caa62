"""The client for programs without an event loop.

One background thread runs one loop with one asyncio client; every method
here hands its asyncio namesake to that loop and waits. Nothing is written
twice: `_waits` makes the method, with the types and the text of the other.

Invariants
  T1  No callback of the user runs in the loop's thread: it may block as long
      as it likes without a renewal being late.
  T2  A wait that is interrupted (Ctrl-C) cancels what it waited for.
Elsewhere: what the methods do (client, live).
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from lockcore.client.client import LockClient
from lockcore.client.machine import LONG_TTL_S
from lockcore.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType
    from typing import Self

    from lockcore.client.live import LiveLock
    from lockcore.core.view import View

P = ParamSpec("P")
T = TypeVar("T")
CLOSE_S: Final = 15.0

log = logging.getLogger(__name__)


class _LoopThread:
    """A loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="lockring-client", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def wait_for(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run a coroutine there and wait for what it returns (T2)."""
        if os.getpid() != self._pid or self.loop.is_closed() or not self._thread.is_alive():
            work.close()
            raise LockError("this client was closed, or belongs to the process that forked this one; connect again")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_s)
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
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CLOSE_S)
            if not self._thread.is_alive():
                self.loop.close()


def _waits(
    method: Callable[Concatenate[LockClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    """Make a blocking method of an asyncio one."""

    @wraps(method)
    def blocking(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.thread.wait_for(method(self.client, *args, **kwargs))

    return blocking


class Client:
    """A blocking client; safe to use from many threads.

    Made by `lockcore.connect`. `with` it, or `close` it.
    """

    def __init__(self, thread: _LoopThread, client: LockClient) -> None:
        self.thread = thread
        self.client = client
        self._closed = False
        _open_clients.add(self)

    @classmethod
    def connect(cls, target: str, *, timeout: float = 10.0) -> Self:
        """Connect; see `lockcore.connect`."""
        client = LockClient(target, timeout=timeout)  # checks before a thread starts
        thread = _LoopThread()
        try:
            thread.wait_for(client.open())
        except BaseException:
            thread.stop()
            raise
        return cls(thread, client)

    owner_of = _waits(LockClient.owner_of)
    primary_of = _waits(LockClient.primary_of)
    backup_of = _waits(LockClient.backup_of)
    is_mine = _waits(LockClient.is_mine)
    acquire = _waits(LockClient.acquire)
    renew = _waits(LockClient.renew)
    unlock = _waits(LockClient.unlock)
    find = _waits(LockClient.find)

    def lock(  # noqa: PLR0913 - one key and named choices
        self,
        key: str,
        *,
        ttl: float = LONG_TTL_S,
        owner: str | None = None,
        wait: float | None = None,
        on_lost: Callable[[Lock], object] | None = None,
        on_owner_change: Callable[[str], object] | None = None,
        raise_if_lost: bool = False,
    ) -> Lock:
        """Return a lock to be entered; see `lockcore.client.client.LockClient.lock`.

        Callbacks run in a thread of the lock's own.
        """
        made = Lock(self.thread, on_lost)
        made.live = self.client.lock(
            key,
            ttl=ttl,
            owner=owner,
            wait=wait,
            on_lost=made.note_loss,
            on_owner_change=made.elsewhere(on_owner_change),
            raise_if_lost=raise_if_lost,
        )
        return made

    def short_lock(self, key: str, *, owner: str | None = None, wait: float | None = None) -> Lock:
        """Return a lock of 5 seconds that is not renewed, and is tried each second."""
        made = Lock(self.thread, None)
        made.live = self.client.short_lock(key, owner=owner, wait=wait)
        return made

    def start_long_lived_lock(
        self,
        key: str,
        owner: str | None = None,
        on_owner_change: Callable[[str], object] | None = None,
        ttl: float = LONG_TTL_S,
        *,
        on_lost: Callable[[Lock], object] | None = None,
    ) -> Lock:
        """Begin to want a lock until `stop` is called; return at once."""
        made = Lock(self.thread, on_lost)
        callback = made.elsewhere(on_owner_change)
        start = self.client.start_long_lived_lock
        made.live = self.thread.call(lambda: start(key, owner, callback, ttl, on_lost=made.note_loss))
        made.live.on_hold = made.note_hold
        return made

    @property
    def view(self) -> View | None:
        """The newest view that a node has sent."""
        return self.client.view

    def close(self) -> None:
        """Release every lock and end the streams."""
        if self._closed:
            return
        self._closed = True
        try:
            self.thread.wait_for(self.client.close(), CLOSE_S)
        except (LockError, TimeoutError):
            pass  # forked, or so stuck that its daemon thread ends with the process
        finally:
            self.thread.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


class Lock:
    """A lock in a program without an event loop: `with` it, or `acquire` and `release`.

    `lost` is a threading.Event that is set when the lock was held and is not any more, unless it was released.
    """

    live: LiveLock

    def __init__(self, thread: _LoopThread, on_lost: Callable[[Lock], object] | None) -> None:
        self._thread = thread
        self._on_lost = on_lost
        self._caller: ThreadPoolExecutor | None = None
        self.lost = threading.Event()

    def __repr__(self) -> str:
        return repr(self.live)

    key = property(lambda self: str(self.live.key), doc="The name of the lock.")
    owner = property(lambda self: str(self.live.owner), doc="Who holds it, as far as this program has seen.")
    generation = property(lambda self: int(self.live.generation), doc="The fencing token.")
    is_locked = property(lambda self: bool(self.live.is_locked), doc="Whether it is held at this very moment.")
    loss_reason = property(lambda self: str(self.live.loss_reason), doc="Why it was lost, for people.")

    def acquire(self) -> Self:
        """Wait until it is held; raises as `LiveLock.acquire` does."""
        self._thread.wait_for(self.live.acquire())
        return self

    def release(self) -> None:
        """Unlock, and wait for it. Never raises for a lock that is gone."""
        self._thread.wait_for(self.live.release())
        self._end_callbacks()

    stop = release

    def check(self) -> None:
        """Raise LockLost if the lock is not held now."""
        self.live.check()

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._thread.wait_for(self.live.__aexit__(kind, error, trace))
        finally:
            self._end_callbacks()

    # --- callbacks (T1) -----------------------------------------------------------------

    def note_loss(self, _live: LiveLock) -> None:
        """Set `lost`, and tell the user; called in the loop's thread."""
        self.lost.set()
        if self._on_lost is not None:
            self._run(self._on_lost, self)

    def note_hold(self, until_ns: int) -> None:
        """Clear `lost` again: a long-lived lock can be lost and got."""
        if until_ns:
            self.lost.clear()

    def elsewhere(self, callback: Callable[[T], object] | None) -> Callable[[T], object] | None:
        """Return a callback that runs the given one in the lock's own thread, in order."""
        return None if callback is None else lambda argument: self._run(callback, argument)

    def _run(self, callback: Callable[[T], object], argument: T) -> None:
        if self._caller is None:
            self._caller = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lockring-callback")
        self._caller.submit(_logged, callback, argument)

    def _end_callbacks(self) -> None:
        if self._caller is not None:
            self._caller.shutdown(wait=False)


def _logged(callback: Callable[[T], object], argument: T) -> None:
    try:
        callback(argument)
    except Exception:
        log.exception("a callback of a lock failed")


_open_clients: Final[weakref.WeakSet[Client]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Release what a program forgot; others need not wait for its leases to end."""
    for client in list(_open_clients):
        client.close()
