"""Keep-alives with digests, against nodes that answer as they are told."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client.sessionlease import SessionState
from lockcore.core.digest import Digest
from lockcore.core.messages import (
    ClearRange,
    Code,
    HeldRange,
    Holdings,
    KeepAlive,
    ListHeld,
    Lock,
    Operation,
    Refused,
    Result,
    SessionIs,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import Kind
from lockcore.core.region import EVERYWHERE
from lockcore.core.view import Grace
from tests.lockcore.client.scripted import PROOF, ScriptedNode, generous, key_at, view_of
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lockcore.client.session import Session

TTL_S = 3.0
HAS_NOTHING = Digest(1, 0, 0, 0)


@pytest.fixture
async def node() -> AsyncIterator[ScriptedNode]:
    async with ScriptedNode() as running:
        running.view = view_of(running)
        yield running


def without(held: Holdings, claims: Callable[[Operation], Result | None] = generous) -> object:
    """Return the script of a node that says, in view 1, that it has just what is listed."""

    def script(operation: Operation) -> Result | None:
        match operation:
            case KeepAlive(session=proof, ttl_ms=ttl_ms):
                return SessionIs(proof, ttl_ms, Digest(1, len(held.locks), len(held.ranges), 1))
            case ListHeld():
                return held
        return claims(operation)

    return script


def refuse_claims(operation: Operation) -> Result | None:
    """Answer that what is claimed is lost."""
    claims = (isinstance(operation, Lock) and operation.token) or (
        isinstance(operation, SetRange) and operation.held_fence
    )
    return Refused(Code.NOT_HELD, "lost") if claims else generous(operation)


def heard(node: ScriptedNode, kind: type) -> list[Operation]:
    """Return what a node has heard of this kind."""
    return [operation for operation in node.heard if isinstance(operation, kind)]


def claims(node: ScriptedNode, kind: type) -> list[Operation]:
    """Return what a node has heard claimed of this kind."""
    return [o for o in heard(node, kind) if getattr(o, "held_fence", None) or getattr(o, "token", "")]


async def test_each_node_of_many_locks_gets_one_keep_alive_and_no_other_node_any() -> None:
    """10,000 locks over 3 nodes cost 3 messages per interval, whatever their number."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(ScriptedNode()) for _ in range(4)]
        view = view_of(*nodes)
        for node in nodes:
            node.view = view
        keys = [key for key in map(str, range(900)) if view.ring.primary(key) != nodes[3].address]
        client = await stack.enter_async_context(aio.connect(nodes[0].target))
        mine = await stack.enter_async_context(client.session("me", ttl=TTL_S))
        await asyncio.gather(*(mine.lock(key).acquire() for key in keys))
        for node in nodes:
            node.heard.clear()
        await until(lambda: all(len(heard(node, KeepAlive)) >= 3 for node in nodes[:3]), "three intervals")
        counts = [len(heard(node, KeepAlive)) for node in nodes]
        assert max(counts[:3]) - min(counts[:3]) <= 1
        assert counts[3] == 0


async def test_a_node_that_hangs_does_not_keep_the_others_from_extending_the_session() -> None:
    async with ScriptedNode() as good, ScriptedNode() as hung:
        good.view = hung.view = view = view_of(good, hung)
        async with aio.connect(good.target) as client, client.session("me", ttl=TTL_S) as mine:
            await asyncio.gather(*(mine.lock(key_at(view, node)).acquire() for node in (good, hung)))
            hung.script = lambda operation: None if isinstance(operation, KeepAlive) else generous(operation)
            before_ns = mine.held_until_ns
            await until(lambda: mine.held_until_ns > before_ns + 4 * 10**9, "a lease longer than one")
            assert mine.state is SessionState.CONNECTED
            assert heard(hung, KeepAlive)


async def test_what_a_node_lost_is_claimed_with_its_proof(node: ScriptedNode) -> None:
    async with aio.connect(node.target) as client, client.session("me", ttl=TTL_S) as mine:
        lost: list[object] = []
        lock = await mine.lock("k", on_lost=lost.append).acquire()
        await mine.ranges("f", on_lost=lost.append).setlk("read", 5, 10)
        node.script = without(Holdings((), (), 1))  # type: ignore[assignment]
        await until(lambda: bool(claims(node, SetRange) and claims(node, Lock)), "claims")
        claim = claims(node, SetRange)[0]
        assert isinstance(claim, SetRange)
        assert (claim.kind, claim.start, claim.length, claim.held_fence) == (Kind.READ, 5, 10, 7)
        first = heard(node, SetRange)[0]
        assert isinstance(first, SetRange)
        assert claim.op_id > first.op_id
        locks = [c for c in heard(node, Lock) if isinstance(c, Lock)]
        assert {c.op_id for c in locks} == {locks[0].op_id}
        assert locks[-1].token == "token of k"
        assert lock.is_locked
        assert lost == []


