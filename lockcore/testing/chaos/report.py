"""What came of a run: judged, and counted by kinds of faults.

Elsewhere: how each figure is measured (measure), the rules (lockcore.testing.history),
how it is told to people (tables).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lockcore.testing.chaos.beliefs import check_beliefs
from lockcore.testing.chaos.holds import check_holds
from lockcore.testing.chaos.kinds import Kind, Trial
from lockcore.testing.chaos.measure import Cost, Watched, cost_of, lost_locks
from lockcore.testing.chaos.tables import as_markdown, as_text, verdict_of
from lockcore.testing.history import Call, Did, History, Violation, check

if TYPE_CHECKING:
    from pathlib import Path

    from lockcore.testing.chaos.facts import Journal
    from lockcore.testing.chaos.records import Recorded

OUTSIDE: Final = "(no fault)"
RULE_OF_THREE: Final = 3
VIOLATIONS_MAX: Final = 1_000
"""So many are told to a program, in one line of less than a megabyte or two."""


@dataclass(slots=True)
class Row:
    """All trials of one kind of fault."""

    kind: str
    title: str
    trials: int = 0
    violations: int = 0
    locks_lost: int = 0
    not_settled: int = 0
    never_back: int = 0
    set_aside: int = 0
    failovers_ms: list[float] = field(default_factory=list)
    unavailable_ms: list[float] = field(default_factory=list)

    def add(self, cost: Cost, *, settled: bool) -> None:
        """Count one more trial."""
        self.trials += 1
        self.not_settled += not settled
        self.never_back += cost.never_back
        self.set_aside += cost.set_aside
        self.failovers_ms += cost.failover_ms
        self.unavailable_ms.append(cost.unavailable_ms)

    @property
    def bound_percent(self) -> float | None:
        """The share of such faults below which violations lie at 95 % confidence (3/n), None where there were any."""
        return None if self.violations or not self.trials else min(100.0, 100 * RULE_OF_THREE / self.trials)

    @property
    def unavailable_mean_ms(self) -> float:
        """How long a probe's lock could not be renewed, on average over probes and trials."""
        return sum(self.unavailable_ms) / max(1, len(self.unavailable_ms))

    def figures(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "kind": self.kind,
            "title": self.title,
            "trials": self.trials,
            "violations": self.violations,
            "locks_lost": self.locks_lost,
            "not_settled": self.not_settled,
            "never_back": self.never_back,
            "set_aside": self.set_aside,
            "failover_samples": len(self.failovers_ms),
            "failover_p50_ms": percentile(self.failovers_ms, 0.5),
            "failover_p99_ms": percentile(self.failovers_ms, 0.99),
            "unavailable_mean_ms": self.unavailable_mean_ms,
            "bound_percent": self.bound_percent,
        }


@dataclass(slots=True)
class Report:
    """One run, judged. `judged`: how many records of each sort there were."""

    settings: dict[str, Any]
    rows: list[Row]
    trials: list[Trial]
    violations: list[Violation]
    lost: list[Call]
    calls: dict[str, int]
    judged: dict[str, int]
    grants_in_faults: int
    stalls: int
    longest_stall_ms: float
    died: list[str]


