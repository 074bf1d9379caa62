"""A real cluster for tests: the master in this process, nodes as processes of their own.

Elsewhere: the tests that use it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import grpc

from lockcore.core.config import MasterConfig
from lockcore.service.addresses import GRPC_PORT_OFFSET, grpc_target
from lockcore.service.channels import STREAM_BROKEN, Gate, Stream, next_bytes, open_channel, open_stream
from lockcore.service.master_server import MasterServer
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.testing.ports import claim_ports
from lockcore.wire.codec import (
    Call,
    NodeStatus,
    decode_server_batch,
    decode_status,
    encode_client_batch,
)
from lockcore.wire.methods import CONVERSE, STATUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lockcore.core.events import EventBatch, NumberedEvent
    from lockcore.core.messages import Operation, Result
    from lockcore.core.view import MemberId, View

PROJECT = Path(__file__).resolve().parents[3]
WAIT_S = 60.0
SPREAD = 7_919
"""Between the numbers of keys: CRC-32 puts names close together that differ in a digit, and a node may get none."""
FAST = MasterConfig(stabilisation_ms=100)


async def until(condition: Callable[[], bool], what: str, wait_s: float = WAIT_S) -> None:
    """Wait for a condition, and say what it was if it never comes."""
    try:
        async with asyncio.timeout(wait_s):
            while not condition():  # noqa: ASYNC110 - any condition, not one event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {wait_s} s in vain for: {what}") from None


async def spawn_node(*arguments: str) -> asyncio.subprocess.Process:
    """Start a node process; its output is read by the test."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lockcore.service.node_main",
        *arguments,
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stderr=asyncio.subprocess.PIPE,
    )


class Talk:
    """A native client, as small as can be."""

    def __init__(self, target: str) -> None:
        self.view: View | None = None
        self.first_view = asyncio.Event()
        self._channel = open_channel(target)
        self._stream: Stream = open_stream(self._channel, CONVERSE)
        self._waiting: dict[int, asyncio.Future[Result]] = {}
        self._id = 0
        self._writing = asyncio.Lock()  # gRPC takes one write at a time
        self.reader = asyncio.get_running_loop().create_task(self._read())

    async def ask(self, operation: Operation, timeout_ms: int = 5_000) -> Result:
        """Return the node's answer."""
        (answer,) = await self.say([operation], timeout_ms)
        async with asyncio.timeout(WAIT_S):
            return await answer

    async def say(self, operations: Sequence[Operation], timeout_ms: int) -> list[asyncio.Future[Result]]:
        """Ask many things in one message; return where the answers will be."""
        first = self._id + 1
        self._id += len(operations)
        numbers = range(first, self._id + 1)
        loop = asyncio.get_running_loop()
        futures = [self._waiting.setdefault(number, loop.create_future()) for number in numbers]
        calls = [Call(n, operation, timeout_ms) for n, operation in zip(numbers, operations, strict=True)]
        async with self._writing:
            await self._stream.write(encode_client_batch(calls))
        return futures

    async def _read(self) -> None:
        with suppress(*STREAM_BROKEN):
            while (data := await next_bytes(self._stream)) is not None:
                batch = decode_server_batch(data)
                if batch.view is not None:
                    self.view = batch.view.view
                    self.first_view.set()
                for call_id, result in batch.results:
                    self._waiting.pop(call_id).set_result(result)

    async def close(self) -> None:
        """Hang up."""
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)
        self._stream.cancel()
        await self._channel.close(None)


