"""A client that speaks SeaweedFS's protocol and nothing else.

It puts its few protobuf fields together by hand, as they stand in
SeaweedFS's filer.proto: the codec of the nodes is no part of it.

Elsewhere: the other end (lockcore.service.seaweed_filer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

METHOD: Final = "/filer_pb.SeaweedFiler/DistributedLock"
VARINT, TEXT = 0, 2


@dataclass(frozen=True, slots=True)
class LockAnswer:
    """SeaweedFS's LockResponse, with Lockring's generation."""

    token: str
    owner: str
    error: str
    generation: int


class FilerClient:
    """Locks at one node."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)])
        opener: Any = self._channel.unary_unary  # bytes to bytes; its stub wants codecs
        self._lock = opener(METHOD)

    async def lock(self, key: str, ttl_s: int, owner: str, token: str, timeout_s: float) -> LockAnswer | None:
        """Lock, or renew with a token; None: no answer."""
        try:
            return lock_answer(await self._lock(lock_request(key, ttl_s, owner, token), timeout=timeout_s))
        except grpc.RpcError:
            return None

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(None)


def lock_request(key: str, ttl_s: int, owner: str, token: str) -> bytes:
    """Return a LockRequest."""
    return _text(1, key) + _number(2, ttl_s) + _text(3, token) + _text(5, owner)


def lock_answer(data: bytes) -> LockAnswer:
    """Return what a LockResponse says."""
    fields = _fields(data)
    token, owner, error = (str(fields.get(number, b""), "utf-8") for number in (1, 2, 4))
    return LockAnswer(token, owner, error, int(fields.get(5, 0)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _text(field: int, value: str) -> bytes:
    data = value.encode()
    return _varint(field << 3 | TEXT) + _varint(len(data)) + data if data else b""


def _fields(data: bytes) -> dict[int, Any]:
    """Return numbers and texts by their field."""
    out: dict[int, Any] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004
                return value

    while at < len(data):
        field, kind = divmod(varint(), 8)
        if kind == VARINT:
            out[field] = varint()
        elif kind == TEXT:
            length = varint()
            out[field] = data[at : at + length]
            at += length
        else:
            raise ValueError(f"field {field} is of kind {kind}, which SeaweedFS's LockResponse has not")
    return out
