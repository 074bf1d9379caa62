"""What a seed is about: trouble aimed at one rule's weak moment, amid the random rest.

A theme bends the shape of the world (before it starts) and then does the same
kind of thing again and again, at instants drawn from the seed.

Elsewhere: single faults (faults), instants (triggers), sizes (shape).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from lockcore.testing.faults import Faults
    from lockcore.testing.shape import Shape
    from lockcore.testing.world import World

SLOW: Final = ((10.0, 60.0), (40.0, 200.0), (5.0, 400.0))


@dataclass(slots=True)
class Scene:
    """What a theme works with."""

    world: World
    faults: Faults
    shape: Shape

    @property
    def chance(self) -> Random:
        """The world's dice."""
        return self.world.random

    def again(self, low_ms: float, high_ms: float, action: Callable[[], None]) -> None:
        """Do something now, and again after a while, until the faults end."""

        def act() -> None:
            if self.world.now_ns < self.faults.until_ns:
                action()
                self.world.after(self.chance.uniform(low_ms, high_ms), act)

        self.world.after(self.chance.uniform(50, 500), act)

    def owners(self) -> tuple[str, ...]:
        """Return the living owners of a key, primary first."""
        owners = self.world.views[-1].ring.owners(self.chance.choice(self.shape.habits.keys))
        return tuple(a for a in owners if a is not None and self.world.nodes[a].alive)

    def choose(self, *kinds: Callable[[], str]) -> Callable[[], str]:
        """Draw a kind of fault."""
        return self.chance.choice(kinds)


def anything(_: Scene) -> None:
    """Nothing on purpose: the swarm alone."""


def handover(scene: Scene) -> None:
    """Joins and goodbyes, and something else in the middle of each."""
    faults, chance = scene.faults, scene.chance

    def act() -> None:
        faults.do(scene.choose(faults.join, faults.leave, faults.leave))
        kind = scene.choose(
            faults.kill, faults.kill_unseen, faults.restart_at_once, faults.cut_pair, faults.cut_one_way,
            faults.pause_short, faults.join, faults.leave,
        )  # fmt: skip
        if chance.random() < 0.7:  # noqa: PLR2004 - a share
            instant = chance.choice(("view", "transfer", "replica", "seal", "ack"))
            faults.at(instant, chance.choice((1, 2, 3, 6)), kind, chance.choice((0.0, 1.0, 20.0)))

    scene.again(700, 1_800, act)


def window(scene: Scene) -> None:
    """Nodes join, and holders ask whoever has their lock still: its transfer is under way for long."""
    faults, chance = scene.faults, scene.chance

    def act() -> None:
        faults.do(scene.choose(faults.join, faults.join, faults.leave))
        if chance.random() < 0.3:  # noqa: PLR2004 - a share
            kind = scene.choose(faults.kill, faults.pause_short, faults.cut_one_way)
            faults.at(chance.choice(("transfer", "ack")), chance.choice((1, 2, 4)), kind, chance.choice((0.0, 20.0)))

    scene.again(1_200, 2_200, act)


def newcomers(scene: Scene) -> None:
    """Two join in one view; one dies before it has all, or the view is overtaken."""
    faults, chance = scene.faults, scene.chance

    def act() -> None:
        for _ in range(chance.choice((1, 2, 2))):
            faults.do(faults.join)
        instant, late_ms = chance.choice(("view", "transfer", "seal", "ack")), chance.choice((0.0, 10.0, 60.0))
        faults.at(instant, chance.choice((1, 2, 4, 8)), scene.choose(faults.kill, faults.kill_late), late_ms)

    scene.again(1_500, 2_500, act)


def double_death(scene: Scene) -> None:
    """Both owners of a key die, at once or within the stabilisation delay."""
    scene.again(
        2_000,
        4_500,
        lambda: scene.faults.do(scene.choose(scene.faults.double, scene.faults.double_apart, scene.faults.double_seen)),
    )


def stale_copies(scene: Scene) -> None:
    """What one node sends another is late, whatever is released and granted meanwhile; then a death."""
    faults, world, chance = scene.faults, scene.world, scene.chance

    def act() -> None:
        owners = scene.owners()
        if len(owners) > 1:
            link = world._own_link(owners[0], owners[1])  # noqa: SLF001 - a part of the same world
            link.delay_ms = (1.0, chance.choice((100.0, 400.0, 1_500.0)))
            link.duplicate = chance.choice((0.0, 0.5))
        faults.at(chance.choice(("unlock", "ack", "replica", "told")), chance.choice((1, 3)), faults.kill)

    scene.again(900, 2_500, act)


