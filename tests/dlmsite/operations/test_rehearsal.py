"""A rehearsal is its own report: what it says is kept, one that says nothing has failed, and none outlives its stop."""

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dlmsite.operations import rehearsalrows
from dlmsite.operations.logfiles import NodeLogs
from dlmsite.operations.models import Rehearsal
from dlmsite.operations.procs import identify
from dlmsite.operations.rehearsal import RehearsalRunner
from dlmsite.operations.supervisor import OperationProblem
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

STARTED = {"type": "started", "at_ms": 0, "nodes": 3}
BEGUN = {"type": "fault", "phase": "begun", "number": 1, "kind": "kill_seen", "title": "kill, seen", "target": "n2"}
OVER = BEGUN | {"phase": "over", "settled_ms": 1100, "failover_ms": 93, "problem": "", "notes": []}
CHECKED = {"type": "checked", "events": 4711, "violations": 0}
ROW = {"title": "kill, seen", "trials": 1, "violations": 0, "locks_lost": 0, "failover_p50_ms": 93.0}
REPORT = {
    "type": "report", "exit_code": 0, "verdict": "0 violations in 1 faults", "trials": 1, "violations": [], "lost": 0,
    "bound_percent": 100.0, "rows": [ROW], "folder": "/somewhere", "text": "long",
}  # fmt: skip
VIOLATION = {"rule": "I1", "text": "two holds of a key overlap", "records": ["a", "b"]}


async def run_here(step: Callable[[], Any]) -> Any:
    return await sync_to_async(step)()


def runner(folder: Path, *lines: dict[str, Any], then: str = "", code: int = 0) -> RehearsalRunner:
    """One whose process prints these lines, and then does what `then` says."""
    script = f"import sys, time\nprint({chr(10).join(map(json.dumps, lines))!r}, flush=True)\n{then}\nsys.exit({code})"

    def command(_folder: Path, _seconds: int, _nodes: int, _seed: int) -> Sequence[str]:
        return [sys.executable, "-c", script]

    return RehearsalRunner(folder, NodeLogs(folder), run_here, lambda: None, command)


async def newest() -> Rehearsal:
    row: Rehearsal | None = await sync_to_async(rehearsalrows.newest)()
    assert row is not None
    return row


async def test_a_report_without_a_violation_has_passed_and_is_kept(tmp_path: Path) -> None:
    told = await runner(tmp_path, STARTED, BEGUN, OVER, CHECKED, REPORT).rehearse(20, 3, 7, "ada")
    row = await newest()
    assert told == "0 violations in 1 faults"
    assert (row.state, row.who, row.seconds, row.nodes, row.seed) == ("passed", "ada", 20, 3, 7)
    assert (row.events, row.violations) == (4711, 0)
    assert [(line["number"], line["phase"], line["failover_ms"]) for line in row.lines] == [(1, "over", 93)]
    assert row.report is not None
    assert row.report["rows"][0]["failover_p50_ms"] == 93.0
    assert "folder" not in row.report


async def test_a_violation_is_kept_with_its_text(tmp_path: Path) -> None:
    report = REPORT | {"violations": [VIOLATION], "exit_code": 1, "verdict": "1 violation"}
    await runner(tmp_path, STARTED, report, code=1).rehearse(20, 3, 7, "ada")
    row = await newest()
    assert (row.state, row.violations) == ("violated", 1)
    assert row.report is not None
    assert row.report["violations"] == [VIOLATION]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([STARTED, {"type": "failed", "exit_code": 2, "text": "could not begin: no port"}], "could not begin: no port"),
        ([STARTED], "no more to say"),
        ([STARTED, REPORT | {"exit_code": 2, "verdict": "a node died"}], "a node died"),
    ],
)
async def test_what_did_not_run_to_its_end_has_failed_and_says_why(
    tmp_path: Path, lines: list[dict[str, Any]], why: str
) -> None:
    """An empty report must never look like a passed one."""
    with pytest.raises(OperationProblem, match=why):
        await runner(tmp_path, *lines, then="sys.stderr.write('no more to say')", code=2).rehearse(20, 3, 7, "ada")
    row = await newest()
    assert (row.state, row.detail) == ("failed", why)


async def test_a_program_that_talks_nonsense_has_failed(tmp_path: Path) -> None:
    with pytest.raises(OperationProblem, match="the rehearsal has failed"):
        await runner(tmp_path, then="print('not json', flush=True)").rehearse(20, 3, 7, "ada")
    assert (await newest()).state == "failed"


async def test_there_is_one_at_a_time_and_it_can_be_stopped(tmp_path: Path) -> None:
    rehearsals = runner(tmp_path, STARTED, then="time.sleep(60)")
    running = asyncio.create_task(rehearsals.rehearse(20, 3, 7, "ada"))
    await until(lambda: rehearsals._process)
    process = rehearsals._process
    assert process is not None
    with pytest.raises(OperationProblem, match="running already"):
        await rehearsals.rehearse(20, 3, 7, "eve")
    assert "its processes have ended" in await rehearsals.stop()
    assert "stopped by an operator" in await running
    assert identify(process.pid) is None
    assert (await newest()).state == "stopped"
    assert await rehearsals.stop() == "no rehearsal was running"


async def test_a_rehearsal_that_was_interrupted_leaves_no_process(tmp_path: Path) -> None:
    rehearsals = runner(tmp_path, STARTED, then="time.sleep(60)")
    running = asyncio.create_task(rehearsals.rehearse(20, 3, 7, "ada"))
    await until(lambda: rehearsals._process)
    process = rehearsals._process
    assert process is not None
    running.cancel()
    await until(lambda: identify(process.pid) is None)


async def test_the_next_site_knows_that_it_ended_with_the_last_one() -> None:
    number = await sync_to_async(rehearsalrows.begin)("ada", 20, 3, 7)
    await sync_to_async(rehearsalrows.abandon)()
    row = await newest()
    assert (row.pk, row.state) == (number, "stopped")
    assert "the site ended" in row.detail


async def test_only_the_last_rehearsals_are_kept() -> None:
    for seed in range(rehearsalrows.ROWS_MAX + 3):
        await sync_to_async(rehearsalrows.begin)("ada", 20, 3, seed)
    assert await Rehearsal.objects.acount() == rehearsalrows.ROWS_MAX
    assert (await newest()).seed == rehearsalrows.ROWS_MAX + 2


async def test_a_report_is_no_larger_than_a_page_can_show() -> None:
    found = {"rule": "I1" * 99, "text": "x" * 9999, "records": ["y" * 9999] * 99}
    report = rehearsalrows.bounded(REPORT | {"violations": [found] * 999, "rows": [ROW] * 999})
    assert len(json.dumps(report)) < 64 * 1024
    assert report["violations_total"] == 999
