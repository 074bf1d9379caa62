"""Telling others: in order, again where it failed, to whom the ring names now."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lockcore.core.operations import Granted, Lock
from lockcore.core.weedmember import WeedMember
from lockcore.seaweed.courier import Courier
from lockcore.seaweed.peers import Peers
from lockcore.service import clock
from tests.lockcore.seaweed.scriptedpeer import ScriptedPeer
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ME = "127.0.0.1:9.19"


class Stage:
    """A member and one who backs it up."""

    def __init__(self, backup: ScriptedPeer) -> None:
        self.backup = backup
        self.member = WeedMember(ME)
        self.peers = Peers()
        self.courier = Courier(self.member, self.peers, clock.now)
        self.member.adopt((ME, backup.address), 1, 0)
        ring = self.member.ring
        self.keys = [key for i in range(1_000) if ring.primary(key := f"k{i}") == ME]

    def lock(self, key: str, token: str = "") -> Granted:
        """Acquire or renew, and have the courier look."""
        answer = self.member.decide(Lock(key, 60_000, "ada", token), clock.boot_ns(), new_token=f"after {token}")
        assert isinstance(answer, Granted)
        self.courier.mark([key])
        return answer


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    async with ScriptedPeer() as backup:
        one = Stage(backup)
        try:
            yield one
        finally:
            await one.courier.close()
            await one.peers.close()


async def test_a_lock_is_told_when_its_backup_has_it() -> None:
    async with stage() as on:
        key = on.keys[0]
        first = on.lock(key)
        assert await on.courier.told(key, (first.generation, first.seq), 5, insist=False)
        assert [(how, state.key, state.seq) for how, state in on.backup.taken] == [("copy", key, 1)]
        assert await on.courier.idle(5)


async def test_what_changes_under_way_is_sent_again_and_never_out_of_order() -> None:
    async with stage() as on:
        key = on.keys[0]
        on.backup.on_taken = lambda state: on.lock(key, state.token) if state.seq < 20 else None
        on.lock(key)
        await until(lambda: bool(on.backup.taken) and on.backup.taken[-1][1].seq == 20, "the newest arrives")
        seqs = [state.seq for _, state in on.backup.taken]
        assert seqs == sorted(set(seqs))


async def test_a_failure_is_repaired() -> None:
    """SeaweedFS sends a replica once (W8)."""
    async with stage() as on:
        key, other = on.keys[:2]
        on.backup.fails = True
        first = on.lock(key)
        assert not await on.courier.told(key, (first.generation, first.seq), 5, insist=False)
        on.lock(other)
        on.backup.fails = False
        assert await on.courier.told(key, (first.generation, first.seq), 20, insist=True)
        assert await on.courier.idle(20)
        assert {state.key for _, state in on.backup.taken} == {key, other}


async def test_who_hangs_is_left_when_the_ring_names_another() -> None:
    async with stage() as on, ScriptedPeer() as heir:
        on.backup.hangs = True
        on.lock(on.keys[0])
        assert not await on.courier.idle(0.2)
        on.member.adopt((ME, heir.address), 2, clock.boot_ns())
        on.courier.mark(on.keys)
        await until(lambda: len(heir.taken) == 1, "the other one has it")


async def test_who_leaves_hands_over_what_its_heir_does_not_have_already() -> None:
    """The heir is the backup: what it has, it serves when the ring lets go of us, and a filer would refuse it again."""
    async with stage() as on:
        on.lock(on.keys[0])
        assert await on.courier.idle(20)
        on.backup.fails = True
        for key in on.keys[1:100]:
            on.lock(key)
        on.member.leave()
        on.courier.mark(on.keys)
        on.backup.fails = False
        assert await on.courier.idle(60)
        had, handed = ({state.key for how, state in on.backup.taken if how == each} for each in ("copy", "transfer"))
        assert had == {on.keys[0]}
        assert handed == set(on.keys[1:100])
