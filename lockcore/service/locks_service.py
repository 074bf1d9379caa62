"""lockring.v1.Locks: native clients.

A conversation carries many operations at once. Answers are callbacks that
append to a list; one task per conversation writes what has gathered, so that
answers of one loop turn share one message.

Invariants
  L1  The first message back carries the current view, or is empty where
      there is none yet; each new view follows.
  L2  Per conversation, operations under way and answers not yet fetched are
      bounded: what is more is refused, then no longer read.
Elsewhere: what the answers are (lockcore.core), SeaweedFS's clients
(seaweed_filer).
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.core.messages import Code, Refused
from lockcore.service import clock
from lockcore.service.channels import STREAM_BROKEN, Context, next_bytes, read
from lockcore.service.isolation import Line
from lockcore.wire.codec import (
    MESSAGE_BYTES_MAX,
    CodecError,
    NodeStatus,
    ViewState,
    decode_client_batch,
    encode_server_batch,
    encode_status,
)
from lockcore.wire.inspect_codec import decode_inspect, decode_keys, encode_key, encode_leases, encode_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lockcore.core.messages import ClientCall, Result
    from lockcore.core.view import View
    from lockcore.service.isolation import Isolator
    from lockcore.service.shell import NodeShell
    from lockcore.wire.codec import Call

UNDER_WAY_MAX: Final = 8_192
UNFETCHED_MAX: Final = 16_384
RESULTS_PER_MESSAGE_MAX: Final = 1_024
"""About 2 kB each, but for what a session holds."""

_BUSY: Final = Refused(
    Code.OVERLOADED, f"this connection has {UNDER_WAY_MAX} operations under way, which is the most; wait for some"
)


_TOO_LARGE: Final = Refused(
    Code.INVALID,
    f"the answer has more than {MESSAGE_BYTES_MAX} bytes, the most of a message: this session holds too much to be "
    "told at once; ask for one key after the other",
)


class LocksService:
    """Serves native clients of one node.

    Args:
        shell: the node.
        status: builds what Status answers.
        isolator: holds what clients say and hear.
    """

    def __init__(self, shell: NodeShell, status: Callable[[], NodeStatus], isolator: Isolator) -> None:
        self._shell = shell
        self._isolator = isolator
        self._status = status

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        return {
            "Converse": grpc.stream_stream_rpc_method_handler(self._converse),
            "Status": grpc.unary_unary_rpc_method_handler(self._tell_status),
            "Inspect": grpc.unary_unary_rpc_method_handler(self._inspect),
            "Leases": grpc.unary_unary_rpc_method_handler(self._tell_leases),
            "Sessions": grpc.unary_unary_rpc_method_handler(self._tell_sessions),
        }

    async def _converse(self, _: object, context: Context) -> None:
        await _Conversation(self._shell, context, self._isolator).run()

    async def _tell_status(self, _: bytes, context: Context) -> bytes:
        del context
        await self._pass()
        return encode_status(self._status())

    async def _inspect(self, data: bytes, context: Context) -> bytes:
        key = await read(decode_inspect, data, context)
        await self._pass()
        return encode_key(self._shell.core.see_key(key, clock.now()))

    async def _tell_leases(self, data: bytes, context: Context) -> bytes:
        keys = await read(decode_keys, data, context)
        await self._pass()
        return encode_leases(self._shell.core.see_leases(keys, clock.now()))

    async def _tell_sessions(self, _: bytes, context: Context) -> bytes:
        del context
        await self._pass()
        return encode_sessions(self._shell.core.see_sessions(clock.now()))

    async def _pass(self) -> None:
        if self._isolator.active:
            await self._isolator.passing(Line.FROM_CLIENTS)
            await self._isolator.passing(Line.TO_CLIENTS)


class _Conversation:
    """One client's stream."""

    def __init__(self, shell: NodeShell, context: Context, isolator: Isolator) -> None:
        self._shell = shell
        self._context = context
        self._isolator = isolator
        self._results: list[tuple[int, Result]] = []
        self._view: View | None = shell.core.view
        self._under_way = 0
        self._wake = asyncio.Event()
        self._fetched = asyncio.Event()
        self._ended = False  # the client has said all
        self._gone = False  # nobody listens any more

    async def run(self) -> None:
        """Read until the client has said all, answer all, end."""
        forget = self._shell.on_view(self._take_view)
        first = encode_server_batch((), self._view_state())
        self._view = None
        writer: asyncio.Task[None] | None = None
        try:
            await self._say(first)  # L1
            writer = asyncio.get_running_loop().create_task(self._write())
            try:
                await self._read()
            except CodecError as error:
                await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            self._ended = True
            self._wake.set()
            await writer
        finally:
            forget()
            self._gone = True
            if writer is not None:
                writer.cancel()

    async def _read(self) -> None:
        while (data := await next_bytes(self._context)) is not None:
            if self._isolator.active:
                await self._isolator.passing(Line.FROM_CLIENTS)
            self._take(data)
            while (
                len(self._results) >= UNFETCHED_MAX and not self._gone
            ):  # L2: the client's own window closes behind it
                self._fetched.clear()
                await self._fetched.wait()

    def _take(self, data: bytes) -> None:
        batch = decode_client_batch(data)
        self._results.extend(batch.faults)
        inputs: list[ClientCall] = []
        for call in batch.calls:
            if self._under_way >= UNDER_WAY_MAX:
                self._results.append((call.id, _BUSY))
            else:
                inputs.append(self._call(call))
        if inputs:
            self._shell.give(*inputs)
        if self._results:
            self._wake.set()

    def _call(self, call: Call) -> ClientCall:
        self._under_way += 1
        call_id = call.id

        def answer(result: Result) -> None:
            self._under_way -= 1
            if not self._gone:
                self._results.append((call_id, result))
                self._wake.set()

        return self._shell.call(call.operation, answer, timeout_ms=call.timeout_ms)

    def _take_view(self, view: View) -> None:
        self._view = view
        self._wake.set()

    def _view_state(self) -> ViewState | None:
        return None if self._view is None else ViewState(self._view, self._shell.core.all_settled)

    async def _write(self) -> None:
        try:
            while not (self._ended and self._under_way == 0 and not self._results):
                if not self._results and self._view is None:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                results = self._results[:RESULTS_PER_MESSAGE_MAX]
                self._results = self._results[RESULTS_PER_MESSAGE_MAX:]
                state, self._view = self._view_state(), None
                for data in fitting(results, state):
                    await self._say(data)
                self._fetched.set()
        except STREAM_BROKEN:
            self._gone = True
            self._fetched.set()

    async def _say(self, data: bytes) -> None:
        if self._isolator.active:
            await self._isolator.passing(Line.TO_CLIENTS)
        await self._context.write(data)


