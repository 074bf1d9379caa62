"""Each scenario runs on the pure core and again on real processes.

Elsewhere: the scenarios (test_*.py beside this), the two kinds of cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.scenarios.core_cluster import CoreCluster
from tests.acceptance.scenarios.process_cluster import ProcessCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.scenarios.driver import Cluster


@pytest.fixture(params=["core", pytest.param("processes", marks=pytest.mark.acceptance)])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without nodes."""
    if request.param == "core":
        yield CoreCluster()
        return
    real = ProcessCluster(tmp_path)
    try:
        yield real
    finally:
        real.close()
