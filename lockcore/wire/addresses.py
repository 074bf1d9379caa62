"""Ring addresses and where gRPC listens behind them.

A ring address is SeaweedFS's: `host:port.grpcPort`, or `host:port` with gRPC
10,000 above. It is the node's name on the ring, so it is never rewritten.

Elsewhere: channels (lockcore.service.channels, lockcore.client).
"""

from __future__ import annotations

import re
from typing import Final

from lockcore.core.limits import ADDRESS_BYTES_MAX

GRPC_PORT_OFFSET: Final = 10_000
PORT_MAX: Final = 65_535
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})

_FORM: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})(\.(?P<grpc>[0-9]{1,5}))?")


def grpc_target(address: str) -> str:
    """Return `host:port` of the gRPC server behind a ring address.

    Raises:
        ValueError: it is no ring address; the text says what one looks like.
    """
    found = _FORM.fullmatch(address) if len(address.encode()) <= ADDRESS_BYTES_MAX else None
    if found is None:
        raise ValueError(f"{address[:80]!r} is no ring address: write host:port.grpcPort, as in 127.0.0.1:8001.18001")
    port = int(found["port"])
    grpc_port = int(found["grpc"]) if found["grpc"] else port + GRPC_PORT_OFFSET
    if not (0 < port <= PORT_MAX and 0 < grpc_port <= PORT_MAX):
        raise ValueError(f"the ports of {address} must lie between 1 and {PORT_MAX}, the gRPC port is {grpc_port}")
    return f"{found['host']}:{grpc_port}"


def host_of(address: str) -> str:
    """Return the host of a ring address or target.

    Raises:
        ValueError: it has none.
    """
    host, colon, _ = address.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{address[:80]!r} has no port: write host:port")
    return host
