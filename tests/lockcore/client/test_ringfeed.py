"""Following masters: to the leader, past those that are away, and round and round no faster than is good."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lockcore.client.ringfeed import REDIRECTS_AT_ONCE, RingFeed
from lockcore.wire.gen import master_pb2
from lockcore.wire.seaweed import encode_ring_update
from tests.lockcore.client.scriptedweed import ScriptedMaster
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lockcore.wire.seaweed_client import MasterTold

RING = encode_ring_update(["127.0.0.1:8.18"], 7)
NOBODY = "127.0.0.1:1"


def naming(master: ScriptedMaster) -> bytes:
    """Return what a follower says."""
    location = master_pb2.VolumeLocation(leader=master.address)
    return master_pb2.KeepConnectedResponse(volume_location=location).SerializeToString()


class Heard:
    """What a feed has told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, MasterTold]] = []
        self.away: list[tuple[str, str]] = []

    @property
    def rings(self) -> list[str]:
        """The masters that told a ring."""
        return [master for master, told in self.told if told.ring is not None]

    @asynccontextmanager
    async def of(self, *masters: str, member: str = "") -> AsyncIterator[None]:
        """Follow masters for the length of the block."""
        feed = RingFeed(
            masters,
            member=member,
            on_told=lambda master, told: self.told.append((master, told)),
            on_away=lambda master, why: self.away.append((master, why)),
        )
        task = asyncio.create_task(feed.follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_follower_leads_to_the_leader() -> None:
    """Only the leader knows the ring; a follower names it and ends the stream."""
    heard = Heard()
    async with ScriptedMaster(RING) as leader, ScriptedMaster(naming(leader), ends=True) as follower:
        leader.tells.insert(0, naming(leader))  # a leader names itself first
        async with heard.of(follower.target):
            await until(lambda: heard.rings == [leader.target], "the leader tells the ring")
        assert len(leader.heard) == 1
    assert heard.away == []


async def test_a_master_that_is_away_is_told_and_the_next_one_asked() -> None:
    heard = Heard()
    async with ScriptedMaster(RING) as leader, heard.of(NOBODY, leader.target):
        await until(lambda: heard.rings == [leader.target], "the other one tells the ring")
    assert heard.away[0] == (NOBODY, "connection refused")


async def test_a_connection_that_ends_is_opened_again_under_another_name() -> None:
    """Under the same name the master would end one of the two."""
    heard = Heard()
    async with ScriptedMaster(RING, ends=True) as master, heard.of(master.target):
        await until(lambda: len(master.heard) >= 3, "it is asked again")
        names = [client.client_address for client in master.heard]
    assert len(set(names)) == len(names)
    assert {client.client_type for client in master.heard} == {"s3"}


async def test_masters_that_name_each_other_are_not_asked_without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an election each may believe that the other leads."""
    heard = Heard()
    pauses: list[float] = []

    def spread(low: float, high: float) -> float:
        pauses.append(high)
        return (low + high) / 2

    monkeypatch.setattr("random.uniform", spread)
    at_once = 1 + REDIRECTS_AT_ONCE
    async with ScriptedMaster(ends=True) as one, ScriptedMaster(ends=True) as other:
        one.tells, other.tells = [naming(other)], [naming(one)]
        async with heard.of(one.target):
            await until(lambda: len(heard.told) > 2 * at_once, "they are asked again")
            assert len(heard.told) <= at_once * (len(pauses) + 1)
    assert {master for master, _ in heard.told} == {one.target, other.target}


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockcore.client.ringfeed.PING_EVERY_S", 0.01)
    monkeypatch.setattr("lockcore.client.ringfeed.PING_S", 1.0)


@pytest.mark.usefixtures("quick_pings")
async def test_a_master_that_stops_answering_pings_is_left_for_another() -> None:
    """F3: its stream stands."""
    heard = Heard()
    async with ScriptedMaster(RING, pings=3) as hangs, ScriptedMaster(RING, pings=1_000_000) as other:
        async with heard.of(hangs.target, other.target):
            await until(lambda: heard.rings == [hangs.target, other.target], "the other one is heard")
            await until(lambda: other.pinged > 20, "it is pinged again and again")
            assert len(other.heard) == 1
        assert heard.away == [(hangs.target, "no answer within 1 s: it hangs, or is stopped")]


@pytest.mark.usefixtures("quick_pings")
async def test_a_master_that_does_not_know_what_a_ping_is_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """F3: as one that is older, or a scripted one."""
    asked = asyncio.Event()
    sleep, turns = asyncio.sleep, 0

    async def counted(delay_s: float) -> None:
        nonlocal turns
        turns += delay_s == 0.01
        if turns > 5:
            asked.set()
        await sleep(delay_s)

    heard = Heard()
    async with ScriptedMaster(RING) as master, heard.of(master.target):
        monkeypatch.setattr("lockcore.client.ringfeed.asyncio.sleep", counted)
        await asked.wait()
        assert len(master.heard) == 1
    assert heard.away == []


@pytest.mark.usefixtures("quick_pings")
async def test_a_member_pings_nobody() -> None:
    """F3: with its connection it would leave the ring, because a master was slow once."""
    heard = Heard()
    async with ScriptedMaster(RING, pings=0) as master, ScriptedMaster(RING, pings=30) as watched:
        async with heard.of(master.target, member="127.0.0.1:8.18"), heard.of(watched.target):
            await until(lambda: watched.pinged > 10, "somebody else is pinged")
        assert master.pinged == 0
        assert len(master.heard) == 1
