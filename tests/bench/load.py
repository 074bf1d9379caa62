"""`python -m tests.bench.load TARGET RATE`: a process that acquires and releases, RATE operations a second.

Prints the operations done when its standard input ends.

Elsewhere: who is measured meanwhile (queue).
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lockcore import aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HANDS: Final = 25
ROOT: Final = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def load(target: str, rate: int) -> AsyncIterator[list[int]]:
    """Have it run within a block; afterwards the list has the number of its operations."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.load", target, str(rate)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    done: list[int] = []
    try:
        await process.stdout.readline()
        yield done
        out, _ = await process.communicate(b"")  # it ends when nothing more can come
        done.append(int(out))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _main(target: str, rate: int) -> None:
    count = itertools.count()
    async with aio.connect(target, timeout=60) as client, client.session("load", ttl=30.0) as session:
        pause_s = 2 * HANDS / rate  # a cycle is two operations
        hands = [asyncio.create_task(_work(session, f"load/{i}", pause_s, count)) for i in range(HANDS)]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        for hand in hands:
            hand.cancel()
        await asyncio.gather(*hands, return_exceptions=True)
    sys.stdout.write(f"{2 * next(count)}\n")


async def _work(session: aio.Session, name: str, pause_s: float, count: itertools.count[int]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in itertools.count():
        due = max(due + pause_s, loop.time() - 1.0)
        await asyncio.sleep(due - loop.time())
        async with session.lock(f"{name}/{number % 10}"):
            next(count)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
