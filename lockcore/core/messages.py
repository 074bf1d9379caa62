"""What clients, nodes and the master say to each other, and the effects.

Frozen and without behaviour. The codec gives each its bytes; the simulator
sends them as they are.

Elsewhere: field numbers (lockcore/wire/proto), meaning (node, master).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockcore.core.events import Event
    from lockcore.core.view import MemberId, View


@dataclass(frozen=True, slots=True)
class Instant:
    """Now: `boot_ns` (CLOCK_BOOTTIME) counts leases, `wall_ns` is for people."""

    boot_ns: int
    wall_ns: int


# --- operations: what a client asks ------------------------------------------


@dataclass(frozen=True, slots=True)
class Lock:
    """Acquire (empty token) or renew (the token of the last grant)."""

    key: str
    ttl_ms: int
    owner: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Unlock:
    """Release what the token proves to be held."""

    key: str
    token: str


@dataclass(frozen=True, slots=True)
class FindOwner:
    """Ask who holds a key."""

    key: str


Operation = Lock | Unlock | FindOwner


# --- results -------------------------------------------------------------------


class Code(StrEnum):
    """Why a request was refused. The text beside it is for people."""

    HELD = "held"  # somebody else holds it; `owner` says who
    TOKEN_MISMATCH = "token_mismatch"  # noqa: S105 - a code, no secret
    TOKEN_ON_NEW = "token_on_new"  # noqa: S105 - a code, no secret
    TOKEN_ON_EXPIRED = "token_on_expired"  # noqa: S105 - a code, no secret
    NOT_FOUND = "not_found"  # unlock or find: nobody holds it
    INVALID = "invalid"  # the request itself is wrong; do not retry
    HANDOFF = "handoff"  # the range is being handed over: retry soon
    RECOVERING = "recovering"  # grace after a double failure: retry later
    NOT_SERVING = "not_serving"  # this node has no right to serve: try another
    NOT_PRIMARY = "not_primary"  # forwarded to a node that is not the primary
    MOVED = "moved"  # ask `moved_to`, with the same token
    TIMEOUT = "timeout"  # the outcome is unknown
    OVERLOADED = "overloaded"


RETRYABLE = frozenset(
    {
        Code.HANDOFF,
        Code.RECOVERING,
        Code.NOT_SERVING,
        Code.NOT_PRIMARY,
        Code.MOVED,
        Code.TIMEOUT,
        Code.OVERLOADED,
    }
)
"""Refusals that say nothing about who holds the lock."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Acquired or renewed. `moved_to` is set where another node is primary."""

    token: str
    owner: str
    generation: int
    seq: int
    ttl_ms: int
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The lock is free."""

    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class OwnerIs:
    """Who holds the key, and its fencing token."""

    owner: str
    generation: int
    remaining_ms: int
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed, or (TIMEOUT) nobody knows."""

    code: Code
    text: str
    owner: str = ""
    moved_to: str = ""


Result = Granted | Released | OwnerIs | Refused


# --- node to node ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lock as it travels: time as what remains, never as a date.

    `gone` marks a tombstone: released or expired, kept so that a late
    message cannot bring the lock back. `confirmed_seq` is the newest seq
    whose token the holder has shown.
    """

    key: str
    token: str
    owner: str
    generation: int
    seq: int
    remaining_ns: int
    ttl_ms: int
    confirmed_seq: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Seal:
    """The sender's promise that nothing is left to send.

    `handover`: you have all of mine that you are primary for. `backup`: you
    have a copy of all that I am primary and you are backup for. `floor` is
    the highest generation the sender has seen.
    """

    handover: bool
    backup: bool
    floor: int


@dataclass(frozen=True, slots=True)
class PeerBatch:
    """Locks for another node, in one numbered message.

    `lsn` rises with each message from one sender incarnation to one
    receiver incarnation within a view: older ones are dropped, so neither a
    duplicate nor a reordered message is ever applied late.
    """

    sender: MemberId
    receiver: MemberId
    view: int
    lsn: int
    replicas: tuple[LeaseRecord, ...] = ()
    transfers: tuple[LeaseRecord, ...] = ()
    seal: Seal | None = None


class Outcome(StrEnum):
    """What a receiver did with one record."""

    ACCEPTED = "accepted"
    STALE = "stale"  # it has something newer


class BatchStatus(StrEnum):
    """What a receiver did with a batch as a whole."""

    OK = "ok"
    WRONG_VIEW = "wrong_view"  # `view` of the answer says which it is in
    NOT_SERVING = "not_serving"  # no node lease


@dataclass(frozen=True, slots=True)
class PeerAck:
    """Answer to the batch `lsn`; outcomes in the order of its records."""

    sender: MemberId
    receiver: MemberId
    view: int
    lsn: int
    status: BatchStatus
    replicas: tuple[Outcome, ...] = ()
    transfers: tuple[Outcome, ...] = ()
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Forward:
    """A request on its one hop to the primary."""

    sender: MemberId
    forward_id: int
    operation: Operation
    timeout_ms: int
    may_park: bool


@dataclass(frozen=True, slots=True)
class ForwardReply:
    """The primary's answer to a Forward."""

    sender: MemberId
    forward_id: int
    result: Result


PeerMessage = PeerBatch | PeerAck | Forward | ForwardReply


# --- node and master ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a node measures of itself."""

    held_primary: int = 0
    held_backup: int = 0
    operations: int = 0
    renewals: int = 0
    parked: int = 0
    waiting: int = 0
    acquiring: bool = False
    serving: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """First words of a node on each connection to the master.

    `view` is the newest view it knows: a master without a journal learns
    from it.
    """

    member: MemberId
    floor: int = 0
    view: View | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I am alive. `settled` says that nothing is missing in `view`."""

    member: MemberId
    number: int
    view: int
    settled: bool
    floor: int
    gauges: Gauges = field(default_factory=Gauges)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """I want to leave; I serve until a view without me arrives."""

    member: MemberId


@dataclass(frozen=True, slots=True)
class Farewell:
    """Answer to Close: I no longer serve; my longest lease ends in so long."""

    member: MemberId
    longest_ms: int


NodeMessage = Register | Heartbeat | Goodbye | Farewell


@dataclass(frozen=True, slots=True)
class ViewUpdate:
    """The current view; the first message on every connection."""

    view: View


@dataclass(frozen=True, slots=True)
class HeartbeatAck:
    """Heartbeat `number` arrived. It counts only for who is in `view`.

    `settled` is the newest view in which every member was settled.
    """

    number: int
    view: int
    settled: int


@dataclass(frozen=True, slots=True)
class RegisterRefused:
    """You cannot be a member; `text` says why and what to do."""

    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """The whole cluster stops: stop serving and say Farewell."""


MasterMessage = ViewUpdate | HeartbeatAck | RegisterRefused | Close


# --- inputs of NodeCore.step ---------------------------------------------------------


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
