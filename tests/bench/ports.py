"""Free ports, below those that the kernel gives to outgoing connections.

A node that is down for a second must find its port free again; an outgoing
connection of anybody could have got it otherwise.

Elsewhere: who listens (cluster, site).
"""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import Final

LOWEST: Final = 11_000
HIGHEST: Final = 21_000
GRPC_OFFSET: Final = 10_000
TRIES: Final = 200


def free_base(count: int) -> int:
    """Return a port P such that P .. P + count and the same 10,000 above are free.

    Raises:
        RuntimeError: there is none to be found.
    """
    for _ in range(TRIES):
        base = random.randrange(LOWEST, HIGHEST - count)  # noqa: S311 - no secret
        if all(_is_free(base + i) and _is_free(base + i + GRPC_OFFSET) for i in range(count + 1)):
            return base
    raise RuntimeError(f"no {2 * count} free ports from {LOWEST} up")


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False