def missed_views(scene: Scene) -> None:
    """A node misses views on a stream that goes on, while it is put out or others come and go."""
    faults, chance = scene.faults, scene.chance

    def act() -> None:
        for address in scene.owners()[: chance.choice((1, 1, 2))]:
            away_ms = chance.choice((0.0, 0.0, 2_700.0))
            if away_ms:
                faults.do(partial(faults.cut_for, address, "master", away_ms))
            faults.do(partial(faults.miss_views, address, away_ms + chance.choice((600.0, 1_600.0, 3_500.0))))
        faults.do(scene.choose(faults.join, faults.leave, faults.kill, faults.restart_at_once))

    scene.again(1_500, 4_000, act)


def master_trouble(scene: Scene) -> None:
    """The master dies, forgets, sleeps or has its clock set back while members come, go or are away."""
    faults, chance = scene.faults, scene.chance
    forgets = chance.random() < 0.5  # noqa: PLR2004 - a coin; never both (see faults)

    def act() -> None:
        for address in faults.living()[: chance.choice((0, 1, 2))]:
            faults.do(partial(faults.cut_for, address, "master", chance.choice((300.0, 1_900.0))))
        if chance.random() < 0.7:  # noqa: PLR2004 - a share
            faults.do(scene.choose(faults.join, faults.leave, faults.kill))
        worse = faults.master_forgets if forgets else faults.master_clock_back
        kind = scene.choose(faults.restart_master, faults.restart_master, faults.pause_master, worse)
        faults.at(chance.choice(("view", "beat", "transfer")), chance.choice((1, 2, 5)), kind)

    if forgets and faults.master_clock_back in faults.kinds:
        faults.kinds.remove(faults.master_clock_back)
    if not forgets and faults.master_forgets in faults.kinds:
        faults.kinds.remove(faults.master_forgets)
    scene.again(1_500, 3_500, act)


def forgotten(scene: Scene) -> None:
    """A node is put out without hearing of it, then the master forgets, and it is back as if nothing had been."""
    faults, world, chance = scene.faults, scene.world, scene.chance
    if faults.master_clock_back in faults.kinds:
        faults.kinds.remove(faults.master_clock_back)  # never both (see faults)

    def act() -> None:
        for address in scene.owners()[:1]:
            faults.do(partial(faults.cut_for, address, "master", 3_400.0))
        world.after(chance.uniform(2_700, 3_300), lambda: faults.do(faults.master_forgets))

    world.after(chance.uniform(300, 900), act)


def silent_backup(scene: Scene) -> None:
    """Mutations wait for a backup that does not answer; their callers give up, or the view changes."""
    faults, chance = scene.faults, scene.chance

    def act() -> None:
        owners = scene.owners()
        if len(owners) > 1:
            faults.do(lambda: faults.cut_for(owners[0], owners[1], chance.choice((150.0, 600.0, 1_500.0))))
        if chance.random() < 0.6:  # noqa: PLR2004 - a share
            kind = scene.choose(faults.kill, faults.join, faults.leave, faults.pause_short, faults.pause_short)
            faults.at(chance.choice(("ask", "renew", "unlock", "replica")), chance.choice((1, 2)), kind, 30.0)

    scene.again(500, 1_500, act)


def silent_node(scene: Scene) -> None:
    """Nodes that the master does not hear, for about as long as a node lease."""
    faults = scene.faults

    def act() -> None:
        faults.do(
            scene.choose(faults.cut_master, faults.pause_long, faults.isolate, faults.cut_one_way, faults.pause_short)
        )

    scene.again(700, 3_000, act)


def clocks(scene: Scene) -> None:
    """Wall clocks jump, and copies become locks."""
    faults = scene.faults

    def act() -> None:
        for _ in range(2):
            faults.do(faults.clock_step)
        faults.do(scene.choose(faults.kill, faults.leave, faults.double, faults.restart_at_once))

    scene.again(1_000, 3_000, act)


