"""The size of a world and how its clients behave, drawn anew for each seed.

Small worlds meet themselves often: with two keys, short leases and slow links
what is rare by chance happens in every run.

Elsewhere: what is done to it (faults), and on purpose (themes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.testing.clients import Habits

if TYPE_CHECKING:
    from random import Random

Delay = tuple[float, float]

QUICK: Final[Delay] = (0.2, 2.0)
PEER_DELAYS_MS: Final[tuple[Delay, ...]] = (QUICK, QUICK, (1.0, 25.0), (10.0, 120.0))
CLIENT_DELAYS_MS: Final[tuple[Delay, ...]] = (QUICK, QUICK, (0.1, 0.3), (1.0, 60.0))
MASTER_DELAYS_MS: Final[tuple[Delay, ...]] = (QUICK, QUICK, (1.0, 50.0))
TTLS_MS: Final[tuple[tuple[int, ...], ...]] = ((300,), (400, 1_500), (800, 2_000), (2_500,), (4_000, 300))
HOLDS_MS: Final[tuple[tuple[int, ...], ...]] = ((0, 50), (0, 50, 700), (700, 3_000), (20, 150, 2_000))


@dataclass(slots=True)
class Shape:
    """One world. `batch_records`: how many locks a batch between nodes carries at most.

    `share`: how likely a kind of fault is known to the swarm.
    """

    habits: Habits
    nodes: int = 3
    clients: int = 5
    faults_ms: float = 6_000
    quiet_ms: float = 2_500
    peer_ms: Delay = QUICK
    client_ms: Delay = QUICK
    master_ms: Delay = QUICK
    closes_ms: Delay = (1.0, 1.0)
    batch_records: int = 256
    share: float = 0.15


def drawn_shape(chance: Random) -> Shape:
    """Draw a world."""
    keys = [f"key-{n}" for n in chance.sample(range(1_000), chance.choice((1, 2, 4, 8)))]
    habits = Habits(
        keys,
        ttls_ms=chance.choice(TTLS_MS),
        holds_ms=chance.choice(HOLDS_MS),
        rests_ms=chance.choice(((1.0, 40.0), (5.0, 150.0))),
        retry_ms=chance.choice((150.0, 500.0)),
        patience_ms=chance.choice((80, 400, 1_500)),
        ask_primary=chance.choice((0.0, 0.5, 0.7, 1.0)),
        look_back=chance.choice((0.0, 0.3, 0.8)),
        write=chance.choice((0.0, 0.2)),
        idle=chance.choice((0.0, 0.0, 0.3, 0.8)),
    )
    return Shape(
        habits,
        nodes=chance.choice((2, 3, 3, 4)),
        clients=1 + len(keys) + chance.choice((0, 1, 3)),
        peer_ms=chance.choice(PEER_DELAYS_MS),
        client_ms=chance.choice(CLIENT_DELAYS_MS),
        master_ms=chance.choice(MASTER_DELAYS_MS),
        closes_ms=chance.choice(((1.0, 1.0), (1.0, 1.0), (1.0, 700.0))),
        batch_records=chance.choice((1, 2, 256)),
        share=chance.choice((0.0, 0.1, 0.3)),
    )
