"""The harness around a real SeaweedFS does what those who build on it rely on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.acceptance


def _living(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if pid and Path(f"/proc/{pid}").exists()]


def test_a_ring_of_real_filers_loses_and_regains_a_member(weed: WeedCluster) -> None:
    """Kill -9 and a new start are what most tests on real filers are made of."""
    first, *others = weed.filers
    before = weed.ring_update()
    assert before is not None
    assert set(before.servers) == {filer.address for filer in weed.filers}
    first.kill()
    weed.wait_ring(others)
    first.start()
    weed.wait_ring(weed.filers)
    after = weed.ring_update()
    assert after is not None
    assert after.version > before.version


def test_nothing_is_left_behind_also_of_a_stopped_filer() -> None:
    """A process that SIGTERM does not reach would outlive the test run, and keep its ports."""
    with WeedCluster(filers=2) as weed:
        weed.filers[1].stop()
        pids = [process.pid for process in (*weed.masters, *weed.filers)]
        assert len(_living(pids)) == len(pids) == 3
        folder = weed.folder
    assert _living(pids) == []
    assert not folder.exists()


def test_a_filer_that_never_comes_is_told_with_its_log() -> None:
    """Without it a failed start would be a time-out and nothing more."""
    with WeedCluster(filers=1) as weed:
        absent = weed.make_filer()
        with pytest.raises(AssertionError, match=rf"never.*{absent.address}"):
            weed.wait_ring(weed.filers, patience_s=0.2)


def test_a_filer_group_has_a_ring_of_its_own_and_only_its_clients_are_told() -> None:
    """The group stands in a field of the first message that must be the right one: another one is ignored."""
    with WeedCluster(filers=1) as weed:
        blue = weed.add_filer("blue")
        weed.wait_ring([blue], "blue")
        weed.wait_ring(weed.filers[:1])
        assert weed.ring_update("red") is None
