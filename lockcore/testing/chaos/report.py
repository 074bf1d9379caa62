"""What came of a run, as JSON for programs and as a table for people.

Elsewhere: how each figure is measured (measure, lockcore.testing.history).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lockcore.testing.chaos.faults import Kind, Trial
from lockcore.testing.chaos.measure import Cost, cost_of, lost_locks
from lockcore.testing.history import Call, Did, History, Violation, check

if TYPE_CHECKING:
    from pathlib import Path

    from lockcore.testing.chaos.records import Recorded

RULES: Final = "I1, I2, I3, I6"
OUTSIDE: Final = "(no fault)"
RULE_OF_THREE: Final = 3


@dataclass(slots=True)
class Row:
    """All trials of one kind of fault."""

    kind: str
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


@dataclass(slots=True)
class Report:
    """One run, judged."""

    settings: dict[str, Any]
    rows: list[Row]
    trials: list[Trial]
    violations: list[Violation]
    lost: list[Call]
    calls: dict[str, int]
    grants_in_faults: int
    stalls: int
    longest_stall_ms: float
    died: list[str]


def judge(settings: dict[str, Any], trials: list[Trial], recorded: Recorded, margin: float) -> Report:
    """Check a run's history and measure its trials."""
    violations = check(History(margin=margin, calls=recorded.calls))
    lost = lost_locks(recorded.calls)
    rows = {kind.value: Row(kind.value) for kind in Kind}
    rows[OUTSIDE] = Row(OUTSIDE)
    for trial in trials:
        rows[trial.kind.value].add(cost_of(trial, recorded), settled=not trial.problem)
    for violation in violations:
        at_ns = max((call.returned_ns for call in violation.calls if isinstance(call, Call)), default=0)
        rows[_during(trials, at_ns)].violations += 1
    for call in lost:
        rows[_during(trials, call.returned_ns)].locks_lost += 1
    grants = [call for call in recorded.calls if call.did is Did.ACQUIRE and call.ok]
    stalls_ms = [(end_ns - begin_ns) / 1e6 for begin_ns, end_ns in recorded.stalls]
    return Report(
        settings=settings,
        rows=[row for row in rows.values() if row.trials or row.violations or row.locks_lost],
        trials=trials,
        violations=violations,
        lost=lost,
        calls=_count(recorded.calls),
        grants_in_faults=sum(any(t.begun_ns < c.returned_ns < t.settled_ns for t in trials) for c in grants),
        stalls=len(stalls_ms),
        longest_stall_ms=max(stalls_ms, default=0.0),
        died=[],
    )


def _during(trials: list[Trial], at_ns: int) -> str:
    """Return the kind of the last fault that had begun."""
    begun = [trial for trial in trials if trial.begun_ns <= at_ns]
    return begun[-1].kind.value if begun else OUTSIDE


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


def as_json(report: Report) -> dict[str, Any]:
    """Return the report for programs; times in ms, of trials in CLOCK_BOOTTIME ns."""
    out = asdict(report)
    for row in out["rows"]:
        failovers = row.pop("failovers_ms")
        row["failover_samples"] = len(failovers)
        row["failover_p50_ms"] = percentile(failovers, 0.5)
        row["failover_p99_ms"] = percentile(failovers, 0.99)
        row["unavailable_mean_ms"] = sum(row["unavailable_ms"]) / max(1, len(row["unavailable_ms"]))
    return out


def as_text(report: Report) -> str:
    """Return the report for people."""
    told = [" ".join(f"{name}={value}" for name, value in report.settings.items()), ""]
    told.append(
        f"{'fault':24}{'trials':>7}{'violations':>11}{'lost':>6}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'samples':>8}{'aside':>6}{'not back':>9}{'away ms':>9}{'unsettled':>10}"
    )
    for row in report.rows:
        away_ms = sum(row.unavailable_ms) / max(1, len(row.unavailable_ms))
        told.append(
            f"{row.kind:24}{row.trials:>7}{row.violations:>11}{row.locks_lost:>6}"
            f"{_ms(percentile(row.failovers_ms, 0.5)):>9}{_ms(percentile(row.failovers_ms, 0.99)):>9}"
            f"{len(row.failovers_ms):>8}{row.set_aside:>6}{row.never_back:>9}{away_ms:>9.0f}{row.not_settled:>10}"
        )
    trials = len(report.trials)
    told += [
        "",
        f"{len(report.violations)} violations of {RULES} in {sum(report.calls.values())} calls, {trials} faults",
    ]
    if trials and not report.violations:
        told[-1] += f": below {min(100.0, 100 * RULE_OF_THREE / trials):.1f} % of faults at 95 % confidence (3/n)"
    told.append(
        f"{report.grants_in_faults} locks granted while a fault was on; {len(report.lost)} acknowledged ones lost"
    )
    told.append(
        f"{report.stalls} stalls above 100 ms, the longest {report.longest_stall_ms:.0f} ms; "
        "latency measured across one is set aside, safety is judged always"
    )
    told.append("calls: " + ", ".join(f"{name} {number}" for name, number in report.calls.items()))
    told += [f"{trial.kind.value} of {trial.target}: {trial.problem}" for trial in report.trials if trial.problem]
    told += [f"lost: {_line(call)}" for call in report.lost]
    told += [f"ended by itself: {name}" for name in report.died]
    for violation in report.violations:
        told += ["", f"VIOLATION of {violation.rule}: {violation.text}", *(f"  {_line(c)}" for c in violation.calls)]
    return "\n".join(told) + "\n"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _line(call: object) -> str:
    if not isinstance(call, Call):
        return str(call)
    outcome = "no answer" if call.ok is None else "ok" if call.ok else call.code
    return (
        f"{call.client} {call.did.value} {call.key} ttl {call.ttl_ms} ms: {outcome}, generation {call.generation} "
        f"seq {call.seq}, asked {call.invoked_ns} told {call.returned_ns}"
    )


def write(report: Report, folder: Path) -> str:
    """Write report.json and report.txt; return the text."""
    text = as_text(report)
    (folder / "report.json").write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    (folder / "report.txt").write_text(text, encoding="utf-8")
    return text
