"""The kernel is the referee: byte ranges are what Linux says they are.

Some thousand operations here; `make kernel` does 100,000 of each kind.

Elsewhere: what is compared, and where the kernel differs by nature (descriptions, waits).
"""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from lockcore.core.rangerecords import OFFSET_MAX, Denied, Kind, Owner, Waiting, Want
from lockcore.core.ranges import RangeTable, WaitGraph, span_of
from tests.kernel import descriptions, flock, waits
from tests.kernel.descriptions import DifferenceError
from tests.kernel.processes import OF_DESCRIPTIONS, Ask, Processes
from tests.kernel.wrong import AT_ONCE, WAITING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kernel.wrong import Mistake

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the referee is Linux")

EDGES = (0, 1, 2, 5, 2**31 - 1, 2**31, 2**32 - 1, 2**32, OFFSET_MAX - 1, OFFSET_MAX)


def test_requests_at_once_get_the_kernels_answers_and_leave_the_kernels_table(tmp_path: Path) -> None:
    seen = descriptions.compare(tmp_path / "file", 1, 5_000)
    assert {"setlk done", "setlk EAGAIN", "setlk EINVAL", "setlk EOVERFLOW", "unlck done", "getlk a row"} <= seen.keys()


def test_processes_that_wait_get_the_kernels_answers_and_leave_the_kernels_table(tmp_path: Path) -> None:
    seen = waits.compare(tmp_path, 1, 1_500)
    assert {"setlkw waits", "setlkw EDEADLK", "leave EINTR", "granted after a wait"} <= seen.keys()


def test_every_edge_of_a_range_is_the_kernels(tmp_path: Path) -> None:
    """All pairs of starts and lengths around 0, 2^31, 2^32 and 2^63, forwards and backwards."""
    lengths = sorted({sign * edge for edge in EDGES for sign in (1, -1)} | {~OFFSET_MAX})
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        for start in (-1, ~OFFSET_MAX, *EDGES):
            for length in lengths:
                answer = flock.control(fd, fcntl.F_OFD_SETLK, Kind.WRITE, start, length)
                ours = span_of(start, length)
                if isinstance(ours, Denied):
                    assert answer == ours.error, (start, length)
                else:
                    assert flock.of_description(fd) == [(*ours, Kind.WRITE)], (start, length)
                flock.control(fd, fcntl.F_OFD_SETLK, None, 0, 0)
    finally:
        os.close(fd)


@pytest.mark.parametrize("mistake", AT_ONCE, ids=lambda mistake: mistake.__name__)
def test_a_table_that_is_wrong_at_once_is_found_out(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    with pytest.raises(DifferenceError):
        descriptions.compare(tmp_path / "file", 1, 20_000)


@pytest.mark.parametrize("mistake", WAITING, ids=lambda mistake: mistake.__name__)
def test_a_table_that_waits_wrongly_is_found_out(
    mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    with pytest.raises(DifferenceError):
        waits.compare(tmp_path, 1, 10_000)


# --- where the kernel differs by nature ----------------------------------------------------


def circle(folder: Path, length: int, commands: dict[str, int] | None = None) -> dict[int, str]:
    """Let each process lock its file and wait for the next one's; return what the last one is answered."""
    paths = [folder / f"file{number}" for number in range(length)]
    with closing(Processes(length, paths) if commands is None else Processes(length, paths, commands)) as processes:
        for who in range(length):
            assert processes.do(Ask("setlk", who, who, Kind.WRITE, 0, 1)) == {who: "0"}
        for who in range(length - 1):
            assert processes.do(Ask("setlkw", who, who + 1, Kind.WRITE, 0, 1)) == {}
        return processes.do(Ask("setlkw", length - 1, 0, Kind.WRITE, 0, 1))


def our_circle(length: int) -> Denied | object:
    graph = WaitGraph()
    tables = [RangeTable(graph) for _ in range(length)]
    wants = [Want(Owner("s", 1, f"{number}"), Kind.WRITE, 0, 1) for number in range(length)]
    for table, want in zip(tables, wants, strict=True):
        table.setlk(want)
    for table, want in zip(tables[1:], wants, strict=False):
        assert isinstance(table.setlkw(want, operation="op", now_ns=0).result, Waiting)
    return tables[0].setlkw(wants[-1], operation="op", now_ns=0).result


@pytest.mark.parametrize(("length", "kernel"), [(2, {1: "EDEADLK"}), (5, {4: "EDEADLK"}), (14, {})])
def test_the_kernel_misses_long_circles_and_we_do_not(tmp_path: Path, length: int, kernel: dict[int, str]) -> None:
    """MAX_DEADLK_ITERATIONS is 10 in Linux's fs/locks.c."""
    assert circle(tmp_path, length) == kernel
    result = our_circle(length)
    assert isinstance(result, Denied)
    assert result.error == "EDEADLK"


def test_the_kernel_looks_for_no_deadlocks_among_open_file_descriptions(tmp_path: Path) -> None:
    """Two processes, so two descriptions: their owners could be anywhere, fcntl(2) says."""
    assert circle(tmp_path, 2, OF_DESCRIPTIONS) == {}
