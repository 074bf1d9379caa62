"""What is left to look at when a world has come to rest: I8, counts, the trace.

Elsewhere: one seed (simulate), rules over what happened on the way (history).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.testing.deeds import back_after_release
from lockcore.testing.record import Act, Deed, Did, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.leases import Lease
    from lockcore.testing.history import History
    from lockcore.testing.world import World

FRESH_NS = 300_000_000
"""A lease that ends sooner may end at one of its copies before the other."""


@dataclass(slots=True)
class Verdict:
    """What a seed showed. `transcript` is made for those that broke a rule."""

    seed: int
    violations: list[Violation]
    trace: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    transcript: str = ""


def converge(world: World, limit_ms: float = 30_000) -> list[Violation]:
    """I8: healed, all members come to the same view, and settle in it."""
    try:
        world.settle(limit_ms)
    except AssertionError as error:
        return [Violation("I8", f"no settled view: {error}")]
    return []


UNDER_WAY_MS = 400
"""A holder that still renews may do so at the very moment that is looked at; its replica is there soon."""


def agreement(world: World) -> list[Violation]:
    """I8: primaries and backups agree about every live lock, once nobody asks for anything new any more."""
    world.run_ms(1_000)
    return lasting(world, lambda: _disagreements(world))


def lasting(world: World, look: Callable[[], list[Violation]]) -> list[Violation]:
    """Look, and look again: what was only under way is as it should be then."""
    before = {_about(violation) for violation in look()}
    if not before:
        return []
    world.run_ms(UNDER_WAY_MS)
    return [violation for violation in look() if _about(violation) in before]


def _about(violation: Violation) -> tuple[str, str]:
    return violation.rule, violation.text.partition(":")[0]


def _disagreements(world: World) -> list[Violation]:
    found = []
    view = world.master.view if world.master else None
    if view is None:
        return [Violation("I8", "the master has no view")]
    tables = {n.address: {le.key: le for le in n.core.leases()} for n in world.nodes.values() if n.alive}
    for address, table in tables.items():
        for key, lease in table.items():
            now_ns = world.nodes[address].clock.boot(world.now_ns)
            if not lease.live(now_ns + FRESH_NS) or not world.witness.custody.may_be_held(lease):
                continue
            owners = view.ring.owners(key)
            if address not in owners:
                found.append(_seen(world, address, lease, f"{address} is neither primary nor backup, and has it"))
            for other in {a for a in owners if a is not None and a != address}:
                copy = tables[other].get(key)
                if copy is None or copy.order != lease.order:
                    theirs = copy.order if copy else "nothing"
                    found.append(_seen(world, address, lease, f"{address} has {lease.order}, {other} has {theirs}"))
    return found


def _seen(world: World, address: str, lease: Lease, text: str) -> Violation:
    incarnation = world.nodes[address].core.member.incarnation
    deed = Deed(world.now_ns, address, incarnation, Act.SEEN, lease.key, lease.generation, lease.seq)
    return Violation("I8", f"{lease.key}: {text}", (deed,))


def counts_of(world: World, history: History) -> dict[str, int]:
    """Count what happened, so that a batch in which nothing did can fail."""
    counts: dict[str, int] = {}
    for fact in world.facts:
        counts[fact.event.kind.value] = counts.get(fact.event.kind.value, 0) + 1
    counts["events"] = world.events
    counts["calls"] = len(history.calls)
    counts["ok"] = sum(1 for c in history.calls if c.ok)
    counts["acquired"] = sum(1 for c in history.calls if c.ok and c.did is Did.ACQUIRE)
    counts["contested"] = sum(1 for c in history.calls if c.did is Did.ACQUIRE and c.code == "held")
    counts["unknown"] = sum(1 for c in history.calls if c.ok is None)
    counts["decisions"] = sum(1 for d in history.deeds if d.what in (Act.GRANTED, Act.RENEWED, Act.RELEASED))
    counts["back after release"] = len(back_after_release(history.deeds))
    counts["writes"] = len(history.writes)
    counts["writes fenced"] = sum(1 for w in history.writes if not w.accepted)
    return counts


def trace_of(world: World, history: History) -> str:
    """Return a hash of all that happened: the same seed, the same hash."""
    lines = [
        f"{f.at_ns} {f.source} {(e := f.event).kind} {e.key} {e.generation} {e.seq} {e.view} {e.peer} {e.detail}"
        for f in world.facts
    ]
    lines += [f"{c.invoked_ns} {c.client} {c.did} {c.key} {c.returned_ns} {c.ok} {c.token}" for c in history.calls]
    lines += [f"{d.at_ns} {d.node} {d.what} {d.key} {d.order} {d.left_ns}" for d in history.deeds]
    lines += [f"{w.at_ns} {w.client} {w.key} {w.version}" for w in history.writes]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
