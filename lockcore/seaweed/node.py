"""A Lockring node in a SeaweedFS lock ring, as a process: come, serve, go.

    watch the ring -> be gone from it -> listen -> become a member -> serve -> hand over -> be gone -> end

Two connections to the leading master: one that only listens (`s3`), before
and after, and one that makes us a member (`filer`) for as long as it lasts.

Invariants
  N1  A ring that still has this address has it from a former life: its locks
      are with the backup, which serves them when the ring lets go of us, and
      transfers them when we come back. So we wait for that (W1).
  N2  SIGTERM and SIGINT mean goodbye: every lock is with its new primary
      before the master is told, and holders are served until the ring is
      another; a second signal ends at once.
Elsewhere: the rules (lockcore.core.weedmember), what is served (filer).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lockcore.client.ringfeed import RingFeed
from lockcore.core.weedmember import WeedMember
from lockcore.seaweed.courier import Courier
from lockcore.seaweed.filer import LocksOnly, MemberService
from lockcore.seaweed.peers import Peers
from lockcore.service import clock
from lockcore.service.channels import add_handlers, listen, new_server
from lockcore.service.problems import ServiceProblem
from lockcore.wire.addresses import grpc_target
from lockcore.wire.methods import SEAWEED_FILER

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.wire.seaweed_client import MasterTold

RING_S: Final = 1.5
"""A master with a ring tells it within milliseconds; one without says nothing of it."""
GONE_S: Final = 120.0
"""A filer that hangs was seen to stay on the ring for 74 s."""
HAND_OVER_S: Final = 10.0
LEAVE_S: Final = 5.0
"""A master publishes a ring without us after a second."""
GRACE_S: Final = 0.5
TICK_S: Final = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """How to run one member.

    Attributes:
        address: its ring address, `host:port.grpcPort` or `host:port`.
        masters: of SeaweedFS, in the same form.
        group: the filer group whose ring is joined.
    """

    address: str
    masters: tuple[str, ...]
    group: str = ""


class MemberNode:
    """The parts of one member, put together.

    Raises:
        ServiceProblem: an address that is none.
    """

    def __init__(self, settings: MemberSettings) -> None:
        try:
            self._target = grpc_target(settings.address)
            targets = [grpc_target(master) for master in settings.masters]
        except ValueError as error:
            raise ServiceProblem(str(error)) from None
        self.settings = settings
        self.member = WeedMember(settings.address)
        self.peers = Peers()
        self.courier = Courier(self.member, self.peers, clock.now)
        self._watch = _Watch(targets, settings.group, settings.address)
        self._joined = RingFeed(
            targets, settings.group, member=settings.address, on_told=self._take_told, on_away=self._note_away
        )
        self._server = new_server()
        service = MemberService(
            self.member, self.courier, self.peers, clock.now, masters=settings.masters, group=settings.group
        )
        add_handlers(self._server, SEAWEED_FILER, service.handlers)
        self._server.add_generic_rpc_handlers((LocksOnly(),))
        self._told_to_end = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        """Be a member until told to end; return the exit code.

        Raises:
            ServiceProblem: the port is taken.
        """
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as undo:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._on_signal)
                undo.callback(loop.remove_signal_handler, number)
            await listen(self._server, self._target, f"the member {self.settings.address}")
            watching = loop.create_task(self._watch.follow(), name="ring watch")
            serving = loop.create_task(self._serve(), name="member")
            try:
                await self._until_second_signal(serving)
            finally:
                for task in (watching, serving):
                    task.cancel()
                await asyncio.gather(watching, serving, return_exceptions=True)
                await self._server.stop(GRACE_S)
                await self.courier.close()
                await self.peers.close()
        return 0 if self._signals <= 1 else 1

    async def _serve(self) -> None:
        await self._watch.until_gone(self._told_to_end)
        self.member.see(self._watch.servers)
        if self._told_to_end.is_set():
            return
        tasks = [asyncio.create_task(self._joined.follow(), name="membership"), asyncio.create_task(self._tick())]
        _log.info("joins the lock ring as %s", self.settings.address)
        try:
            await self._told_to_end.wait()
            await self._hand_over()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._watch.until_gone(asyncio.Event(), LEAVE_S)
        await self.courier.idle(LEAVE_S)
        await asyncio.sleep(GRACE_S)  # for answers that are on their way

    async def _hand_over(self) -> None:
        """Give every lock to whoever has it without us (N2)."""
        self.member.leave()
        locks = [held.key for held in self.member.locks]
        _log.info("told to end: hands over what it has of %d locks", len(locks))
        self.courier.mark(locks)
        if not await self.courier.idle(HAND_OVER_S):
            _log.warning("not every lock could be handed over within %g s; backups have copies", HAND_OVER_S)

    async def _until_second_signal(self, serving: asyncio.Task[None]) -> None:
        while not serving.done() and self._signals <= 1:
            await asyncio.wait({serving}, timeout=0.2)
        if serving.done():
            serving.result()

    def _on_signal(self) -> None:
        self._signals += 1
        self._told_to_end.set()

    # --- what masters say ----------------------------------------------------------------------

    def _take_told(self, _: str, told: MasterTold) -> None:
        if told.ring is None:
            return
        now_ns = clock.boot_ns()
        was_lost = self.member.lost
        if not self.member.adopt(told.ring.servers, told.ring.version, now_ns):
            if was_lost and not self.member.lost:
                _log.info("a master is heard again; the ring is the same")
            return
        locks = [held.key for held in self.member.locks]
        serving = sum(held.serving and held.live(now_ns) for held in self.member.locks)
        where = "on it" if self.member.on_ring else "not on it"
        text = "ring %d has %d members, we are %s; %d locks are served here, of %d that are known"
        _log.info(text, told.ring.version, len(told.ring.servers), where, serving, len(locks))
        self.courier.mark(locks)

    def _note_away(self, master: str, why: str) -> None:
        if not self.member.lost:
            _log.warning("the master %s is not heard: %s", master, why)
        self.member.lose(clock.boot_ns())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.courier.mark(self.member.tick(clock.boot_ns()))


class _Watch:
    """The ring as somebody sees it who is no member."""

    def __init__(self, targets: list[str], group: str, address: str) -> None:
        self.servers: tuple[str, ...] = ()
        self._address = address
        self._changed = asyncio.Event()
        self._feed = RingFeed(targets, group, on_told=self._take, on_away=self._away)
        self._heard = False
        self._warned = False

    @property
    def follow(self) -> Callable[[], Any]:
        """What keeps watching."""
        return self._feed.follow

    def _take(self, _: str, told: MasterTold) -> None:
        self._heard = True
        if told.ring is not None:
            self.servers = told.ring.servers
        self._changed.set()

    def _away(self, master: str, why: str) -> None:
        if not self._heard and not self._warned:
            _log.warning("waits for the master %s: %s", master, why)
            self._warned = True

    async def until_gone(self, unless: asyncio.Event, timeout_s: float = GONE_S) -> None:
        """Wait until a master says what the ring is, and it does not have us (N1)."""
        loop = asyncio.get_running_loop()
        while not self._heard and not unless.is_set():
            await self._turn(RING_S)
        patient_until = loop.time() + RING_S
        while not self.servers and (left_s := patient_until - loop.time()) > 0:
            await self._turn(left_s)  # a master says more than the ring, and that first
        deadline = loop.time() + timeout_s
        if self._address in self.servers:
            _log.info("waits until the ring lets go of %s", self._address)
        while self._address in self.servers and not unless.is_set() and loop.time() < deadline:
            await self._turn(0.2)

    async def _turn(self, timeout_s: float) -> None:
        """Wait for the next message, or so long."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()


async def run_member(settings: MemberSettings) -> int:
    """Run one member until it ends; return its exit code.

    Raises:
        ServiceProblem: it cannot run like this; the text says what to do.
    """
    return await MemberNode(settings).run()
