"""The spool: numbers without holes, bounded, and alive on a full disk."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from lockcore.core.events import Event, EventKind
from lockcore.core.view import MemberId
from lockcore.service import spool as module
from lockcore.service.spool import Spool, open_leftover, spool_path

if TYPE_CHECKING:
    from pathlib import Path

ME = MemberId("127.0.0.1:8001.18001", 1_700_000_000_000_000_001)


def fact(key: str = "k") -> Event:
    return Event(EventKind.GRANTED, key=key, owner="Zoë", generation=2**60, seq=1, ttl_ms=5000, session="18f2")


def make(folder: Path, **options: int) -> Spool:
    path = spool_path(folder, "n1", ME.incarnation)
    path.parent.mkdir(exist_ok=True)
    return Spool(path, ME, **options)


def numbers_in(spool: Spool) -> list[int]:
    leftover = open_leftover(spool.path)
    assert leftover is not None
    assert leftover.member == ME
    return [event.number for batch in leftover.batches() for event in batch.events]


def test_what_a_killed_node_saw_can_be_read_by_somebody_else(tmp_path: Path) -> None:
    """No acknowledged grant may be missing from the history after a SIGKILL."""
    spool = make(tmp_path)
    assert list(spool.append([fact("a"), fact("b")])) == [1, 2]
    assert list(spool.append([fact("c")])) == [3]
    leftover = open_leftover(spool.path)  # the spool was never closed
    assert leftover is not None
    (batch,) = leftover.batches()
    assert (batch.source, batch.incarnation) == (ME.address, ME.incarnation)
    assert [event.event for event in batch.events] == [fact("a"), fact("b"), fact("c")]
    assert [event.number for event in batch.events] == [1, 2, 3]


def test_reading_goes_on_after_any_number(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append([fact(str(i)) for i in range(10)])
    assert [event.number for event in spool.read(4, limit=3).events] == [5, 6, 7]
    assert spool.read(10).events == ()


def test_facts_beyond_memory_are_read_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that was away for long still gets everything, in order."""
    monkeypatch.setattr(module, "RECENT_MAX", 5)
    monkeypatch.setattr(module, "MARK_BYTES", 300)
    spool = make(tmp_path)
    for i in range(40):
        spool.append([fact(str(i))])
    after, seen = 0, []
    while events := spool.read(after, limit=7).events:
        seen += [event.event.key for event in events]
        after = events[-1].number
    assert seen == [str(i) for i in range(40)]


def test_a_line_cut_short_ends_the_reading_and_nothing_else(tmp_path: Path) -> None:
    """A machine that lost power may leave half a line."""
    spool = make(tmp_path)
    spool.append([fact(), fact()])
    with spool.path.open("ab") as file:
        file.write(b'{"n":3,"w":1,"ki')
    assert numbers_in(spool) == [1, 2]


def test_a_file_that_is_no_spool_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"\x00\xff not json")
    assert open_leftover(path) is None
    path.write_bytes(b"")
    assert open_leftover(path) is None


@pytest.mark.parametrize("short", [False, True])
def test_a_full_disk_costs_facts_on_disk_but_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, short: bool
) -> None:
    """Locking goes on, what could be written stays whole, and the gap shows."""
    spool = make(tmp_path)
    spool.append([fact()])
    real_write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if not short:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr("lockcore.service.spool.os.write", full)
        assert list(spool.append([fact(), fact()])) == [2, 3]
    assert spool.unwritten == 2
    assert list(spool.append([fact()])) == [4]
    assert numbers_in(spool) == [1, 4]
    assert [event.number for event in spool.read(0).events] == [1, 2, 3, 4]  # while the node lives, nothing is lost


def test_the_spool_is_bounded_and_the_numbers_show_what_gave_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MARK_BYTES", 500)
    spool = make(tmp_path, bytes_max=10_000)
    for _ in range(1_000):
        spool.append([fact()])
    assert spool.path.stat().st_size <= 10_200
    numbers = numbers_in(spool)
    assert numbers[-1] == 1_000
    assert numbers[0] > 1
    assert numbers == list(range(numbers[0], 1_001))


def test_what_is_recorded_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MARK_BYTES", 500)
    monkeypatch.setattr(module, "TRIM_BYTES", 5_000)
    spool = make(tmp_path)
    for _ in range(200):
        spool.append([fact()])
    before = spool.path.stat().st_size
    spool.acknowledge(190)
    assert spool.path.stat().st_size < before / 4
    assert set(range(191, 201)) <= set(numbers_in(spool))
    spool.append([fact()])
    assert numbers_in(spool)[-1] == 201


def test_an_acknowledgement_of_the_future_counts_only_what_exists(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append([fact()])
    spool.acknowledge(99)
    spool.append([fact()])
    assert spool.unreported == 1


def test_a_spool_is_removed_at_the_end_only_if_all_is_recorded(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.append([fact()])
    spool.close()
    assert spool.path.exists()
    spool = make(tmp_path)
    spool.append([fact()])
    spool.acknowledge(1)
    spool.close()
    assert not spool.path.exists()


def test_only_the_owner_reads_a_spool(tmp_path: Path) -> None:
    assert make(tmp_path).path.stat().st_mode & 0o077 == 0