def fitting(results: Sequence[tuple[int, Result]], view: ViewState | None = None) -> Iterator[bytes]:
    """Yield results as messages that a client can read; what does not fit one alone is refused."""
    data = encode_server_batch(results, view)
    if len(data) <= MESSAGE_BYTES_MAX:
        yield data
    elif len(results) > 1:
        middle = len(results) // 2
        yield from fitting(results[:middle], view)
        yield from fitting(results[middle:])
    else:
        yield encode_server_batch([(results[0][0], _TOO_LARGE)], view)


def status_of_node(  # noqa: PLR0913 - a plain record of what only the process knows
    shell: NodeShell,
    *,
    label: str,
    started_ns: int,
    master: str,
    master_connected: bool,
    durability: str,
    events_unreported: int,
    events_unwritten: int,
) -> NodeStatus:
    """Return what a node says of itself now."""
    view = shell.core.view
    moment = clock.now()
    return NodeStatus(
        member=shell.core.member,
        label=label,
        view=None if view is None else ViewState(view, shell.core.all_settled),
        state=shell.state,
        uptime_ms=(moment.boot_ns - started_ns) // 1_000_000,
        pid=os.getpid(),
        master=master,
        master_connected=master_connected,
        durability=durability,
        gauges=shell.gauges(),
        handler_errors=shell.faults.count,
        events_unreported=events_unreported,
        events_unwritten=events_unwritten,
    )
