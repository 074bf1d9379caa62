"""What a user may pass in, checked before anything is sent.

Nodes check the same (lockcore.core.requests.fault_of); here the answer comes
at once, and names the argument.

Invariants
  V1  Whatever passes here is not INVALID to a node.
Elsewhere: the bounds and their reasons (lockcore.core.limits).
"""

from __future__ import annotations

import math
from typing import Final

from lockcore.core.limits import (
    KEY_BYTES_MAX,
    LEASE_MS_MAX,
    LEASE_MS_MIN,
    LOCK_DELAY_MS_MAX,
    LOCK_OWNER_BYTES_MAX,
    OWNER_BYTES_MAX,
    REQUEST_TIMEOUT_MS_MAX,
    SESSION_LABEL_BYTES_MAX,
    SESSION_MS_MIN,
    TOKEN_BYTES_MAX,
    WAIT_MS_MAX,
)
from lockcore.errors import InvalidRequest
from lockcore.wire.addresses import GRPC_PORT_OFFSET, PORT_MAX, grpc_target, host_of

SEEDS_MAX: Final = 64
SEAWEEDFS: Final = "seaweedfs://"
MS_PER_S: Final = 1_000
WAIT_S_MAX: Final = 31_536_000
"""A year; who means longer means for ever."""


def key_of(key: object) -> str:
    """Return a key that can be one."""
    size = _utf8_size("key", key)
    if not 0 < size <= KEY_BYTES_MAX:
        raise InvalidRequest(f"a key has 1 to {KEY_BYTES_MAX} bytes of UTF-8; this one has {size}: choose another name")
    return str(key)


def owner_of(owner: object) -> str:
    """Return an owner that can be one. Empty is allowed, but tells people nothing."""
    size = _utf8_size("owner", owner)
    if size > OWNER_BYTES_MAX:
        raise InvalidRequest(f"an owner has at most {OWNER_BYTES_MAX} bytes; this one has {size}: shorten it")
    return str(owner)


def token_of(token: object) -> str:
    """Return a renew token that can be one."""
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_BYTES_MAX or not token.isascii():
        raise InvalidRequest("this is no renew token: pass the one of the last grant or renewal, unchanged")
    return token


def ttl_ms_of(ttl: object) -> int:
    """Return a TTL given in seconds, in whole milliseconds."""
    low, high = LEASE_MS_MIN / MS_PER_S, LEASE_MS_MAX / MS_PER_S
    seconds = _number("ttl", ttl)
    if not low <= seconds <= high:
        raise InvalidRequest(f"a ttl lasts {low} to {high:.0f} seconds, not {seconds:g}; it is renewed while held")
    return round(seconds * MS_PER_S)


def wait_ms_of(wait: object) -> int | None:
    """Return a time to wait given in seconds, in milliseconds; None is for ever."""
    if wait is None:
        return None
    seconds = _number("wait", wait)
    if not 0 <= seconds <= WAIT_S_MAX:
        raise InvalidRequest(f"wait is None (for ever) or 0 to {WAIT_S_MAX} seconds, not {seconds:g}")
    return round(seconds * MS_PER_S)


def session_wait_ms_of(wait: object) -> int | None:
    """Return a time to queue given in seconds, in milliseconds; None is as long as the session lives."""
    wait_ms = wait_ms_of(wait)
    if wait_ms is not None and wait_ms > WAIT_MS_MAX:
        raise InvalidRequest(f"wait is None (as long as the session lives) or 0 to {WAIT_MS_MAX // MS_PER_S} seconds")
    return wait_ms


def session_ttl_ms_of(ttl: object) -> int:
    """Return a session's lease given in seconds, in whole milliseconds."""
    low, high = SESSION_MS_MIN / MS_PER_S, LEASE_MS_MAX / MS_PER_S
    seconds = _number("ttl", ttl)
    if not low <= seconds <= high:
        raise InvalidRequest(
            f"a session's ttl is {low:g} to {high:.0f} seconds, not {seconds:g}; it is kept alive by itself"
        )
    return round(seconds * MS_PER_S)


def lock_delay_ms_of(delay: object) -> int:
    """Return a lock-delay given in seconds, in whole milliseconds."""
    seconds = _number("lock_delay", delay)
    if not 0 <= seconds <= LOCK_DELAY_MS_MAX / MS_PER_S:
        raise InvalidRequest(f"lock_delay is 0 to {LOCK_DELAY_MS_MAX // MS_PER_S} seconds, not {seconds:g}")
    return round(seconds * MS_PER_S)


