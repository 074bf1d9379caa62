"""How operators tell a node which of its streams to hold, as bytes of lockring.v1.

Invariants
  R1  decode(encode(x)) == x, and any bytes decode or raise CodecError.
Elsewhere: what holding means (lockcore.service.isolation), other messages (codec).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.parts import encoder, parse

HEAL_MS_MAX: Final = 60_000
"""Longer than any lease and any grace: what is cut longer teaches nothing new."""


class Scope(StrEnum):
    """Whom a node is cut off from; EVERYTHING includes its clients."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    MASTER = "master"
    PEERS = "peers"


class Way(StrEnum):
    """Which direction is cut: IN is what the node hears, OUT what it says."""

    BOTH = "both"
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Isolation:
    """What is cut. `heal_ms`: what remains until the node heals by itself; 0: when it is told."""

    scope: Scope = Scope.NOTHING
    way: Way = Way.BOTH
    heal_ms: int = 0


_SCOPES: Final = {
    pb.Scope.NO_SCOPE: Scope.NOTHING,
    pb.Scope.EVERYTHING: Scope.EVERYTHING,
    pb.Scope.FROM_MASTER: Scope.MASTER,
    pb.Scope.FROM_PEERS: Scope.PEERS,
}
_WAYS: Final = {pb.Way.BOTH_WAYS: Way.BOTH, pb.Way.INWARD: Way.IN, pb.Way.OUTWARD: Way.OUT}
_SCOPE_NUMBERS: Final = {scope: number for number, scope in _SCOPES.items()}
_WAY_NUMBERS: Final = {way: number for number, way in _WAYS.items()}


@encoder
def encode_isolation(isolation: Isolation) -> bytes:
    """Return the bytes of an isolation."""
    return pb.Isolation(
        scope=_SCOPE_NUMBERS[isolation.scope], way=_WAY_NUMBERS[isolation.way], heal_ms=isolation.heal_ms
    ).SerializeToString()


def decode_isolation(data: bytes) -> Isolation:
    """Return an isolation.

    Raises:
        CodecError: not one, or one that lasts too long.
    """
    message = parse(pb.Isolation, data)
    scope, way = _SCOPES.get(message.scope), _WAYS.get(message.way)
    if scope is None or way is None:
        raise CodecError("scope is 0 to 3 and way 0 to 2: see enum Scope and Way in lockring.proto")
    if message.heal_ms > HEAL_MS_MAX:
        raise CodecError(f"heal_ms is at most {HEAL_MS_MAX}, or 0 for no timer; not {message.heal_ms}")
    return Isolation(scope, way, message.heal_ms)
