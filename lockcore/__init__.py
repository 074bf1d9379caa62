"""Lockring's lock engine: a ring, its nodes, its master, and the client.

    import lockcore

    with lockcore.connect("127.0.0.1:18001,127.0.0.1:18002") as client:
        with client.lock("nightly-report", ttl=10.0) as lock:
            write_report(fencing_token=lock.generation)

`lockcore.aio.connect` is the same for asyncio. `HashRing` answers who owns a
key without asking anybody.

The client (and with it gRPC) is imported at first use: whoever needs only
the pure core does not pay for it.

Elsewhere: the client (lockcore.client), nodes (lockcore.service).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from lockcore.core.operations import SessionProof
from lockcore.core.ring import HashRing
from lockcore.errors import (
    ClusterUnavailable,
    InvalidRequest,
    LockError,
    LockLost,
    NotAcquired,
    RangeRefused,
    SessionLost,
    Unsupported,
)

if TYPE_CHECKING:
    from types import ModuleType

    from lockcore import aio as aio
    from lockcore.client.blocking import Client

__all__ = [
    "ClusterUnavailable",
    "HashRing",
    "InvalidRequest",
    "LockError",
    "LockLost",
    "NotAcquired",
    "RangeRefused",
    "SessionLost",
    "SessionProof",
    "Unsupported",
    "aio",
    "connect",
]


def connect(target: str, *, timeout: float = 10.0) -> Client:
    """Return a blocking client that has seen the cluster.

    Args:
        target: addresses of lock nodes, joined by commas; it works while any of them, or any node of their ring, lives.
            `host:port` is a gRPC address, `host:port.grpcPort` a ring address. Or `seaweedfs://host:port[,host:port]`:
            filers or masters of a SeaweedFS cluster, as it writes them (docs/seaweedfs.md: what it does not promise).
        timeout: seconds that a cluster which does not answer is given, here and for each operation.
    Raises:
        InvalidRequest: an address that cannot be one.
        ClusterUnavailable: no node answered in time.
    """
    from lockcore.client.blocking import Client  # noqa: PLC0415 - at first use, see above

    return Client.connect(target, timeout=timeout)


def __getattr__(name: str) -> ModuleType:
    """Import `lockcore.aio` when it is first named."""
    if name == "aio":
        return import_module("lockcore.aio")
    raise AttributeError(f"module 'lockcore' has no attribute {name!r}")
