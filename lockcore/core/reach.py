"""Whom a node reaches: which peers owe it an answer, and since when.

An answer proves both directions: the peer heard the question, and this node
the answer. So only answers count, never what a peer says by itself. Batches
are questions; a peer that nothing was sent to for a while is asked by a
*probe*: a batch without content and with the number 0, which everybody
answers, in whatever view.

The master hears of it in heartbeats. It alone decides what follows.

Invariants
  K1  A peer's silence counts from the first question that it left without an
      answer, however often that was repeated, and across views.
  K2  A peer that has never answered is not reached, from the first moment.
Elsewhere: what the master makes of it (silence, admission), repetition (outbox).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS, PEER_SILENCE_MS
from lockcore.core.messages import Unreached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.view import MemberId


@dataclass(slots=True)
class _Peer:
    """`asked_ns`: when the oldest question without an answer left; `sent_ns`: when the newest did."""

    asked_ns: int | None = None
    sent_ns: int | None = None
    answered_ns: int | None = None


@dataclass(slots=True)
class Reach:
    """What a node knows of its ways to others, by incarnation."""

    _peers: dict[MemberId, _Peer] = field(default_factory=dict)

    def meet(self, members: Iterable[MemberId]) -> None:
        """Keep exactly these; what is known of them stays (K1)."""
        self._peers = {member: self._peers.get(member) or _Peer() for member in members}

    def ask(self, member: MemberId, now_ns: int) -> None:
        """Note that something was sent that is to be answered."""
        peer = self._peers.get(member)
        if peer is not None:
            peer.sent_ns = now_ns
            if peer.asked_ns is None:
                peer.asked_ns = now_ns

    def hear(self, member: MemberId, now_ns: int, *, more: bool) -> None:
        """Note an answer; `more` says that another one is still owed."""
        peer = self._peers.get(member)
        if peer is not None:
            peer.answered_ns = now_ns
            peer.asked_ns = now_ns if more else None

    def to_probe(self, now_ns: int, idle_ms: int) -> list[MemberId]:
        """Return who was neither asked nor heard for `idle_ms`."""
        since_ns = now_ns - idle_ms * NS_PER_MS
        return [
            m for m, p in self._peers.items() if p.sent_ns is None or max(p.sent_ns, p.answered_ns or 0) <= since_ns
        ]

    def unreached(self, now_ns: int) -> tuple[Unreached, ...]:
        """Return who owes an answer for long, or has never given one (K2)."""
        found = []
        for member, peer in self._peers.items():
            silent_ms = 0 if peer.asked_ns is None else (now_ns - peer.asked_ns) // NS_PER_MS
            if peer.answered_ns is None or silent_ms >= PEER_SILENCE_MS:
                found.append(Unreached(member, silent_ms))
        return tuple(found)
