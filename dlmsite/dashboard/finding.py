"""Asks a node who holds a key.

Elsewhere: which node to ask (the ring), what the answers mean (lockcore.core.messages).
"""

import asyncio
from http import HTTPStatus
from typing import Final

from dlmsite.dashboard.problems import Refusal
from lockcore.core.messages import Code, FindOwner, OwnerIs, Refused, Result
from lockcore.service.channels import STREAM_BROKEN, next_bytes, open_channel, open_stream
from lockcore.wire.addresses import grpc_target
from lockcore.wire.codec import Call, decode_server_batch, encode_client_batch
from lockcore.wire.errors import CodecError
from lockcore.wire.methods import CONVERSE

ANSWER_S: Final = 2.0
CALL_ID: Final = 1


async def ask_owner(address: str, key: str) -> tuple[str, int]:
    """Return (owner, generation) of a key; ("", 0) if nobody holds it.

    Raises:
        Refusal: the node did not answer, or does not know at the moment.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            result = await _ask(grpc_target(address), key)
    except (*STREAM_BROKEN, TimeoutError, CodecError, ValueError):
        raise _unknown(f"{address} did not answer within {ANSWER_S:.0f} s. Try again.") from None
    match result:
        case OwnerIs(owner, generation):
            return owner, generation
        case Refused(Code.NOT_FOUND):
            return "", 0
        case Refused(_, text):
            raise _unknown(f"{address} says: {text}")
        case _:
            raise _unknown(f"{address} gave no answer that makes sense.")


async def _ask(target: str, key: str) -> Result | None:
    async with open_channel(target) as channel:
        stream = open_stream(channel, CONVERSE)
        try:
            await stream.write(encode_client_batch([Call(CALL_ID, FindOwner(key), int(ANSWER_S * 1000))]))
            while (data := await next_bytes(stream)) is not None:
                for number, result in decode_server_batch(data).results:
                    if number == CALL_ID:
                        return result
        finally:
            stream.cancel()
    return None


def _unknown(detail: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The holder is unknown", detail)
