"""The processes of one run, the links between them, and what the master says of its members.

Invariants
  C1  Every process is started here, and ended by its pid in `close`.
  C2  Nodes reach their peers and the master, and clients the nodes, only
      through links, so that any way can be cut.
Elsewhere: what is done to it (faults), what its children run (node, master, client).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from lockcore.service.secrets import FILE_NAME
from lockcore.testing.chaos.node import NodePlan
from lockcore.testing.chaos.proxy import Links
from lockcore.testing.ports import claim_ports

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from pathlib import Path

    from lockcore.testing.chaos.client import Plan
    from lockcore.testing.chaos.evidence import Published

MASTER: Final = "master"
CLIENTS: Final = "clients"
HOLDERS: Final = "holders"
"""Clients of their own links: they can be cut off, or stopped, without the others."""
SPOOL_FOLDER: Final = "spool"
LOOK_S: Final = 0.005
END_S: Final = 5.0
NO_MASTER_S: Final = 60
START_S: Final = 60.0


class NotReached(Exception):  # noqa: N818 - told to people, and counted
    """What was waited or looked for did not come; the text says what."""


@dataclass(slots=True)
class Node:
    """A place for a node: its name, its addresses, and its process while there is one."""

    name: str
    target: str
    process: Process | None = None

    @property
    def address(self) -> str:
        """The ring address."""
        return f"{self.target}.{self.target.rpartition(':')[2]}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest view that the master has told."""

    number: int = 0
    settled: bool = False
    up: frozenset[tuple[str, int]] = frozenset()

    @property
    def addresses(self) -> set[str]:
        """The members that serve."""
        return {address for address, _ in self.up}


