"""One lock node as a process: settings, parts, life and end.

    read secret -> open spool -> bind -> connect to the master -> serve -> leave

Invariants
  N1  Nothing listens before the core can answer, and the port of another
      node is never shared.
  N2  SIGTERM and SIGINT mean goodbye: hand over, then exit 0, within
      LEAVE_S; a second signal ends at once.
  N3  A node that has heard no master for NO_MASTER_S ends itself: nobody
      could adopt it, and it serves nobody.
Elsewhere: the command line (node_main), decisions (lockcore.core.node).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lockcore.core.config import NodeConfig
from lockcore.core.node import NodeCore
from lockcore.core.view import MemberId
from lockcore.service import clock
from lockcore.service.addresses import grpc_target
from lockcore.service.channels import Gate, add_handlers, listen, new_server
from lockcore.service.isolation import Isolator, RehearsalService
from lockcore.service.locks_service import LocksService, status_of_node
from lockcore.service.master_link import MasterLink
from lockcore.service.operators import OperatorsService
from lockcore.service.peer_links import PeerLinks, PeersService
from lockcore.service.problems import EXIT_NO_MASTER, ServiceProblem
from lockcore.service.report_link import ReportLink
from lockcore.service.seaweed_filer import FilerService
from lockcore.service.secrets import FILE_NAME, derive, load_or_create_secret
from lockcore.service.shell import NodeShell
from lockcore.service.spool import Spool, spool_path
from lockcore.wire.methods import LOCKS, OPERATORS, PEERS, REHEARSAL, SEAWEED_FILER

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from lockcore.wire.codec import NodeStatus

LEAVE_S: Final = 10.0
NO_MASTER_S: Final = 600.0
DRAIN_S: Final = 2.0
"""How long the last facts may take at the end; they stay in the spool otherwise."""
GRACE_S: Final = 0.2
"""For answers that are on their way when the server stops."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How to run one node.

    Attributes:
        address: ring address, `host:port.grpcPort`.
        master: `host:port` of the master's gRPC server.
        data: folder of the cluster's secret and the spools.
        label: short name for people.
        durability: see NodeConfig.
        no_master_s: see NO_MASTER_S.
    """

    address: str
    master: str
    data: Path
    label: str
    durability: Literal["backup", "async"] = "backup"
    no_master_s: float = NO_MASTER_S


class NodeServer:
    """The parts of one node, put together."""

    def __init__(self, settings: NodeSettings) -> None:
        """Read the secret, open the spool.

        Raises:
            ServiceProblem: a bad address, or a folder that cannot be used.
        """
        try:
            self._target = grpc_target(settings.address)
        except ValueError as error:
            raise ServiceProblem(str(error)) from None
        secret = load_or_create_secret(settings.data / FILE_NAME)
        gate = Gate(secret)
        member = MemberId(settings.address, time.time_ns())
        self.settings = settings
        self.member = member
        self.spool = _open_spool(settings, member)
        self._started_ns = clock.boot_ns()
        self._ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        isolator = Isolator()
        self._peers = PeerLinks(gate, isolator)
        self.master = MasterLink(settings.master, gate, isolator)
        self._report = ReportLink(settings.master, gate, self.spool, isolator)
        core = NodeCore(member, derive(secret, "renew tokens"), NodeConfig(durability=settings.durability))
        self.shell = NodeShell(core, self.spool, self._peers, self.master.send, self._end)
        self.shell.on_facts(self._report.notify)
        self._server = new_server()
        add_handlers(self._server, LOCKS, LocksService(self.shell, self.status, isolator).handlers)
        add_handlers(self._server, PEERS, PeersService(self.shell, gate, isolator).handlers)
        add_handlers(self._server, SEAWEED_FILER, FilerService(self.shell, gate, isolator).handlers)
        add_handlers(self._server, REHEARSAL, RehearsalService(isolator, gate).handlers)
        add_handlers(self._server, OPERATORS, OperatorsService(self.shell, gate).handlers)
        self._tasks: list[asyncio.Task[Any]] = []

    def status(self) -> NodeStatus:
        """Return what Locks.Status answers."""
        return status_of_node(
            self.shell,
            label=self.settings.label,
            started_ns=self._started_ns,
            master=self.settings.master,
            master_connected=self.master.connected,
            durability=self.settings.durability,
            events_unreported=self.spool.unreported,
            events_unwritten=self.spool.unwritten,
        )

    async def run(self) -> int:
        """Serve until told to end; return the exit code.

        Raises:
            ServiceProblem: the port is taken.
        """
        try:
            await listen(self._server, self._target, f"node {self.settings.label}")
            _log.info("node %s serves at %s", self.settings.label, self.settings.address)
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(self._note_exception)
            self._tasks = [
                loop.create_task(self.master.run(self.shell), name="master link"),
                loop.create_task(self._report.run(), name="report link"),
                loop.create_task(self._watch_master(), name="master watch"),
            ]
            with _signals(self._on_signal):
                code, text = await self._ended
            _log.info("node %s ends: %s", self.settings.label, text)
            return code
        finally:
            await self._close()

    # --- ends ---------------------------------------------------------------------------

    def _end(self, code: int, text: str) -> None:
        if not self._ended.done():
            self._ended.set_result((code, text))

    def _on_signal(self) -> None:
        if self.shell.leaving:
            self._end(1, "told twice to end: nothing more is handed over")
            return
        _log.info("told to end: saying goodbye")
        self.shell.leave()
        asyncio.get_running_loop().call_later(
            LEAVE_S, self._end, 0, f"the handover took longer than {LEAVE_S:.0f} s: what is left is with the backups"
        )

    async def _watch_master(self) -> None:
        while True:
            silent_s = (clock.boot_ns() - self.master.heard_ns) / 1e9
            if silent_s >= self.settings.no_master_s:
                self._end(EXIT_NO_MASTER, f"no word from a master for {self.settings.no_master_s:.0f} s")
                return
            await asyncio.sleep(max(0.05, min(5.0, self.settings.no_master_s - silent_s)))

    async def _close(self) -> None:
        """Let the last words out, then close everything; never for long."""
        self.shell.close()
        if self.master.connected:
            await self.master.flush(DRAIN_S)
            await self._report.drain(DRAIN_S)
        await self._server.stop(GRACE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._peers.close()
        self.spool.close()

    def _note_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        self.shell.faults.note(str(context.get("message", "a task")), context.get("exception"))


def _open_spool(settings: NodeSettings, member: MemberId) -> Spool:
    path = spool_path(settings.data, settings.label, member.incarnation)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Spool(path, member)
    except OSError as error:
        raise ServiceProblem(
            f"cannot write to the data folder {settings.data}: {error.strerror}. "
            "Mend its permissions, or choose another with --data FOLDER."
        ) from None


@contextlib.contextmanager
def _signals(callback: Any) -> Any:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def run_node(settings: NodeSettings) -> int:
    """Run one node until it ends; return its exit code.

    Raises:
        ServiceProblem: it cannot run like this; the text says what to do.
    """
    return await NodeServer(settings).run()
