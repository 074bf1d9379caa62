"""The asyncio client against nodes that answer as they are told, over real gRPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client import calls
from lockcore.core.operations import Code, FindOwner, Granted, Lock, OwnerIs, Refused, Released, Unlock
from lockcore.errors import ClusterUnavailable, LockError
from tests.lockcore.client.scripted import ScriptedNode, key_at, refuse_first, view_of
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from lockcore.core.operations import Operation, Result

UNUSED = "127.0.0.1:1"


# --- connecting ----------------------------------------------------------------------------


async def test_it_works_while_any_address_of_the_list_lives() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(f"{UNUSED},{node.target}") as client, client.lock("k", owner="me") as lock:
            assert (lock.is_locked, lock.generation, lock.owner) == (True, 7, "me")


async def test_ring_addresses_are_taken_too() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        client = await aio.connect(node.address)
        assert client.view == node.view
        await client.close()


async def test_no_cluster_is_told_with_what_to_do() -> None:
    with pytest.raises(ClusterUnavailable, match=r"refused.*make run"):
        await aio.connect(UNUSED, timeout=0.3)


async def test_a_port_of_something_else_is_told_apart() -> None:
    """The master's port is the easiest mistake."""
    async with ScriptedNode() as node:
        assert node._server is not None
        await node.stop()
        import grpc

        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        with pytest.raises(ClusterUnavailable, match="no lock node at this address"):
            await aio.connect(f"127.0.0.1:{port}", timeout=0.5)
        await server.stop(None)


async def test_a_closed_client_says_so() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            pass
        with pytest.raises(LockError, match="closed"):
            await client.owner_of("k")


async def test_closing_the_client_releases_its_locks() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            lock = await client.lock("k").acquire()
        assert node.heard[-1] == Unlock("k", "token of k")
        assert not lock.is_locked


# --- asking --------------------------------------------------------------------------------


async def test_operations_of_one_turn_leave_in_one_message() -> None:
    """One message per operation costs about three times as much."""
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            await asyncio.gather(*(client.acquire(f"k{i}") for i in range(100)))
            assert node.batches == [100]


async def test_a_key_is_asked_of_its_primary_at_once() -> None:
    async with ScriptedNode() as one, ScriptedNode() as two:
        one.view = two.view = view_of(one, two)
        async with aio.connect(one.target) as client:
            await client.acquire(key_at(one.view, two))
            assert (len(one.heard), len(two.heard)) == (0, 1)


async def test_when_the_primary_breaks_its_backup_is_asked() -> None:
    async with ScriptedNode() as one, ScriptedNode() as two:
        one.view = two.view = view_of(one, two)
        async with aio.connect(one.target) as client:
            await two.stop()
            result = await client.acquire(key_at(one.view, two))
            assert isinstance(result, Granted)
            assert len(one.heard) == 1


async def test_a_question_is_asked_again_when_its_node_breaks_under_it() -> None:
    async with ScriptedNode() as one, ScriptedNode(lambda _: None) as two:
        one.view = two.view = view_of(one, two)
        async with aio.connect(one.target) as client:
            asking = asyncio.create_task(client.acquire(key_at(one.view, two)))
            await two.heard_at_least(1)
            await two.stop()
            assert isinstance(await asking, Granted)


