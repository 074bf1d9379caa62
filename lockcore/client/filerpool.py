"""All filers of one SeaweedFS cluster, and its lock ring as its master tells it.

Seeds are filers or masters, in any mixture: each is asked what it is. A
filer names its masters and its group; the leading master tells the ring, so
that a key's primary is asked at once. Where no master can be reached, filers
are asked as they are known, and say themselves where a lock lives.

Invariants of `pool`; and
  P5  A ring with a lower version than the last is not taken, as filers do.
Elsewhere: one filer (filerlink), masters (ringfeed).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from lockcore.client.filerlink import FIND, FilerLink, Heirs
from lockcore.client.pool import LOOK_S, Pool
from lockcore.client.ringfeed import RingFeed
from lockcore.client.route import target_of
from lockcore.client.weedwords import CHANNEL_OPTIONS, HINT, describe
from lockcore.core.operations import FindOwner
from lockcore.core.view import Member, View
from lockcore.wire.codec import ViewState
from lockcore.wire.errors import CodecError
from lockcore.wire.methods import SEAWEED_FILER, path
from lockcore.wire.seaweed_client import FilerIs, decode_filer_is, encode_find

if TYPE_CHECKING:
    from lockcore.wire.seaweed_client import MasterTold

ASK_S: Final = 1.0
CONFIGURATION: Final = path(SEAWEED_FILER, "GetFilerConfiguration")
OLDEST: Final = (4, 44)
"""The oldest version whose locks were read; what is older may have no generations, or no backups."""
NO_RING: Final = 1
"""The number of a view without members: any ring's version is higher."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a seed is: a filer, or (None) perhaps a master."""

    target: str
    filer: FilerIs | None


class FilerPool(Pool):
    """Filers by gRPC target.

    Args:
        seeds: targets given by the user.
    """

    hint = HINT

    def __init__(self, seeds: tuple[str, ...]) -> None:
        super().__init__(seeds)
        self._heirs = Heirs()
        self._silent: dict[str, str] = {}
        self._has_filer = False
        self._masters: frozenset[str] = frozenset()

    def problems(self) -> str:
        """Return why each filer and master is silent, for people."""
        told = {target: f"{target}: {why}" for target, why in self._silent.items()}
        for target, link in self._links.items():
            if link.problem and not link.talking:
                told[target] = f"{target}: {link.problem}"
        return "; ".join(list(told.values())[:8]) or super().problems()

    def usable(self, target: str) -> bool:
        """Say whether a filer is not known to be unreachable now; a seed that is a master is none."""
        return target not in self._masters and super().usable(target)

    def _make(self, target: str) -> FilerLink:
        return FilerLink(target, self._heirs)

    # --- the ring ------------------------------------------------------------------------

    async def _keep_watching(self) -> None:
        while True:
            masters, group = await self._find_masters()
            if masters:
                self._masters = frozenset(masters)
                await RingFeed(masters, group, on_told=self._take_told, on_away=self._note_away).follow()
            self._do_without_ring()
            await asyncio.sleep(LOOK_S)

    async def _find_masters(self) -> tuple[list[str], str]:
        """Ask the seeds what they are; return the masters that a filer names, and its group.

        Without one, return the seeds that are no filers: masters perhaps, and their default group.
        """
        perhaps: list[str] = []
        asking = {asyncio.create_task(self._introduce(seed)) for seed in self.seeds}
        try:
            for answer in asyncio.as_completed(asking):
                found = await answer
                if found is None:
                    continue
                if found.filer is None:
                    perhaps.append(found.target)
                    continue
                self._has_filer = True
                if masters := [target for master in found.filer.masters if (target := target_of(master))]:
                    return masters, found.filer.group
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return perhaps, ""

    def _take_told(self, master: str, told: MasterTold) -> None:
        if told.ring is not None:
            self._silent.clear()
            self._take_ring(told.ring.servers, told.ring.version)
        elif self.view is None:
            self._silent[master] = "this master knows no filer of the group: its lock ring is empty; start a filer"

    def _take_ring(self, servers: tuple[str, ...], version: int) -> None:
        before = set() if self.view is None else set(self.view.up)
        view = View(version, version, tuple(Member(server, 0) for server in servers))
        self._take_view(ViewState(view))
        if self.view is not view:
            return
        for address in before - set(servers):
            if (link := self._links.get(target_of(address) or "")) is not None:
                link.abandon(f"{address} left the ring")

    def _note_away(self, master: str, why: str) -> None:
        if not self._silent.get(master, "").startswith("this master knows no filer"):
            self._silent[master] = why
        self._do_without_ring()

    def _do_without_ring(self) -> None:
        """Begin without a ring where a filer answers and no master does: filers say where locks live."""
        if self._has_filer and self.view is None:
            self._take_view(ViewState(View(NO_RING, NO_RING, ())))

    # --- seeds ---------------------------------------------------------------------------

    async def _introduce(self, target: str) -> _Found | None:
        """Ask a seed what it is; None: it says nothing."""
        async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
            opener: Any = channel.unary_unary  # bytes to bytes; its stub wants codecs
            try:
                return await self._asked(target, opener)
            except (grpc.RpcError, CodecError) as error:
                late = isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                why = f"no answer within {ASK_S:g} s: it hangs, or is stopped" if late else describe(error)
                self._silent[target] = why
                return None

    async def _asked(self, target: str, opener: Any) -> _Found:
        try:
            filer = decode_filer_is(await opener(CONFIGURATION)(b"", timeout=ASK_S))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            return _Found(target, FilerIs() if await _knows_locks(opener) else None)
        if (0, 0) < filer.version_number < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            text = "the filer %s is SeaweedFS %s, older than %s: its locks may have no generations and no backups"
            log.warning(text, target, filer.version, oldest)
        return _Found(target, filer)


async def _knows_locks(opener: Any) -> bool:
    """Say whether something that has no filer's configuration has its locks: a lock-only member."""
    try:
        await opener(FIND)(encode_find(FindOwner("lockring")), timeout=ASK_S)
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNIMPLEMENTED
    return True
