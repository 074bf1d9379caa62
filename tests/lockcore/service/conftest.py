"""Clusters for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lockcore.service.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A master without nodes."""
    async with Cluster(tmp_path) as running:
        yield running


@pytest.fixture
async def three(cluster: Cluster) -> Cluster:
    """Three settled nodes."""
    await cluster.start_nodes(3)
    return cluster
