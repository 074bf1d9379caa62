"""A session against a node that answers as it is told: what it says, when, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client import ranges, session, sessionlock
from lockcore.client.clock import boot_ns
from lockcore.client.sessionlease import SessionState
from lockcore.core.limits import NS_PER_S
from lockcore.core.operations import (
    ClearRange,
    Code,
    EndSession,
    Granted,
    Holdings,
    How,
    KeepAlive,
    ListHeld,
    Lock,
    Move,
    Operation,
    Refused,
    Result,
    SessionProof,
    SetRange,
    Unlock,
)
from lockcore.errors import ClusterUnavailable, LockError, NotAcquired, SessionLost
from tests.lockcore.client.scripted import PROOF, ScriptedNode, generous, view_of
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lockcore.client.session import Session
    from lockcore.client.sessionlock import SessionLock

LONG_S = 60.0
SHORT_S = 1.0


@pytest.fixture
async def node() -> AsyncIterator[ScriptedNode]:
    async with ScriptedNode() as running:
        running.view = view_of(running)
        yield running


def silent_about(*kinds: type) -> object:
    """Return a script that keeps silent about some operations."""

    def script(operation: Operation) -> Result | None:
        return None if isinstance(operation, kinds) else generous(operation)

    return script


def heard(node: ScriptedNode, *kinds: type) -> list[Operation]:
    """Return what a node has heard of these kinds."""
    return [operation for operation in node.heard if isinstance(operation, kinds)]


# --- keeping alive --------------------------------------------------------------------------


async def test_one_keep_alive_renews_however_many_locks(node: ScriptedNode) -> None:
    async with aio.connect(node.target) as client, client.session("me", ttl=SHORT_S) as mine:
        await asyncio.gather(*(mine.lock(f"k{i}").acquire() for i in range(200)))
        before_ns, messages = mine.held_until_ns, len(node.heard)
        await until(lambda: mine.held_until_ns > before_ns + NS_PER_S // 2, "some keep-alives")
        later = node.heard[messages:]
        assert {type(operation) for operation in later} == {KeepAlive}
        assert len(later) <= 4


async def test_a_keep_alive_without_answer_suspends_and_an_answer_mends_it(node: ScriptedNode) -> None:
    told: list[SessionState] = []
    async with aio.connect(node.target) as client:
        mine = await client.session("me", ttl=8.0, on_state=lambda s: told.append(s.state)).open()
        node.script = silent_about(KeepAlive)  # type: ignore[assignment]
        await until(lambda: told == [SessionState.SUSPENDED], "the news")
        assert boot_ns() < mine.held_until_ns
        assert mine.is_alive
        node.script = generous
        await until(lambda: told == [SessionState.SUSPENDED, SessionState.CONNECTED], "the good news")


async def test_the_end_of_the_last_stream_is_told_at_once_and_the_next_keep_alive_does_not_wait(
    node: ScriptedNode,
) -> None:
    """With a lease of a minute, the next keep-alive would be due after twenty seconds."""
    told: list[SessionState] = []
    async with aio.connect(node.target) as client:
        mine = client.session("me", ttl=LONG_S, on_state=lambda s: told.append(s.state))
        await mine.open()
        opened_ns = boot_ns()
        await node.stop()
        await until(lambda: told == [SessionState.SUSPENDED], "the news")
        await node.start()
        await until(lambda: told == [SessionState.SUSPENDED, SessionState.CONNECTED], "the good news")
        assert heard(node, KeepAlive)
        assert mine.held_until_ns > opened_ns


async def test_a_refused_keep_alive_is_the_end_and_each_lock_is_told_once(node: ScriptedNode) -> None:
    states: list[SessionState] = []
    lost: list[str] = []
    async with aio.connect(node.target) as client:
        mine = await client.session("me", ttl=SHORT_S, on_state=lambda s: states.append(s.state)).open()

        def note(lock: SessionLock) -> None:
            lost.append(lock.key)
            raise ValueError(lock.key)  # harms no other

        locks = [await mine.lock(key, on_lost=note).acquire() for key in ("a", "b")]
        node.script = lambda _: Refused(Code.SESSION_LOST, "it was taken over")
        await until(lambda: len(lost) == 2, "the losses")
        assert states == [SessionState.LOST]
        assert (lost, mine.loss_reason) == (["a", "b"], "it was taken over")
        assert all(lock.lost.is_set() and not lock.is_locked for lock in locks)
        assert mine not in client._sessions


async def test_a_process_that_was_stopped_past_the_lease_does_not_believe(
    node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timers have not run yet, and an answer lies in the socket: the clock alone decides."""
    async with aio.connect(node.target) as client:
        mine = await client.session("me", ttl=LONG_S).open()
        lock = await mine.lock("k").acquire()
        for module in (session, sessionlock):
            monkeypatch.setattr(module, "boot_ns", lambda: boot_ns() + 61 * NS_PER_S)
        assert mine.state is SessionState.LOST
        assert not lock.is_locked
        assert (mine.held_until_ns, lock.held_for_ns) == (0, 0)
        with pytest.raises(SessionLost, match="open another"):
            await mine.lock("other").acquire()
        assert lock.lost.is_set()
        monkeypatch.undo()
        assert mine.state is SessionState.LOST


