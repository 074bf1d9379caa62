"""Sessions for programs without an event loop: the asyncio ones, waited for.

    with client.session("worker-1") as session:
        with session.lock("/reports/daily", wait=30):
            ...
        session.ranges("reports.db").setlk("write", 0, 100)

Invariants
  T1, T2 of `loopthread`.
Elsewhere: what the methods do (session, sessionlock, ranges, takeover).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.client import ranges as asyncio_ranges
from lockcore.client.loopthread import Callbacks, waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from lockcore.client.client import LockClient
    from lockcore.client.loopthread import LoopThread
    from lockcore.client.session import Session as LiveSession
    from lockcore.client.sessionlease import SessionState
    from lockcore.client.sessionlock import SessionLock as LiveSessionLock
    from lockcore.core.operations import HeldRange, RangeLocked, SessionProof
    from lockcore.core.rangerecords import Kind


class Session:
    """`with` it, or `open` and `close` it. Made by `Client.session`; callbacks run in a thread of the session's own."""

    def __init__(
        self,
        thread: LoopThread,
        client: LockClient,
        label: str | None,
        ttl: float,
        on_state: Callable[[Session], object] | None,
    ) -> None:
        self.thread = thread
        self.callbacks = Callbacks()
        self._on_state = on_state
        self.live = client.session(label, ttl=ttl, on_state=self._note_state)

    def __repr__(self) -> str:
        return repr(self.live)

    label = property(lambda self: str(self.live.label), doc="What people see.")
    is_alive = property(lambda self: bool(self.live.is_alive), doc="Whether what is held through it is held now.")
    held_until_ns = property(
        lambda self: int(self.live.held_until_ns), doc="Until when, on CLOCK_BOOTTIME, all is held; 0 when lost."
    )
    loss_reason = property(lambda self: str(self.live.loss_reason), doc="Why it is over, for people.")
    id = property(lambda self: str(self.live.id), doc="The session's name, for people.")

    @property
    def proof(self) -> SessionProof:
        """What proves to be this session, for a successor. Keep it secret."""
        return self.live.proof

    @property
    def state(self) -> SessionState:
        """What may be relied on at this very moment."""
        return self.live.state

    def open(self, again: SessionProof | None = None) -> Self:
        """Open it; see the asyncio `Session.open`."""
        self.thread.wait_for(self.live.open(again))
        return self

    def close(self) -> None:
        """End it: everything it holds is released at once."""
        try:
            self.thread.wait_for(self.live.close())
        finally:
            self.callbacks.end()

    def lock(
        self,
        key: str,
        *,
        wait: float | None = None,
        owner: str | None = None,
        lock_delay: float = 0.0,
        on_lost: Callable[[SessionLock], object] | None = None,
    ) -> SessionLock:
        """Return a named lock to be entered; see the asyncio `Session.lock`."""
        live = self.live.lock(key, wait=wait, owner=owner, lock_delay=lock_delay)
        return SessionLock(self, live, on_lost)

    def ranges(self, key: str, *, on_lost: Callable[[HeldRange], object] | None = None) -> Ranges:
        """Return the byte ranges of a key; see the asyncio `Session.ranges`."""
        return Ranges(self.thread, self.live.ranges(key, on_lost=self.callbacks.elsewhere(on_lost)))

    def take_over(self, old: SessionProof) -> TakenOver:
        """Take over all that another session holds; see the asyncio `Session.take_over`."""
        found = self.thread.wait_for(self.live.take_over(old))
        locks = {key: SessionLock(self, live, None) for key, live in found.locks.items()}
        return TakenOver(locks, found.ranges, found.lost)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _note_state(self, _live: LiveSession) -> None:
        self.callbacks.run(self._on_state, self)


class SessionLock:
    """A named lock of a session: `with` it, or `acquire` and `release`.

    `lost` is a threading.Event that is set when the lock was held and its session was lost.
    """

    def __init__(
        self, session: Session, live: LiveSessionLock, on_lost: Callable[[SessionLock], object] | None
    ) -> None:
        self.session = session
        self.live = live
        self.lost = threading.Event()
        self._on_lost = on_lost
        live.on_lost = self._note_loss

    def __repr__(self) -> str:
        return repr(self.live)

    key = property(lambda self: str(self.live.key), doc="The name of the lock.")
    owner = property(lambda self: str(self.live.owner), doc="What others see.")
    generation = property(lambda self: int(self.live.generation), doc="The fencing token.")
    is_locked = property(lambda self: bool(self.live.is_locked), doc="Whether it is held at this very moment.")
    loss_reason = property(lambda self: str(self.live.loss_reason), doc="Why it was lost, for people.")

    def acquire(self) -> Self:
        """Wait for its turn; raises as the asyncio `SessionLock.acquire` does."""
        self.session.thread.wait_for(self.live.acquire())
        return self

    def release(self) -> None:
        """Unlock, and wait for it a while. Never raises for a lock that is gone."""
        self.session.thread.wait_for(self.live.release())

    def check(self) -> None:
        """Raise LockLost if the lock is not held now."""
        self.live.check()

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.release()

    def _note_loss(self, _live: LiveSessionLock) -> None:
        self.lost.set()
        self.session.callbacks.run(self._on_lost, self)


class Ranges:
    """The byte ranges of one key: fcntl(2) over a cluster. See `lockcore.client.ranges`."""

    def __init__(self, thread: LoopThread, live: asyncio_ranges.Ranges) -> None:
        self.thread = thread
        self.live = live

    def __repr__(self) -> str:
        return repr(self.live)

    key = property(lambda self: str(self.live.key), doc="Whose ranges they are.")

    @property
    def pieces(self) -> list[HeldRange]:
        """What the session believes to hold of this key; nothing when it is lost."""
        return self.thread.call(lambda: self.live.pieces)

    setlk = waits(asyncio_ranges.Ranges.setlk)
    setlkw = waits(asyncio_ranges.Ranges.setlkw)
    getlk = waits(asyncio_ranges.Ranges.getlk)
    unlck = waits(asyncio_ranges.Ranges.unlck)
    migrate = waits(asyncio_ranges.Ranges.migrate)

    @contextmanager
    def held(  # noqa: PLR0913 - as setlkw
        self,
        kind: Kind | str,
        start: int = 0,
        length: int = 0,
        *,
        owner: str = asyncio_ranges.OWNER,
        wait: float | None = None,
        fair: bool = False,
    ) -> Iterator[HeldRange]:
        """Hold a range within a block; see `setlkw`. It is unlocked at the end."""
        block = self.live.held(kind, start, length, owner=owner, wait=wait, fair=fair)
        piece = self.thread.wait_for(block.__aenter__())
        try:
            yield piece
        finally:
            self.thread.wait_for(block.__aexit__(None, None, None))


@dataclass(slots=True)
class TakenOver:
    """What became of an old session's holdings: `locks` are held now, without a break."""

    locks: dict[str, SessionLock] = field(default_factory=dict)
    ranges: dict[str, RangeLocked] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