def doubled(scene: Scene) -> None:
    """Batches come twice, the second time late, and in any order."""
    link = scene.world.default_link
    link.duplicate, link.delay_ms = 0.4, (0.2, scene.chance.choice((10.0, 150.0)))
    faults = scene.faults
    scene.again(900, 2_500, lambda: faults.do(scene.choose(faults.kill, faults.leave, faults.join, faults.pause_short)))


def echoes(scene: Scene) -> None:
    """Batches come again when even the tombstone of the lock has gone, and nothing has changed since."""
    scene.world.echo_ms = (10_500, 12_000)


def late_closes(scene: Scene) -> None:
    """Streams end, and the master sees it when the node has long been back on another one."""
    faults, world = scene.faults, scene.world
    world.closes_ms = (100.0, 1_500.0)

    def act() -> None:
        faults.do(scene.choose(faults.hang_up, faults.hang_up, faults.restart_at_once))

    scene.again(400, 1_500, act)


def storm(scene: Scene) -> None:
    """Views follow each other faster than some nodes hear of them."""
    faults, world, chance = scene.faults, scene.world, scene.chance

    def act() -> None:
        link = world._own_link("master", chance.choice(faults.living() or ["a:1"]))  # noqa: SLF001 - a part of the same world
        link.delay_ms = (1.0, chance.choice((50.0, 400.0, 1_200.0)))
        for _ in range(chance.choice((1, 2))):
            kind = scene.choose(faults.kill, faults.restart_at_once, faults.join, faults.leave)
            faults.at(chance.choice(("view", "transfer", "seal")), chance.choice((1, 2, 3)), kind)
        faults.do(scene.choose(faults.kill, faults.join, faults.leave))

    scene.again(700, 2_000, act)


THEMES: Final = (
    anything, handover, window, newcomers, double_death, double_death, stale_copies, missed_views, forgotten,
    master_trouble, silent_backup, silent_node, clocks, doubled, echoes, late_closes, storm,
)  # fmt: skip
"""The rarer what a theme aims at, the more often it is drawn."""


def bend(theme: Callable[[Scene], None], shape: Shape, chance: Random) -> None:
    """Give a world the shape in which its theme shows most."""
    habits = shape.habits
    if theme in (handover, newcomers, stale_copies, storm):
        shape.peer_ms = chance.choice(SLOW)
        shape.client_ms = chance.choice(((0.2, 1.0), (0.2, 1.0), (0.2, 2.0)))
        shape.batch_records = chance.choice((1, 1, 2))
    if theme is handover:
        habits.ttls_ms, habits.holds_ms = chance.choice(((600,), (900, 2_500))), (60, 400, 1_500)
        habits.ask_primary = chance.choice((0.3, 0.6))
    if theme is window:
        shape.nodes, shape.clients, shape.peer_ms, shape.client_ms = 2, 10, (80.0, 250.0), (0.2, 1.0)
        habits.keys[:] = [f"key-{n}" for n in chance.sample(range(1_000), 8)]
        habits.ttls_ms, habits.holds_ms, habits.rests_ms = (2_000,), (60, 500, 2_500), (1.0, 40.0)
        habits.ask_primary, habits.ask_former, habits.idle = 0.0, 0.9, 0.0
        shape.batch_records = 256  # what changes has left already
    if theme is forgotten:
        shape.nodes, shape.share, shape.master_ms = chance.choice((2, 3, 4)), 0.0, (0.2, 2.0)
        habits.ttls_ms, habits.holds_ms, habits.idle = (9_000,), (400, 2_000, 4_000), 0.0
    if theme is newcomers:
        shape.nodes = chance.choice((1, 2, 2, 3))
        habits.ttls_ms, habits.idle = (4_000,), 0.5
    if theme is double_death:
        shape.nodes = chance.choice((2, 3))
        habits.keys[1:] = habits.keys[1:2]
        habits.ttls_ms, habits.idle, habits.retry_ms = (4_000,), chance.choice((0.3, 0.9)), 150.0
        shape.clients = 5
    if theme is silent_backup:
        habits.patience_ms = chance.choice((80, 200, 400))
        habits.ttls_ms = chance.choice(((800,), (2_500,)))
    if theme is echoes:
        shape.clients, shape.share, shape.nodes, shape.faults_ms, shape.quiet_ms = 2, 0.0, 3, 1_500, 13_000
        habits.ttls_ms, habits.holds_ms, habits.rests_ms = (100, 300), (0, 50), (200.0, 600.0)
