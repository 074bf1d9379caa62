"""Taking over everything of another session, key by key (SETLK_MIGRATE for programs).

The new session asks every node what the old one holds there, and moves it:
each key at once, none waits for another. Whatever was moved already is
answered from the record, so a call that failed half way is just made again.
Then the old session is ended: its program, should it live, learns that it has
nothing any more.

Elsewhere: one key at a time (ranges.migrate), the nodes' side (core.queueing, core.ranging).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.client.link import LinkProblem
from lockcore.client.route import target_of
from lockcore.client.sessionlock import SessionLock
from lockcore.core.operations import (
    Code,
    EndSession,
    Granted,
    Holdings,
    How,
    ListHeld,
    Move,
    MoveRanges,
    RangeLocked,
    Refused,
)
from lockcore.errors import ClusterUnavailable, LockError

if TYPE_CHECKING:
    from lockcore.client.session import Session
    from lockcore.core.operations import SessionProof

TOGETHER = 64
"""So many keys are moved at a time."""


@dataclass(slots=True)
class TakenOver:
    """What became of an old session's holdings: `locks` are held now, without a break."""

    locks: dict[str, SessionLock] = field(default_factory=dict)
    ranges: dict[str, RangeLocked] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


async def take_over(session: Session, old: SessionProof) -> TakenOver:
    """Move all that `old` holds to `session`."""
    names, files = await _holdings(session, old)
    found = TakenOver()
    gate = asyncio.Semaphore(TOGETHER)
    moves = await asyncio.gather(
        *(_move(session, old, name, found, gate) for name in sorted(names)),
        *(_move_ranges(session, old, name, found, gate) for name in sorted(files)),
        return_exceptions=True,
    )
    for problem in moves:
        if isinstance(problem, BaseException):
            raise problem
    await session.ask(EndSession(old), session.client.timeout_ms)  # whoever still believes in it is told
    return found


async def _holdings(session: Session, old: SessionProof) -> tuple[set[str], set[str]]:
    """Ask every living member; each tells what it is primary of."""
    pool, timeout_ms = session.client.pool, session.client.timeout_ms
    names: set[str] = set()
    files: set[str] = set()
    for address in (await pool.first_view()).up:
        target = target_of(address)
        if target is None:
            continue
        try:
            answer = await pool.link(target).ask(ListHeld(old), timeout_ms)
        except LinkProblem as problem:
            text = f"{address} did not say what the old session holds there ({problem}); try again"
            raise ClusterUnavailable(text) from None
        if isinstance(answer, Holdings):
            names.update(key for key, _ in answer.locks)
            files.update(key for key, _ in answer.ranges)
        elif isinstance(answer, Refused) and answer.code is Code.INVALID:
            raise LockError(answer.text)
        elif not (isinstance(answer, Refused) and answer.code is Code.SESSION_LOST):
            raise ClusterUnavailable(f"{address} cannot say now what the old session holds there; try again")
    return names, files


async def _move(session: Session, old: SessionProof, key: str, found: TakenOver, gate: asyncio.Semaphore) -> None:
    async with gate:
        lock, op_id = SessionLock(session, key), session.next_op()
        operation = Move(key, lock.owner, session.proof, op_id, old, require_held=True)
        answer = await session.ask(operation, session.client.timeout_ms)
    if isinstance(answer.result, Granted) and answer.result.how is How.MIGRATED:
        found.locks[key] = lock.adopt_grant(answer.result.generation, op_id)
    elif isinstance(answer.result, Refused) and answer.result.code is Code.NOT_HELD:
        found.lost.append(key)
    else:
        raise session.error_of(answer)


async def _move_ranges(
    session: Session, old: SessionProof, key: str, found: TakenOver, gate: asyncio.Semaphore
) -> None:
    async with gate:
        operation = MoveRanges(key, session.proof, session.next_op(), old, require_held=True)
        answer = await session.ask(operation, session.client.timeout_ms)
    if isinstance(answer.result, RangeLocked):
        found.ranges[key] = answer.result
    elif isinstance(answer.result, Refused) and answer.result.code is Code.NOT_HELD:
        found.lost.append(key)
    else:
        raise session.error_of(answer)
