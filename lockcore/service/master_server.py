"""The ring master as a server inside somebody's event loop.

Invariants
  M1  A second master on the port, or a folder that cannot be written to, is
      a ServiceProblem at `start`.
  M2  A report is acknowledged after the sink has returned, so nothing is cut
      from a spool that is not recorded.
Elsewhere: decisions (lockcore.core.master), rows (dlmsite.journal).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from lockcore.core.config import MasterConfig
from lockcore.core.master import MasterCore
from lockcore.core.messages import CloseCluster, DeathSeen, Tick
from lockcore.service import clock
from lockcore.service.channels import Gate, add_handlers, listen, new_server
from lockcore.service.journal_file import JournalFile
from lockcore.service.keep_connected import SeaweedMasterService
from lockcore.service.master_services import MasterService
from lockcore.service.master_shell import MasterShell
from lockcore.service.own_facts import EventSink, OwnFacts
from lockcore.wire.methods import MASTER, SEAWEED_MASTER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lockcore.core.roster import MemberStatus
    from lockcore.core.view import MemberId, View

DRAIN_S: Final = 1.0
STOP_S: Final = 0.5
CHANGES_MAX: Final = 256
"""Changes that wait for one subscriber; the oldest gives way."""

_log = logging.getLogger(__name__)


class MasterServer:
    """The ring master.

    Args:
        target: `host:port` to listen on.
        journal: the file it remembers in.
        secret: of the cluster.
        sink: takes the facts of nodes and of the master itself.
        config: the delays.
    """

    def __init__(
        self, *, target: str, journal: Path, secret: bytes, sink: EventSink, config: MasterConfig | None = None
    ) -> None:
        self.target = target
        self.incarnation = time.time_ns()
        self._journal = JournalFile(journal)
        self._gate = Gate(secret)
        self._sink = sink
        self._config = config or MasterConfig()
        self._facts: OwnFacts | None = None
        self._shell: MasterShell | None = None
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the journal, bind, serve.

        Raises:
            ServiceProblem: the port or the folder cannot be used (M1).
        """
        server = new_server()
        core = self._load()
        facts = OwnFacts(self._sink, self.incarnation)
        shell = MasterShell(core, self._journal, facts)
        add_handlers(server, MASTER, MasterService(shell, self._gate, self._sink, self.incarnation).handlers)
        add_handlers(server, SEAWEED_MASTER, SeaweedMasterService(shell).handlers)
        await listen(server, self.target, "the master")
        self._server, self._shell, self._facts = server, shell, facts
        self._task = asyncio.get_running_loop().create_task(facts.run(), name="master facts")
        shell.give(Tick())
        _log.info("the master serves at %s", self.target)

    def _load(self) -> MasterCore:
        journal = self._journal.read()
        try:
            return MasterCore(
                self._config, journal, clock.now(), unknown_past=self._journal.lost, boot_id=clock.boot_id()
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._journal.move_aside(f"{type(error).__name__} in its content")
            return MasterCore(self._config, None, clock.now(), unknown_past=True, boot_id=clock.boot_id())

    async def stop(self) -> None:
        """Stop serving; nodes go on for their node lease, and come to the next master."""
        if self._shell is None or self._facts is None:
            return
        self._shell.close()
        await self._server.stop(STOP_S)
        await self._facts.drain(DRAIN_S)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._shell = None

    async def close_cluster(self, timeout_s: float) -> bool:
        """Tell all nodes to stop, wait for their farewells; say whether all came in time."""
        shell = self._running()
        shell.give(CloseCluster())
        try:
            async with asyncio.timeout(timeout_s):
                await shell.closed.wait()
        except TimeoutError:
            _log.warning("not every node said farewell within %.1f s", timeout_s)
            return False
        return True

    # --- for the site -----------------------------------------------------------------

    def report_death(self, member: MemberId) -> None:
        """Tell that this incarnation was seen to end."""
        self._running().give(DeathSeen(member))

    @property
    def view(self) -> View | None:
        """The newest view published."""
        return self._shell.core.view if self._shell else None

    @property
    def settled(self) -> bool:
        """Whether every living member has all that it needs in it."""
        return self._shell is not None and self._shell.core.settled

    def members(self) -> tuple[MemberStatus, ...]:
        """Return all incarnations that are members or want to be."""
        return self._shell.core.members(clock.now()) if self._shell else ()

    def stabilising_ms(self) -> int | None:
        """Return how long the stabilisation delay still runs, None if it does not."""
        return self._shell.core.stabilising_ms(clock.now()) if self._shell else None

    async def subscribe(self) -> AsyncIterator[tuple[View, bool]]:
        """Yield (view, settled): the current one first, then each change."""
        shell = self._running()
        changes: asyncio.Queue[tuple[View, bool]] = asyncio.Queue(CHANGES_MAX)

        def take(view: View, settled: bool) -> None:  # noqa: FBT001 - the shape of a subscriber
            if changes.full():
                changes.get_nowait()
            changes.put_nowait((view, settled))

        forget = shell.subscribe(take)
        try:
            view = shell.core.view
            if view is not None:
                yield view, shell.core.settled
            while True:
                yield await changes.get()
        finally:
            forget()

    def _running(self) -> MasterShell:
        if self._shell is None:
            raise RuntimeError("the master is not running: await start() first")
        return self._shell
