"""A report as text and as Markdown.

Elsewhere: its figures (report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lockcore.testing.history import Call

if TYPE_CHECKING:
    from lockcore.testing.chaos.report import Report, Row

RULES: Final = "I1 to I7, I9, I10, I12"
VIOLATIONS_TOLD_MAX: Final = 50


def verdict_of(report: Report, whole: Row) -> str:
    """Return the one line that matters."""
    told = f"{len(report.violations)} violations of {RULES} in {whole.trials} faults"
    if whole.bound_percent is not None:
        told += f": below {whole.bound_percent:.1f} % of faults at 95 % confidence (3/n)"
    return f"{told}; {len(report.lost)} acknowledged locks lost"


def as_text(report: Report, whole: Row) -> str:
    """Return the report for a terminal."""
    told = [" ".join(f"{name}={value}" for name, value in report.settings.items()), ""]
    told.append(
        f"{'fault':28}{'trials':>7}{'violations':>11}{'lost':>6}{'bound %':>9}{'p50 ms':>9}{'p99 ms':>9}"
        f"{'samples':>8}{'aside':>6}{'not back':>9}{'away ms':>9}{'unsettled':>10}"
    )
    for row in (*report.rows, whole):
        figures = row.figures()
        told.append(
            f"{row.title:28}{row.trials:>7}{row.violations:>11}{row.locks_lost:>6}{_one(row.bound_percent):>9}"
            f"{_whole(figures['failover_p50_ms']):>9}{_whole(figures['failover_p99_ms']):>9}"
            f"{figures['failover_samples']:>8}{row.set_aside:>6}{row.never_back:>9}{row.unavailable_mean_ms:>9.0f}"
            f"{row.not_settled:>10}"
        )
    told += ["", verdict_of(report, whole), *_remarks(report)]
    told += [f"{trial.kind.value} of {trial.target}: {trial.problem}" for trial in report.trials if trial.problem]
    told += [f"lost: {_line(call)}" for call in report.lost]
    told += [f"ended by itself: {name}" for name in report.died]
    for violation in report.violations[:VIOLATIONS_TOLD_MAX]:
        told += ["", f"VIOLATION of {violation.rule}: {violation.text}", *(f"  {_line(c)}" for c in violation.calls)]
    if len(report.violations) > VIOLATIONS_TOLD_MAX:
        told += ["", f"and {len(report.violations) - VIOLATIONS_TOLD_MAX} more, in report.json"]
    return "\n".join(told) + "\n"


def as_markdown(report: Report, whole: Row) -> str:
    """Return the report for a page."""
    names = ["fault", "trials", "violations", "locks lost", "bound (3/n)", "failover p50", "p99", "samples"]
    names += ["set aside", "unavailable", "unsettled"]
    told = [f"| {' | '.join(names)} |", "|---" + "|--:" * (len(names) - 1) + "|"]
    for row in (*report.rows, whole):
        figures = row.figures()
        told.append(
            f"| {row.title} | {row.trials} | {row.violations} | {row.locks_lost} | {_one(row.bound_percent, ' %')} "
            f"| {_whole(figures['failover_p50_ms'], ' ms')} | {_whole(figures['failover_p99_ms'], ' ms')} "
            f"| {figures['failover_samples']} | {row.set_aside} | {row.unavailable_mean_ms:.0f} ms "
            f"| {row.not_settled} |"
        )
    told += ["", f"{verdict_of(report, whole)}.", *(f"{remark}." for remark in _remarks(report))]
    return "\n".join(told) + "\n"


def _remarks(report: Report) -> list[str]:
    stalls = f"{report.stalls} stalls above 100 ms, the longest {report.longest_stall_ms:.0f} ms"
    held = [trial.held for trial in report.trials if trial.held is not None]
    empty = sum(not number for number in held)
    of_clients = f"in {len(held)} faults of clients they held {sum(held)} locks at first, in {empty} of them none"
    return [
        *([of_clients] if held else []),
        "judged: " + ", ".join(f"{number} {name}" for name, number in report.judged.items()),
        f"{report.grants_in_faults} locks granted while a fault was on",
        f"{stalls}; latency measured across one is set aside, safety is judged always",
        "calls: " + ", ".join(f"{name} {number}" for name, number in report.calls.items()),
    ]


def _whole(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.0f}{unit}"


def _one(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.1f}{unit}"


def _line(record: object) -> str:
    if not isinstance(record, Call):
        return str(record)
    call = record
    outcome = "no answer" if call.ok is None else "ok" if call.ok else call.code
    return (
        f"{call.client} {call.did.value} {call.key} ttl {call.ttl_ms} ms: {outcome}, generation {call.generation} "
        f"seq {call.seq}, asked {call.invoked_ns} told {call.returned_ns}"
    )
