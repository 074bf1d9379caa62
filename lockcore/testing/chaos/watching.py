"""A witness within a node process: it writes down what the node does, for a judge who comes later.

It sees what goes into the core and what comes out of it, stands before the
moves of its lease table, and counts the node lease by itself, from the
heartbeats that it saw leave and the acknowledgements that it saw arrive.
What a step did is on file before any of its effects leaves the process, so a
SIGKILL takes nothing from the record that anybody was told of.

A decision is dated to the reading of the clock that it was made with, what
was told to the moment after: a process that is stopped within a step decides
with the time it had, and nothing that it decides then may be acknowledged.

Elsewhere: the rules (lockcore.testing.deeds), gathering what all have
written (evidence), the witness of the simulator (lockcore.testing.witness).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from lockcore.core.events import EventKind
from lockcore.core.limits import NODE_LEASE_MS, NS_PER_MS
from lockcore.core.messages import (
    Emit,
    ForwardReply,
    FromMaster,
    Granted,
    Heartbeat,
    HeartbeatAck,
    Outcome,
    Reply,
    SendMaster,
    SendPeer,
    ViewUpdate,
)
from lockcore.core.node import NodeCore
from lockcore.core.ring import position_of
from lockcore.service import clock
from lockcore.testing.record import Act

if TYPE_CHECKING:
    from pathlib import Path

    from lockcore.core.config import NodeConfig
    from lockcore.core.events import Event
    from lockcore.core.leases import Lease, LeaseTable
    from lockcore.core.messages import Instant, LeaseRecord, NodeEffect, NodeInput
    from lockcore.core.view import MemberId

TAKEN_OVER = {EventKind.PROMOTED: Act.PROMOTED, EventKind.TRANSFERRED: Act.TRANSFERRED}


class WatchedCore(NodeCore):
    """A node's core with a witness beside it, which it does not know of. `folder` is set from outside."""

    folder: Path

    def __init__(self, member: MemberId, secret: bytes, config: NodeConfig | None = None) -> None:
        super().__init__(member, secret, config)
        self._witness = Witness(self, self.folder / f"deeds-{member.incarnation}.ndjson")

    def step(self, given: NodeInput, now: Instant, *, more: bool = False) -> list[NodeEffect]:
        """Take a step, and have it on file."""
        witness = self._witness
        witness.now_ns = now.boot_ns
        witness.hear(given)
        try:
            effects = super().step(given, now, more=more)
            witness.see(given, effects)
        finally:
            witness.write()
        return effects


class Witness:
    """Writes the deeds of one incarnation: a line that names it, then one line for each deed."""

    def __init__(self, core: NodeCore, path: Path) -> None:
        self.now_ns = clock.boot_ns()
        self._core = core
        self._view = 0
        self._until_ns = 0
        self._sent_ns: dict[int, int] = {}
        self._granted: dict[str, tuple[str, int, int]] = {}
        self._told: set[tuple[str, int, int]] = set()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lines = [json.dumps([core.member.address, core.member.incarnation])]
        self._note(Act.STARTED)
        self.write()
        self._stand_before(core._state.table)  # noqa: SLF001 - a witness, no part of the rules

    def write(self) -> None:
        """Have everything on file."""
        if self._lines:
            os.write(self._file, ("\n".join(self._lines) + "\n").encode())
            self._lines.clear()

    # --- around a step --------------------------------------------------------------------

    def hear(self, given: NodeInput) -> None:
        """Look at an input before the node takes it."""
        match given:
            case FromMaster(HeartbeatAck() as ack):
                sent_ns = self._sent_ns.pop(ack.number, None)
                if sent_ns is not None and ack.view <= self._view:
                    self._until_ns = max(self._until_ns, sent_ns + NODE_LEASE_MS * NS_PER_MS)

    def see(self, given: NodeInput, effects: list[NodeEffect]) -> None:
        """Look at what came of an input."""
        if isinstance(given, FromMaster) and isinstance(given.message, ViewUpdate):
            view = self._core.view
            if view is not None and view.number != self._view:
                self._view = view.number
                self._note(Act.ADOPTED)
        for effect in effects:
            match effect:
                case SendMaster(Heartbeat() as beat):
                    self._sent_ns[beat.number] = self.now_ns
                    self._sent_ns.pop(beat.number - 100, None)
                case Reply(_, Granted() as result) | SendPeer(_, ForwardReply(_, _, Granted() as result)):
                    state = self._granted.pop(result.token, None)
                    if state is not None:
                        self._told.add(state)
                        self._tell(Act.ACKNOWLEDGED, state)
                case Emit(event):
                    self._fact(event)

    def _fact(self, event: Event) -> None:
        state = event.key, event.generation, event.seq
        if event.kind is EventKind.RELEASED:
            self._tell(Act.FREED, state)
        elif event.kind in TAKEN_OVER:
            self._note(Act.RECOVERED if self._owes_grace(event.key) else TAKEN_OVER[event.kind], state)

    def _tell(self, what: Act, state: tuple[str, int, int]) -> None:
        view = self._core.view
        if view is not None and len(view.up) == 1:
            self._note(Act.ALONE, state, at_ns=clock.boot_ns())
        self._note(what, state, at_ns=clock.boot_ns())

    def _owes_grace(self, key: str) -> bool:
        view = self._core.view
        return view is not None and any(position_of(key) in grace.region for grace in view.graces)

    def _note(
        self, what: Act, state: tuple[str, int, int] = ("", 0, 0), *, view: int | None = None, at_ns: int = 0
    ) -> None:
        left_ns = self._until_ns - self.now_ns
        row = [at_ns or self.now_ns, what.value, *state, self._view if view is None else view, left_ns]
        self._lines.append(json.dumps(row))

    # --- before the moves of the table -------------------------------------------------------

    def _stand_before(self, table: LeaseTable) -> None:
        grant, renew, release, readmit, merge = table.grant, table.renew, table.release, table.readmit, table.merge

        def mutated(what: Act, lease: Lease) -> None:
            view = self._core.view
            state = lease.key, *lease.order
            self._note(what, state, view=view.number if view else 0)
            if what in (Act.GRANTED, Act.RENEWED, Act.READMITTED):
                self._granted[lease.token] = state

        def granting(*rest: Any) -> Lease:
            lease = grant(*rest)
            mutated(Act.GRANTED, lease)
            return lease

        def renewing(lease: Lease, *rest: Any) -> None:
            renew(lease, *rest)
            mutated(Act.RENEWED, lease)

        def releasing(lease: Lease) -> None:
            told = lease.seq > 1 or (lease.key, *lease.order) in self._told
            release(lease)
            # Whether another node had told of it is seen when all is gathered.
            mutated(Act.RELEASED if told else Act.TOOK_BACK, lease)

        def readmitting(*rest: Any) -> Lease:
            lease = readmit(*rest)
            mutated(Act.READMITTED, lease)
            return lease

        def merging(record: LeaseRecord, now_ns: int) -> Outcome:
            outcome = merge(record, now_ns)
            if outcome is Outcome.ACCEPTED:
                self._note(Act.ACCEPTED, (record.key, record.generation, record.seq))
            return outcome

        table.__dict__.update(grant=granting, renew=renewing, release=releasing, readmit=readmitting, merge=merging)
