"""Faults at interesting instants: "when the third batch with a handover leaves".

An instant is named by what the world itself sends, so it is found again in
every run of the seed, and is rare by the clock: right after a view was sent,
between a transfer and its answer, while a mutation waits for the backup.

Elsewhere: who sees the messages (stage), what happens then (faults, themes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.core import messages as msg

if TYPE_CHECKING:
    from collections.abc import Callable

INSTANTS: Final = ("view", "transfer", "replica", "seal", "ack", "beat", "forward", "ask", "renew", "unlock", "told")


@dataclass(slots=True, eq=False)
class Trigger:
    """Acts when the `left`-th message of a kind from now leaves, or `late_ms` after; told its source and target."""

    kind: str
    left: int
    action: Callable[[str, str], None]
    late_ms: float = 0.0


def kind_of(what: object) -> str:
    """Return which instant a message marks."""
    match what:
        case msg.PeerBatch():
            return "transfer" if what.transfers else "replica" if what.replicas else "seal" if what.seal else ""
        case msg.Lock():
            return "renew" if what.token else "ask"
        case _:
            return SIMPLE.get(type(what), "")


SIMPLE: Final = {
    msg.ViewUpdate: "view",
    msg.PeerAck: "ack",
    msg.Heartbeat: "beat",
    msg.Forward: "forward",
    msg.Unlock: "unlock",
    msg.Granted: "told",
    msg.Released: "told",
}
