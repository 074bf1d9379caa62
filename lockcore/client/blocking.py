"""The client for programs without an event loop.

One background thread runs one loop with one asyncio client; every method
here hands its asyncio namesake to that loop and waits. Nothing is written
twice: `waits` makes the method, with the types and the text of the other.

Elsewhere: the thread (loopthread), sessions (blockingsession), what the
methods do (client, live).
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from lockcore.client.blockingsession import Ranges, Session
from lockcore.client.client import SESSION_TTL_S, LockClient
from lockcore.client.loopthread import CLOSE_S, Callbacks, LoopThread, waits
from lockcore.client.machine import LONG_TTL_S
from lockcore.errors import LockError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType
    from typing import Self

    from lockcore.client.live import LiveLock
    from lockcore.client.watch import Holder
    from lockcore.core.view import View

T = TypeVar("T")


class Client:
    """A blocking client; safe to use from many threads.

    Made by `lockcore.connect`. `with` it, or `close` it.
    """

    def __init__(self, thread: LoopThread, client: LockClient) -> None:
        self.thread = thread
        self.live = self.client = client
        self._closed = False
        _open_clients.add(self)

    @classmethod
    def connect(cls, target: str, *, timeout: float = 10.0) -> Self:
        """Connect; see `lockcore.connect`."""
        client = LockClient(target, timeout=timeout)  # checks before a thread starts
        thread = LoopThread()
        try:
            thread.wait_for(client.open())
        except BaseException:
            thread.stop()
            raise
        return cls(thread, client)

    owner_of = waits(LockClient.owner_of)
    primary_of = waits(LockClient.primary_of)
    backup_of = waits(LockClient.backup_of)
    is_mine = waits(LockClient.is_mine)
    acquire = waits(LockClient.acquire)
    renew = waits(LockClient.renew)
    unlock = waits(LockClient.unlock)
    find = waits(LockClient.find)

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

    def session(
        self,
        label: str | None = None,
        *,
        ttl: float = SESSION_TTL_S,
        on_state: Callable[[Session], object] | None = None,
    ) -> Session:
        """Return a session to be entered; see `lockcore.client.client.LockClient.session`.

        Callbacks run in a thread of the session's own.
        """
        return Session(self.thread, self.client, label, ttl, on_state)

    def ranges(self, key: str) -> Ranges:
        """Return the byte ranges of a key, locked through a session of the client's own (opened at first need)."""
        return Ranges(self.thread, self.thread.wait_for(self.client.ranges(key)))

    def watch(self, key: str) -> Iterator[Holder | None]:
        """Yield who holds a key now, None where nobody does, and then again at each change; it never ends by itself."""
        found = self.client.watch(key)
        try:
            while True:
                yield self.thread.wait_for(_next(found))
        finally:
            with suppress(LockError):  # closed meanwhile
                self.thread.wait_for(_end(found))

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

    def __init__(self, thread: LoopThread, on_lost: Callable[[Lock], object] | None) -> None:
        self._thread = thread
        self._on_lost = on_lost
        self._callbacks = Callbacks()
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
        self._callbacks.end()

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
            self._callbacks.end()

    # --- callbacks -----------------------------------------------------------------------

    def note_loss(self, _live: LiveLock) -> None:
        """Set `lost`, and tell the user; called in the loop's thread."""
        self.lost.set()
        self._callbacks.run(self._on_lost, self)

    def note_hold(self, until_ns: int) -> None:
        """Clear `lost` again: a long-lived lock can be lost and got."""
        if until_ns:
            self.lost.clear()

    def elsewhere(self, callback: Callable[[T], object] | None) -> Callable[[T], object] | None:
        """Return a callback that runs the given one in the lock's own thread, in order."""
        return self._callbacks.elsewhere(callback)


async def _next(found: AsyncIterator[T]) -> T:
    return await anext(found)


async def _end(found: AsyncIterator[object]) -> None:
    if isinstance(found, AsyncGenerator):
        await found.aclose()


_open_clients: Final[weakref.WeakSet[Client]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Release what a program forgot; others need not wait for its leases to end."""
    for client in list(_open_clients):
        client.close()
