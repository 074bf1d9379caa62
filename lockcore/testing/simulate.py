"""One seed, one run: a cluster under a random subset of faults, then a verdict.

Elsewhere: the world (world), its clients (clients), what is done to it
(faults), the rules (history, outcome), one fault at a time (single).
"""

from __future__ import annotations

from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from lockcore.core import outbox
from lockcore.core.config import MasterConfig
from lockcore.core.events import EventKind
from lockcore.testing.clients import SimClient
from lockcore.testing.faults import ADDRESSES, Faults, drawn_clock
from lockcore.testing.history import History, check
from lockcore.testing.outcome import Verdict, agreement, converge, counts_of, trace_of
from lockcore.testing.register import Registers
from lockcore.testing.shape import Shape, drawn_shape
from lockcore.testing.themes import THEMES, Scene, bend
from lockcore.testing.transcript import transcript
from lockcore.testing.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lockcore.testing.record import Violation

__all__ = ["Verdict", "simulate"]

EVENTS_MAX = 100_000
"""Some fifty times what a seed takes: beyond it is a circle."""


def simulate(seed: int) -> Verdict:
    """Run one seed and judge it. One that breaks a rule is run again to be told."""
    verdict = _run(seed, tape=False)
    return verdict if not verdict.violations else _run(seed, tape=True)


def small_world(seed: int, *, tape: bool, longest_lease_ms: int, nodes: int = 0) -> World:
    """Return a settled cluster of nodes (default: three or four) whose clocks differ.

    A grace lasts as long as the longest lease that anybody here takes.
    """
    world = World(seed, master_config=MasterConfig(longest_lease_ms=longest_lease_ms), tape=tape)
    world.events_max = EVENTS_MAX
    for address in ADDRESSES[: nodes or world.random.choice((3, 3, 4))]:
        world.start_node(address, drawn_clock(world))
    world.run_until(lambda: world.master is not None and world.master.settled)
    return world


@contextmanager
def small_batches(records: int) -> Iterator[None]:
    """Have batches between nodes carry so few locks that a handover takes several, as in a large table."""
    known: dict[str, int] = vars(outbox)
    before, known["PEER_BATCH_RECORDS_MAX"] = known["PEER_BATCH_RECORDS_MAX"], records
    try:
        yield
    finally:
        known["PEER_BATCH_RECORDS_MAX"] = before


def _run(seed: int, *, tape: bool) -> Verdict:
    chance = Random(seed)  # noqa: S311 - reproducible, not secret
    shape, theme = drawn_shape(chance), chance.choice(THEMES)
    bend(theme, shape, chance)
    with small_batches(shape.batch_records):
        return _play(seed, shape, theme, tape=tape)


def _play(seed: int, shape: Shape, theme: Callable[[Scene], None], *, tape: bool) -> Verdict:
    habits = shape.habits
    world = small_world(seed, tape=tape, longest_lease_ms=max(habits.ttls_ms), nodes=shape.nodes)
    world.default_link.delay_ms = shape.peer_ms
    world.client_link.delay_ms = shape.client_ms
    world.master_link.delay_ms = shape.master_ms
    world.closes_ms = shape.closes_ms
    history, registers = History(deeds=world.witness.deeds), Registers()
    history.writes = registers.writes
    stop_ns = world.now_ns + int((shape.faults_ms + min(shape.quiet_ms, 2_500) / 2) * 1_000_000)
    for i in range(shape.clients):
        SimClient(world, f"client-{i}", habits, history, registers, stop_ns)
    faults = Faults(world, world.now_ns + int(shape.faults_ms * 1_000_000), habits.keys, shape.share)
    faults.log.append(f"theme {theme.__name__}, {shape}")
    faults.begin()
    theme(Scene(world, faults, shape))
    world.run_ms(shape.faults_ms)
    world.calm()
    world.run_ms(shape.quiet_ms)
    rest = converge(world) or agreement(world)
    violations: list[Violation] = [*check(history), *world.witness.found, *rest]
    verdict = Verdict(seed, violations, trace_of(world, history), counts_of(world, history), faults.log)
    verdict.counts["granted in trouble"] = sum(
        1 for f in world.facts if f.event.kind is EventKind.GRANTED and faults.first_ns < f.at_ns < faults.until_ns
    )
    verdict.counts[f"theme {theme.__name__}"] = 1
    if tape and violations:
        verdict.transcript = transcript(world, violations[0])
    return verdict
