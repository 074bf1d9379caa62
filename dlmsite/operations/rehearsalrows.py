"""The rows of rehearsals: what is told while one runs, and the reports of the last ones.

Synchronous. The supervisor's process writes them, every process of the site reads them.

Invariants
  B1  Bounded: ROWS_MAX rehearsals, LINES_MAX lines of each, and texts that are cut.
  B2  A rehearsal that runs has a process; one whose site has ended has ended with it.
Elsewhere: running one (rehearsal), the page (dlmsite.dashboard.picture).
"""

import time
from typing import Any, Final

from dlmsite.operations.models import Rehearsal, RehearsalState

ROWS_MAX: Final = 20
LINES_MAX: Final = 12
LINE_CHARS_MAX: Final = 300
VIOLATIONS_MAX: Final = 10
RECORDS_MAX: Final = 6
FAULTS_MAX: Final = 32
"""More than there are kinds."""

Told = dict[str, Any]


def begin(who: str, seconds: int, nodes: int, seed: int) -> int:
    """Write down that one starts; return its id. The oldest ones go."""
    row = Rehearsal.objects.create(who=who, seconds=seconds, nodes=nodes, seed=seed, started_ns=time.time_ns())
    kept = Rehearsal.objects.order_by("-id").values_list("id", flat=True)[:ROWS_MAX]
    Rehearsal.objects.exclude(id__in=list(kept)).delete()
    return int(row.pk)


def note(rehearsal_id: int, told: Told) -> None:
    """Write down a line of progress."""
    row = Rehearsal.objects.get(pk=rehearsal_id)
    match told.get("type"):
        case "started":
            row.faults_ns = time.time_ns()
        case "checked":
            row.events, row.violations = int(told["events"]), int(told["violations"])
        case "fault":
            line = {
                name: told.get(name) for name in ("number", "phase", "title", "target", "settled_ms", "failover_ms")
            }
            line["problem"] = str(told.get("problem") or "")[:LINE_CHARS_MAX]
            row.lines = [*(old for old in row.lines if old["number"] != line["number"]), line][-LINES_MAX:]
        case _:
            return
    row.save()


def finish(rehearsal_id: int, state: RehearsalState, detail: str, report: Told | None = None) -> None:
    """Say how it ended."""
    row = Rehearsal.objects.get(pk=rehearsal_id)
    row.state, row.detail, row.ended_ns = state, detail[:LINE_CHARS_MAX], time.time_ns()
    if report is not None:
        row.report = bounded(report)
        row.violations = max(row.violations, len(report["violations"]))
    row.save()


def abandon() -> None:
    """At the supervisor's start: nothing runs that an earlier site had started (B2)."""
    running = Rehearsal.objects.filter(state=RehearsalState.RUNNING)
    running.update(
        state=RehearsalState.STOPPED, detail="the site ended, and this rehearsal with it", ended_ns=time.time_ns()
    )


def newest() -> Rehearsal | None:
    """Return the one that runs, or ran last."""
    return Rehearsal.objects.order_by("-id").first()


def bounded(report: Told) -> Told:
    """Return of a report what the page shows, and no more of it than the page can show (B1)."""
    rows = [
        {name: row.get(name) for name in (
            "title", "trials", "violations", "locks_lost", "failover_p50_ms", "failover_p99_ms", "failover_samples",
            "unavailable_mean_ms", "not_settled",
        )}
        for row in report["rows"][:FAULTS_MAX]
    ]  # fmt: skip
    violations = [
        {
            "rule": str(found.get("rule", ""))[:16],
            "text": str(found.get("text", ""))[:LINE_CHARS_MAX],
            "records": [str(record)[:LINE_CHARS_MAX] for record in found.get("records", [])[:RECORDS_MAX]],
        }
        for found in report["violations"][:VIOLATIONS_MAX]
    ]
    return {
        "rows": rows,
        "violations": violations,
        "violations_total": len(report["violations"]),
        "trials": report.get("trials"),
        "lost": report.get("lost"),
        "bound_percent": report.get("bound_percent"),
        "verdict": str(report.get("verdict", ""))[:LINE_CHARS_MAX],
    }
