"""The asyncio client: locks, and questions to the ring.

Works while any node of the target, or any node that a view has named since,
lives. Learns the ring from the views that nodes push and talks to a key's
primary at once; many callers share one stream per node.

Invariants
  C1  Input is checked before anything is sent.
  C2  After `close` nothing runs on: locks are released, streams ended.
Elsewhere: a lock's life (live), the blocking face (blocking).
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from lockcore.client import check
from lockcore.client.calls import call
from lockcore.client.clock import BootTimers, boot_ns
from lockcore.client.filerpool import FilerPool
from lockcore.client.link import LinkProblem
from lockcore.client.live import LiveLock, unavailable
from lockcore.client.machine import LONG_TTL_S, SHORT_RETRY_MS, SHORT_TTL_S, LockMachine, Terms, long_retry_ms
from lockcore.client.pool import Pool
from lockcore.client.route import Route, target_of
from lockcore.client.session import Session
from lockcore.client.watch import watch
from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import FindOwner, Lock, OwnerIs, Unlock
from lockcore.errors import LockError, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from types import TracebackType
    from typing import Self

    from lockcore.client.ranges import Ranges
    from lockcore.client.watch import Holder
    from lockcore.core.operations import Operation, Result
    from lockcore.core.view import View

SESSION_TTL_S = 15.0
"""A node that dies unseen is replaced within some 3 seconds; three keep-alives of the session fit in twice."""


class LockClient:
    """A client of one cluster, for one event loop.

    Args:
        target: see `lockcore.aio.connect`.
        timeout: seconds that a cluster which does not answer is given.
    """

    def __init__(self, target: str, *, timeout: float = 10.0) -> None:
        self._seaweedfs = check.is_seaweedfs(target)
        self._seeds_of = check.seaweedfs_seeds_of if self._seaweedfs else check.seeds_of
        self._seeds = self._seeds_of(target)
        self._timeout_ms = check.timeout_ms_of(timeout)
        self._locks: set[LiveLock] = set()
        self._sessions: set[Session] = set()
        self._own_session: asyncio.Task[Session] | None = None
        self._closed = False
        self.pool = FilerPool(self._seeds) if self._seaweedfs else Pool(self._seeds)
        self.timers = BootTimers()

    # --- opening and closing ----------------------------------------------------------------

    async def open(self) -> Self:
        """Wait for the first view.

        Raises:
            ClusterUnavailable: no node sent one in time.
        """
        try:
            await self._first_view()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Release every lock and end the streams."""
        self._closed = True
        if self._own_session is not None:
            self._own_session.cancel()
        await asyncio.gather(*(lock.release() for lock in list(self._locks)), return_exceptions=True)
        await asyncio.gather(*(session.close() for session in list(self._sessions)), return_exceptions=True)
        self.timers.close()
        await self.pool.close()

    def __await__(self) -> Generator[object, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- locks ---------------------------------------------------------------------------------

    def lock(  # noqa: PLR0913 - one key and named choices
        self,
        key: str,
        *,
        ttl: float = LONG_TTL_S,
        owner: str | None = None,
        wait: float | None = None,
        on_lost: Callable[[LiveLock], object] | None = None,
        on_owner_change: Callable[[str], object] | None = None,
        raise_if_lost: bool = False,
    ) -> LiveLock:
        """Return a lock to be entered; it is renewed while it is held.

        Args:
            key: 1 to 4,096 bytes of UTF-8.
            ttl: seconds after which others may have it if this program vanishes, 0.1 to 60.
            owner: what others see; the host's name and the process id by default.
            wait: seconds to wait for another holder; None: as long as it takes; 0: not at all. A cluster that does not
                answer at all is given the client's timeout, whatever this says.
            on_lost: called with the lock, once per loss; may be a coroutine function.
            on_owner_change: called with the new owner.
            raise_if_lost: raise LockLost at the end of the block if it was lost in it.
        Raises:
            InvalidRequest: an argument out of bounds.
        """
        terms = replace(self._terms(key, owner, ttl), wait_ms=check.wait_ms_of(wait))
        return self._live(terms, on_lost, on_owner_change, raise_if_lost=raise_if_lost)

    def short_lock(self, key: str, *, owner: str | None = None, wait: float | None = None) -> LiveLock:
        """Return a lock of 5 seconds that is not renewed, and is tried each second (lock_client.go)."""
        terms = self._terms(key, owner, SHORT_TTL_S)
        wait_ms = check.wait_ms_of(wait)
        return self._live(replace(terms, wait_ms=wait_ms, renews=False, retry_ms=SHORT_RETRY_MS))

    def start_long_lived_lock(
        self,
        key: str,
        owner: str | None = None,
        on_owner_change: Callable[[str], object] | None = None,
        ttl: float = LONG_TTL_S,
        *,
        on_lost: Callable[[LiveLock], object] | None = None,
    ) -> LiveLock:
        """Begin to want a lock for as long as `stop` is not called; return at once (lock_client.go).

        While another holds it, it is tried every 5 x ttl / 2. After a loss it is tried again.
        """
        terms = self._terms(key, owner, ttl)
        terms = replace(terms, long_lived=True, retry_ms=long_retry_ms(terms.ttl_ms))
        lock = self._live(terms, on_lost, on_owner_change)
        lock.begin()
        return lock

    def _terms(self, key: str, owner: str | None, ttl: float) -> Terms:
        return Terms(
            key=check.key_of(key),
            owner=check.owner_of(default_owner() if owner is None else owner),
            ttl_ms=check.ttl_ms_of(ttl),
            call_ms=self._timeout_ms,
        )

    def _live(
        self,
        terms: Terms,
        on_lost: Callable[[LiveLock], object] | None = None,
        on_owner_change: Callable[[str], object] | None = None,
        *,
        raise_if_lost: bool = False,
    ) -> LiveLock:
        machine = LockMachine(terms, lambda: random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
        return LiveLock(self, machine, on_lost=on_lost, on_owner_change=on_owner_change, raise_if_lost=raise_if_lost)

    # --- sessions --------------------------------------------------------------------------------

    def session(
        self,
        label: str | None = None,
        *,
        ttl: float = SESSION_TTL_S,
        on_state: Callable[[Session], object] | None = None,
    ) -> Session:
        """Return a session to be entered; it holds locks and byte ranges, and one keep-alive renews them all.

        Args:
            label: what people see; the host's name and the process id by default.
            ttl: seconds after which others may have what it holds if this program vanishes, 1 to 60.
            on_state: called with the session whenever its `state` changes; may be a coroutine function.
        Raises:
            InvalidRequest: an argument out of bounds.
            Unsupported: on SeaweedFS filers.
        """
        self._refuse_on_filers("sessions, their queues and byte ranges")
        label = check.label_of(default_owner() if label is None else label)
        return Session(self, label, check.session_ttl_ms_of(ttl), on_state)

    async def ranges(self, key: str) -> Ranges:
        """Return the byte ranges of a key, locked through a session of the client's own (opened at first need)."""
        self.refuse_if_closed()
        if self._own_session is None or (self._own_session.done() and not _is_good(self._own_session)):
            self._own_session = asyncio.get_running_loop().create_task(self.session().open())
        return (await asyncio.shield(self._own_session)).ranges(key)

    # --- questions -------------------------------------------------------------------------------

    async def owner_of(self, key: str) -> str | None:
        """Return who holds a lock, None where nobody does.

        Raises:
            ClusterUnavailable: no node settled the question in time.
        """
        found = await self.find(key)
        return found.owner if isinstance(found, OwnerIs) else None

    def watch(self, key: str) -> AsyncIterator[Holder | None]:
        """Yield who holds a lock, None where nobody does, now and at each change; see `watch.watch`."""
        self._refuse_on_filers("watching a key")
        return watch(self, key)

    async def primary_of(self, key: str) -> str | None:
        """Return the ring address of the node that owns a key, lock or not; None on an empty ring."""
        key = check.key_of(key)
        return (await self._first_view()).ring.primary(key)

    async def backup_of(self, key: str) -> str | None:
        """Return the ring address of the node that would take a key over; None below two nodes."""
        key = check.key_of(key)
        return (await self._first_view()).ring.backup(key)

    async def is_mine(self, key: str, address: str) -> bool:
        """Say whether a node, by its ring or gRPC address, owns a key, lock or not.

        Services use the ring so to share out work without a lock.
        """
        primary = await self.primary_of(key)
        return primary is not None and address in (primary, target_of(primary))

    @property
    def view(self) -> View | None:
        """The newest view that a node has sent."""
        return self.pool.view

    # --- single operations, for tests and tools ----------------------------------------------------

    async def acquire(
        self, key: str, *, ttl: float = LONG_TTL_S, owner: str | None = None, node: str | None = None
    ) -> Result:
        """Ask once for a lock; return Granted or Refused. Nothing renews it.

        Args:
            key: the lock.
            ttl: seconds.
            owner: what others see.
            node: gRPC or ring address of the only node to ask, without retries.
        """
        owner = check.owner_of(default_owner() if owner is None else owner)
        return await self.ask(Lock(check.key_of(key), check.ttl_ms_of(ttl), owner), node=node)

    async def renew(
        self, key: str, token: str, *, ttl: float = LONG_TTL_S, owner: str = "", node: str | None = None
    ) -> Result:
        """Renew a lock with the token of the last grant; return Granted or Refused."""
        operation = Lock(check.key_of(key), check.ttl_ms_of(ttl), check.owner_of(owner), check.token_of(token))
        return await self.ask(operation, node=node)

    async def unlock(self, key: str, token: str, *, node: str | None = None) -> Result:
        """Release a lock with its token; return Released or Refused."""
        return await self.ask(Unlock(check.key_of(key), check.token_of(token)), node=node)

    async def find(self, key: str, *, node: str | None = None) -> Result:
        """Ask who holds a lock; return OwnerIs or Refused."""
        return await self.ask(FindOwner(check.key_of(key)), node=node)

    async def ask(self, operation: Operation, *, node: str | None = None) -> Result:
        """Ask one thing.

        Raises:
            ClusterUnavailable: no node settled the question in time.
        """
        self.refuse_if_closed()
        if node is not None:
            try:
                return await self.pool.link(self._seeds_of(node)[0]).ask(operation, self._timeout_ms)
            except LinkProblem as problem:
                raise unavailable(str(problem), self.pool.hint) from None
        answer = await call(self.pool, self.route(operation.key), operation, self._deadline_ns())
        if answer.result is None:
            raise unavailable(answer.text, self.pool.hint)
        return answer.result

    @property
    def timeout_ms(self) -> int:
        """How long a cluster that does not answer is given."""
        return self._timeout_ms

    def adopt_session(self, session: Session) -> None:
        """Remember a session, to end it at `close`."""
        self.refuse_if_closed()
        self._sessions.add(session)

    def forget_session(self, session: Session) -> None:
        """Forget a session that is over."""
        self._sessions.discard(session)

    def refuse_if_closed(self) -> None:
        """Raise LockError where `close` was called."""
        if self._closed:
            raise LockError("this client was closed; connect again")

    def _refuse_on_filers(self, what: str) -> None:
        if self._seaweedfs:
            raise Unsupported(
                f"SeaweedFS filers do not offer {what}: they have named locks with one lease each. "
                "Connect to Lockring's own nodes for it, or ask `owner_of` from time to time"
            )

    # --- for live locks ------------------------------------------------------------------------------

    def route(self, key: str) -> Route:
        """Return a new way to the node that serves a key."""
        return Route(key, self._seeds)

    def adopt(self, lock: LiveLock) -> None:
        """Remember a lock, to release it at `close`."""
        self.refuse_if_closed()
        self._locks.add(lock)

    def forget(self, lock: LiveLock) -> None:
        """Forget a lock that is over."""
        self._locks.discard(lock)

    # --- inside ----------------------------------------------------------------------------------------

    async def _first_view(self) -> View:
        self.refuse_if_closed()
        try:
            async with asyncio.timeout(self._timeout_ms / 1_000):
                return await self.pool.first_view()
        except TimeoutError:
            raise unavailable(self.pool.problems(), self.pool.hint) from None

    def _deadline_ns(self) -> int:
        return boot_ns() + self._timeout_ms * NS_PER_MS


def _is_good(task: asyncio.Task[Session]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().is_alive


def default_owner() -> str:
    """Return a name by which people find this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
