"""master_pb.Seaweed/KeepConnected: SeaweedFS's programs watch the ring.

`filer` and `s3` get the current LockRingUpdate first, everybody gets later
ones: one for each ring version. A SeaweedFS filer that connects is an
observer: it cannot keep the pair rule, so it is not put on the ring.

Invariants
  K1  Within a connection, ring versions rise.
Elsewhere: when versions change (lockcore.core.master).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.service.channels import Context, next_bytes, read
from lockcore.service.outbox import Outbox
from lockcore.wire.seaweed import decode_keep_connected, encode_node_update, encode_ring_update

if TYPE_CHECKING:
    from lockcore.core.view import MemberId, View
    from lockcore.service.master_shell import MasterShell

RING_CLIENTS: Final = frozenset({"filer", "s3"})

_log = logging.getLogger(__name__)


class SeaweedMasterService:
    """Serves SeaweedFS's master protocol, as far as locks need it."""

    def __init__(self, shell: MasterShell) -> None:
        self._shell = shell

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        return {"KeepConnected": grpc.stream_stream_rpc_method_handler(self._keep_connected)}

    async def _keep_connected(self, _: object, context: Context) -> None:
        first = await next_bytes(context)
        if first is None:
            return
        client = await read(decode_keep_connected, first, context)
        outbox = Outbox()
        watch = _RingWatch(outbox, self._shell.core.view, tell_first=client.client_type in RING_CLIENTS)
        forget = self._shell.subscribe(watch.take)
        if client.client_type == "filer":
            _log.info("a SeaweedFS filer observes the ring; it is not put on it")
        try:
            await outbox.serve(context, lambda _: None)
        finally:
            forget()


class _RingWatch:
    """What one client was told of the ring."""

    def __init__(self, outbox: Outbox, view: View | None, *, tell_first: bool) -> None:
        self._outbox = outbox
        self._version = 0 if view is None or tell_first else view.version
        self._up: set[MemberId] = set() if view is None else set(view.up.values())
        if view is not None and tell_first:
            self._tell_ring(view)

    def take(self, view: View, settled: bool) -> None:  # noqa: FBT001 - the shape of a subscriber
        if settled:
            return
        if view.version > self._version:
            self._tell_ring(view)
        up = set(view.up.values())
        gone, come = self._up - up, up - self._up
        self._up = up
        for member in sorted(gone):
            self._tell_node(member, is_add=False)
        for member in sorted(come):
            self._tell_node(member, is_add=True)

    def _tell_ring(self, view: View) -> None:
        self._version = view.version
        servers = sorted((m.address for m in view.members), key=str.encode)
        self._outbox.send(encode_ring_update(servers, view.version))

    def _tell_node(self, member: MemberId, *, is_add: bool) -> None:
        self._outbox.send(encode_node_update(member.address, is_add=is_add, created_at_ns=time.time_ns()))
