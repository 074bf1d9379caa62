"""Byte-range locks of one key, as a program with a session uses them: fcntl(2) over a cluster.

    file = session.ranges("reports/2026.db")
    await file.setlk(Kind.WRITE, 0, 100)
    async with file.held(Kind.READ, 200, 50, wait=10):
        ...

`owner` names who locks within the session (a thread, a file handle): locks of
one owner never conflict with each other, and split, merge and change their
kind in place. A lost reply costs nothing: an operation is asked again by its
number and answered, not done twice.

Invariants
  R1  An unlock that was given up on is asked until a node has carried it out;
      until then nothing else is asked for its owner, lest it be undone.
Elsewhere: the rules (lockcore.core.ranges), the session's lease (session).
"""

from __future__ import annotations

import asyncio
import errno as numbers
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lockcore.client import check
from lockcore.client.callbacks import run_callback
from lockcore.client.live import unavailable
from lockcore.client.sessionlock import RELEASE_S
from lockcore.core.operations import (
    ClearRange,
    FindConflict,
    HeldRange,
    MoveRanges,
    RangeConflict,
    RangeDenied,
    RangeFree,
    RangeLocked,
    Released,
    SetRange,
)
from lockcore.core.rangerecords import Kind
from lockcore.errors import ClusterUnavailable, InvalidRequest, LockError, RangeRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lockcore.client.machine import Answer
    from lockcore.client.session import Session
    from lockcore.core.operations import RangeOperation, SessionProof

OWNER: Final = "main"
OFFSET_MIN: Final = -(2**63)
OFFSET_MAX: Final = 2**63 - 1


