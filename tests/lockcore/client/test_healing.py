"""Both nodes of a key die: holders keep what they have, by themselves, and nobody gets it in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.errors import ClusterUnavailable, NotAcquired, RangeRefused
from tests.lockcore.client.conftest import target_of
from tests.lockcore.service.cluster import Cluster, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lockcore.client.session import Session

pytestmark = pytest.mark.acceptance


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Four settled nodes, processes of their own."""
    async with Cluster(tmp_path) as running:
        await running.start_nodes(4)
        yield running


async def test_locks_and_ranges_survive_the_death_of_both_their_nodes(four: Cluster) -> None:
    async with aio.connect(target_of(four), timeout=4.0) as client, client.session("ada", ttl=30.0) as ada:
        view = client.view
        assert view is not None
        dying = {four.address("n1"), four.address("n2")}
        keys = [key for key in map(str, range(4_000)) if set(view.ring.owners(key)) == dying][:20]
        assert len(keys) == 20
        lost: list[object] = []
        locks = [await ada.lock(key, on_lost=lost.append).acquire() for key in keys]
        files = [ada.ranges(key, on_lost=lost.append) for key in keys]
        pieces = [await file.setlk("read" if i % 2 else "write", i, 10) for i, file in enumerate(files)]
        before = [lock.generation for lock in locks]
        thief = await client.session("thief", ttl=30.0).open()
        got: list[object] = []
        stealing = asyncio.create_task(_steal(thief, keys, got))
        await asyncio.gather(four.kill("n1"), four.kill("n2"))
        await until(lambda: _is_proved(ada), "everything is back")
        stealing.cancel()
        await asyncio.gather(stealing, return_exceptions=True)
        assert got == []
        assert lost == []
        assert all(lock.is_locked for lock in locks)
        assert [lock.generation for lock in locks] == before
        for file, piece in zip(files, pieces, strict=True):
            found = await thief.ranges(file.key).getlk("write", piece.start, piece.length)
            assert found is not None
            assert (found.label, found.kind, found.start, found.length, found.fence) == (
                "ada",
                piece.kind,
                piece.start,
                piece.length,
                piece.fence,
            )


async def _steal(thief: Session, keys: list[str], got: list[object]) -> None:
    """Try for what is held, again and again."""
    while True:
        for key in keys:
            try:
                got.append(await thief.lock(key, wait=0).acquire())
            except (NotAcquired, ClusterUnavailable):
                await asyncio.sleep(0.01)
            try:
                got.append(await thief.ranges(key).setlk("write", 0, 0))
            except (RangeRefused, ClusterUnavailable):
                await asyncio.sleep(0.01)


def _is_proved(session: Session) -> bool:
    """Say whether the two that are left have proved, in the newest view, to have all of it."""
    view = session.client.view
    assert view is not None
    return len(view.up) == 2 and session._healer.is_healed(view)
