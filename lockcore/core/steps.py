"""Inputs and effects of the two cores' `step`.

Effects are carried out in the order in which they are returned.

Elsewhere: who decides them (node, master), who carries them out (service).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockcore.core.events import Event
    from lockcore.core.mastering import MasterMessage, NodeMessage
    from lockcore.core.operations import Operation, Result
    from lockcore.core.peering import PeerMessage
    from lockcore.core.view import MemberId, View


@dataclass(frozen=True, slots=True)
class Instant:
    """Now: `boot_ns` (CLOCK_BOOTTIME) counts leases, `wall_ns` is for people."""

    boot_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class ClientCall:
    """A request from a client.

    `may_park` False: answer HANDOFF at once where it would have to wait.
    `forwarded`: it had its one hop already (SeaweedFS's is_moved).
    """

    call_id: int
    operation: Operation
    timeout_ms: int
    may_park: bool = True
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class FromPeer:
    """A message another node sent."""

    message: PeerMessage


@dataclass(frozen=True, slots=True)
class FromMaster:
    """A message the master sent."""

    message: MasterMessage


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; nothing else happened."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The operator asks this node to leave."""


NodeInput = ClientCall | FromPeer | FromMaster | Tick | Leave


# --- effects of NodeCore.step, to be carried out in order ---------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a ClientCall."""

    call_id: int
    result: Result


@dataclass(frozen=True, slots=True)
class SendPeer:
    """Send to the node at a ring address; may be lost."""

    address: str
    message: PeerMessage


@dataclass(frozen=True, slots=True)
class SendMaster:
    """Send to the master; dropped when there is no connection."""

    message: NodeMessage


@dataclass(frozen=True, slots=True)
class Emit:
    """Write a fact to the spool before the effects that follow."""

    event: Event


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process with this exit code; `text` says why."""

    exit_code: int
    text: str


NodeEffect = Reply | SendPeer | SendMaster | Emit | Stop


# --- inputs and effects of MasterCore.step ------------------------------------------


@dataclass(frozen=True, slots=True)
class FromNode:
    """A node said something on connection `connection`."""

    connection: int
    message: NodeMessage


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """A node's connection closed. Says nothing about the node itself."""

    connection: int


@dataclass(frozen=True, slots=True)
class DeathSeen:
    """Somebody who can know has seen this incarnation end."""

    member: MemberId


@dataclass(frozen=True, slots=True)
class CloseCluster:
    """Stop everything, cleanly."""


MasterInput = FromNode | ConnectionLost | DeathSeen | CloseCluster | Tick


@dataclass(frozen=True, slots=True)
class SendNode:
    """Send on a node's connection; dropped when it is closed."""

    connection: int
    message: MasterMessage


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close a connection after what was sent on it."""

    connection: int


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the journal durably before the effects that follow."""

    journal: dict[str, object]


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell observers and clients; `settled` tells a view from its settling."""

    view: View
    settled: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """Every node said Farewell, or there was none."""


MasterEffect = SendNode | Disconnect | Persist | Publish | Emit | Closed