async def test_a_child_process_holds_nothing(node: ScriptedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        lock = await mine.lock("k").acquire()
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert not lock.is_locked
        with pytest.raises(LockError, match="forked"):
            await mine.lock("other").acquire()
        monkeypatch.undo()
        assert lock.is_locked


# --- waiting -----------------------------------------------------------------------------------


async def test_a_wait_ends_with_the_session(node: ScriptedNode) -> None:
    """Whoever waits as long as the session lives must not wait longer."""
    node.script = silent_about(Lock, SetRange, KeepAlive)  # type: ignore[assignment]
    async with aio.connect(node.target) as client:
        mine = await client.session("me", ttl=SHORT_S).open()
        waits = await asyncio.gather(mine.lock("k").acquire(), mine.ranges("k").setlkw("write"), return_exceptions=True)
        assert {type(outcome) for outcome in waits} == {SessionLost}
        assert not mine._asking


async def test_closing_ends_who_waits_and_the_session_at_its_node(node: ScriptedNode) -> None:
    node.script = silent_about(Lock)  # type: ignore[assignment]
    async with aio.connect(node.target) as client:
        mine = await client.session("me", ttl=LONG_S).open()
        waiting = asyncio.create_task(mine.lock("k").acquire())
        await node.heard_at_least(2)
        await mine.close()
        with pytest.raises(SessionLost, match="closed"):
            await waiting
        await mine.close()
        assert heard(node, EndSession) == [EndSession(PROOF)]
        with pytest.raises(SessionLost, match="closed"):
            await mine.lock("k").acquire()


async def test_a_wait_that_is_cancelled_is_given_up_until_a_node_says_so(node: ScriptedNode) -> None:
    """K1: the session lives on, and would hold for ever what nobody wants."""
    refusals = iter([Refused(Code.NOT_SERVING, "not now")] * 3)

    def script(operation: Operation) -> Result | None:
        if isinstance(operation, Lock):
            return None
        return next(refusals, generous(operation)) if isinstance(operation, Unlock) else generous(operation)

    node.script = script
    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        waiting = asyncio.create_task(mine.lock("k").acquire())
        await until(lambda: len(heard(node, Lock)) == 1, "the wish")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: not mine.undoing, "the end of it")
        wish = heard(node, Lock)[0]
        assert isinstance(wish, Lock)
        assert heard(node, Unlock) == [Unlock("k", "", PROOF, wish.op_id)] * 4


async def test_a_release_without_answer_goes_on_in_the_background(
    node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessionlock, "RELEASE_S", 0.01)
    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        lock = await mine.lock("k").acquire()
        node.script = silent_about(Unlock)  # type: ignore[assignment]
        await lock.release()
        assert not lock.is_locked
        assert mine.undoing
        node.script = generous
        await until(lambda: not mine.undoing, "the unlock")


async def test_nothing_runs_on_after_the_client_was_closed(node: ScriptedNode) -> None:
    before = asyncio.all_tasks()
    node.script = silent_about(Lock, Unlock)  # type: ignore[assignment]
    async with aio.connect(node.target) as client:
        mine = await client.session("me", ttl=LONG_S).open()
        waiting = asyncio.create_task(mine.lock("k").acquire())
        await node.heard_at_least(2)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert mine.undoing
        await client.ranges("k")
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]
    assert not {name for name in names if "Session" in name or "Link" in name or "Pool" in name}
    with pytest.raises(LockError, match="closed"):
        await client.session("again").open()


# --- asking ------------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_for_with_the_same_number(node: ScriptedNode) -> None:
    """A node that has done it answers it; with another number it would be done twice."""
    answers: list[Result | None] = [None, Refused(Code.WAITING, "still waiting")]

    def script(operation: Operation) -> Result | None:
        return answers.pop(0) if isinstance(operation, Lock) and answers else generous(operation)

    node.script = script
    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        acquiring = asyncio.create_task(mine.lock("k").acquire())
        await until(lambda: len(heard(node, Lock)) == 1, "the wish")
        await node.stop()
        await node.start()
        await acquiring
        assert len({operation.op_id for operation in heard(node, Lock) if isinstance(operation, Lock)}) == 1
        assert len(heard(node, Lock)) == 3


