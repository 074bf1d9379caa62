"""Sets what happened beside what a plan foresaw: at any time while it runs, and for good when the ring has settled.

Invariants
  L1  The final judgement is made when every fact is a row: each living node is recorded to have settled in the last
      view, and a node's facts are recorded in their order. Where that does not come in time, it says so (`complete`).
Elsewhere: the judgement of each lock (outcomes), the rows (planrows), who calls (helm, dlmsite.dashboard.plan).
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from dlmsite.operations import planrows
from dlmsite.operations.models import ChangePlan
from dlmsite.operations.outcomes import Expected, Outcome, Verdict, judge, table
from dlmsite.operations.ports import Master, RunInJournal
from dlmsite.operations.turns import at_rest
from dlmsite.operations.waiting import comes_true
from lockcore.core.ring import HashRing

LOOK_S: Final = 0.3
SETTLE_S: Final = 120.0
RECORD_S: Final = 30.0
LEFTOVERS_S: Final = 1.0
"""For what a killed node had not yet told: it is read from its file as soon as its end was seen."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """A plan's locks with what became of each, and the totals."""

    happened: Json
    expected: list[Expected]
    outcomes: list[Outcome]


def judge_now(plan: ChangePlan, view: int, up: Collection[str], *, complete: bool) -> Judged:
    """Return how a plan has come out by now.

    Args:
        plan: its row.
        view: the newest one.
        up: addresses that are up in it.
        complete: whether all facts are recorded, as far as anybody can tell.
    """
    expected = planrows.expected_of(plan)
    facts = planrows.facts_since(plan.after_event)
    outcomes = judge(expected, facts.rows, up)
    counts = table(expected, outcomes)
    foreseen = {node["address"] for node in plan.foreseen["nodes"] if node["after"]}
    before = HashRing(node["address"] for node in plan.foreseen["nodes"] if node["before"])
    happened = {
        "view": str(view),
        "at_ns": str(time.time_ns()),
        "complete": complete and not facts.cut,
        "gaps": facts.gaps,
        "compared": len(expected),
        "fates": {fate.value: {v.value: number for v, number in of.items()} for fate, of in counts.items()},
        "differs": sum(of[Verdict.DIFFERS] for of in counts.values()),
        "moved": before.diff(HashRing(up)).share,
        "missing": sorted(foreseen - set(up)),
        "unforeseen": sorted(set(up) - foreseen),
    }
    return Judged(happened, expected, outcomes)


async def conclude(plan_id: int, master: Master, run: RunInJournal) -> None:
    """Write down for good what became of a plan whose actions have all ended."""
    await comes_true(lambda: at_rest(master), SETTLE_S)
    view = master.view
    if view is None:
        return
    up = set(view.up)
    complete = False
    deadline = time.monotonic() + RECORD_S
    while not complete and time.monotonic() < deadline:
        complete = await run(lambda: planrows.recorded_settled(view.number, up))
        await asyncio.sleep(LOOK_S)
    await asyncio.sleep(LEFTOVERS_S)
    await run(lambda: _write(plan_id, view.number, up, complete=complete))


def _write(plan_id: int, view: int, up: Collection[str], *, complete: bool) -> None:
    plan = ChangePlan.objects.filter(pk=plan_id, happened__isnull=True).first()
    if plan is not None:
        found = judge_now(plan, view, up, complete=complete)
        planrows.write_down(plan, found.happened, found.outcomes)
