"""How long a plan takes with LOCKS held locks on NODES nodes: reading it, paging in it, and judging what came of it.

The whole answers of `/api/plan/` and `/api/plan/ID/`, without a network and without asking nodes for leases (a page
asks for 50, all primaries at once). The site's other requests wait for none of it, but share the interpreter with it:
so the targets are of processor time.

Elsewhere: the rules (dlmsite.operations.foresight), the answers (dlmsite.dashboard.plan).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.apart import said_by
from tests.bench.report import Row, at_most, share

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE: Final = "a plan of two kills and a join: 64 nodes, 10,000 held locks, SQLite"
NODES: Final = 63
"""And one to be added."""
LOCKS: Final = 10_000
TIMES: Final = 15
BOUND_S: Final = 300
BUSY_S_MAX: Final = 0.5


async def measure() -> list[Row]:
    """Return the rows."""
    text = await said_by("-m", "tests.bench.plan", DJANGO_SETTINGS_MODULE="dlmsite.settings")
    found = dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    read_s, judged_s = float(found.pop("read")), float(found.pop("judged"))
    return [
        at_most("a plan read, processor time, 95 %", read_s, BUSY_S_MAX, "s"),
        at_most("a plan judged beside 20,000 facts, processor time, 95 %", judged_s, BUSY_S_MAX, "s"),
        *(Row(name, value) for name, value in found.items()),
    ]


def main(folder: str) -> None:
    """Make the rows and read plans; print figures, a tab between name and value."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    connections["default"].settings_dict["NAME"] = Path(folder) / "bench.sqlite3"
    call_command("migrate", verbosity=0)
    from dlmsite.dashboard import plan, staging
    from dlmsite.operations import concluding, planrows
    from dlmsite.operations.foresight import Pace

    ring = _make_rows()
    wanted = staging.read_changes("kill:n1,kill:n2,add")

    def read() -> Any:
        draft = staging.draft_of(wanted, Pace.TOGETHER)
        page, _ = plan.page_of([(lock, None) for lock in draft.locks], "", plan.LISTED)
        return json.dumps([draft.foreseen, [plan.lock_json(lock) for lock, _ in page]])

    _tell("read", "planning", read)
    draft = staging.draft_of(wanted, Pace.TOGETHER)
    row = planrows.commit(draft, "ada")
    _make_facts(draft)
    up = [node for node in ring if node not in {draft.changes[0].address, draft.changes[1].address}]
    _tell("judged", "judging", lambda: concluding.judge_now(row, 2, up, complete=True))
    _say("kept of it", f"{len(row.locks) / 1024:,.0f} KiB")


def _make_rows() -> list[str]:
    """Make a ring at rest, and locks held on it; return the addresses."""
    from dlmsite.journal.models import HeldLock, Node, RingVersion
    from dlmsite.journal.nodes import write_sight
    from dlmsite.journal.writer import digest_of
    from lockcore.core.ring import HashRing

    now_ns = time.time_ns()
    nodes = [(f"n{i}", f"127.0.0.1:{8000 + i}.{18000 + i}") for i in range(1, NODES + 1)]
    Node.objects.bulk_create(
        Node(label=label, address=address, color=0, incarnation=1, pid=1, state="up", updated_at_ns=now_ns)
        for label, address in nodes
    )
    members = [{"address": address, "incarnation": "1", "down": False} for _, address in nodes]
    RingVersion.objects.create(number=1, version=1, members=members, at_ns=now_ns, settled_at_ns=now_ns)
    write_sight(None, now_ns + 3_600_000_000_000)  # seen for as long as this takes
    ring = HashRing(address for _, address in nodes)
    HeldLock.objects.bulk_create(
        HeldLock(
            digest=digest_of(key), key=key, node=ring.primary(key) or "", incarnation=1, owner=f"worker-{i % 100}",
            generation=1_790_000_000_000_000_000 + i, seq=1, order_ns=1, since_ns=1, ttl_ms=30_000,
        )
        for i, key in enumerate(f"jobs/reports/{i:06}" for i in range(LOCKS))
    )  # fmt: skip
    return [address for _, address in nodes]


def _make_facts(draft: Any) -> None:
    """Record that it came as foreseen, among as many facts of other locks."""
    from dlmsite.journal.models import LockEvent

    told = [(lock.key, lock.generation, hop.node, hop.how.value) for lock in draft.locks for hop in lock.course.hops]
    others = [(f"other/{i}", i, "127.0.0.1:8003.18003", "granted") for i in range(2 * LOCKS - len(told))]
    LockEvent.objects.bulk_create(
        LockEvent(source=node, incarnation=1, number=i, wall_ns=i, kind=kind, key=key, generation=generation)
        for i, (key, generation, node, kind) in enumerate([*told, *others], 1)
    )


def _tell(name: str, what: str, step: Callable[[], Any]) -> None:
    took, busy = [], []
    for _ in range(TIMES):
        began, began_busy = time.monotonic(), time.process_time()
        step()
        took.append(time.monotonic() - began)
        busy.append(time.process_time() - began_busy)
    _say(name, f"{share(busy, 0.95):.4f}")
    _say(f"{what}, median by the clock", f"{share(took, 0.5):.3f} s")


def _say(name: str, value: str) -> None:
    sys.stdout.write(f"{name}\t{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(os.environ["LOCKRING_DATA"])
