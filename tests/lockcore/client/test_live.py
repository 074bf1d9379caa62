"""Live locks of the asyncio client against nodes that answer as they are told, over real gRPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client import live
from lockcore.client.clock import boot_ns
from lockcore.core.operations import Code, Granted, Lock, Refused, Released, Unlock
from lockcore.errors import InvalidRequest, LockError, LockLost, NotAcquired
from tests.lockcore.client.scripted import ScriptedNode, generous, key_at, refuse_first, view_of
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from lockcore.core.operations import Operation, Result


async def test_a_held_lock_is_renewed_with_its_newest_token() -> None:
    seqs = iter(range(1, 100))

    def script(operation: Operation) -> Result:
        if isinstance(operation, Unlock):
            return Released()
        seq = next(seqs)
        return Granted(f"token-{seq}", "me", 7, seq, 200)

    async with ScriptedNode(script) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            async with client.lock("k", ttl=0.2, owner="me") as lock:
                await node.heard_at_least(4)
                assert lock.generation == 7
            tokens = [getattr(operation, "token", None) for operation in node.heard]
            assert tokens[:4] == ["", "token-1", "token-2", "token-3"]
            assert isinstance(node.heard[-1], Unlock)
            # The renewal under way at the end is cancelled: then the token before it is the newest.
            assert tokens[-1] in {f"token-{len(tokens) - 1}", f"token-{len(tokens) - 2}"}


async def test_a_slow_answer_shortens_the_lease_of_its_holder() -> None:
    """The node counts from when it received the request: at the earliest when it was sent."""
    async with ScriptedNode(lambda _: None) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            lock = client.lock("k", ttl=5.0)
            acquiring = asyncio.create_task(lock.acquire())
            await node.heard_at_least(1)
            heard_ns = boot_ns()
            await asyncio.sleep(0.05)
            node.script = generous
            await node.answer(0, Granted("t", "me", 7, 1, 5_000))
            await acquiring
            assert lock.held_until_ns <= heard_ns + lock.terms.ttl_ns - lock.terms.margin_ns
            await lock.release()


async def test_a_lease_that_ended_while_the_loop_was_busy_is_a_loss_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No timer of ours has run yet, and still the program must be told."""
    told: list[aio.LiveLock] = []
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            lock = await client.lock("k", on_lost=told.append, raise_if_lost=True).acquire()
            monkeypatch.setattr(live, "boot_ns", lambda: boot_ns() + lock.terms.ttl_ns)
            assert not lock.is_locked
            with pytest.raises(LockLost):
                await lock.__aexit__(None, None, None)
            assert told == [lock]


async def test_an_exception_in_the_body_unlocks_and_goes_on() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            with pytest.raises(KeyError, match="mine"):
                async with client.lock("k"):
                    raise KeyError("mine")
            assert node.heard[-1] == Unlock("k", "token of k")


async def test_who_holds_it_is_in_the_error() -> None:
    async with ScriptedNode(lambda _: Refused(Code.HELD, "lock already owned by ada", "ada")) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            with pytest.raises(NotAcquired, match="ada") as caught:
                async with client.lock("k", wait=0):
                    pytest.fail("was entered")
            assert (caught.value.key, caught.value.owner) == ("k", "ada")
            assert len(node.heard) == 1


async def test_a_holder_is_waited_for() -> None:
    async with ScriptedNode(refuse_first(2, Refused(Code.HELD, "held", "ada"))) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client, client.lock("k", wait=30) as lock:
            assert lock.is_locked


async def test_a_hanging_renewal_does_not_hide_the_loss() -> None:
    """The callback comes when the lease ends, though the node never answers."""

    def script(operation: Operation) -> Result | None:
        return None if isinstance(operation, Lock) and operation.token else generous(operation)

    told: list[aio.LiveLock] = []
    async with ScriptedNode(script) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            async with client.lock("k", ttl=0.3, on_lost=told.append) as lock:
                await asyncio.wait_for(lock.lost.wait(), 10)
                assert not lock.is_locked
                assert told == [lock]
                with pytest.raises(LockLost, match="ended before a renewal"):
                    lock.check()
                await asyncio.sleep(0.3)
                assert told == [lock]
            assert node.heard[-1] == Unlock("k", "token of k")


