"""One seed, one run with sessions: programs that queue, lock ranges and migrate, beside clients with tokens.

Every fourth seed has one fault only, so that nothing may be lost at all.

Elsewhere: the programs (sessionclients), the rules (sessionhistory,
rangehistory, sessionrest), the world and its faults (simulate).
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from lockcore.core.events import EventKind
from lockcore.core.messages import Code, Granted, How, RangeLocked, Refused
from lockcore.core.ranging import DEADLOCK_TEXT
from lockcore.testing.clients import SimClient
from lockcore.testing.faults import Faults
from lockcore.testing.history import History, check
from lockcore.testing.outcome import Verdict, agreement, converge, counts_of, lasting, trace_of
from lockcore.testing.rangehistory import check_ranges
from lockcore.testing.record import Act
from lockcore.testing.register import Registers
from lockcore.testing.sessionasking import Manners
from lockcore.testing.sessionclients import Program
from lockcore.testing.sessionhistory import check_sessions
from lockcore.testing.sessionrecord import NEVER_NS, Asked, SessionHistory
from lockcore.testing.sessionrest import check_rest
from lockcore.testing.shape import drawn_shape
from lockcore.testing.simulate import small_batches, small_world
from lockcore.testing.themes import THEMES, Scene, bend
from lockcore.testing.transcript import transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.testing.shape import Shape
    from lockcore.testing.world import World

SINGLE = 4
REST_MS = 4_000
"""After the last lease of a session that ends with the run, its linger, and what follows."""


def simulate_sessions(seed: int) -> Verdict:
    """Run one seed and judge it. One that breaks a rule is run again to be told."""
    verdict = _run(seed, tape=False)
    return verdict if not verdict.violations else _run(seed, tape=True)


def drawn_manners(chance: Random, shape: Shape) -> Manners:
    """Draw how the programs behave."""
    return Manners(
        keys=shape.habits.keys[:3],
        files=[f"file-{n}" for n in chance.sample(range(1_000), chance.choice((1, 1, 2)))],
        ttls_ms=chance.choice(((1_000,), (1_000, 2_500), (4_000,))),
        holds_ms=chance.choice(((0, 50), (0, 50, 700), (20, 150, 2_000))),
        waits_ms=chance.choice(((0, 0, 300, 2_000, None), (None,), (0, 100), (400, None))),
        patience_ms=chance.choice((80, 250, 700)),
        rests_ms=chance.choice(((1.0, 40.0), (5.0, 150.0))),
        ask_primary=chance.choice((0.0, 0.5, 0.9)),
        again=chance.choice((0.0, 0.2, 0.5)),
        twice=chance.choice((0.0, 0.1, 0.3)),
        fair=chance.choice((0.0, 0.3, 1.0)),
        silent=chance.choice((0.0, 0.0, 0.05, 0.2)),
        switch_ms=chance.choice(((300.0, 1_500.0), (600.0, 4_000.0), (8_000.0, 9_000.0))),
        delay=chance.choice((0.0, 0.2)),
        workers=chance.choice((1, 2)),
        owners=chance.choice((1, 2)),
        stays=chance.choice((0.0, 0.5, 1.0)),
        give_up=chance.choice((0.0, 0.1, 0.4)),
    )


def _run(seed: int, *, tape: bool) -> Verdict:
    chance = Random(seed)  # noqa: S311 - reproducible, not secret
    shape, theme = drawn_shape(chance), chance.choice(THEMES)
    bend(theme, shape, chance)
    manners = drawn_manners(chance, shape)
    with small_batches(shape.batch_records):
        return _play(seed, shape, theme, manners, tape=tape)


def _play(seed: int, shape: Shape, theme: Callable[[Scene], None], manners: Manners, *, tape: bool) -> Verdict:
    longest_ms = max(*shape.habits.ttls_ms, *manners.ttls_ms)
    single = seed % SINGLE == 0
    world = small_world(seed, tape=tape, longest_lease_ms=longest_ms, nodes=3 if single else shape.nodes)
    world.default_link.delay_ms = shape.peer_ms
    world.client_link.delay_ms = shape.client_ms
    world.master_link.delay_ms = shape.master_ms
    history, registers = History(deeds=world.witness.deeds), Registers()
    history.writes = registers.writes
    sessions = SessionHistory(margin=history.margin)
    faults_ms = min(shape.faults_ms, 4_000)
    stop_ns = world.now_ns + int((faults_ms + 1_000) * 1_000_000)
    for i in range(1 + shape.clients % 2):
        SimClient(world, f"client-{i}", shape.habits, history, registers, stop_ns)
    for i in range(2 + shape.clients % 3):
        Program(world, f"program-{i}", manners, sessions, stop_ns)
    faults = Faults(world, world.now_ns + int(faults_ms * 1_000_000), [*manners.keys, *manners.files], shape.share)
    faults.log.append(f"theme {theme.__name__}, {shape}, {manners}")
    if single:
        kind = world.random.choice(faults.single())
        world.after(world.random.uniform(300, min(2_000, faults_ms)), lambda: faults.do(kind))
    else:
        faults.begin()
        theme(Scene(world, faults, shape))
    world.run_ms(faults_ms)
    world.calm()
    world.run_ms(1_500)
    rest = converge(world) or agreement(world)
    if not rest:
        world.run_ms(max(manners.ttls_ms) + REST_MS)
        _note_losses(world, sessions)
        rest = lasting(world, lambda: check_rest(world, sessions))
    _note_losses(world, sessions)
    judged = [*check(history), *check_sessions(sessions, history), *check_ranges(sessions)]
    violations = [*judged, *world.witness.found, *rest]
    verdict = Verdict(seed, violations, trace_of(world, history), counts_of(world, history), faults.log)
    verdict.counts.update(counts_of_sessions(sessions))
    verdict.counts[f"theme {theme.__name__}"] = 1
    if tape and violations:
        verdict.transcript = transcript(world, violations[0])
    return verdict


def _note_losses(world: World, sessions: SessionHistory) -> None:
    """Write down when the master said that state may have died, and where."""
    published = {d.view: d.at_ns for d in world.witness.deeds if d.what is Act.PUBLISHED}
    sessions.forgotten = any(view.previous == 0 for view in world.views[1:])
    sessions.emptied_ns = min((published.get(v.number, 0) for v in world.views if not v.up), default=NEVER_NS)
    events = [(fact.at_ns, fact.event) for fact in world.facts if fact.event.kind is EventKind.UNQUEUED]
    sessions.circles = [(at_ns, e.session, e.key) for at_ns, e in events if e.detail.endswith(DEADLOCK_TEXT)]
    sessions.losses = [(published.get(v.number, 0), g.region) for v in world.views for g in v.graces]


def counts_of_sessions(sessions: SessionHistory) -> dict[str, int]:
    """Count what happened, so that a batch in which nothing did can fail."""
    deals = sessions.deals
    results = [(d, a.result) for d in deals for a in d.attempts]
    return {
        "sessions": len(sessions.lives),
        "sessions lost": sum(1 for life in sessions.lives if life.lost_ns < life.until_ns),
        "session grants": sum(1 for d in deals if isinstance(d.result, Granted)),
        "session waits": sum(1 for d in deals if d.did is Asked.LOCK and d.waiting_ns < 1 << 63),
        "granted by push": sum(1 for d in deals if d.did is Asked.LOCK and d.waiting_ns < d.done_ns and d.number),
        "migrated": sum(1 for d in deals if d.did is Asked.MOVE and d.how is How.MIGRATED),
        "ranges": sum(1 for d in deals if d.did is Asked.SET and d.ok and isinstance(d.result, RangeLocked)),
        "range waits": sum(1 for d in deals if d.did is Asked.SET and d.waiting_ns < 1 << 63),
        "ranges migrated": sum(1 for d in deals if d.did is Asked.MIGRATE and d.how is How.MIGRATED),
        "asked again": sum(1 for d in deals if len(d.attempts) > 1),
        "answered again": sum(1 for d in deals if sum(1 for a in d.attempts if _grant(a.result)) > 1),
        "timeouts": sum(1 for _, r in results if isinstance(r, Refused) and r.code is Code.TIMEOUT),
    }


def _grant(result: object) -> bool:
    return isinstance(result, Granted | RangeLocked)
