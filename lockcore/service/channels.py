"""gRPC servers and channels as every part of Lockring opens them.

Handlers speak bytes; the codecs are called inside them, so that a message
that cannot be read gets a clear answer instead of gRPC's own.

Invariants
  G1  A port that is taken is a ServiceProblem, never shared (so_reuseport=0).
  G2  Calls within a cluster prove the cluster's secret in their metadata.
Elsewhere: names of methods and metadata (lockcore.wire.methods).
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

import grpc
import grpc.aio

from lockcore.service.problems import ServiceProblem
from lockcore.service.secrets import derive
from lockcore.wire.codec import MESSAGE_BYTES_MAX
from lockcore.wire.errors import CodecError
from lockcore.wire.methods import CLUSTER_METADATA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Context = grpc.aio.ServicerContext[bytes, bytes]
Options = tuple[tuple[str, int], ...]

RPCS_MAX: Final = 4_096
"""Streams and calls under way at one server; what is more is refused by gRPC."""
RECONNECT_MS_MIN: Final = 50
RECONNECT_MS_MAX: Final = 500

_BOTH: Final[Options] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A peer that vanished without a word is noticed after about ten seconds; the core's own deadlines are shorter.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
SERVER_OPTIONS: Final[Options] = (
    *_BOTH,
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)
CHANNEL_OPTIONS: Final[Options] = (
    *_BOTH,
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_MIN),
    ("grpc.min_reconnect_backoff_ms", RECONNECT_MS_MIN),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.max_pings_without_data", 0),
)


def open_channel(target: str) -> grpc.aio.Channel:
    """Return a channel that reconnects quickly; loopback needs no TLS."""
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


class Stream(Protocol):
    """A client's side of a stream of bytes in both directions."""

    async def read(self) -> object:
        """Return the next message, or EOF, which is no bytes."""

    async def write(self, data: bytes) -> None:
        """Send a message."""

    async def done_writing(self) -> None:
        """Say that no more follows."""

    def cancel(self) -> bool:
        """End the stream at once."""


STREAM_BROKEN: Final = (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError)
"""What reading from and writing to a stream that has ended raises."""


def open_stream(channel: grpc.aio.Channel, method: str, gate: Gate | None = None) -> Stream:
    """Open a stream in both directions; whether it works shows at first use."""
    opener: Any = channel.stream_stream  # its stubs want serializers and an iterator that it does not need
    stream: Stream = opener(method)(metadata=gate.metadata if gate else None)
    return stream


async def next_bytes(stream: Stream | Context) -> bytes | None:
    """Return the next message, None at the end of the stream.

    Raises:
        grpc.RpcError: the stream broke; see STREAM_BROKEN.
    """
    data: object = await stream.read()
    return data if isinstance(data, bytes) else None


class Gate:
    """Proves and checks that a caller belongs to the cluster (G2)."""

    def __init__(self, secret: bytes) -> None:
        self._proof = derive(secret, "cluster").hex()

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call within the cluster carries."""
        return ((CLUSTER_METADATA, self._proof),)

    async def check(self, context: Context) -> None:
        """End the call as UNAUTHENTICATED unless it proves the secret."""
        shown = dict(context.invocation_metadata() or ()).get(CLUSTER_METADATA, "")
        text = shown if isinstance(shown, str) else ""
        if not hmac.compare_digest(text.encode(), self._proof.encode()):
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                f"only members of this cluster may call this: send its proof in {CLUSTER_METADATA} "
                "(both sides need the same cluster.secret)",
            )


async def read(decode: Callable[[bytes], T], data: bytes, context: Context) -> T:
    """Return a message, or end the call as INVALID_ARGUMENT with what is wrong with it."""
    try:
        return decode(data)
    except CodecError as error:
        return await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


async def abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    """End a call; what its stub does not say is that nothing comes after it."""
    await context.abort(code, text)


def new_server() -> grpc.aio.Server:
    """Return a server without handlers."""
    return grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=RPCS_MAX)


def add_handlers(server: grpc.aio.Server, service: str, handlers: Mapping[str, Any]) -> None:
    """Serve methods that take and give bytes."""
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, dict(handlers)),))


async def listen(server: grpc.aio.Server, target: str, what: str) -> None:
    """Bind and start a server.

    Raises:
        ServiceProblem: the port is taken or the host is not ours (G1).
    """
    try:
        port = server.add_insecure_port(target)
    except RuntimeError:
        port = 0
    if port == 0:
        raise ServiceProblem(
            f"{what} cannot listen on {target}: another program uses that port, or the host is not this machine's. "
            "Stop the other program, or choose another port."
        )
    await server.start()
