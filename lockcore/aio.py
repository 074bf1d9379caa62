"""The asyncio client.

    from lockcore import aio

    async with aio.connect("127.0.0.1:18001,127.0.0.1:18002") as client:
        async with client.lock("nightly-report", ttl=10.0) as lock:
            await write_report(fencing_token=lock.generation)

Elsewhere: the same for programs without an event loop (lockcore.connect).
"""

from __future__ import annotations

from lockcore.client.client import LockClient
from lockcore.client.live import LiveLock
from lockcore.client.ranges import Ranges
from lockcore.client.session import Session, SessionState
from lockcore.client.sessionlock import SessionLock
from lockcore.client.takeover import TakenOver
from lockcore.core.operations import HeldRange, How, RangeLocked, SessionProof
from lockcore.core.rangerecords import Kind

__all__ = [
    "HeldRange",
    "How",
    "Kind",
    "LiveLock",
    "LockClient",
    "RangeLocked",
    "Ranges",
    "Session",
    "SessionLock",
    "SessionProof",
    "SessionState",
    "TakenOver",
    "connect",
]


def connect(target: str, *, timeout: float = 10.0) -> LockClient:
    """Return a client: `async with` it, or `await` it and close it later.

    Args:
        target: addresses of lock nodes, joined by commas; it works while any of them, or any node of their ring, lives.
            `host:port` is a gRPC address, `host:port.grpcPort` a ring address; or `seaweedfs://host:port[,host:port]`,
            see `lockcore.connect`.
        timeout: seconds that a cluster which does not answer is given, for each operation.
    Raises:
        InvalidRequest: an address that cannot be one.
    """
    return LockClient(target, timeout=timeout)
