"""Asks master and nodes how they are and what they decide, and nodes to cut themselves off, over gRPC.

Elsewhere: who wants to know (report, dlmsite.dashboard.inspecting), who wants them cut off (holds).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import grpc

from lockcore.core.inspecting import KeySeen, LeaseSeen, SessionsSeen
from lockcore.core.operations import ForceRelease, Result
from lockcore.service.channels import Gate, open_channel
from lockcore.wire.addresses import grpc_target
from lockcore.wire.codec import NodeStatus, decode_status
from lockcore.wire.errors import CodecError
from lockcore.wire.inspect_codec import decode_key, decode_leases, decode_sessions, encode_inspect, encode_keys
from lockcore.wire.master_codec import Overview, decode_overview
from lockcore.wire.methods import FORCE_RELEASE, INSPECT, ISOLATE, ISOLATED, LEASES, OVERVIEW, SESSIONS, STATUS
from lockcore.wire.operators_codec import decode_outcome, encode_force_release
from lockcore.wire.rehearsal_codec import Isolation, decode_isolation, encode_isolation

T = TypeVar("T")

ANSWER_S: Final = 2.0


async def ask_master(target: str) -> Overview | None:
    """Return what the master knows; None if nobody answers."""
    return await _ask(target, OVERVIEW, decode_overview)


async def ask_nodes(addresses: list[str]) -> dict[str, NodeStatus | None]:
    """Return what each node says of itself; None for one that does not answer."""
    answers = await asyncio.gather(*(_ask(grpc_target(address), STATUS, decode_status) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def ask_key(address: str, key: str) -> KeySeen | None:
    """Return what a node decides about a key; None if it does not answer."""
    return await _ask(grpc_target(address), INSPECT, decode_key, encode_inspect(key))


async def ask_keys(addresses: list[str], key: str) -> dict[str, KeySeen | None]:
    """Return what each node has of a key; None for one that does not answer."""
    answers = await asyncio.gather(*(ask_key(address, key) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def ask_leases(keys: Mapping[str, list[str]]) -> dict[str, tuple[LeaseSeen, ...] | None]:
    """Return how long locks are held yet, by the node that was asked for them; None for one that does not answer.

    Args:
        keys: which keys to ask which address for, at most LEASES_TOLD_MAX each.
    """
    asked = (_ask(grpc_target(address), LEASES, decode_leases, encode_keys(of)) for address, of in keys.items())
    return dict(zip(keys, await asyncio.gather(*asked), strict=True))


async def ask_sessions(addresses: list[str]) -> dict[str, SessionsSeen | None]:
    """Return which sessions each node knows, and what they have there; None for one that does not answer."""
    answers = await asyncio.gather(*(_ask(grpc_target(address), SESSIONS, decode_sessions) for address in addresses))
    return dict(zip(addresses, answers, strict=True))


async def isolate(address: str, gate: Gate, isolation: Isolation) -> Isolation | None:
    """Tell a node what to cut; return what it then says is cut, None if it does not answer."""
    target, said = grpc_target(address), encode_isolation(isolation)
    return await _ask(target, ISOLATE, decode_isolation, said, gate.metadata)


async def force_release(address: str, gate: Gate, operation: ForceRelease) -> Result | None:
    """Have a key's primary release a lock; None if it does not answer."""
    said = encode_force_release(operation)
    return await _ask(grpc_target(address), FORCE_RELEASE, decode_outcome, said, gate.metadata)


async def isolated(address: str, gate: Gate) -> Isolation | None:
    """Return what a node says is cut; None if it does not answer."""
    return await _ask(grpc_target(address), ISOLATED, decode_isolation, b"", gate.metadata)


async def _ask(
    target: str,
    method: str,
    decode: Callable[[bytes], T],
    said: bytes = b"",
    metadata: tuple[tuple[str, str], ...] = (),
) -> T | None:
    async with open_channel(target) as channel:
        caller: Any = channel.unary_unary  # its stubs want serializers that it does not need
        try:
            return decode(await caller(method)(said, metadata=metadata, timeout=ANSWER_S))
        except (grpc.RpcError, CodecError):
            return None
