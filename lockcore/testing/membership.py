"""I11: what a master may make of its members. Watched from outside, message by message.

- Nobody is put out of the ring but who has died, has said goodbye, has not
  been heard for a node lease (M2, W13, W14), does not hear, or does not reach
  another member; the last two only where no grace comes of it (M6), or when
  nothing was acknowledged to it for a node lease: then it serves no more.
- A death that was seen is in a view at once.
- One change at a time: who joins or leaves waits until every member has said
  that it is settled in the view before.

A master that lost its journal is not judged by its first view: it knows of
nobody.

Elsewhere: numbers of views (deeds, I7), what nodes make of them (custody).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import (
    CloseCluster,
    DeathSeen,
    FromNode,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Register,
    SendNode,
)
from lockcore.testing.record import Act, Deed, Violation

if TYPE_CHECKING:
    from lockcore.core.messages import MasterEffect, MasterInput
    from lockcore.core.view import MemberId, View
    from lockcore.testing.stage import Stage


@dataclass(slots=True)
class Membership:
    """What members told the master, and what it made of that.

    Args:
        node_lease_ms: how long a member may be silent at least.
    """

    node_lease_ms: int
    stage: Stage
    found: list[Violation] = field(default_factory=list)
    view: View | None = None
    _heard_ns: dict[MemberId, int] = field(default_factory=dict)
    _settled: dict[MemberId, int] = field(default_factory=dict)
    _beats_ns: dict[MemberId, dict[int, int]] = field(default_factory=dict)
    _proved_ns: dict[MemberId, int] = field(default_factory=dict)
    _apart_ns: dict[MemberId, int] = field(default_factory=dict)
    _acked_ns: dict[MemberId, int] = field(default_factory=dict)
    _speakers: dict[int, MemberId] = field(default_factory=dict)
    _leaving: set[MemberId] = field(default_factory=set)
    _began_ns: int = 0
    _now_ns: int = 0
    _exempt: bool = False

    def begin(self, now_ns: int, *, remembers: bool) -> None:
        """Look at a master that starts. It has heard nobody yet."""
        self._began_ns = self._now_ns = now_ns
        self._heard_ns.clear()
        self._beats_ns.clear()
        self._proved_ns.clear()
        self._apart_ns.clear()
        self._acked_ns.clear()
        self._speakers.clear()
        self._exempt = not remembers

    def hear(self, given: MasterInput, now_ns: int) -> None:
        """Look at an input before the master takes it."""
        self._now_ns = now_ns
        match given:
            case FromNode(connection, Heartbeat() as beat):
                self._speakers[connection] = beat.member
                self._heard_ns[beat.member] = now_ns
                heard_ns = self._beats_ns.setdefault(beat.member, {})
                heard_ns[beat.number] = now_ns
                self._proved_ns[beat.member] = heard_ns.get(beat.acked, self._proved_ns.get(beat.member, 0))
                for other in beat.unreached:
                    self._apart_ns[beat.member] = self._apart_ns[other.member] = now_ns
                if beat.settled:
                    self._settled[beat.member] = beat.view
            case FromNode(_, Register() as register):
                self._heard_ns[register.member] = now_ns
            case FromNode(_, Goodbye(member)):
                self._leaving.add(member)
            case CloseCluster():
                self._exempt = True

    def say(self, effect: MasterEffect) -> None:
        """Look at what the master says, before it is on its way."""
        if isinstance(effect, SendNode) and isinstance(effect.message, HeartbeatAck):
            member = self._speakers.get(effect.connection)
            if member is not None:
                self._acked_ns[member] = self._now_ns

    def see(self, given: MasterInput, view: View | None) -> None:
        """Look at the master's view after an input."""
        if isinstance(given, DeathSeen) and view is not None and view.is_up(given.member):
            self._accuse(f"{given.member.address} was seen to die, and is still up in view {view.number}")

    def publish(self, view: View) -> None:
        """Look at a view that is published."""
        before, self.view = self.view, view
        if self._exempt or before is None:
            self._exempt = False
            return
        members, others = set(before.up.values()), set(view.up.values())
        gone = [m for m in sorted(members - others) if self._lives(m) and not self._is_over(self._heard_ns, m)]
        leaving = [m for m in gone if m in self._leaving and not self._is_cut_off(m)]  # the others would go anyway
        for member in [m for m in gone if m not in self._leaving]:
            if not self._is_cut_off(member):
                text = "alive, heard within a node lease, and without a goodbye"
                self._accuse(f"{member.address} was put out in view {view.number}: {text}")
            unheeded = self._is_over(self._acked_ns, member)
            if len(gone) == len(members - others) and len(view.graces) > len(before.graces) and not unheeded:
                self._accuse(f"{member.address} was put out alive in view {view.number}, and a grace came of it")
        planned = others - members | set(leaving)
        waiting = [m.address for m in sorted(members) if self._settled.get(m) != before.number]
        if planned and waiting:
            who = ", ".join(sorted(m.address for m in planned))
            text = f"while {', '.join(waiting)} was not settled in view {before.number}"
            self._accuse(f"{who} joined or left in view {view.number} {text}")

    def _lives(self, member: MemberId) -> bool:
        node = self.stage.nodes.get(member.address)
        return node is not None and node.alive and node.core.member == member

    def _is_over(self, since_ns: dict[MemberId, int], member: MemberId) -> bool:
        last_ns = max(since_ns.get(member, 0), self._began_ns)
        return self._now_ns - last_ns >= self.node_lease_ms * NS_PER_MS

    def _is_cut_off(self, member: MemberId) -> bool:
        """Say whether it does not hear the master, as far as its heartbeats say, or not all others."""
        apart_ns = self._apart_ns.get(member)
        apart = apart_ns is not None and self._now_ns - apart_ns < self.node_lease_ms * NS_PER_MS
        return apart or self._is_over(self._proved_ns, member)

    def _accuse(self, text: str) -> None:
        number = self.view.number if self.view else 0
        seen = Deed(self.stage.now_ns, "master", 0, Act.PUBLISHED, view=number)
        self.found.append(Violation("I11", text, (seen,)))
