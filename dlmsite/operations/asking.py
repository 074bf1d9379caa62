"""Asks master and nodes how they are, over gRPC.

Elsewhere: who wants to know (report).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import grpc

from lockcore.service.channels import open_channel
from lockcore.wire.addresses import grpc_target
from lockcore.wire.codec import NodeStatus, decode_status
from lockcore.wire.errors import CodecError
from lockcore.wire.master_codec import Overview, decode_overview
from lockcore.wire.methods import OVERVIEW, STATUS

T = TypeVar("T")

ANSWER_S: Final = 2.0


async def ask_master(target: str) -> Overview | None:
    """Return what the master knows; None if nobody answers."""
    return await _ask(target, OVERVIEW, decode_overview)


async def ask_nodes(addresses: list[str]) -> dict[str, NodeStatus | None]:
    """Return what each node says of itself; None for one that does not answer."""
    answers = await asyncio.gather(*(_ask(grpc_target(address), STATUS, decode_status) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def _ask(target: str, method: str, decode: Callable[[bytes], T]) -> T | None:
    async with open_channel(target) as channel:
        caller: Any = channel.unary_unary  # its stubs want serializers that it does not need
        try:
            return decode(await caller(method)(b"", timeout=ANSWER_S))
        except (grpc.RpcError, CodecError):
            return None
