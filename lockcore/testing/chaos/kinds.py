"""The kinds of faults, and what is written down of each one that was tried.

Elsewhere: carrying them out (faults), what they cost (measure).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kinds of faults; names are for programs (in lower case), values for people."""

    KILL_SEEN = "kill, seen"
    KILL_UNSEEN = "kill, unseen"
    KILL_RESTART = "kill + restart < 1 s"
    KILL_REJOIN = "kill + rejoin"
    PAUSE_SHORT = "pause < node lease"
    PAUSE_LONG = "pause > node lease"
    CUT_MASTER = "cut from master"
    CUT_BACKUP = "cut from backup"
    ISOLATE = "full isolation"
    DEAF_TO_MASTER = "one-way cut, master to node"
    MUTE_TO_MASTER = "one-way cut, node to master"
    ONE_WAY_PEER = "one-way cut, node to node"
    JOIN = "clean join"
    LEAVE = "clean leave"
    MASTER_RESTART = "master kill + restart"
    MASTER_PAUSE_SHORT = "master pause < node lease"
    MASTER_PAUSE_LONG = "master pause > node lease"
    DOUBLE = "both owners killed"
    HOLDER_PAUSE = "client pause > its lease"
    REPLY_LOST = "answers to a client cut"

    @property
    def code(self) -> str:
        """The name for programs and command lines."""
        return self.name.lower()


OF_HOLDERS: Final = frozenset({Kind.HOLDER_PAUSE, Kind.REPLY_LOST})
"""Faults of clients only: the cluster goes on, so they may be tried while it waits for something."""


@dataclass(slots=True)
class Trial:
    """One fault: when it began and ended, and whose locks it touched.

    `number`: counts from 1.
    `node`, `peer`: the names of what it is done to; `peer` is empty where it is one node, or the master.
    `touched`: addresses whose primary locks it concerns; empty: everybody's.
    `between`: it concerns locks of which those are primary and backup.
    `back_ns`: when a dead node was started again, 0 for other faults: what
    its return costs is no failover.
    `failovers_ms`: what the fault itself has measured, where probes cannot.
    `broken`: rules, and how the fault itself has seen them broken.
    `held`: how many locks a client held when its own fault began; None for other faults.
    `problem`: why the cluster did not come back, empty where it did.
    `hopeless`: it could not be brought back for the next fault either.
    """

    number: int
    kind: Kind
    target: str
    node: str
    peer: str = ""
    begun_ns: int = 0
    back_ns: int = 0
    healed_ns: int = 0
    settled_ns: int = 0
    quiet_ns: int = 0
    ring: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    between: bool = False
    failovers_ms: list[float] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    held: int | None = None
    problem: str = ""
    hopeless: bool = False
    notes: list[str] = field(default_factory=list)
