"""How operators tell a node to take a lock away from its holder, as bytes of lockring.v1.

Invariants
  O1  decode(encode(x)) == x, and any bytes decode or raise CodecError.
Elsewhere: what comes of it (lockcore.core.forcing), other messages (codec).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.operations import ForceRelease
from lockcore.wire.answering import put_result, result_of
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.parts import encoder, parse

if TYPE_CHECKING:
    from lockcore.core.operations import Result


@encoder
def encode_force_release(operation: ForceRelease) -> bytes:
    """Return the bytes that ask for it."""
    return pb.ForceReleaseRequest(
        key=operation.key, generation=operation.generation, reason=operation.reason
    ).SerializeToString()


def decode_force_release(data: bytes) -> ForceRelease:
    """Return what is asked for; the core says what is wrong with it.

    Raises:
        CodecError: these bytes are something else.
    """
    message = parse(pb.ForceReleaseRequest, data)
    return ForceRelease(message.key, message.generation, message.reason)


@encoder
def encode_outcome(result: Result) -> bytes:
    """Return the bytes of the answer."""
    message = pb.OpResult()
    put_result(message, result)
    return message.SerializeToString()


def decode_outcome(data: bytes) -> Result:
    """Return the answer.

    Raises:
        CodecError: these bytes are something else.
    """
    return result_of(parse(pb.OpResult, data))
