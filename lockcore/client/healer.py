"""Keep-alives of a session, to each node that holds something of it, and what follows from their answers.

One message for each such node and interval: any answer extends the session,
and each proves by a digest that the node has what is believed in, or shows
that it has not. Then the node's list says what to do: what is missing is
claimed again, which nodes allow in a grace; what is refused is lost, and its
holder is told; what nobody believes in is let go of.

Invariants
  G1  At most one keep-alive is under way to a node, and one comparison at all.
  G2  `healed` is said of a view when every node of what is believed has
      proved to have it in that view, settled.
Elsewhere: what is believed (belief), the lease (sessionlease, session).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from lockcore.client.belief import Belief
from lockcore.client.callbacks import run_callback
from lockcore.client.clock import boot_ns
from lockcore.client.link import LinkProblem
from lockcore.client.machine import Answer
from lockcore.client.ranges import Ranges
from lockcore.client.route import target_of
from lockcore.client.sessionlock import SessionLock
from lockcore.core.limits import NS_PER_MS
from lockcore.core.operations import (
    RETRYABLE,
    ClearRange,
    Granted,
    Holdings,
    KeepAlive,
    ListHeld,
    Lock,
    RangeDenied,
    Refused,
    SessionIs,
    SetRange,
    Unlock,
)
from lockcore.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from lockcore.client.belief import BelievedLock
    from lockcore.client.session import Session
    from lockcore.core.digest import Digest
    from lockcore.core.rangerecords import Row
    from lockcore.core.view import View

ATTEMPT_MS: Final = 1_000
LIST_MS: Final = 5_000
CLAIM_MS: Final = 5_000
LOOK_AGAIN_S: Final = 0.5
SKIPS_MAX: Final = 3
"""After so many differences while operations were under way the list is asked for anyway."""
TOGETHER: Final = 64
log = logging.getLogger(__name__)
LOST_TEXT: Final = "both nodes that knew it have died, and it could not come back: somebody else may have had it"


class Healer:
    """One session's."""

    def __init__(self, session: Session) -> None:
        self.belief = Belief()
        self._session = session
        self._under_way: set[str] = set()
        self._proved: dict[str, int] = {}
        self._skips = 0
        self._comparing = False
        self._rounds: asyncio.Task[None] | None = None

    # --- keep-alives --------------------------------------------------------------------------

    async def keep_alive(self, left_ms: int) -> Answer:
        """Ask each node that holds something; return the first answer that says something of the session."""
        view = self._session.client.pool.view
        nodes = self.belief.nodes(view) if view is not None else {}
        asked = [a for a in nodes if view is not None and a in view.up and a not in self._under_way]
        tasks = {self._session.background(self._ask(a, view, nodes[a], left_ms)) for a in asked if view is not None}
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for answer in (task.result() for task in done if not task.cancelled()):
                if answer.result is not None:
                    return answer
        return await self._session.call(self._keep_alive(), max(1, left_ms - _attempt_ms(left_ms)))

    def _keep_alive(self) -> KeepAlive:
        session, view = self._session, self._session.client.pool.view
        healed = view.number if view is not None and self.is_healed(view) else 0
        return KeepAlive(session.proof, session.ttl_ms, session.label, healed)

    def is_healed(self, view: View) -> bool:
        """Say whether every node has proved, in this view, to have all that is believed (G2)."""
        return all(self._proved.get(address) == view.number for address in self.belief.nodes(view))

    async def _ask(self, address: str, view: View, expected: Digest, left_ms: int) -> Answer:
        """Ask one node once; whatever it says, the others are asked as well."""
        pool, target = self._session.client.pool, target_of(address)
        stamp, sent_ns = self.belief.stamp, boot_ns()
        if target is None:
            return Answer(None, 0)
        self._under_way.add(address)
        try:
            result = await pool.link(target).ask(self._keep_alive(), _attempt_ms(left_ms))
        except LinkProblem as problem:
            return Answer(None, 0, str(problem))
        finally:
            self._under_way.discard(address)
        if isinstance(result, SessionIs):
            self._session.extend(sent_ns)
            self._compare(address, view, expected, result.held, stamp)
            return Answer(result, sent_ns)
        if isinstance(result, Refused) and result.code not in RETRYABLE:
            return Answer(result, sent_ns)
        return Answer(None, 0, getattr(result, "text", ""))

    # --- comparing ----------------------------------------------------------------------------

    def _compare(self, address: str, view: View, expected: Digest, held: Digest | None, stamp: int) -> None:
        current = self._session.client.pool.view
        if held is None or held.view != view.number or current is None or current.number != view.number:
            return  # the ring is changing: a part is on its way
        if held == expected:
            self._proved[address] = view.number
            self._skips = 0
        elif stamp != self.belief.stamp and self._skips < SKIPS_MAX:
            self._skips += 1  # something was granted or released meanwhile
        elif not self._comparing:
            self._comparing = True
            self._session.background(self._reconcile(address, view))

    async def _reconcile(self, address: str, view: View) -> None:
        try:
            await self._settle_differences(address, view)
        finally:
            self._comparing = False

    async def _settle_differences(self, address: str, view: View) -> None:
        session, target = self._session, target_of(address)
        self.belief.watch()
        try:
            held = await session.client.pool.link(target or "").ask(ListHeld(session.proof), LIST_MS)
        except LinkProblem:
            return
        if not isinstance(held, Holdings) or held.view != view.number:
            return
        self._skips = 0
        found = self.belief.differences(view, address, held)
        gate = asyncio.Semaphore(TOGETHER)
        work: list[Coroutine[None, None, None]] = []
        work += [self._claim_lock(key, lock) for key, lock in found.missing_locks]
        work += [self._claim_piece(key, piece) for key, piece in found.missing_pieces]
        work += [self._let_go_of_lock(key, op_id) for key, op_id in found.extra_locks]
        work += [self._let_go(key, piece) for key, piece in found.extra_pieces]
        await asyncio.gather(*(_within(gate, one) for one in work))

    async def _claim_lock(self, key: str, lock: BelievedLock) -> None:
        session = self._session
        if not self.belief.is_quiet(key):
            return
        claim = Lock(key, session.ttl_ms, lock.owner, lock.token, session.proof, lock.op_id)
        answer = await self._ask_quietly(claim)
        if isinstance(answer, Granted):
            self.belief.keep_lock(key, lock, answer.token)
        elif isinstance(answer, Refused) and answer.code not in RETRYABLE and self.belief.lose_lock(key, lock):
            for held in [h for h in session.holders() if isinstance(h, SessionLock) and h.key == key]:
                session.forget(held)
                held.session_lost(LOST_TEXT)

    async def _claim_piece(self, key: str, piece: Row) -> None:
        session, owner = self._session, piece.owner.lock_owner
        if not self.belief.is_quiet(key):
            return
        number, start, length = session.next_op(), piece.start, piece.length
        claim = SetRange(key, session.proof, number, owner, piece.kind, start, length, held_fence=piece.fence)
        answer = await self._ask_quietly(claim)
        if isinstance(answer, RangeDenied) or (isinstance(answer, Refused) and answer.code not in RETRYABLE):
            for lost in self.belief.lose_piece(key, piece):
                log.warning("lost a piece of %r (fence %d): %s", key, lost.fence, LOST_TEXT)
                for held in [h for h in session.holders() if isinstance(h, Ranges) and h.key == key]:
                    run_callback(held.on_lost, lost)

    async def _let_go_of_lock(self, key: str, op_id: int) -> None:
        taken = any(key in taking.moves for taking in self._session.taking.values())  # a take-over will ask again
        if op_id and not taken and self.belief.is_quiet(key):
            await self._ask_quietly(Unlock(key, "", self._session.proof, op_id))

    async def _let_go(self, key: str, piece: Row) -> None:
        """Unlock bytes; what is asked for this owner meanwhile waits for it."""
        session, owner = self._session, piece.owner.lock_owner
        if self.belief.is_quiet(key):
            unlock = ClearRange(key, session.proof, session.next_op(), owner, piece.start, piece.length)
            await asyncio.wait({session.undo(unlock, owner)}, timeout=CLAIM_MS / 1_000)

    async def _ask_quietly(self, operation: Lock | SetRange | Unlock) -> object:
        """Ask; what gets no answer now shows again in the next digest."""
        try:
            return (await self._session.ask(operation, CLAIM_MS)).result
        except LockError:
            return None

    # --- after a change of the ring ---------------------------------------------------------------

    def note_settled(self) -> None:
        """Compare at once: nodes may have died with what they had."""
        if self._rounds is None or self._rounds.done():
            self._rounds = self._session.background(self._look_round())

    async def _look_round(self) -> None:
        """Ask; in a grace until all is proved, and once more to say so: others may wait for it."""
        session = self._session
        began_ns = boot_ns()
        while session.is_alive and (view := session.client.pool.view) is not None:
            if not view.graces and not self.belief.nodes(view):
                return
            healed = self.is_healed(view)
            session.take_keep_alive(await self.keep_alive(ATTEMPT_MS))
            longest_ms = max((grace.remaining_ms for grace in view.graces), default=0)
            if healed or boot_ns() >= began_ns + longest_ms * NS_PER_MS:
                return
            if not self.is_healed(view):
                await asyncio.sleep(LOOK_AGAIN_S)


def _attempt_ms(left_ms: int) -> int:
    """Return how long a node may take: others have to be asked in the same lease."""
    return max(1, min(ATTEMPT_MS, left_ms // 3))


async def _within(gate: asyncio.Semaphore, work: Coroutine[None, None, None]) -> None:
    async with gate:
        await work
