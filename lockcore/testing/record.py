"""What is written down of a run: what clients did, and what nodes were seen to do.

Plain data, so that a run can be judged where it was made or from a file.
Times are nanoseconds of one clock that all parties share: true time in the
simulator, CLOCK_BOOTTIME of the machine in real runs.

Elsewhere: who writes it (clients, witness), the rules (history, deeds, register),
files of it (ndjson).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Did(StrEnum):
    """What a client asked for."""

    ACQUIRE = "acquire"
    RENEW = "renew"
    UNLOCK = "unlock"
    FIND = "find"


@dataclass(slots=True)
class Call:
    """One invocation and what became of it.

    `ok` is None where no answer came: the outcome is unknown. Of a FIND that
    was answered, `generation` is what was reported as held.
    """

    client: str
    did: Did
    key: str
    invoked_ns: int
    ttl_ms: int = 0
    returned_ns: int = 0
    ok: bool | None = None
    generation: int = 0
    seq: int = 0
    token: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """A write to a register that is guarded by generations.

    `base` is the version that its writer had read, `version` the one it
    made; 0 where the guard refused it.
    """

    at_ns: int
    client: str
    key: str
    generation: int
    base: int
    version: int

    @property
    def accepted(self) -> bool:
        """Say whether the register took it."""
        return self.version > 0


class Act(StrEnum):
    """What a node was seen to do."""

    STARTED = "started"  # `view`: the newest published when it began
    ADOPTED = "adopted"
    PUBLISHED = "published"  # by the master
    GRANTED = "granted"
    RENEWED = "renewed"
    RELEASED = "released"
    READMITTED = "readmitted"
    TOOK_BACK = "took_back"  # a grant that nobody was told of
    ACKNOWLEDGED = "acknowledged"  # the answer to a mutation left the node
    FREED = "freed"  # the answer to an unlock left the node
    ACCEPTED = "accepted"  # a state that another node sent was taken
    SEEN = "seen"  # where and when something was seen to be wrong
    ALONE = "alone"  # what follows is told where there is no second node to know it
    PROMOTED = "promoted"
    TRANSFERRED = "transferred"
    RECOVERED = "recovered"  # promoted or handed over where a grace was owed: newer states may have died


MUTATIONS = frozenset({Act.GRANTED, Act.RENEWED, Act.RELEASED, Act.READMITTED})
"""Decisions for a client, judged whether or not they were acknowledged."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something a node did, seen from outside.

    `left_ns` is what was left of its node lease by its own clock, negative
    when it had run out, counted by the witness from heartbeats sent and
    acknowledged, not by the node.
    """

    at_ns: int
    node: str
    incarnation: int
    what: Act
    key: str = ""
    generation: int = 0
    seq: int = 0
    view: int = 0
    left_ns: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """States of a lock are ordered by it."""
        return self.generation, self.seq


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, and the records that contradict each other."""

    rule: str
    text: str
    calls: tuple[Call | Deed | Write, ...] = ()

    @property
    def key(self) -> str:
        """The lock it is about; empty where it is about a node."""
        return next((c.key for c in self.calls if c.key), "")
