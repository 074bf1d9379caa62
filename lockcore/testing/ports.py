"""Free ports on loopback, each given to one asker at a time, whichever process asks.

They lie below those that the kernel gives to outgoing connections: a node that is down for a second must find its
port free again, and somebody's connection could have got it otherwise.

A port that is free now may be another's a moment later, when two test runs look at the same time. So a port is claimed:
a UDP socket is bound to the same number. Nothing here speaks UDP, no file is left behind, and the kernel ends the claim
with the process.

Invariants
  P1  No port is given twice while the first claim on it lasts: until `give_back`, or the end of the process.
  P2  With a port P comes P + 10,000, where SeaweedFS and Lockring put gRPC.
Elsewhere: who listens there (lockcore.testing.chaos.cluster; tests and their helpers).
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, suppress
from typing import Final

from lockcore.wire.addresses import GRPC_PORT_OFFSET

LOWEST: Final = 11_000
HIGHEST: Final = 21_000
TRIES: Final = 500
HOST: Final = "127.0.0.1"

_claims: Final[dict[int, ExitStack]] = {}


def claim_ports(count: int = 1) -> int:
    """Claim `count` neighbours and the same 10,000 above, on which nobody listens; return the first.

    Raises:
        RuntimeError: there are none to be found.
    """
    for _ in range(TRIES):
        # Not the module `random`: it may have been seeded to repeat something, and then repeats its ports as well.
        first = LOWEST + secrets.randbelow(HIGHEST - LOWEST - count)
        with suppress(OSError), ExitStack() as claim:
            for port in range(first, first + count):
                _claim(port, claim)
                _look(port)
                _look(port + GRPC_PORT_OFFSET)
            _claims[first] = claim.pop_all()
            return first
    raise RuntimeError(f"no {count} neighbouring free ports from {LOWEST} to {HIGHEST}: end what listens there")


def claimed() -> frozenset[int]:
    """Return the first port of every claim of this process that lasts."""
    return frozenset(_claims)


def give_back(first: int) -> None:
    """End a claim; whoever listened there has ended."""
    _claims.pop(first).close()


def _claim(port: int, claim: ExitStack) -> None:
    """Raise OSError if the port is somebody's."""
    claim.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((HOST, port))


def _look(port: int) -> None:
    """Raise OSError if somebody listens."""
    socket.create_server((HOST, port)).close()
