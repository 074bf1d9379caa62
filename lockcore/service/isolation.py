"""A node that is cut off on purpose: streams that hold what they carry, and close nothing.

A closed socket is noticed at once; a network that swallows packets is not. So a stream that is cut just stops: what
comes next waits at its place, in order, until the cut is healed, and is delivered then.

Invariants
  I1  While nothing is cut, a stream pays one test of an attribute (`active`) per message.
  I2  The heal time is kept here, in the node: it heals although whoever cut it is gone.
  I3  What is held is bounded by the bounds of each stream's own queue; nothing is closed, dropped or reordered here.
  I4  The call that heals is never cut.
Elsewhere: why not by a proxy (docs/decisions/0010), who asks for it (dlmsite.operations.holds).
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.service import clock
from lockcore.wire.codec import CodecError
from lockcore.wire.rehearsal_codec import Isolation, Scope, Way, decode_isolation, encode_isolation

if TYPE_CHECKING:
    from lockcore.service.channels import Context, Gate

_log = logging.getLogger(__name__)


class Line(Enum):
    """Whom a stream leads to, and which way."""

    FROM_MASTER = auto()
    TO_MASTER = auto()
    FROM_PEERS = auto()
    TO_PEERS = auto()
    FROM_CLIENTS = auto()
    TO_CLIENTS = auto()


_INWARD: Final = frozenset({Line.FROM_MASTER, Line.FROM_PEERS, Line.FROM_CLIENTS})
_LINES: Final = {
    Scope.NOTHING: frozenset[Line](),
    Scope.EVERYTHING: frozenset(Line),
    Scope.MASTER: frozenset({Line.FROM_MASTER, Line.TO_MASTER}),
    Scope.PEERS: frozenset({Line.FROM_PEERS, Line.TO_PEERS}),
}


class Isolator:
    """Which lines of one node are cut.

    Attributes:
        active: whether any is; a stream looks at nothing else as long as it is not (I1).
    """

    def __init__(self) -> None:
        self.active = False
        self._told = Isolation()
        self._cut: frozenset[Line] = frozenset()
        self._heals_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._change = asyncio.Event()

    @property
    def state(self) -> Isolation:
        """What is cut now, and for how long yet."""
        if not self._told.heal_ms:
            return self._told
        left_ms = max(1, (self._heals_ns - clock.boot_ns()) // 1_000_000)
        return Isolation(self._told.scope, self._told.way, left_ms)

    def set(self, isolation: Isolation) -> None:
        """Cut exactly this from now on; Scope.NOTHING heals."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._told = Isolation() if isolation.scope is Scope.NOTHING else isolation
        self._cut = lines_of(self._told)
        self.active = bool(self._cut)
        if self.active and isolation.heal_ms:
            self._heals_ns = clock.boot_ns() + isolation.heal_ms * 1_000_000
            self._timer = asyncio.get_running_loop().call_later(isolation.heal_ms / 1e3, self.set, Isolation())
        change, self._change = self._change, asyncio.Event()
        change.set()
        _log.warning("isolated on purpose: %s" if self.active else "no longer isolated%s", _tell(self._told))

    async def passing(self, line: Line) -> None:
        """Return when the line is not cut; ask only while `active`."""
        while line in self._cut:
            await self._change.wait()


def lines_of(isolation: Isolation) -> frozenset[Line]:
    """Return the lines that an isolation cuts."""
    lines = _LINES[isolation.scope]
    if isolation.way is Way.IN:
        return lines & _INWARD
    return lines - _INWARD if isolation.way is Way.OUT else lines


def _tell(isolation: Isolation) -> str:
    if isolation.scope is Scope.NOTHING:
        return ""
    until = f"for {isolation.heal_ms} ms" if isolation.heal_ms else "until told otherwise"
    return f"{isolation.scope.value}, way {isolation.way.value}, {until}"


class RehearsalService:
    """lockring.v1.Rehearsal: where a node is told what to cut. Never cut itself (I4)."""

    def __init__(self, isolator: Isolator, gate: Gate) -> None:
        self._isolator = isolator
        self._gate = gate

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        methods = {"Isolate": self._isolate, "Isolated": self._isolated}
        return {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}

    async def _isolate(self, data: bytes, context: Context) -> bytes:
        await self._gate.check(context)
        try:
            self._isolator.set(decode_isolation(data))
        except CodecError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return encode_isolation(self._isolator.state)

    async def _isolated(self, _: bytes, context: Context) -> bytes:
        await self._gate.check(context)
        return encode_isolation(self._isolator.state)
