"""Asking a filer of a watched cluster: what it is, and who holds a key.

Elsewhere: who asks (observer, dlmsite.dashboard.clusters), the calls (lockcore.client.filerlink).
"""

from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from lockcore.client.filerlink import FilerLink, Heirs
from lockcore.client.filerpool import CONFIGURATION
from lockcore.client.link import LinkProblem
from lockcore.client.route import target_of
from lockcore.client.weedwords import CHANNEL_OPTIONS, describe
from lockcore.core.operations import FindOwner, OwnerIs, Refused
from lockcore.wire.errors import CodecError
from lockcore.wire.seaweed_client import FilerIs, decode_filer_is

ANSWER_MS: Final = 2_000
CONFIGURATION_S: Final = 2.0


class NoAnswer(Exception):  # noqa: N818 - a state of things
    """The filer did not say; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class NoFiler:
    """Something answers, and has no filer's configuration: a master, perhaps."""


async def holder_of(address: str, key: str) -> str | None:
    """Return the owner of a key as the filer at a ring address says; None: nobody holds it.

    Raises:
        NoAnswer: it did not say.
    """
    link = FilerLink(_target(address), Heirs())
    try:
        result = await link.ask(FindOwner(key), ANSWER_MS)
    except LinkProblem as problem:
        raise NoAnswer(link.problem or str(problem)) from None
    finally:
        await link.close()
    match result:
        case OwnerIs(owner):
            return owner
        case Refused():
            return None
        case _:
            raise NoAnswer("it gave no answer that makes sense")


async def what_is(target: str) -> FilerIs | NoFiler:
    """Return what answers at a gRPC target.

    Raises:
        NoAnswer: nothing does.
    """
    async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        opener: Any = channel.unary_unary  # bytes to bytes; its stub wants codecs
        try:
            return decode_filer_is(await opener(CONFIGURATION)(b"", timeout=CONFIGURATION_S))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return NoFiler()
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            why = f"no answer within {CONFIGURATION_S:g} s: it hangs, or is stopped" if late else describe(error)
            raise NoAnswer(why) from None
        except CodecError as error:
            raise NoAnswer(describe(error)) from None


def _target(address: str) -> str:
    target = target_of(address)
    if target is None:
        raise NoAnswer(f"{address[:80]!r} is no address that can be asked")
    return target
