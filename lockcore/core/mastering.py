"""What nodes and the master say to each other.

Elsewhere: what they mean (master, liveness, views), their bytes (wire).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.timing import Timing

if TYPE_CHECKING:
    from lockcore.core.view import MemberId, View


@dataclass(frozen=True, slots=True)
class Gauges:
    """What a node measures of itself.

    `answered`: operations; `replicated`: batches, until a peer had them;
    `replication_lag_us`: for how long the oldest that is under way has been.
    """

    held_primary: int = 0
    held_backup: int = 0
    operations: int = 0
    renewals: int = 0
    parked: int = 0
    waiting: int = 0
    acquiring: bool = False
    serving: bool = False
    answered: Timing = field(default_factory=Timing)
    replicated: Timing = field(default_factory=Timing)
    replication_lag_us: int = 0


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
class Unreached:
    """A member that owes the sender an answer for `silent_ms`, or has never given one."""

    member: MemberId
    silent_ms: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I am alive. `settled` says that nothing is missing in `view`.

    `acked`: the highest number of a heartbeat whose acknowledgement has
    arrived. `unreached`: the members that do not answer this node.
    """

    member: MemberId
    number: int
    view: int
    settled: bool
    floor: int
    gauges: Gauges = field(default_factory=Gauges)
    acked: int = 0
    unreached: tuple[Unreached, ...] = ()


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
