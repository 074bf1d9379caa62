"""Who tells other members what they have to know: errands, side by side, repeated until they succeed.

SeaweedFS sends a replica once, and sends locks on one by one. Here each key
goes in its newest state, many at a time, and again until its target has it or
another ring makes it pointless (known-failures W7, W8).

Invariants
  O1  While the ring stays the same, one errand of a key is under way at a time.
  O2  `told` says yes only when the backup, or the new primary, has the state.
Elsewhere: what is an errand (lockcore.core.weedmember), the calls (peers).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from lockcore.seaweed.peers import PeerProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lockcore.core.steps import Instant
    from lockcore.core.weedmember import WeedMember
    from lockcore.seaweed.peers import Peers

LANES: Final = 16
"""Errands under way to one member."""
PAUSE_S_FIRST: Final = 0.1
PAUSE_S_MAX: Final = 2.0

_log = logging.getLogger(__name__)


class Courier:
    """Runs the errands of one member.

    Args:
        clock: this moment on both clocks.
    """

    def __init__(self, member: WeedMember, peers: Peers, clock: Callable[[], Instant]) -> None:
        self._member = member
        self._peers = peers
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._line_of: dict[str, str] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self, timeout_s: float) -> bool:
        """Wait until nobody is to be told anything; say whether it came to that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        return self._idle.is_set()

    def mark(self, keys: Iterable[str]) -> None:
        """Look at keys that have changed, or whose ring has."""
        now_ns = self._clock().boot_ns
        for key in keys:
            errand = self._member.errand(key, now_ns)
            if errand is None:
                self._leave_line(key)
                self._wake(key)
            elif self._line_of.get(key) != errand.target:
                self._line_of[key] = errand.target
                self._idle.clear()
                self._put(errand.target, key)

    async def told(self, key: str, order: tuple[int, int], timeout_s: float, *, insist: bool) -> bool:
        """Wait until whoever has to know a key in this state does; say whether so (O2).

        A member that did not take the last errand is not waited for, unless `insist`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (errand := self._member.errand(key, self._clock().boot_ns)) is not None:
            line = self._lines.get(errand.target)
            left_s = deadline - loop.time()
            if left_s <= 0 or (line is not None and line.silent and not insist):
                return False
            await self._attempt(key, left_s)
        held = self._member.locks.get(key)
        return held is None or held.order >= order

    async def _attempt(self, key: str, timeout_s: float) -> None:
        """Wait until an errand of a key has ended in one way or the other."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            return

    def _leave_line(self, key: str) -> None:
        self._line_of.pop(key, None)
        if not self._line_of:
            self._idle.set()

    def _wake(self, key: str) -> None:
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)

    # --- lines ---------------------------------------------------------------------------------

    def _put(self, target: str, key: str) -> None:
        line = self._lines.setdefault(target, _Line(target))
        line.keys.append(key)
        if line.workers < LANES:
            line.workers += 1
            task = asyncio.get_running_loop().create_task(self._work(line), name=f"errands to {target}")
            self._workers.add(task)
            task.add_done_callback(self._workers.discard)

    async def _work(self, line: _Line) -> None:
        try:
            while line.keys:
                key = line.keys.popleft()
                if self._line_of.get(key) != line.target:
                    continue  # the ring has changed: it is in another line
                worked = await self._run(line, key)
                self._wake(key)
                if self._line_of.get(key) == line.target:
                    del self._line_of[key]
                    self.mark([key])
                if not self._line_of:
                    self._idle.set()
                if not worked:
                    await asyncio.sleep(line.pause_s)
        finally:
            line.workers -= 1

    async def _run(self, line: _Line, key: str) -> bool:
        """Run the errand of a key; say whether its target answered."""
        now = self._clock()
        errand = self._member.errand(key, now.boot_ns)
        if errand is None or errand.target != line.target:
            return True
        try:
            await self._peers.deliver(errand, now.wall_ns)
        except PeerProblem as problem:
            line.failed(str(problem))
            return False
        line.worked()
        self._member.done(errand)
        return True

    async def close(self) -> None:
        """End all errands."""
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)


class _Line:
    """Keys of which one member has to be told.

    Attributes:
        silent: it did not take the last errand.
        pause_s: how long a worker waits after a failure.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.keys: deque[str] = deque()
        self.workers = 0
        self.silent = False
        self.pause_s = PAUSE_S_FIRST

    def failed(self, why: str) -> None:
        if not self.silent:
            _log.warning("a lock did not reach another member, it is sent again: %s", why)
        self.silent = True
        self.pause_s = min(self.pause_s * 2, PAUSE_S_MAX)

    def worked(self) -> None:
        if self.silent:
            _log.info("%s takes locks again", self.target)
        self.silent = False
        self.pause_s = PAUSE_S_FIRST
