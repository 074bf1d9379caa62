"""The rows of scenarios that were tried.

Synchronous. The supervisor's process writes them, every process of the site reads them.

Invariants
  B1  Bounded: ROWS_MAX runs, and texts that are cut.
  B2  A run that is under way has a runner; one whose site has ended is over, and says what is still to be put back.
Elsewhere: running one (runner, course), the page (dlmsite.dashboard.scenarios).
"""

import time
from typing import Any, Final

from django.db.models import F

from dlmsite.operations.models import ScenarioRun, ScenarioState

ROWS_MAX: Final = 100
TEXT_CHARS_MAX: Final = 500
UNDER_WAY: Final = (ScenarioState.RUNNING, ScenarioState.ENDING)
CRASHED: Final = "the site ended while this was under way; what it had stopped is started again"


def begin(who: str, scenario: str) -> int:
    """Write down that one begins; return its id. The oldest ones go."""
    row = ScenarioRun.objects.create(who=who, scenario=scenario, started_ns=time.time_ns())
    kept = ScenarioRun.objects.order_by("-id").values_list("id", flat=True)[:ROWS_MAX]
    ScenarioRun.objects.exclude(id__in=list(kept)).delete()
    return int(row.pk)


def write(run_id: int, **values: Any) -> None:
    """Write down how it is."""
    ScenarioRun.objects.filter(pk=run_id).update(changed=F("changed") + 1, **values)


def finish(run_id: int, state: ScenarioState, detail: str, **values: Any) -> None:
    """Say how it ended."""
    write(run_id, state=state, detail=detail[:TEXT_CHARS_MAX], ended_ns=time.time_ns(), **values)


def abandon() -> list[tuple[str, list[str]]]:
    """At the supervisor's start: end what an earlier site had begun; return who tried it, and which nodes it ended."""
    left = list(ScenarioRun.objects.filter(state__in=UNDER_WAY))
    for row in left:
        finish(row.pk, ScenarioState.CANCELLED, CRASHED, ended_by_it=[])
    return [(row.who, list(row.ended_by_it)) for row in left]


def newest() -> ScenarioRun | None:
    """Return the one that is under way, or was last."""
    return ScenarioRun.objects.order_by("-id").first()


def sign() -> dict[str, str] | None:
    """Return what tells a page that there is something to read: which run, its state, and how often it was written."""
    found = ScenarioRun.objects.order_by("-id").values_list("id", "state", "changed").first()
    return None if found is None else {"id": str(found[0]), "state": found[1], "changed": str(found[2])}