def label_of(label: object) -> str:
    """Return a session's label that can be one."""
    size = _utf8_size("label", label)
    if size > SESSION_LABEL_BYTES_MAX:
        raise InvalidRequest(f"a label has at most {SESSION_LABEL_BYTES_MAX} bytes; this one has {size}: shorten it")
    return str(label)


def lock_owner_of(owner: object) -> str:
    """Return a lock-owner of byte ranges that can be one."""
    size = _utf8_size("owner", owner)
    if size > LOCK_OWNER_BYTES_MAX:
        raise InvalidRequest(f"a lock-owner has at most {LOCK_OWNER_BYTES_MAX} bytes; this one has {size}: shorten it")
    return str(owner)


def timeout_ms_of(timeout: object) -> int:
    """Return a timeout given in seconds, in milliseconds."""
    seconds = _number("timeout", timeout)
    high_s = REQUEST_TIMEOUT_MS_MAX // MS_PER_S
    if not 0 < seconds <= high_s:
        raise InvalidRequest(f"a timeout lasts more than 0 and at most {high_s} seconds, not {seconds:g}")
    return max(1, round(seconds * MS_PER_S))


def is_seaweedfs(target: object) -> bool:
    """Say whether a target names filers and masters of SeaweedFS."""
    return isinstance(target, str) and target.strip().lower().startswith(SEAWEEDFS)


def seaweedfs_seeds_of(target: object) -> tuple[str, ...]:
    """Return the gRPC addresses of filers or masters in a target.

    Args:
        target: `seaweedfs://` before addresses as SeaweedFS writes them, joined by commas: `host:port`, the HTTP port,
            with gRPC 10,000 above, or `host:port.grpcPort`.
    Raises:
        InvalidRequest: none, too many, or one that is no address.
    """
    text = target.strip() if isinstance(target, str) else ""
    bare = text[len(SEAWEEDFS) :] if is_seaweedfs(text) else text
    names = bare.rstrip("/").replace(",", " ").split()
    if not 0 < len(names) <= SEEDS_MAX:
        raise InvalidRequest(
            f"a target names 1 to {SEEDS_MAX} filers or masters, this one {len(names)}: write {SEAWEEDFS}host:port"
        )
    try:
        return tuple(dict.fromkeys(grpc_target(name) for name in names))
    except ValueError as error:
        raise InvalidRequest(
            f"{error}; or as SeaweedFS writes it, host:port with the HTTP port (gRPC is {GRPC_PORT_OFFSET:,} above)"
        ) from None


def seeds_of(target: object) -> tuple[str, ...]:
    """Return the gRPC addresses in a target.

    Args:
        target: `host:grpcPort` or `host:port.grpcPort`, joined by commas or blanks.
    Raises:
        InvalidRequest: none, too many, or one that is no address.
    """
    if not isinstance(target, str):
        raise InvalidRequest(f"a target is a text such as 127.0.0.1:18001,127.0.0.1:18002, not {type(target).__name__}")
    if "://" in target:
        raise InvalidRequest(
            f"the scheme {target.partition('://')[0][:20]!r} is not known: write {SEAWEEDFS}host:port for SeaweedFS, "
            "and host:grpcPort without any scheme for Lockring"
        )
    names = target.replace(",", " ").split()
    if not 0 < len(names) <= SEEDS_MAX:
        raise InvalidRequest(
            f"a target names 1 to {SEEDS_MAX} lock nodes, this one {len(names)}: write host:grpcPort,host:grpcPort"
        )
    return tuple(dict.fromkeys(_seed(name) for name in names))


def _seed(name: str) -> str:
    try:
        if "." in name.rpartition(":")[2]:
            return grpc_target(name)
        host, port = host_of(name), name.rpartition(":")[2]
        grpc_target(f"{name}.{port}")  # host and port can be such
    except ValueError:
        raise InvalidRequest(
            f"{name[:80]!r} is no address of a lock node: write host:grpcPort, as in 127.0.0.1:18001, "
            f"or host:port.grpcPort, as in 127.0.0.1:8001.18001; ports go to {PORT_MAX}"
        ) from None
    return f"{host}:{int(port)}"


def _utf8_size(what: str, text: object) -> int:
    if not isinstance(text, str):
        raise InvalidRequest(f"a {what} is a text (str), not {type(text).__name__}")
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"this {what} is not valid Unicode: it holds a lone surrogate") from None


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{what} is a number of seconds, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
