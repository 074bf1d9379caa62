"""One seed, one run: a cluster under a random subset of faults, then a verdict.

Elsewhere: the world (world), its clients (clients), what is done to it
(faults), the rules (history, outcome), one fault at a time (single).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.config import MasterConfig
from lockcore.testing.clients import TTLS_MS, SimClient
from lockcore.testing.faults import ADDRESSES, KEYS, Faults, drawn_clock
from lockcore.testing.history import History, check
from lockcore.testing.outcome import Verdict, agreement, converge, counts_of, trace_of
from lockcore.testing.register import Registers
from lockcore.testing.transcript import transcript
from lockcore.testing.world import World

if TYPE_CHECKING:
    from lockcore.testing.record import Violation

__all__ = ["Verdict", "simulate"]

FAULTS_MS = 12_000
QUIET_MS = 8_000
CLIENTS = 14
EVENTS_MAX = 100_000
"""Some fifteen times what a seed takes: beyond it is a circle."""


def simulate(seed: int) -> Verdict:
    """Run one seed and judge it. One that breaks a rule is run again to be told."""
    verdict = _run(seed, tape=False)
    return verdict if not verdict.violations else _run(seed, tape=True)


def small_world(seed: int, *, tape: bool, longest_lease_ms: int = max(TTLS_MS)) -> World:
    """Return a settled cluster of three or four nodes whose clocks differ.

    A grace lasts as long as the longest lease that anybody here takes.
    """
    world = World(seed, master_config=MasterConfig(longest_lease_ms=longest_lease_ms), tape=tape)
    world.events_max = EVENTS_MAX
    for address in ADDRESSES[: world.random.choice((3, 3, 4))]:
        world.start_node(address, drawn_clock(world))
    world.run_until(lambda: world.master is not None and world.master.settled)
    return world


def _run(seed: int, *, tape: bool) -> Verdict:
    world = small_world(seed, tape=tape)
    history, registers = History(deeds=world.witness.deeds), Registers()
    history.writes = registers.writes
    stop_ns = world.now_ns + (FAULTS_MS + QUIET_MS // 2) * 1_000_000
    keys = [f"key-{i}" for i in range(KEYS)]
    for i in range(CLIENTS):
        SimClient(world, f"client-{i}", keys, history, registers, stop_ns)
    faults = Faults(world, world.now_ns + FAULTS_MS * 1_000_000)
    faults.begin()
    world.run_ms(FAULTS_MS)
    world.calm()
    world.run_ms(QUIET_MS)
    violations: list[Violation] = [*check(history), *(converge(world) or agreement(world))]
    verdict = Verdict(seed, violations, trace_of(world, history), counts_of(world, history), faults.log)
    if tape and violations:
        verdict.transcript = transcript(world, violations[0])
    return verdict
