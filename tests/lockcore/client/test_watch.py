"""Watching a key, with real nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client.watch import Holder
from tests.lockcore.client.conftest import target_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.lockcore.service.cluster import Cluster

pytestmark = pytest.mark.acceptance


async def following(seen: AsyncIterator[Holder | None]) -> Holder | None:
    """Return what is told next."""
    async with asyncio.timeout(60):
        return await anext(seen)


async def test_a_watch_tells_each_change_of_hands_also_after_its_node_has_died(three: Cluster) -> None:
    key = three.key_of("n2")
    async with aio.connect(target_of(three)) as client, client.session("ada", ttl=30) as ada:
        seen = aiter(client.watch(key))
        assert await following(seen) is None
        lock = await ada.lock(key).acquire()
        assert await following(seen) == Holder("ada", lock.generation)
        waits = asyncio.create_task(following(seen))
        await three.kill("n2")
        async with client.session("bob", ttl=30) as bob:
            heir = asyncio.create_task(bob.lock(key, wait=60).acquire())
            await lock.release()
            second = await heir
            told = await waits
            if told is None:  # it was free for a moment, and the watch was fast enough to see it
                told = await following(seen)
            assert told == Holder("bob", second.generation)
            await second.release()
            assert await following(seen) is None