class Cluster:
    """One master, nodes and clients.

    Args:
        data: a folder for secret, spools, logs and records.
        count: how many nodes there are at the beginning; there is a place for one more.
        durability: of the nodes.
        patch: what is taken out of each node (unsafe).
        apart: give each process a session of its own, and with it the share of the processors that a program has.
    """

    def __init__(self, data: Path, count: int, durability: str, patch: str = "", *, apart: bool = False) -> None:
        first = claim_ports(count + 2)
        self.links = Links()
        self.seen = Seen()
        self.nodes = [Node(f"n{i + 1}", f"127.0.0.1:{first + i}") for i in range(count + 1)]
        self.spare = self.nodes[-1]
        self.gone: set[tuple[str, int]] = set()
        self._data = data
        self._durability = durability
        self._patch = patch
        self._apart = apart
        self.published: list[Published] = []
        self._master_target = f"127.0.0.1:{first + count + 1}"
        self._master: Process | None = None
        self._master_reader: asyncio.Task[None] | None = None
        self._master_links: dict[str, str] = {}
        self._clients: dict[str, Process] = {}
        self._client_links: dict[str, dict[str, str]] = {CLIENTS: {}, HOLDERS: {}}
        self._logs = ExitStack()

    # --- life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the links, start the master and all nodes but the spare one, wait until they are settled."""
        for node in self.nodes:
            others = [other for other in self.nodes if other is not node]
            to_peers = {o.target: await self.links.open(node.name, o.name, o.target) for o in others}
            plan = NodePlan(to_peers, str(self._data), self._patch)
            self._plan_of(node).write_text(json.dumps(asdict(plan)), encoding="utf-8")
            self._master_links[node.name] = await self.links.open(node.name, MASTER, self._master_target)
            for group, routes in self._client_links.items():
                routes[node.target] = await self.links.open(group, node.name, node.target)
        await self.start_master()
        for node in self.nodes:
            if node is not self.spare:
                await self.start_node(node)
        await self.wait(lambda: bool(self.died()) or self._settled(), START_S, "a first settled view")
        if died := self.died():
            raise NotReached(f"{', '.join(died)} ended at once")

    async def start_master(self) -> None:
        """Start the master (again)."""
        self.seen = Seen()
        self._master = await self._spawn(
            MASTER, "master", self._master_target, str(self._data), stdin=PIPE, stdout=PIPE
        )
        self._master_reader = asyncio.get_running_loop().create_task(self._read_views(self._master))

    async def start_node(self, node: Node) -> None:
        """Start a node's process (again)."""
        arguments = [str(self._plan_of(node)), "--address", node.address, "--master", self._master_links[node.name]]
        arguments += ["--data", str(self._data), "--label", node.name, "--durability", self._durability]
        node.process = await self._spawn(node.name, "node", *arguments, "--no-master-s", str(NO_MASTER_S))

    async def start_clients(self, plan: Plan, module: str = "client", group: str = CLIENTS) -> None:
        """Start a process of clients; what it writes down goes to `<name>.ndjson` (`out` and `routes` are set here)."""
        out = self._data / f"{plan.name}.ndjson"
        path = self._data / f"{plan.name}.json"
        told = replace(plan, out=str(out), routes=self.routes(group))
        path.write_text(json.dumps(asdict(told)), encoding="utf-8")
        self._clients[plan.name] = await self._spawn(plan.name, module, str(path), stdin=PIPE)

    async def stop_clients(self) -> None:
        """Have the clients write down what they have, and end them."""
        for process in self._clients.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self._clients.values():
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()

    async def stop_nodes(self) -> None:
        """End the nodes and the master as a crash would: what they had not reported is in their spools."""
        for process in (*(node.process for node in self.nodes), self._master):
            if process is not None:
                await _end(process)

    async def close(self) -> None:
        """End every process, then the links (C1)."""
        processes = [*self._clients.values(), *(node.process for node in self.nodes), self._master]
        for process in processes:
            if process is not None:
                await _end(process)
        if self._master_reader is not None:
            await asyncio.gather(self._master_reader, return_exceptions=True)
        await self.links.close()
        self._logs.close()
        # Records and logs are for people; the secret and what processes were told or keep are for nobody now.
        for path in (self._data / FILE_NAME, *self._data.glob("*.json*")):
            path.unlink(missing_ok=True)
        shutil.rmtree(self._data / SPOOL_FOLDER, ignore_errors=True)

    async def _spawn(
        self, name: str, module: str, *arguments: str, stdin: int = DEVNULL, stdout: int | None = None
    ) -> Process:
        log = self._logs.enter_context((self._data / f"{name}.log").open("ab"))
        command = [sys.executable, "-m", f"lockcore.testing.chaos.{module}", *arguments]
        out = log if stdout is None else stdout
        return await asyncio.create_subprocess_exec(
            *command, stdin=stdin, stdout=out, stderr=log, start_new_session=self._apart
        )

    def _plan_of(self, node: Node) -> Path:
        return self._data / f"{node.name}.json"

    # --- what is done to it --------------------------------------------------------------

    async def kill_node(self, node: Node, *, seen: bool) -> None:
        """SIGKILL; where the death is seen, the master is told at once, as the supervisor does."""
        member = self.member(node)
        if node.process is not None:
            await _end(node.process)
        node.process = None
        if member is None:
            return
        self.gone.add(member)
        if seen and self._master is not None and self._master.stdin is not None:
            line = json.dumps({"address": member[0], "incarnation": member[1]})
            self._master.stdin.write(line.encode() + b"\n")

    async def end_node(self, node: Node) -> None:
        """SIGTERM: it hands over and says goodbye; wait until it has ended."""
        member = self.member(node)
        if node.process is None or node.process.returncode is not None:
            raise NotReached(f"{node.name} has ended by itself; a node that can leave")
        node.process.terminate()
        async with asyncio.timeout(30):
            await node.process.wait()
        node.process = None
        if member is not None:
            self.gone.add(member)

    async def repair(self, limit_s: float) -> None:
        """Bring everything back that a fault which went wrong has left broken.

        Raises:
            NotReached: it does not settle.
        """
        self.links.heal()
        if self._master is None or self._master.returncode is not None:
            await self.start_master()
        for node in self.nodes:
            if node is not self.spare and (node.process is None or node.process.returncode is not None):
                await self.start_node(node)
        await self.wait_settled(limit_s)

    async def kill_master(self) -> None:
        """SIGKILL."""
        if self._master is not None:
            await _end(self._master)
        if self._master_reader is not None:
            await asyncio.gather(self._master_reader, return_exceptions=True)
        self.seen = Seen()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node, to a process of clients, or to the master."""
        nodes = {node.name: node.process for node in self.nodes}
        process = {**nodes, **self._clients, MASTER: self._master}[name]
        if process is not None and process.returncode is None:
            process.send_signal(number)

    @property
    def master_target(self) -> str:
        """Where the master listens, past all links."""
        return self._master_target

    # --- what is known of it -------------------------------------------------------------

    @property
    def running(self) -> list[Node]:
        """The nodes that have a process."""
        return [node for node in self.nodes if node.process is not None]

    def node(self, name: str) -> Node:
        """Return a node by its name; any one for the master's."""
        return next((node for node in self.nodes if node.name == name), self.nodes[0])

    def died(self) -> list[str]:
        """Return the names of processes that ended though nobody ended them."""
        found = [n.name for n in self.running if n.process is not None and n.process.returncode is not None]
        return found + [name for name, process in self._clients.items() if process.returncode is not None]

    def routes(self, group: str) -> dict[str, str]:
        """Return how a group of clients reaches the nodes: gRPC target -> proxy."""
        return self._client_links[group]

    def member(self, node: Node) -> tuple[str, int] | None:
        """Return the node as the newest view shows it, with its incarnation."""
        return next((member for member in self.seen.up if member[0] == node.address), None)

    async def wait_settled(self, limit_s: float) -> None:
        """Wait for a settled view of exactly the nodes that run.

        Raises:
            NotReached: it did not come.
        """
        await self.wait(self._settled, limit_s, "a settled view of the nodes that run")

    def _settled(self) -> bool:
        wanted = {node.address for node in self.running}
        return self.seen.settled and self.seen.addresses == wanted and not self.seen.up & self.gone

    async def wait(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait for a condition.

        Raises:
            NotReached: it never became true.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + limit_s
        while not condition():  # views, processes and time: no one event tells of all
            if loop.time() > until_s:
                raise NotReached(f"{what} did not come within {limit_s:.0f} s")
            await asyncio.sleep(LOOK_S)

    async def _read_views(self, process: Process) -> None:
        if process.stdout is None:
            return
        while line := await process.stdout.readline():
            if not line.startswith(b"{"):
                continue
            told = json.loads(line)
            up = frozenset((address, incarnation) for address, incarnation in told["up"])
            self.seen = Seen(told["number"], told["settled"], up)
            if not self.published or self.published[-1][1] != self.seen.number:
                self.published.append((told["at_ns"], self.seen.number))


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
