"""`manage.py up`, started to be measured from outside.

Invariants
  S1  Leaving the block ends it as Ctrl-C does; should that not work, by SIGKILL, and with it every node process that
      its data folder names.
  S2  The login link it prints is used, and never printed again.
Elsewhere: what runs in it (dlmsite.operations.cluster), browsers (tests.bench.browser).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import grpc.aio

from lockcore.testing.ports import claim_ports
from lockcore.wire.addresses import GRPC_PORT_OFFSET
from lockcore.wire.codec import NodeStatus, decode_status
from lockcore.wire.methods import STATUS
from tests.bench.cluster import until
from tests.bench.report import NotMeasured

if TYPE_CHECKING:
    from types import TracebackType

PROJECT: Final = Path(__file__).resolve().parents[2]
LINK: Final = re.compile(r"https?://\S+/login/\S+")
COMPLAINT: Final = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|Traceback")
READY_S: Final = 60.0
END_S: Final = 25.0
LOOK_S: Final = 0.2


class Site:
    """A whole Lockring without workload, for the length of an `async with` block.

    Args:
        nodes: how many lock nodes.
    """

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.port = claim_ports(nodes + 2)
        self.origin = f"http://127.0.0.1:{self.port}"
        self.data = Path(tempfile.mkdtemp(prefix="lockring-bench-"))
        self._output = self.data / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._start()
            await until(lambda: self._ended or self._link is not None, READY_S, self._said)
            await self._settled()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def pid(self) -> int:
        """The process with the page, the master and the recorder."""
        return self._process.pid if self._process else 0

    @property
    def target(self) -> str:
        """What a client connects to."""
        return ",".join(f"127.0.0.1:{self.port + i + GRPC_PORT_OFFSET}" for i in range(1, self.nodes + 1))

    @property
    def login_link(self) -> str:
        """The link that logs in the first operator, once."""
        if self._link is None:
            raise NotMeasured("`manage.py up` printed no login link")
        return self._link

    def node_pids(self) -> dict[str, int]:
        """Return the processes by label."""
        records = [json.loads(path.read_text(encoding="utf-8")) for path in (self.data / "nodes").glob("*.json")]
        return {record["label"]: record["pid"] for record in sorted(records, key=lambda record: record["label"])}

    def complaints(self) -> list[str]:
        """Return what it and its nodes logged as a warning or worse."""
        paths = [self._output, *(self.data / "logs").glob("*.log")]
        lines = [line for path in paths for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return [LINK.sub("(login link)", line) for line in lines if COMPLAINT.search(line)]

    # --- inside ---------------------------------------------------------------------------

    def _start(self) -> None:
        command = [sys.executable, "manage.py", "up", "--nodes", str(self.nodes), "--port", str(self.port)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("LOCKRING_", "DJANGO_"))}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, "--data", str(self.data), "--no-workload"],
                cwd=PROJECT,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _settled(self) -> None:
        """Wait until every node serves in the ring of all nodes.

        Raises:
            NotMeasured: it took too long.
        """
        deadline = time.monotonic() + READY_S
        while True:
            states = await asyncio.gather(*(status_of(target) for target in self.target.split(",")))
            if all(_is_up(state, self.nodes) for state in states):
                return
            if self._ended or time.monotonic() > deadline:
                raise NotMeasured(f"the nodes did not all serve in {READY_S:.0f} s: {self._said()}")
            await asyncio.sleep(LOOK_S)

    @property
    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def _link(self) -> str | None:
        found = LINK.search(self._text())
        return found.group(0) if found else None

    def _text(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""

    def _said(self) -> str:
        lines = LINK.sub("(login link)", self._text()).strip().splitlines()
        return "`manage.py up` said: " + (" | ".join(lines[-3:]) or "nothing")

    async def _close(self) -> None:
        if self._process is not None:
            nodes = self.node_pids()
            if not await self._end(signal.SIGINT):
                await self._end(signal.SIGKILL)
                for pid in nodes.values():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.data, ignore_errors=True)

    async def _end(self, which: signal.Signals) -> bool:
        """Send a signal and wait; say whether the process has ended."""
        if self._process is not None and not self._ended:
            self._process.send_signal(which)
        deadline = time.monotonic() + END_S
        while not self._ended and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(LOOK_S)
        return self._ended


async def status_of(target: str) -> NodeStatus | None:
    """Return what a node says of itself, None where there is none."""
    async with grpc.aio.insecure_channel(target) as channel:
        opener: Any = channel.unary_unary  # its stubs want serializers that it does not need
        try:
            return decode_status(await opener(STATUS)(b"", timeout=2))
        except grpc.RpcError:
            return None


def _is_up(state: NodeStatus | None, nodes: int) -> bool:
    """Say whether a node serves in the ring of all, and waits for nothing ("acquiring")."""
    return state is not None and state.state == "up" and state.view is not None and len(state.view.view.up) == nodes
