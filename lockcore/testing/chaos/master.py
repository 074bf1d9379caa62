"""The master as a process of its own, so that it too can be killed and stopped.

Its stdin tells it of deaths that were seen (`{"address": …, "incarnation": …}`
per line); its end ends the process. Its stdout tells each view published.
Facts go to a file (facts).

    python -m lockcore.testing.chaos.master TARGET FOLDER

Elsewhere: the reader of these lines (cluster).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.core.config import MasterConfig
from lockcore.core.view import MemberId
from lockcore.service.clock import boot_ns
from lockcore.service.master_server import MasterServer
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.testing.chaos.dying import die_with_parent
from lockcore.testing.chaos.facts import FACTS_FILE, lines_of

if TYPE_CHECKING:
    from lockcore.core.events import EventBatch
    from lockcore.service.own_facts import EventSink


GRACE_MS: Final = 20_000
"""How long fresh grants wait after a loss of state: the longest TTL that anybody asks for here."""


def _writer(path: Path) -> EventSink:
    """Return a sink that appends to a file; what a killed master had not acknowledged comes again."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def take(batch: EventBatch) -> None:
        os.write(file, lines_of(batch).encode())

    return take


async def _tell_views(master: MasterServer) -> None:
    async for view, settled in master.subscribe():
        up = [[member.address, member.incarnation] for member in view.up.values()]
        line = {"number": view.number, "settled": settled, "at_ns": boot_ns(), "up": up}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


async def run(target: str, data: Path) -> None:
    """Serve until stdin ends."""
    master = MasterServer(
        target=target,
        journal=data / "master.json",
        secret=load_or_create_secret(data / FILE_NAME),
        sink=_writer(data / FACTS_FILE),
        config=MasterConfig(longest_lease_ms=GRACE_MS),
    )
    await master.start()
    telling = asyncio.get_running_loop().create_task(_tell_views(master))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        seen = json.loads(line)
        master.report_death(MemberId(seen["address"], seen["incarnation"]))
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    await master.stop()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(run(sys.argv[1], Path(sys.argv[2])))
