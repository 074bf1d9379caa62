"""Watching a real SeaweedFS: its ring is ours, its deaths are told, its masters are followed.

Elsewhere: what is a fact (tests/dlmsite/observing).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from lockcore.core.ring import HashRing
from tests.dlmsite.observing.watching import watching
from tests.lockcore.service.cluster import until
from tests.weed.agreement import differences
from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.dlmsite.observing.watching import Pages
    from tests.weed.cluster import WeedProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

KEYS = [f"watched/{i}" for i in range(300)]


async def test_our_ring_is_that_of_real_filers_before_and_after_a_death_and_a_join() -> None:
    """Each filer is asked where it serves, so a hash that differed in one bit would show."""
    with WeedCluster(filers=3) as weed:
        async with watching(weed.master.address) as pages:
            first = weed.filers[0]
            for members in (weed.filers, weed.filers[1:], weed.filers):
                if len(members) == 2:
                    first.kill()
                elif not first.is_running:
                    first.start()
                await asyncio.to_thread(weed.wait_ring, members)
                addresses = {member.address for member in members}
                await until(lambda: set(pages.servers()) == addresses, "the ring is recorded")  # noqa: B023
                targets = {member.address: member.target for member in members}
                assert await differences(HashRing(pages.servers()), targets, KEYS) == []
            kinds = [fact.kind for fact in pages.facts if fact.address == first.address]
            assert kinds[-4:] in (["gone", "left", "connected", "joined"], ["gone", "connected", "left", "joined"])
            assert pages.state.state == "following"


async def test_the_last_filer_that_dies_is_told_though_no_empty_ring_is_published() -> None:
    with WeedCluster(filers=1) as weed:
        (alone,) = weed.filers
        async with watching(weed.master.address) as pages:
            await until(lambda: pages.servers() == (alone.address,), "a ring of one")
            alone.kill()
            await until(lambda: pages.state.connected == frozenset(), "its connection is lost")
            assert pages.kinds()[-1] == "gone"


async def test_a_filer_stands_for_its_masters_and_its_group() -> None:
    """Who uses a cluster often knows a filer of it, and no master."""
    with WeedCluster(filers=0) as weed:
        blue = weed.add_filer("blue")
        await asyncio.to_thread(weed.wait_ring, [blue], "blue")
        async with watching(blue.address) as pages:
            await until(lambda: pages.servers() == (blue.address,), "the ring of its group")


@asynccontextmanager
async def following(filers: int) -> AsyncIterator[tuple[WeedCluster, WeedProcess, Pages]]:
    """Three masters, of which the one that leads is followed."""
    with WeedCluster(filers=filers, masters=3) as weed:
        leader = weed.leader()
        assert leader is not None
        async with watching(",".join(master.address for master in weed.masters)) as pages:
            await until(
                lambda: pages.state.leader == leader.address and len(pages.servers()) == filers, "it is followed"
            )
            yield weed, leader, pages


async def test_another_master_is_followed_when_the_leader_dies() -> None:
    async with following(2) as (weed, leader, pages):
        leader.kill()
        await asyncio.to_thread(weed.wait_ring, weed.filers)
        await until(lambda: pages.state.leader not in ("", leader.address), "another one leads")
        await until(lambda: pages.state.state == "following" and not pages.state.trouble, "and is followed")
        assert "away" in pages.kinds()


async def test_another_master_is_followed_when_the_leader_hangs() -> None:
    """Its connection stands for as long as its kernel takes bytes: only a question tells."""
    async with following(1) as (_, leader, pages):
        before = len(pages.facts)
        leader.stop()
        await until(lambda: "away" in pages.kinds()[before:], "it is left")
        away = next(fact for fact in pages.facts[before:] if fact.kind == "away")
        assert "it hangs, or is stopped" in str(away)
        await until(lambda: pages.state.leader not in ("", leader.address), "another one leads")
