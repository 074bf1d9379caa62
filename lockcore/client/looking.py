"""What is on a key now, asked of its primary: for people, not for programs that lock.

Elsewhere: what is told (lockcore.core.inspecting), the same on the page (dlmsite.dashboard.inspecting).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from lockcore.client.link import OPTIONS
from lockcore.client.route import target_of
from lockcore.errors import ClusterUnavailable
from lockcore.wire.errors import CodecError
from lockcore.wire.inspect_codec import decode_key, encode_inspect
from lockcore.wire.methods import INSPECT

if TYPE_CHECKING:
    from lockcore.client.client import LockClient
    from lockcore.core.inspecting import KeySeen

ANSWER_S: Final = 5.0


async def look(client: LockClient, key: str) -> KeySeen:
    """Return what the primary of a key decides about it.

    Raises:
        ClusterUnavailable: it does not answer, or does not decide at the moment.
    """
    address = (await client.pool.first_view()).ring.primary(key)
    target = target_of(address) if address is not None else None
    if target is None:
        raise ClusterUnavailable("no node is up that serves this key; try again")
    async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
        caller: Any = channel.unary_unary  # its stubs want serializers that it does not need
        try:
            seen = decode_key(await caller(INSPECT)(encode_inspect(key), timeout=ANSWER_S))
        except (grpc.RpcError, CodecError):
            text = f"{address} did not say within {ANSWER_S:.0f} s what is on this key; try again"
            raise ClusterUnavailable(text) from None
    if not seen.decides:
        raise ClusterUnavailable(f"{address} is taking this key over and does not decide yet; try again")
    return seen
