"""A member behind a real gRPC server, beside one that answers as a test tells it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from lockcore.core.operations import FindOwner, Granted, Lock, Refused
from lockcore.core.weedlocks import LockState
from lockcore.core.weedmember import HANDOFF_TEXT, WeedMember
from lockcore.seaweed import filer
from lockcore.seaweed.courier import Courier
from lockcore.seaweed.filer import LocksOnly, MemberService
from lockcore.seaweed.peers import Peers
from lockcore.service import clock
from lockcore.service.channels import add_handlers, new_server
from lockcore.wire.methods import SEAWEED_FILER, path
from lockcore.wire.seaweed_client import decode_find_answer, decode_lock_answer, encode_find, encode_lock
from lockcore.wire.seaweed_peer import encode_moved
from tests.lockcore.seaweed.scriptedpeer import ScriptedPeer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ME = "127.0.0.1:9.19"
LEASE_NS = 60_000_000_000


class Stage:
    """A member that has just joined beside another one."""

    def __init__(self, peer: ScriptedPeer, channel: grpc.aio.Channel, member: WeedMember) -> None:
        self.peer = peer
        self.member = member
        self._channel = channel
        self.keys = [key for i in range(1_000) if member.ring.primary(key := f"k{i}") == ME]

    async def call(self, method: str, data: bytes) -> bytes:
        """Call the member."""
        opener: Any = self._channel.unary_unary
        answer: bytes = await opener(path(SEAWEED_FILER, method))(data, timeout=10)
        return answer

    async def lock(self, key: str, token: str = "") -> Granted | Refused:
        """Acquire or renew."""
        asked = Lock(key, 60_000, "ada", token)
        return decode_lock_answer(await self.call("DistributedLock", encode_lock(asked)), asked)

    async def transfer(self, key: str) -> None:
        """Have the member take over a lock."""
        state = LockState(key, "theirs", "bob", 5, 2, LEASE_NS)
        await self.call("TransferLocks", encode_moved([state], clock.now().wall_ns))


@asynccontextmanager
async def stage(*, joined_ns: int | None = None) -> AsyncIterator[Stage]:
    async with ScriptedPeer() as peer:
        member, peers = WeedMember(ME), Peers()
        member.see((peer.address,))
        member.adopt((ME, peer.address), 1, clock.boot_ns() if joined_ns is None else joined_ns)
        courier = Courier(member, peers, clock.now)
        server = new_server()
        service = MemberService(member, courier, peers, clock.now, masters=("127.0.0.1:9333",), group="")
        add_handlers(server, SEAWEED_FILER, service.handlers)
        server.add_generic_rpc_handlers((LocksOnly(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                yield Stage(peer, channel, member)
            finally:
                await courier.close()
                await peers.close()
                await server.stop(None)


async def test_a_key_is_granted_when_its_former_primary_has_the_ring_and_holds_nothing() -> None:
    async with stage() as on:
        on.peer.moved_to = ME
        assert isinstance(await on.lock(on.keys[0]), Granted)


async def test_what_its_former_primary_still_holds_is_refused_with_the_owner() -> None:
    """Between the ring's change and the lock's arrival the lock is at the other one, and held (W1)."""
    async with stage() as on:
        on.peer.moved_to = ME
        on.peer.owners[on.keys[0]] = "bob"
        refused = await on.lock(on.keys[0])
        assert isinstance(refused, Refused)
        assert refused.text == "lock already owned by bob"
        owner = decode_find_answer(await on.call("FindLockOwner", encode_find(FindOwner(on.keys[0]))))
        assert owner == "bob"


async def test_nothing_is_granted_while_the_former_primary_may_grant_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not adopted the ring yet, or does not answer; a program of SeaweedFS asks again on this text."""
    monkeypatch.setattr(filer, "CLEAR_S", 0.2)
    async with stage() as on:
        refused = await on.lock(on.keys[0])
        assert isinstance(refused, Refused)
        assert refused.text == HANDOFF_TEXT


async def test_a_renewal_waits_for_its_lock() -> None:
    """The holder that follows the ring faster than its lock does must not lose it."""
    async with stage() as on:
        renewal = asyncio.create_task(on.lock(on.keys[0], "theirs"))
        await asyncio.sleep(0)
        await on.transfer(on.keys[0])
        renewed = await renewal
        assert isinstance(renewed, Granted)
        assert renewed.generation == 5


async def test_an_answer_waits_for_the_backup_but_not_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filer that hangs stays on the ring for a minute; its neighbours' locks are to be had meanwhile."""
    monkeypatch.setattr(filer, "CONFIRM_S", 0.3)
    async with stage(joined_ns=0) as on:
        assert isinstance(await on.lock(on.keys[0]), Granted)
        assert [state.key for _, state in on.peer.taken] == [on.keys[0]]
        on.peer.hangs = True
        assert isinstance(await on.lock(on.keys[1]), Granted)


async def test_without_a_master_a_renewal_needs_the_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the primary by now: what it has taken in is renewed there as well, the rest nowhere."""
    monkeypatch.setattr(filer, "CONFIRM_S", 0.3)
    async with stage(joined_ns=0) as on:
        got = await on.lock(on.keys[0])
        assert isinstance(got, Granted)
        on.member.lose(clock.boot_ns())
        on.peer.hangs = True
        refused = await on.lock(on.keys[0], got.token)
        assert isinstance(refused, Refused)
        assert "no master is heard" in refused.text
        on.peer.hangs = False
        on.member.adopt(on.member.ring.servers, 1, clock.boot_ns())
        assert isinstance(await on.lock(on.keys[0], got.token), Granted)


async def test_whoever_follows_it_hears_that_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open stream is quiet on both sides; its heartbeats keep nobody waiting for changes of ours."""
    monkeypatch.setattr(filer, "HEARTBEAT_S", 0.05)
    async with stage() as on:
        assert await on.call("GetFilerConfiguration", b"")
        opener: Any = on._channel.unary_stream
        stored = opener(path(SEAWEED_FILER, "TraverseBfsMetadata"))(b"", timeout=10)
        assert [each async for each in stored] == []
        followed = opener(path(SEAWEED_FILER, "SubscribeLocalMetadata"))(b"\x68\x01", timeout=30)
        beats = [await followed.read() for _ in range(3)]
        assert all(isinstance(beat, bytes) and beat for beat in beats)
        assert len(set(beats)) == 3
        silent = opener(path(SEAWEED_FILER, "SubscribeLocalMetadata"))(b"", timeout=0.5)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await silent.read()
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        followed.cancel()


async def test_everything_else_is_unimplemented_with_the_reason() -> None:
    async with stage() as on:
        for method in ("CreateEntry", "SubscribeMetadata", "PosixLock"):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await on.call(method, b"anything")
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert "stores no files" in (failed.value.details() or "")
