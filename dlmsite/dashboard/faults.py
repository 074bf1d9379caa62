"""What is done to the cluster on purpose, as the browser gets it: HOLDs and the REHEARSAL.

Elsewhere: the rows (dlmsite.operations.holdrows, rehearsalrows), the rest of the picture (picture).
"""

from typing import Any

from dlmsite.operations import holdrows, rehearsalrows
from dlmsite.operations.models import Hold, Rehearsal
from dlmsite.operations.scenarios import rows as scenariorows

NS_PER_MS = 1_000_000


def holds() -> list[dict[str, Any]]:
    """Return every HOLD that was seen."""
    return [hold_of(row) for row in holdrows.seen()]


def rehearsal() -> dict[str, Any] | None:
    """Return the REHEARSAL that runs or ran last; None if there was none."""
    row = rehearsalrows.newest()
    return None if row is None else rehearsal_of(row)


def scenario() -> dict[str, str] | None:
    """Return a SIGN of the scenario that runs or ran last: pages read the rest when it has changed."""
    return scenariorows.sign()


def hold_of(row: Hold) -> dict[str, Any]:
    """Return a HOLD; `until_ms` is null where only an operator ends it."""
    return {
        "label": row.label,
        "kind": row.kind,
        "scope": row.scope,
        "way": row.way,
        "who": row.who,
        "text": holdrows.tell(row),
        "since_ms": _ms(row.since_ns),
        "until_ms": _ms(row.until_ns),
    }


def rehearsal_of(row: Rehearsal) -> dict[str, Any]:
    """Return a REHEARSAL."""
    return {
        "id": str(row.pk),
        "who": row.who,
        "seconds": row.seconds,
        "nodes": row.nodes,
        "seed": row.seed,
        "state": row.state,
        "detail": row.detail,
        "lines": row.lines,
        "events": str(row.events),
        "violations": row.violations,
        "report": row.report,
        "started_ms": _ms(row.started_ns),
        "faults_ms": _ms(row.faults_ns),
        "ended_ms": _ms(row.ended_ns),
    }


def _ms(ns: int | None) -> float | None:
    return None if ns is None else ns / NS_PER_MS