async def test_a_view_that_marks_the_node_down_is_reason_enough_to_ask_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process keeps its sockets: nothing breaks, and nothing comes."""
    monkeypatch.setattr(calls, "ATTEMPT_MS_MAX", 60_000)
    monkeypatch.setattr(calls, "ATTEMPT_SHARE", 1)
    async with ScriptedNode() as one, ScriptedNode(lambda _: None) as two:
        one.view = two.view = view_of(one, two)
        async with aio.connect(f"{one.target},{two.target}", timeout=60) as client:
            asking = asyncio.create_task(client.acquire(key_at(one.view, two)))
            await two.heard_at_least(1)
            await one.push(view_of(one, two, number=2, down=(two,)))
            assert isinstance(await asking, Granted)
            assert len(one.heard) == 1


@pytest.mark.parametrize(
    "code", [Code.NOT_SERVING, Code.NOT_PRIMARY, Code.HANDOFF, Code.OVERLOADED, Code.TIMEOUT, Code.MOVED]
)
async def test_refusals_about_the_moment_are_retried(code: Code) -> None:
    async with ScriptedNode(refuse_first(2, Refused(code, "not now"))) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            assert isinstance(await client.acquire("k"), Granted)
            assert len(node.heard) == 3


async def test_a_redirect_is_followed_with_the_same_token() -> None:
    async with ScriptedNode() as one, ScriptedNode() as two:
        one.script = refuse_first(1_000, Refused(Code.MOVED, "moved", moved_to=two.address))
        one.view = view_of(one)  # it does not know of two, but says where the lock is
        async with aio.connect(one.target) as client:
            assert isinstance(await client.renew("k", "my-token", ttl=1.0), Granted)
            assert two.heard == [Lock("k", 1_000, "", "my-token")]
            assert len(one.heard) == 1


async def test_a_redirect_to_a_dead_host_falls_back_to_the_seed() -> None:
    async with ScriptedNode() as seed:
        moved = Refused(Code.MOVED, "moved", moved_to="127.0.0.1:9.1")
        seed.script = refuse_first(1, moved)
        seed.view = view_of(seed)
        async with aio.connect(seed.target) as client:
            assert isinstance(await client.renew("k", "my-token", ttl=1.0), Granted)
            assert seed.heard == [Lock("k", 1_000, "", "my-token")] * 2


async def test_the_last_word_of_the_cluster_is_in_the_error() -> None:
    async with ScriptedNode(refuse_first(10**6, Refused(Code.NOT_SERVING, "this node is fenced"))) as node:
        node.view = view_of(node)
        async with aio.connect(node.target, timeout=0.3) as client:
            with pytest.raises(ClusterUnavailable, match="this node is fenced"):
                await client.acquire("k")


async def test_a_single_node_can_be_asked() -> None:
    """Tests want to hear what a stale primary says itself."""
    async with ScriptedNode() as one, ScriptedNode(refuse_first(1, Refused(Code.NOT_SERVING, "no"))) as two:
        one.view = two.view = view_of(one, two)
        async with aio.connect(one.target) as client:
            result = await client.find(key_at(one.view, one), node=two.address)
            assert isinstance(result, Refused)
            assert one.heard == []


async def test_a_grant_that_nobody_waits_for_is_given_back() -> None:
    async with ScriptedNode(lambda _: None) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            asking = asyncio.create_task(client.acquire("k", owner="me"))
            await node.heard_at_least(1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await node.answer(0, Granted("late", "me", 7, 1, 7_000))
            await node.heard_at_least(2)
            assert node.heard[1] == Unlock("k", "late")
            await node.answer(1, Released())


async def test_the_owner_is_told_or_none() -> None:
    answers: dict[str, Result] = {"held": OwnerIs("ada", 9, 1_000), "free": Refused(Code.NOT_FOUND, "lock not found")}

    def script(operation: Operation) -> Result:
        assert isinstance(operation, FindOwner)
        return answers[operation.key]

    async with ScriptedNode(script) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            assert [await client.owner_of("held"), await client.owner_of("free")] == ["ada", None]


async def test_is_this_key_mine_is_answered_from_the_ring() -> None:
    """SeaweedFS shares out folder cleaning so; the key is no lock, and no node is asked."""
    async with ScriptedNode() as one, ScriptedNode() as two:
        one.view = view_of(one, two)
        key = key_at(one.view, two)
        async with aio.connect(one.target) as client:
            assert await client.primary_of(key) == two.address
            assert await client.backup_of(key) == one.address
            assert await client.is_mine(key, two.address)
            assert await client.is_mine(key, two.target)
            assert not await client.is_mine(key, one.address)
            assert (one.heard, two.heard) == ([], [])


async def test_a_newer_view_replaces_the_ring_and_an_older_one_does_not() -> None:
    async with ScriptedNode() as one, ScriptedNode() as two:
        one.view = view_of(one)
        async with aio.connect(one.target) as client:
            newer = view_of(one, two, number=5)
            await one.push(newer)
            await until(lambda: client.view == newer, "the expected state")
            await one.push(view_of(one, number=4))
            await client.acquire("k")  # answered after the old view
            assert client.view == newer
