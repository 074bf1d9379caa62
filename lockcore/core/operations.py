"""What clients ask of a lock, and what they are answered.

Elsewhere: how it travels (messages, wire), who decides (serving).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
