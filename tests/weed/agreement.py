"""Do real filers serve a key where our ring says? Asked by unlocking what nobody holds, which changes nothing.

A filer that is not the key's primary forwards the unlock, and says to whom.

Elsewhere: who asks (test_watch).
"""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lockcore.client.filerlink import UNLOCK
from lockcore.client.weedwords import CHANNEL_OPTIONS
from lockcore.core.messages import Unlock
from lockcore.wire.seaweed_client import decode_unlock_answer, encode_unlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lockcore.core.ring import HashRing

AT_ONCE: Final = 64
ASK_S: Final = 20.0


async def differences(ring: HashRing, filers: Mapping[str, str], keys: Iterable[str]) -> list[str]:
    """Return the keys that a filer serves elsewhere than the ring says, with both.

    Args:
        ring: ours.
        filers: their gRPC targets by ring address; each is asked for some of the keys.
        keys: what to ask for.
    """
    wrong: list[str] = []
    work = iter(list(zip(keys, cycle(sorted(filers)), strict=False)))
    channels = {address: grpc.aio.insecure_channel(target, CHANNEL_OPTIONS) for address, target in filers.items()}

    async def ask_on() -> None:
        for key, asked in work:
            opener: Any = channels[asked].unary_unary
            answer = decode_unlock_answer(await opener(UNLOCK)(encode_unlock(Unlock(key, "nobody's")), timeout=ASK_S))
            served_by = answer.moved_to or asked
            if served_by != ring.primary(key):
                wrong.append(f"{key}: {served_by}, not {ring.primary(key)}")

    try:
        await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))
    finally:
        await asyncio.gather(*(channel.close(None) for channel in channels.values()))
    return wrong