async def test_a_refusal_names_the_holder_and_leaves_the_queue(node: ScriptedNode) -> None:
    node.script = lambda o: Refused(Code.HELD, "held", owner="ada") if isinstance(o, Lock) else generous(o)
    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        with pytest.raises(NotAcquired, match="ada"):
            await mine.lock("k", wait=0).acquire()
        lock = mine.lock("k", wait=0)
        with pytest.raises(NotAcquired):
            await lock.acquire()
        with pytest.raises(LockError, match="had the lock"):
            await lock.acquire()


async def test_a_session_is_opened_once(node: ScriptedNode) -> None:
    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        with pytest.raises(LockError, match="opened before"):
            await mine.open()


async def test_an_unlock_under_way_is_never_overtaken_by_the_next_lock(
    node: ScriptedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: carried out later, it would take away what was locked since."""
    monkeypatch.setattr(ranges, "RELEASE_S", 0.01)
    async with aio.connect(node.target, timeout=3.0) as client, client.session("me", ttl=LONG_S) as mine:
        file = mine.ranges("f")
        async with file.held("write", 0, 10):
            node.script = silent_about(ClearRange)  # type: ignore[assignment]
        assert mine.undoing
        with pytest.raises(ClusterUnavailable, match="unlock"):
            await file.setlk("write", 0, 10)
        await file.setlk("write", 0, 10, owner="another")
        node.script = generous
        await file.setlk("write", 0, 10)
        kinds = [type(o) for o in heard(node, SetRange, ClearRange) if getattr(o, "lock_owner", "") == "main"]
        assert (kinds[0], kinds[-1]) == (SetRange, SetRange)
        assert set(kinds[1:-1]) == {ClearRange}


async def test_a_range_that_is_waited_for_no_more_is_left(node: ScriptedNode) -> None:
    node.script = silent_about(SetRange)  # type: ignore[assignment]

    async def hold(mine: Session) -> None:
        async with mine.ranges("f").held("write", 5, 10):
            pass

    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        waiting = asyncio.create_task(hold(mine))
        await until(lambda: len(heard(node, SetRange)) == 1, "the wish")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: len(heard(node, ClearRange)) == 2, "the end of it")
        left, freed = sorted(heard(node, ClearRange), key=lambda o: getattr(o, "wanted", 0), reverse=True)
        assert isinstance(left, ClearRange)
        assert isinstance(freed, ClearRange)
        wish = heard(node, SetRange)[0]
        assert isinstance(wish, SetRange)
        assert (left.wanted, freed.wanted) == (wish.op_id, 0)
        assert (freed.start, freed.length) == (5, 10)


# --- taking over ------------------------------------------------------------------------------

OLD = SessionProof("old", 1, "its secret")


def holdings(*keys: str, view: int = 1) -> Holdings:
    """Return what a node says that the old session holds there."""
    return Holdings(tuple((key, 7) for key in keys), (), view)


def migrated(operation: Operation) -> Result | None:
    """Answer that a move was one."""
    found = generous(operation)
    return replace(found, how=How.MIGRATED) if isinstance(found, Granted) else found


async def test_a_take_over_asks_until_all_nodes_have_settled(node: ScriptedNode) -> None:
    """A lock on its way from one node to another shows at neither; ended then, the old session would lose it."""
    lists = [holdings("k1", view=0), holdings(view=0), holdings("k2")]

    def script(operation: Operation) -> Result | None:
        return lists.pop(0) if isinstance(operation, ListHeld) else migrated(operation)

    async with aio.connect(node.target) as client, client.session("me", ttl=LONG_S) as mine:
        node.script = script
        taken = await mine.take_over(OLD)
        assert sorted(taken.locks) == ["k1", "k2"]
        assert not lists
        assert [type(operation) for operation in node.heard[-2:]] == [Move, EndSession]


async def test_a_take_over_that_failed_half_way_goes_on_where_it_was(node: ScriptedNode) -> None:
    """Its first moves were done: asked under another number they would be lost, or held by nobody who knows."""
    lists = [holdings("k1", "k2"), holdings()]
    silent = True

    def script(operation: Operation) -> Result | None:
        if isinstance(operation, Move) and operation.key == "k2" and silent:
            return None
        return lists.pop(0) if isinstance(operation, ListHeld) else migrated(operation)

    async with aio.connect(node.target, timeout=SHORT_S) as client, client.session("me", ttl=LONG_S) as mine:
        node.script = script
        with pytest.raises(ClusterUnavailable):
            await mine.take_over(OLD)
        assert not heard(node, EndSession)
        await mine._healer._let_go_of_lock("k2", 2)
        assert not heard(node, Unlock)  # though the node may show it as held, and nobody here believes in it yet
        silent = False
        taken = await mine.take_over(OLD)
        assert sorted(taken.locks) == ["k1", "k2"]
        assert all(lock.is_locked for lock in taken.locks.values())
        numbers = {op.op_id for op in heard(node, Move) if isinstance(op, Move) and op.key == "k2"}
        assert len(numbers) == 1