async def test_what_is_refused_is_lost_and_told_and_the_rest_is_held(node: ScriptedNode) -> None:
    async with aio.connect(node.target) as client, client.session("me", ttl=TTL_S) as mine:
        lost: list[object] = []
        gone, kept = [await mine.lock(key, on_lost=lost.append).acquire() for key in ("gone", "kept")]
        file = mine.ranges("f", on_lost=lost.append)
        await file.setlk("write", 0, 10)
        has = Holdings((("kept", 7),), (("f", HeldRange("s1", "me", "main", Kind.WRITE, 0, 4, 7)),), 1, (2,))
        node.script = without(has, refuse_claims)  # type: ignore[assignment]
        await until(lambda: len(lost) == 2, "two losses")
        assert gone in lost
        assert [(p.start, p.length) for p in lost if isinstance(p, HeldRange)] == [(4, 6)]
        assert not gone.is_locked
        assert gone.lost.is_set()
        assert kept.is_locked
        assert [(p.start, p.length) for p in file.pieces] == [(0, 4)]
        assert mine.state is SessionState.CONNECTED
        node.script = generous
        await gone.release()
        assert not [u for u in heard(node, Unlock) if isinstance(u, Unlock) and u.key == "gone"]


async def test_what_nobody_believes_in_is_let_go_of(node: ScriptedNode) -> None:
    async with aio.connect(node.target) as client, client.session("me", ttl=TTL_S) as mine:
        await mine.lock("mine").acquire()
        piece = HeldRange("s1", "me", "t", Kind.READ, 0, 0, 5)
        has = Holdings((("mine", 7), ("extra", 9)), (("f", piece),), 1, (1, 33))
        node.script = without(has)  # type: ignore[assignment]
        await until(lambda: bool(heard(node, Unlock)) and bool(heard(node, ClearRange)), "unlocks")
        unlock, clear = heard(node, Unlock)[0], heard(node, ClearRange)[0]
        assert unlock == Unlock("extra", "", PROOF, 33)
        assert isinstance(clear, ClearRange)
        assert (clear.key, clear.lock_owner, clear.start, clear.length) == ("f", "t", 0, 0)
        assert not [lock for lock in heard(node, Lock) if isinstance(lock, Lock) and lock.token]


@pytest.mark.parametrize("view", [0, 2])
async def test_nothing_follows_from_another_view_than_the_client_knows(node: ScriptedNode, view: int) -> None:
    """During a handover a part is elsewhere."""

    def script(operation: Operation) -> Result | None:
        if isinstance(operation, KeepAlive):
            return SessionIs(PROOF, operation.ttl_ms, replace(HAS_NOTHING, view=view) if view else None)
        return generous(operation)

    async with aio.connect(node.target) as client, client.session("me", ttl=TTL_S) as mine:
        lock = await mine.lock("k").acquire()
        node.script = script
        node.heard.clear()
        await until(lambda: len(heard(node, KeepAlive)) >= 3, "keep-alives")
        assert not heard(node, ListHeld)
        assert lock.is_locked


async def test_in_a_grace_all_is_said_to_be_healed_when_it_is_proved_and_not_before(node: ScriptedNode) -> None:
    proved: list[Digest] = []

    def script(operation: Operation) -> Result | None:
        if isinstance(operation, KeepAlive):
            return SessionIs(PROOF, operation.ttl_ms, proved[0] if proved else None)
        return generous(operation)

    async with aio.connect(node.target) as client, client.session("me", ttl=60.0) as mine:
        await mine.lock("k").acquire()
        node.script = script
        view = replace(view_of(node, number=2), graces=(Grace(EVERYWHERE, 30_000),))
        node.heard.clear()
        await node.push(view)
        mine._healer.note_settled()
        await until(lambda: len(heard(node, KeepAlive)) >= 2, "keep-alives")
        assert healed(node) == {0}
        proved.append(mine.belief.nodes(view)[node.address])
        await until(lambda: 2 in healed(node), "the report")
        said = len(node.heard)
        await until(lambda: _is_done(mine), "the end of the round")
        assert len(node.heard) == said


def healed(node: ScriptedNode) -> set[int]:
    """Return the views that keep-alives said to be healed."""
    return {keep.healed for keep in heard(node, KeepAlive) if isinstance(keep, KeepAlive)}


def _is_done(session: Session) -> bool:
    return session._healer._rounds is None or session._healer._rounds.done()