def judge(
    settings: dict[str, Any], trials: list[Trial], recorded: Recorded, journal: Journal, history: History
) -> Report:
    """Check a run's records and measure its trials."""
    lost = lost_locks(recorded.calls)
    violations = [
        *check(history),
        *check_beliefs(recorded.beliefs, recorded.calls),
        *check_holds(recorded.holds),
        *(Violation("I5", f"{program} lost {what} at {at_ns}") for program, what, at_ns in recorded.losses),
        *journal.objections(recorded.calls),
        *(Violation("I5", f"{call.key} was lost within its lease", (call,)) for call in lost),
    ]
    rows = {kind: Row(kind.code, kind.value) for kind in Kind}
    outside = Row("", OUTSIDE)
    watched = Watched()
    watched.add(recorded)
    for trial in trials:
        rows[trial.kind].add(cost_of(trial, watched), settled=not trial.problem)

    def during(at_ns: int) -> Row:
        begun = [trial for trial in trials if trial.begun_ns <= at_ns]
        return rows[begun[-1].kind] if begun else outside

    for trial in trials:
        rows[trial.kind].violations += len(trial.broken)
    for violation in violations:
        during(max((_moment(record) for record in violation.calls), default=0)).violations += 1
    violations += [Violation(rule, text) for trial in trials for rule, text in trial.broken]
    for call in lost:
        during(call.returned_ns).locks_lost += 1
    grants = [call for call in recorded.calls if call.did is Did.ACQUIRE and call.ok]
    stalls_ms = [(end_ns - begin_ns) / 1e6 for begin_ns, end_ns in recorded.stalls]
    return Report(
        settings=settings,
        rows=[row for row in (*rows.values(), outside) if row.trials or row.violations or row.locks_lost],
        trials=trials,
        violations=_in_turn(violations),
        lost=lost,
        calls=_count(recorded.calls),
        judged={
            "calls": len(history.calls),
            "deeds": len(history.deeds),
            "writes": len(history.writes),
            "facts": journal.checked,
            "beliefs": len(recorded.beliefs),
            "holds in sessions": len(recorded.holds),
        },
        grants_in_faults=sum(any(t.begun_ns < c.returned_ns < t.settled_ns for t in trials) for c in grants),
        stalls=len(stalls_ms),
        longest_stall_ms=max(stalls_ms, default=0.0),
        died=[],
    )


def _moment(record: object) -> int:
    return record.returned_ns if isinstance(record, Call) else int(getattr(record, "at_ns", 0))


def _count(calls: list[Call]) -> dict[str, int]:
    out: dict[str, int] = {}
    for call in calls:
        name = f"{call.did.value} {'unknown' if call.ok is None else 'ok' if call.ok else call.code}"
        out[name] = out.get(name, 0) + 1
    return dict(sorted(out.items()))


def percentile(values: list[float], share: float) -> float | None:
    """Return the value below which `share` of them lie, None of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def total(report: Report) -> Row:
    """Return all rows as one."""
    out = Row("all", "all")
    for row in report.rows:
        out.trials += row.trials
        out.violations += row.violations
        out.locks_lost += row.locks_lost
        out.not_settled += row.not_settled
        out.never_back += row.never_back
        out.set_aside += row.set_aside
        out.failovers_ms += row.failovers_ms
        out.unavailable_ms += row.unavailable_ms
    return out


def _in_turn(violations: list[Violation]) -> list[Violation]:
    """Return them as they are listed: the first of every rule before the many of one."""
    seen: Counter[str] = Counter()
    ranked = []
    for violation in violations:
        seen[violation.rule] += 1
        ranked.append((seen[violation.rule], violation))
    ranked.sort(key=lambda pair: pair[0])
    return [violation for _, violation in ranked]


def summary(report: Report) -> dict[str, Any]:
    """Return what fits on a page: verdict, rows, and what contradicts what."""
    whole = total(report)
    return {
        "verdict": verdict_of(report, whole),
        "trials": whole.trials,
        "violations": [
            {"rule": v.rule, "text": v.text, "records": [str(record) for record in v.calls]}
            for v in report.violations[:VIOLATIONS_MAX]
        ],
        "violations_found": len(report.violations),
        "lost": len(report.lost),
        "bound_percent": whole.bound_percent,
        "judged": report.judged,
        "rows": [row.figures() for row in report.rows],
    }


def as_json(report: Report) -> dict[str, Any]:
    """Return all of the report; times in ms, of trials in CLOCK_BOOTTIME ns."""
    out = asdict(report)
    out["rows"] = [raw | row.figures() for raw, row in zip(out["rows"], report.rows, strict=True)]
    out["total"] = total(report).figures()
    return out


def write(report: Report, folder: Path) -> str:
    """Write report.json, report.md and report.txt; return the text."""
    whole = total(report)
    text = as_text(report, whole)
    (folder / "report.json").write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(as_markdown(report, whole), encoding="utf-8")
    (folder / "report.txt").write_text(text, encoding="utf-8")
    return text
