"""`python -m tests.compare`: harm a real SeaweedFS and Lockring alike, and print what it cost each.

Ends with 1 where Lockring gave away or lost a lock, or let a generation fall, or was not measured; with 2 where the
comparison could not begin, or was ended from outside. However it ends, no process and no folder is left behind.
`--seconds` bounds when trials are begun; each has a bound of its own.

Elsewhere: what is done (faults), how it is counted (trial).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import os
import sys
import time
from contextlib import AsyncExitStack, suppress
from statistics import median
from typing import TYPE_CHECKING, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # members die here by design

from lockcore import aio
from lockcore.core.operations import Granted, Released
from lockcore.errors import ClusterUnavailable, LockError
from lockcore.testing.chaos.ending import Told, until_told
from tests.bench.report import NotMeasured, load, say
from tests.compare.faults import FAULTS
from tests.compare.ringside import RingSide
from tests.compare.side import NOTICE_S, SETTLE_S
from tests.compare.toll import HEADS, Toll, rows_of, table
from tests.compare.trial import Trial
from tests.compare.weedside import WeedSide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lockcore.aio import LockClient
    from tests.compare.faults import Driver
    from tests.compare.side import Side

TRIAL_S: Final = NOTICE_S + 2 * SETTLE_S
IN_FLIGHT: Final = (1, 16, 64)
WINDOWS: Final = 3
WINDOW_S: Final = 2.0
SECONDS_MAX: Final = 14_400.0
TRIALS_MAX: Final = 100
LOCKS_MAX: Final = 1_000


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.compare", description="Compare SeaweedFS and Lockring.")
    parser.add_argument("--trials", type=int, default=1, help="of each fault, in rounds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX, help="no trial begins later than that")
    parser.add_argument("--locks", type=int, default=20, help="held in each trial (%(default)s)")
    parser.add_argument("--only", default="", help=f"faults, by comma: {', '.join(FAULTS)}, and cycles")
    return parser


def main(arguments: list[str]) -> int:
    """Compare; return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    only = [name for name in given.only.replace(",", " ").split() if name] or [*FAULTS, "cycles"]
    unknown = [name for name in only if name not in (*FAULTS, "cycles")]
    if unknown:
        parser.error(f"--only: there is no {unknown[0]!r}; there are: {', '.join(FAULTS)}, cycles")
    if not (0 < given.trials <= TRIALS_MAX and 0 < given.seconds <= SECONDS_MAX and 0 < given.locks <= LOCKS_MAX):
        parser.error(f"--trials goes up to {TRIALS_MAX}, --seconds to {SECONDS_MAX:.0f}, --locks to {LOCKS_MAX}")
    logging.disable(logging.WARNING)
    try:
        work = _compare(only, given.trials, given.seconds, given.locks)
        return asyncio.run(until_told(work, given.seconds + 3 * TRIAL_S, watches_parent=False))
    except (NotMeasured, FileNotFoundError, Told) as reason:
        say(f"not compared: {reason}")
        return 2


async def _compare(only: Sequence[str], trials: int, seconds: float, locks: int) -> int:
    began = time.monotonic()
    sides: list[Side] = []
    async with AsyncExitStack() as stack:
        makers: tuple[Callable[[], Side], ...] = (WeedSide, RingSide)
        for make in makers:
            side = make()
            stack.push_async_callback(side.close)
            await side.start()
            sides.append(side)
        now = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        say(f"{now}: {' beside '.join(f'{side.name} {side.version}' for side in sides)}; {load()}")
        tolls = {name: [(side.name, Toll()) for side in sides] for name in FAULTS if name in only}
        for _ in range(trials):
            for name, found in tolls.items():
                for side, (_, toll) in zip(sides, found, strict=True):
                    if time.monotonic() - began < seconds:
                        await _try(side, name, FAULTS[name][1], Trial(side.target, locks, toll), toll)
        rows = [row for name, found in tolls.items() for row in rows_of(FAULTS[name][0], found)]
        if rows:
            say("\n" + table(HEADS, rows) + "\n")
        if "cycles" in only:
            say(await _cycles(sides) + "\n")
        say(f"({time.monotonic() - began:.0f} s; at the end {load()})")
    return 0 if all(toll.is_clean for found in tolls.values() for name, toll in found if name == RingSide.name) else 1


async def _try(side: Side, name: str, driver: Driver, trial: Trial, toll: Toll) -> None:
    """Do one fault; what goes wrong is a problem of this row."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(TRIAL_S):
            await side.settled()
            await driver(side, trial)
    except (NotMeasured, LockError, TimeoutError) as problem:
        toll.problem = str(problem) or f"not done after {TRIAL_S:.0f} s"
    text = f"{toll.given} given away, {toll.lost} lost, {toll.fell} generations fell, of {toll.locks}"
    say(f"  {name}, {side.name}: {text} ({time.monotonic() - began:.0f} s){toll.problem and f': {toll.problem}'}")


async def _cycles_of(client: LockClient, name: str, until: float) -> int:
    """Return the cycles of one hand. A question that was asked twice, on a busy machine, may find its own lock."""
    count, keys = 0, itertools.count()
    while time.monotonic() < until:
        with suppress(ClusterUnavailable):
            key = f"cycles/{name}/{next(keys)}"
            granted = await client.acquire(key, owner="cycles")
            if isinstance(granted, Granted):
                count += isinstance(await client.unlock(key, granted.token), Released)
    return count


async def _cycles(sides: Sequence[Side]) -> str:
    """Return acquire + release cycles per second, in short windows in turn, so that both meet the same machine."""
    rows = []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(aio.connect(side.target)) for side in sides]
        for in_flight in IN_FLIGHT:
            found: list[list[float]] = [[] for _ in sides]
            for number in range(WINDOWS):
                for client, rates in zip(clients, found, strict=True):
                    began = time.monotonic()
                    names = [f"{in_flight}/{number}/{i}" for i in range(in_flight)]
                    done = await asyncio.gather(*(_cycles_of(client, name, began + WINDOW_S) for name in names))
                    rates.append(sum(done) / (time.monotonic() - began))
            rows.append([f"{in_flight}", *(f"{median(rates):,.0f}" for rates in found)])
    return table(
        [
            f"acquire + release cycles per second, in flight: medians of {WINDOWS} windows of {WINDOW_S:.0f} s",
            *(side.name for side in sides),
        ],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
