"""What is told of a run while it goes on: lines for people, or JSON for a program that started it.

Elsewhere: the shape of the JSON (__main__).
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from lockcore.client.clock import boot_ns
from lockcore.testing.chaos.ending import Told

if TYPE_CHECKING:
    from lockcore.testing.chaos.kinds import Trial
    from lockcore.testing.chaos.measure import Cost


class Voice(Protocol):
    """Who tells."""

    def started(self, settings: dict[str, Any], faults: int | None) -> None: ...  # noqa: D102 - see Lines
    def begun(self, trial: Trial) -> None: ...  # noqa: D102
    def over(self, trial: Trial, cost: Cost) -> None: ...  # noqa: D102
    def checked(self, events: int, violations: int) -> None: ...  # noqa: D102
    def report(self, told: dict[str, Any], text: str, code: int) -> None: ...  # noqa: D102
    def failed(self, text: str, code: int) -> None: ...  # noqa: D102


class Text:
    """For people."""

    def started(self, settings: dict[str, Any], faults: int | None) -> None:
        """Tell that the cluster is there."""
        whole = "" if faults is None else f"; {faults} faults follow"
        self._tell(f"{settings['nodes']} nodes are settled{whole}")

    def begun(self, trial: Trial) -> None:
        """Tell nothing: the line comes when it is over."""

    def over(self, trial: Trial, cost: Cost) -> None:
        """Tell of a fault."""
        lasted_s = (trial.settled_ns - trial.begun_ns) / 1e9
        what = trial.problem or f"settled {(trial.settled_ns - trial.healed_ns) / 1e9:.2f} s after its end"
        median_ms = cost.median_ms
        away = [] if median_ms is None else [f"failover {median_ms:.0f} ms"]
        self._tell("; ".join([f"{trial.kind.value} of {trial.target}: {lasted_s:.2f} s, {what}", *away, *trial.notes]))

    def checked(self, events: int, violations: int) -> None:
        """Tell nothing: the report says it."""

    def report(self, told: dict[str, Any], text: str, code: int) -> None:
        """Tell the report."""
        del code
        self._tell(f"\n{text}\nrecords and logs: {told['folder']}")

    def failed(self, text: str, code: int) -> None:
        """Tell why there is no report."""
        del code
        sys.stderr.write(f"chaos {text}\n")

    def _tell(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Lines:
    """For programs: one JSON object per line on stdout."""

    def __init__(self) -> None:
        self._begun_ns = boot_ns()
        self._checked = (0, 0)

    def started(self, settings: dict[str, Any], faults: int | None) -> None:
        """Tell that the cluster is there and faults will follow."""
        self._begun_ns = boot_ns()
        self._tell("started", wall_ms=time.time_ns() // 1_000_000, faults=faults, **settings)

    def begun(self, trial: Trial) -> None:
        """Tell of a fault that begins."""
        self._tell("fault", phase="begun", **self._about(trial))

    def over(self, trial: Trial, cost: Cost) -> None:
        """Tell of a fault that is over, and of what it cost."""
        self._tell(
            "fault",
            phase="over",
            **self._about(trial),
            lasted_ms=(trial.healed_ns - trial.begun_ns) // 1_000_000,
            settled_ms=(trial.settled_ns - trial.healed_ns) // 1_000_000,
            failover_ms=None if cost.median_ms is None else round(cost.median_ms),
            problem=trial.problem,
            notes=trial.notes,
        )

    def checked(self, events: int, violations: int) -> None:
        """Tell how much was checked, where that is news."""
        if (events, violations) != self._checked:
            self._checked = (events, violations)
            self._tell("checked", events=events, violations=violations)

    def report(self, told: dict[str, Any], text: str, code: int) -> None:
        """Tell the verdict."""
        self._tell("report", exit_code=code, text=text, **told)

    def failed(self, text: str, code: int) -> None:
        """Tell why there is no report."""
        with suppress(Told):
            self._tell("failed", exit_code=code, text=text)

    def _about(self, trial: Trial) -> dict[str, Any]:
        return {"number": trial.number, "kind": trial.kind.code, "title": trial.kind.value, "target": trial.target}

    def _tell(self, what: str, /, **fields: Any) -> None:
        line = {"type": what, "at_ms": (boot_ns() - self._begun_ns) // 1_000_000, **fields}
        try:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise Told("nobody reads what it tells") from None