async def test_a_refused_token_is_a_loss_at_once_and_told_once() -> None:
    def script(operation: Operation) -> Result | None:
        if isinstance(operation, Lock) and operation.token:
            return Refused(Code.TOKEN_MISMATCH, "lock: token mismatch", "ada")
        return generous(operation)

    told: list[str] = []

    async def note(lock: aio.LiveLock) -> None:
        told.append(lock.loss_reason)

    async with ScriptedNode(script) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            with pytest.raises(LockLost, match="ada holds it now") as caught:
                async with client.lock("k", ttl=0.6, on_lost=note, raise_if_lost=True) as lock:
                    await asyncio.wait_for(lock.lost.wait(), 10)
            assert caught.value.generation == 7
            await until(lambda: len(told) == 1, "the expected state")
            assert not any(isinstance(operation, Unlock) for operation in node.heard)


async def test_a_loss_is_silent_at_the_end_unless_asked_for() -> None:
    async with ScriptedNode(refuse_renewals) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client, client.lock("k", ttl=0.3) as lock:
            await asyncio.wait_for(lock.lost.wait(), 10)


def refuse_renewals(operation: Operation) -> Result | None:
    if isinstance(operation, Lock) and operation.token:
        return Refused(Code.TOKEN_ON_NEW, "lock: non-empty token on a new lock")
    return generous(operation)


async def test_a_callback_that_raises_harms_no_lock(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client, client.lock("k", on_owner_change=broken) as lock:
            assert lock.is_locked
    assert "a callback failed" in caplog.text


async def test_a_renewal_survives_the_death_of_its_node() -> None:
    async with ScriptedNode() as one, ScriptedNode() as two:
        one.view = two.view = view_of(one, two)
        async with aio.connect(one.target) as client, client.lock(key_at(one.view, two), ttl=1.0) as lock:
            until_ns = lock.held_until_ns
            await two.stop()
            await one.heard_at_least(1)
            await until(lambda: lock.held_until_ns > until_ns, "the expected state")
            assert lock.is_locked
            assert not lock.lost.is_set()


async def test_a_cancelled_acquisition_leaves_nothing_behind() -> None:
    async with ScriptedNode(lambda _: Refused(Code.HELD, "held", "ada")) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.lock("k").acquire(), 0.2)
            assert client._locks == set()


async def test_a_lock_object_serves_once() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            lock = client.lock("k")
            async with lock:
                pass
            with pytest.raises(LockError, match="ask the client for a new one"):
                await lock.acquire()


async def test_releasing_a_lock_that_is_being_acquired_ends_the_wait() -> None:
    async with ScriptedNode(lambda _: Refused(Code.HELD, "held", "ada")) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            lock = client.lock("k")
            waiting = asyncio.create_task(lock.acquire())
            await node.heard_at_least(1)
            await lock.release()
            with pytest.raises(LockError, match="released while"):
                await waiting


async def test_a_short_lived_lock_lasts_five_seconds_and_is_not_renewed() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            async with client.short_lock("k", owner="me") as lock:
                assert node.heard == [Lock("k", 5_000, "me")]
                assert not lock.terms.renews
            assert node.heard[-1] == Unlock("k", "token of k")


async def test_a_long_lived_lock_tells_each_new_owner_and_stops_on_demand() -> None:
    answers: list[Result] = [
        Refused(Code.HELD, "held", "ada"),
        Refused(Code.HELD, "held", "bob"),
        Granted("t", "me", 9, 1, 100),
    ]
    owners: list[str] = []

    def script(operation: Operation) -> Result | None:
        return answers.pop(0) if answers else generous(operation)

    async with ScriptedNode(script) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            lock = client.start_long_lived_lock("k", "me", owners.append, ttl=0.1)
            await until(lambda: lock.is_locked, "the expected state")
            assert owners == ["ada", "bob", "me"]
            assert lock.owner == "me"
            await lock.stop()
            assert isinstance(node.heard[-1], Unlock)


@pytest.mark.parametrize("bad", [{"key": ""}, {"ttl": 61}, {"owner": "o" * 1_025}, {"wait": -1}])
async def test_bad_input_is_refused_before_anything_is_sent(bad: dict[str, object]) -> None:
    arguments: dict[str, object] = {"key": "k"} | bad
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            with pytest.raises(InvalidRequest):
                client.lock(**arguments)  # type: ignore[arg-type]
            assert node.heard == []
