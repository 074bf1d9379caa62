"""lockring.v1.Master: nodes attend and report, observers watch.

Elsewhere: SeaweedFS's side (keep_connected), decisions (lockcore.core.master).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc

from lockcore.core.messages import FromNode, Register
from lockcore.service.channels import STREAM_BROKEN, Context, Gate, next_bytes
from lockcore.service.outbox import Outbox
from lockcore.wire.codec import CodecError, ViewState, encode_view
from lockcore.wire.master_codec import (
    Overview,
    decode_events,
    decode_node_message,
    encode_overview,
    encode_report_ack,
)

if TYPE_CHECKING:
    from lockcore.core.view import View
    from lockcore.service.master_shell import MasterShell
    from lockcore.service.own_facts import EventSink

_log = logging.getLogger(__name__)


class MasterService:
    """Serves nodes and observers."""

    def __init__(self, shell: MasterShell, gate: Gate, sink: EventSink, incarnation: int) -> None:
        self._shell = shell
        self._gate = gate
        self._sink = sink
        self._incarnation = incarnation

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        return {
            "Attend": grpc.stream_stream_rpc_method_handler(self._attend),
            "Report": grpc.stream_stream_rpc_method_handler(self._report),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            "Overview": grpc.unary_unary_rpc_method_handler(self._overview),
        }

    async def _attend(self, _: object, context: Context) -> None:
        await self._gate.check(context)
        first = await next_bytes(context)
        if first is None:
            return
        number, outbox = self._shell.connect()
        try:
            register = decode_node_message(first)
            if not isinstance(register, Register):
                raise CodecError("a node's first message is its Register")  # noqa: TRY301 - answered like any other
            self._shell.give(FromNode(number, register))
            await outbox.serve(context, lambda data: self._take(number, data))
        except CodecError as error:
            _log.warning("a node's message cannot be read, its connection is closed: %s", error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            self._shell.disconnect(number)

    def _take(self, number: int, data: bytes) -> None:
        self._shell.give(FromNode(number, decode_node_message(data)))

    async def _report(self, _: object, context: Context) -> None:
        await self._gate.check(context)
        try:
            while (data := await next_bytes(context)) is not None:
                batch = decode_events(data)
                if batch.events:
                    await self._sink(batch)
                    await context.write(encode_report_ack(batch.events[-1].number))
        except CodecError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except STREAM_BROKEN:
            return
        except Exception as error:  # noqa: BLE001 - the node keeps its facts and comes again
            _log.warning("the recorder did not take facts (%s); the node will send them again", type(error).__name__)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the recorder cannot write now; send again")

    async def _watch(self, _: bytes, context: Context) -> None:
        outbox = Outbox()
        forget = self._shell.subscribe(lambda view, settled: outbox.send(encode_view(view, settled=settled)))
        try:
            view = self._shell.core.view
            if view is not None:
                outbox.send(encode_view(view, settled=self._shell.core.settled))
            await outbox.write_to(context)
        finally:
            forget()

    async def _overview(self, _: bytes, context: Context) -> bytes:
        del context
        core = self._shell.core
        view: View | None = core.view
        state = None if view is None else ViewState(view, core.settled)
        return encode_overview(Overview(state, core.members(), self._incarnation))
