"""Taking over everything of another session, key by key (SETLK_MIGRATE for programs).

The new session asks every node what the old one holds there, and moves it:
each key at once, none waits for another. While the ring changes, a lock on
its way shows at neither of its nodes; so the nodes are asked until all have
settled in one view, and what shows is moved meanwhile. A call that failed
half way is just made again: the session remembers under which number each
move was asked, and nodes answer it from the record. Then the old session is
ended: its program, should it live, learns that it has nothing any more.

Elsewhere: one key at a time (ranges.migrate), the nodes' side (core.queueing, core.ranging).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.client.link import LinkProblem
from lockcore.client.route import target_of
from lockcore.client.sessionlock import SessionLock
from lockcore.core.limits import NS_PER_MS
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

TOGETHER: Final = 64
"""So many keys are moved at a time."""
LOOK_AGAIN_S: Final = 0.1
"""An old session that has lapsed stays for a second: what shows first must not wait for what shows last."""


@dataclass(slots=True)
class TakenOver:
    """What became of an old session's holdings: `locks` are held now, without a break."""

    locks: dict[str, SessionLock] = field(default_factory=dict)
    ranges: dict[str, RangeLocked] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Taking:
    """One take-over under way: `moves` and `files` are those that have no answer yet."""

    old: SessionProof
    found: TakenOver = field(default_factory=TakenOver)
    moves: dict[str, tuple[SessionLock, Move]] = field(default_factory=dict)
    files: dict[str, MoveRanges] = field(default_factory=dict)


async def take_over(session: Session, old: SessionProof) -> TakenOver:
    """Move all that `old` holds to `session`."""
    taking = session.taking.setdefault(old, Taking(old))
    until_ns = boot_ns() + session.client.timeout_ms * NS_PER_MS
    while True:
        missing = await _look(session, taking)
        await _move_all(session, taking)
        if not missing:
            break
        if boot_ns() >= until_ns:
            raise ClusterUnavailable(f"{missing}; what was found is taken over, call again for the rest")
        await asyncio.sleep(LOOK_AGAIN_S)
    await session.ask(EndSession(old), session.client.timeout_ms)  # whoever still believes in it is told
    session.taking.pop(old, None)
    return taking.found


async def _look(session: Session, taking: Taking) -> str:
    """Ask every living member what it is primary of; return why that may not be all, empty if it is."""
    pool, old = session.client.pool, taking.old
    view, missing = await pool.first_view(), ""
    for address in view.up:
        target = target_of(address)
        if target is None:
            continue
        try:
            answer = await pool.link(target).ask(ListHeld(old), session.client.timeout_ms)
        except LinkProblem as problem:
            missing = f"{address} did not say what the old session holds there ({problem})"
            continue
        if isinstance(answer, Holdings):
            _note(session, taking, answer)
            if answer.view != view.number:
                missing = "the ring is changing"
        elif isinstance(answer, Refused) and answer.code is Code.INVALID:
            session.taking.pop(old, None)
            raise LockError(answer.text)
        elif not (isinstance(answer, Refused) and answer.code is Code.SESSION_LOST):
            missing = f"{address} cannot say now what the old session holds there"
    return missing


def _note(session: Session, taking: Taking, held: Holdings) -> None:
    """Give a number to each move that is wanted, once."""
    found, old = taking.found, taking.old
    for key, _ in held.locks:
        if key not in taking.moves and key not in found.locks:
            lock = SessionLock(session, key)
            operation = Move(key, lock.owner, session.proof, session.next_op(), old, require_held=True)
            taking.moves[key] = (lock, operation)
    for key, _ in held.ranges:
        if key not in taking.files and key not in found.ranges:
            taking.files[key] = MoveRanges(key, session.proof, session.next_op(), old, require_held=True)


async def _move_all(session: Session, taking: Taking) -> None:
    gate = asyncio.Semaphore(TOGETHER)
    moves = await asyncio.gather(
        *(_move(session, taking, key, gate) for key in sorted(taking.moves)),
        *(_move_ranges(session, taking, key, gate) for key in sorted(taking.files)),
        return_exceptions=True,
    )
    for problem in moves:
        if isinstance(problem, BaseException):
            raise problem


async def _move(session: Session, taking: Taking, key: str, gate: asyncio.Semaphore) -> None:
    lock, operation = taking.moves[key]
    async with gate:
        answer = await session.ask(operation, session.client.timeout_ms)
    if isinstance(answer.result, Granted) and answer.result.how is How.MIGRATED:
        taking.found.locks[key] = lock.adopt_grant(answer.result.generation, operation.op_id)
    elif isinstance(answer.result, Refused) and answer.result.code is Code.NOT_HELD:
        taking.found.lost.append(key)
    else:
        raise session.error_of(answer)
    del taking.moves[key]


async def _move_ranges(session: Session, taking: Taking, key: str, gate: asyncio.Semaphore) -> None:
    async with gate:
        answer = await session.ask(taking.files[key], session.client.timeout_ms)
    if isinstance(answer.result, RangeLocked):
        taking.found.ranges[key] = answer.result
    elif isinstance(answer.result, Refused) and answer.result.code is Code.NOT_HELD:
        taking.found.lost.append(key)
    else:
        raise session.error_of(answer)
    del taking.files[key]
