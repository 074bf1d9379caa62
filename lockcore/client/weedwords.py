"""What goes wrong at SeaweedFS's gRPC ports, in words that say what to do; and the options of channels to them.

Elsewhere: who calls (filerlink, ringfeed), Lockring's own nodes (link).
"""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio

from lockcore.client.link import OPTIONS

KEEPALIVE_MS: Final = 30_000
"""SeaweedFS ends connections that are pinged more often than every 20 s."""
CHANNEL_OPTIONS: Final = tuple((dict[str, int](OPTIONS) | {"grpc.keepalive_time_ms": KEEPALIVE_MS}).items())
HINT: Final = (
    "Does it run? Write the address as SeaweedFS does: host:port with the HTTP port (gRPC is 10,000 above), "
    "or host:port.grpcPort."
)

# What gRPC says of a port where no gRPC is spoken, or not in the clear, and what it means.
_MEANINGS: Final = (
    (("refused",), "connection refused"),
    (
        ("http1", "failed parsing http/2"),
        "this is a port of HTTP, not of gRPC; write the HTTP port as host:port, or both as host:port.grpcPort",
    ),
    (
        ("timed out before receiving settings",),
        "it takes connections and says nothing: it hangs, is stopped, or wants TLS",
    ),
    (
        ("socket closed", "connection reset", "ssl", "handshake", "eof"),
        "it ended the connection at once: if it wants TLS (security.toml), this client speaks plain gRPC only",
    ),
)
_STRANGER: Final = "something else than a SeaweedFS filer or master answers there, or one that is too old to know locks"


def describe(error: BaseException) -> str:
    """Return what a failed call means to a person."""
    if isinstance(error, grpc.aio.AioRpcError):
        return meaning_of(error.code(), error.details() or "")
    return str(error)[:200] or type(error).__name__


def meaning_of(code: grpc.StatusCode, details: str) -> str:
    """Return what a status means to a person."""
    details = details.split("\n", maxsplit=1)[0]
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return _STRANGER
    if code is grpc.StatusCode.UNAVAILABLE:
        for words, meaning in _MEANINGS:
            if any(word in details.lower() for word in words):
                return meaning
    return f"{code.name.lower()}: {details[:200]}"
