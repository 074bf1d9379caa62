"""Where operators may take a lock away from its holder: for who proves to be of the cluster.

Elsewhere: the rules (lockcore.core.forcing), who asks (dlmsite.operations).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from lockcore.wire.errors import CodecError
from lockcore.wire.operators_codec import decode_force_release, encode_outcome

if TYPE_CHECKING:
    from lockcore.core.messages import Result
    from lockcore.service.channels import Context, Gate
    from lockcore.service.shell import NodeShell


class OperatorsService:
    """lockring.v1.Operators."""

    def __init__(self, shell: NodeShell, gate: Gate) -> None:
        self._shell = shell
        self._gate = gate

    @property
    def handlers(self) -> dict[str, Any]:
        """Return the handlers by method."""
        return {"ForceRelease": grpc.unary_unary_rpc_method_handler(self._force_release)}

    async def _force_release(self, data: bytes, context: Context) -> bytes:
        await self._gate.check(context)
        answered: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def answer(result: Result) -> None:
            if not answered.done():
                answered.set_result(result)

        try:
            self._shell.give(self._shell.call(decode_force_release(data), answer))
        except CodecError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return encode_outcome(await answered)
