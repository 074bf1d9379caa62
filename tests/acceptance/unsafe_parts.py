"""Rules taken out of real processes from outside, so that the judge of chaos has something to find.

Elsewhere: who applies them (lockcore.testing.chaos.unsafe), the simulator's mutations (tests/simulation/mutants).
"""

from typing import Any

from lockcore.client.machine import LockMachine, Phase
from lockcore.core.liveness import NodeLease


def never_look_at_the_clock() -> None:
    """Have a node serve without a master for ever, and a program believe in its lock until it is told otherwise."""
    lease: Any = NodeLease
    lease.valid = lambda _self, _now_ns: True
    machine: Any = LockMachine
    machine.held = lambda self, _now_ns: self.phase is Phase.HELD