class Ranges:
    """The byte ranges of one key. Made by `Session.ranges` and `LockClient.ranges`."""

    def __init__(self, session: Session, key: str, on_lost: Callable[[HeldRange], object] | None = None) -> None:
        self.session = session
        self.key = check.key_of(key)
        self.on_lost = on_lost

    def __repr__(self) -> str:
        return f"<Ranges of {self.key!r} in {self.session!r}>"

    async def setlk(self, kind: Kind | str, start: int = 0, length: int = 0, *, owner: str = OWNER) -> HeldRange:
        """Lock a range now, or not at all (F_SETLK).

        Args:
            kind: "read" or "write".
            start: first byte.
            length: bytes; 0 is to the end, negative the bytes before `start`.
            owner: who locks, within this session.
        Returns:
            The piece that now covers it, with its fence.
        Raises:
            RangeRefused: EAGAIN (then `held_by`), EINVAL, EOVERFLOW, ENOLCK.
            SessionLost, ClusterUnavailable: nothing is sure; the session's end releases it.
        """
        return await self._set(kind, start, length, owner, 0, fair=False)

    async def setlkw(  # noqa: PLR0913 - what fcntl(2) takes, and how long
        self,
        kind: Kind | str,
        start: int = 0,
        length: int = 0,
        *,
        owner: str = OWNER,
        wait: float | None = None,
        fair: bool = False,
    ) -> HeldRange:
        """Lock a range, waiting for it (F_SETLKW).

        Args:
            kind: "read" or "write".
            start: first byte.
            length: as in `setlk`.
            owner: as in `setlk`.
            wait: seconds; None: as long as the session lives.
            fair: pass nobody who waits longer for the same bytes, and be passed by nobody.
        Raises:
            RangeRefused: EDEADLK (others wait for this owner), ETIMEDOUT, EBUSY, and those of `setlk`.
        """
        return await self._set(kind, start, length, owner, check.session_wait_ms_of(wait), fair=fair)

    async def getlk(self, kind: Kind | str, start: int = 0, length: int = 0, *, owner: str = OWNER) -> HeldRange | None:
        """Say what stands in the way of a lock, of all such pieces the one with the lowest start (F_GETLK)."""
        operation = FindConflict(
            self.key, self.session.proof, check.lock_owner_of(owner), kind_of(kind), offset(start), offset(length)
        )
        answer = await self._ask(operation)
        match answer.result:
            case RangeFree():
                return None
            case RangeConflict(piece):
                return piece
        raise self._error(answer)

    async def unlck(self, start: int = 0, length: int = 0, *, owner: str = OWNER) -> None:
        """Let go of a range, held or not (F_UNLCK)."""
        operation = ClearRange(
            self.key,
            self.session.proof,
            self.session.next_op(),
            check.lock_owner_of(owner),
            offset(start),
            offset(length),
        )
        answer = await self._ask(operation)
        if not isinstance(answer.result, Released):
            raise self._error(answer)

    @property
    def pieces(self) -> list[HeldRange]:
        """What the session believes to hold of this key, all its owners; nothing when the session is lost."""
        return self.session.belief.pieces(self.key) if self.session.is_alive else []

    def session_lost(self, _reason: str) -> None:
        """Tell that every piece is lost with the session."""
        for piece in self.session.belief.pieces(self.key):
            run_callback(self.on_lost, piece)

    async def migrate(  # noqa: PLR0913 - what SETLK_MIGRATE takes
        self,
        old: SessionProof,
        kind: Kind | str | None = None,
        start: int = 0,
        length: int = 0,
        *,
        owner: str | None = None,
        gaps: bool = False,
        require_held: bool = False,
    ) -> RangeLocked | None:
        """Take over what an old session holds in a range (SETLK_MIGRATE).

        Returns:
            The pieces, and `how`: MIGRATED (held without a break) or ACQUIRED (newly got); None: nothing was held, and
            nothing was asked to be acquired.
        Raises:
            RangeRefused: another kind is held, or a gap is taken.
            LockError: `require_held`, and nothing was held.
        """
        operation = MoveRanges(
            self.key,
            self.session.proof,
            self.session.next_op(),
            old,
            None if owner is None else check.lock_owner_of(owner),
            offset(start),
            offset(length),
            None if kind is None else kind_of(kind),
            gaps,
            require_held,
        )
        answer = await self._ask(operation)
        match answer.result:
            case RangeLocked():
                return answer.result
            case Released():
                return None
        raise self._error(answer)

    @asynccontextmanager
    async def held(  # noqa: PLR0913 - as setlkw
        self,
        kind: Kind | str,
        start: int = 0,
        length: int = 0,
        *,
        owner: str = OWNER,
        wait: float | None = None,
        fair: bool = False,
    ) -> AsyncIterator[HeldRange]:
        """Hold a range within a block; see `setlkw`. It is unlocked at the end."""
        unlock = ClearRange(self.key, self.session.proof, 0, check.lock_owner_of(owner), offset(start), offset(length))
        try:
            piece = await self.setlkw(kind, start, length, owner=owner, wait=wait, fair=fair)
        except (asyncio.CancelledError, ClusterUnavailable):
            self._undo(unlock)  # it may be held after all
            raise
        try:
            yield piece
        finally:
            task = self._undo(unlock)
            if task is not None:
                await asyncio.wait({task}, timeout=RELEASE_S)

    async def _set(  # noqa: PLR0913 - what fcntl(2) takes
        self, kind: Kind | str, start: int, length: int, owner: str, wait_ms: int | None, *, fair: bool
    ) -> HeldRange:
        owner = check.lock_owner_of(owner)
        kind, start, length = kind_of(kind), offset(start), offset(length)
        proof, op_id = self.session.proof, self.session.next_op()
        operation = SetRange(self.key, proof, op_id, owner, kind, start, length, wait_ms, fair)
        try:
            answer = await self._ask(operation, wait_ms)
        except asyncio.CancelledError:
            self._leave(op_id, owner)
            raise
        if isinstance(answer.result, RangeLocked) and answer.result.pieces:
            return answer.result.pieces[0]
        if answer.result is None:
            self._leave(op_id, owner)
        raise self._error(answer)

    async def _ask(self, operation: RangeOperation, wait_ms: int | None = 0) -> Answer:
        patience_ms = self.session.client.timeout_ms
        await self._settle(operation.lock_owner, patience_ms)
        timeout_ms = None if wait_ms is None else wait_ms + patience_ms
        try:
            return await self.session.ask(operation, timeout_ms, waits=wait_ms != 0)
        finally:
            if self.on_lost is not None and self.session.is_alive:
                (self.session.adopt if self.pieces else self.session.forget)(self)

    async def _settle(self, owner: str | None, timeout_ms: int) -> None:
        """Wait for unlocks under way (R1)."""
        pending = {
            task
            for task, (key, of) in self.session.undoing.items()
            if key == self.key and (owner is None or of == owner)
        }
        if pending:
            _, late = await asyncio.wait(pending, timeout=timeout_ms / 1_000)
            if late:
                raise unavailable("an unlock before this operation has no answer yet")

    def _leave(self, op_id: int, owner: str) -> None:
        """Leave the queue; what was granted meanwhile stays the owner's, as with fcntl(2)."""
        self._undo(ClearRange(self.key, self.session.proof, 0, owner, wanted=op_id))

    def _undo(self, unlock: ClearRange) -> asyncio.Task[None] | None:
        if not self.session.is_alive:
            return None
        return self.session.undo(replace(unlock, op_id=self.session.next_op()), unlock.lock_owner)

    def _error(self, answer: Answer) -> LockError:
        result = answer.result
        if not isinstance(result, RangeDenied):
            return self.session.error_of(answer)
        piece = result.conflict
        held_by = None if piece is None else (piece.label, piece.kind.value, piece.start, piece.length)
        who = "" if held_by is None else f": {held_by[0]!r} holds {held_by[1]} {held_by[2]} length {held_by[3]}"
        number = getattr(numbers, result.error.value)
        return RangeRefused(f"{result.error.value}: {result.text}{who}", errno=number, held_by=held_by)


def kind_of(kind: Kind | str) -> Kind:
    """Return READ or WRITE."""
    try:
        return Kind(kind)
    except ValueError:
        raise InvalidRequest(f'a range is locked for "read" or "write", not {kind!r}') from None


def offset(value: object) -> int:
    """Return a byte offset or a length that fits the wire; what it means is the kernel's rule."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"start and length are whole numbers of bytes, not {value!r}")
    if not OFFSET_MIN <= value <= OFFSET_MAX:
        raise InvalidRequest("start and length lie within -2^63 and 2^63-1")
    return value