class Cluster:
    """A master and its nodes in one data folder."""

    def __init__(self, data: Path, *, config: MasterConfig = FAST) -> None:
        self.data = data
        self.config = config
        self.secret = load_or_create_secret(data / FILE_NAME)
        self.gate = Gate(self.secret)
        self.recorded: dict[tuple[str, int], dict[int, NumberedEvent]] = {}
        self.refuse_reports = False
        self.master_target = f"127.0.0.1:{claim_ports()}"
        self.master = self.new_master()
        self.nodes: dict[str, asyncio.subprocess.Process] = {}
        self._addresses: dict[str, str] = {}
        self._talks: dict[str, Talk] = {}

    def new_master(self) -> MasterServer:
        """Return a master at this cluster's port and journal, not started."""
        return MasterServer(
            target=self.master_target,
            journal=self.data / "master.json",
            secret=self.secret,
            sink=self.record,
            config=self.config,
        )

    async def record(self, batch: EventBatch) -> None:
        """Keep facts as the recorder would: once each."""
        if self.refuse_reports:
            raise RuntimeError("the disk is full")
        known = self.recorded.setdefault((batch.source, batch.incarnation), {})
        known |= {event.number: event for event in batch.events}

    async def __aenter__(self) -> Self:
        """Start the master."""
        await self.master.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything that was started."""
        for talk in self._talks.values():
            await talk.close()
        for process in self.nodes.values():
            if process.returncode is None:
                process.kill()
            await process.communicate()
        await self.master.stop()

    async def start_node(self, label: str, *more: str) -> str:
        """Start a node, or start it again; return its ring address."""
        if label not in self._addresses:
            port = claim_ports()
            self._addresses[label] = f"127.0.0.1:{port}.{port + GRPC_PORT_OFFSET}"
        address = self._addresses[label]
        self.nodes[label] = await spawn_node(
            *("--address", address, "--master", self.master_target),
            *("--data", str(self.data), "--label", label, *more),
        )
        return address

    async def start_nodes(self, count: int) -> None:
        """Start nodes and wait until they are settled."""
        for i in range(1, count + 1):
            await self.start_node(f"n{i}")
        await self.settled(count)

    async def settled(self, count: int) -> View:
        """Wait for a settled view with `count` members and none down."""

        def is_so() -> bool:
            view = self.master.view
            return self.master.settled and view is not None and len(view.members) == len(view.up) == count

        await until(is_so, f"a settled view of {count} members")
        assert self.master.view is not None
        return self.master.view

    def address(self, label: str) -> str:
        """Return the ring address of a node."""
        return self._addresses[label]

    def label(self, address: str | None) -> str:
        """Return the label of a ring address."""
        return next(label for label, known in self._addresses.items() if known == address)

    def member(self, label: str) -> MemberId:
        """Return the incarnation that is in the view."""
        assert self.master.view is not None
        return self.master.view.up[self.address(label)]

    def talk(self, label: str) -> Talk:
        """Return a conversation with a node."""
        if label not in self._talks:
            self._talks[label] = Talk(grpc_target(self.address(label)))
        return self._talks[label]

    def primary(self, key: str) -> str:
        """Return the label of a key's primary."""
        assert self.master.view is not None
        return self.label(self.master.view.ring.primary(key))

    def backup(self, key: str) -> str:
        """Return the label of a key's backup."""
        assert self.master.view is not None
        return self.label(self.master.view.ring.backup(key))

    def key_of(self, label: str) -> str:
        """Return a key whose primary is that node."""
        return next(key for key in (f"key-{i}" for i in range(10_000)) if self.primary(key) == label)

    async def ask(self, operation: Operation) -> Result:
        """Ask the key's primary."""
        return await self.talk(self.primary(operation.key)).ask(operation)

    async def kill(self, label: str) -> None:
        """SIGKILL, seen by the supervisor."""
        member = self.member(label)
        self.nodes[label].kill()
        await self.nodes[label].wait()
        self.master.report_death(member)

    async def status(self, label: str) -> NodeStatus:
        """Return what a node says of itself."""
        return decode_status(await unary(grpc_target(self.address(label)), STATUS, b""))

    def facts_of(self, label: str) -> list[NumberedEvent]:
        """Return what was recorded of a node, all its lives."""
        address = self.address(label)
        return [e for (source, _), known in self.recorded.items() if source == address for e in known.values()]


async def unary(
    target: str, method: str, data: bytes, metadata: tuple[tuple[str, str], ...] = (), timeout_s: float = WAIT_S
) -> bytes:
    """Call a method once with bytes.

    Raises:
        grpc.aio.AioRpcError: it was refused.
    """
    async with open_channel(target) as channel:
        opener: Any = channel.unary_unary
        answer: bytes = await opener(method)(data, metadata=metadata, timeout=timeout_s)
        return answer


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Return status and text of a call that must fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call was not refused")
