"""`python -m tests.bench [NAME,NAME]`: measure and print; ends with 1 where a target was missed or not measured.

Elsewhere: what each name measures (its module's docstring).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import sys
import time
from typing import Any, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # nodes die here by design; gRPC's own lines about it say nothing new

from tests.bench.report import NotMeasured, Row, load, say, tell

NAMES: Final = (
    "failover",
    "join",
    "throughput",
    "idle",
    "push",
    "recorder",
    "page",
    "calm",
    "crowd",
    "ranges",
    "renewal",
    "queue",
    "stream",
    "audit",
    "moments",
    "plan",
    "watch",
)


def main(arguments: list[str]) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Lockring's figures.")
    parser.add_argument("names", nargs="?", default="", help=f"joined by commas, of {', '.join(NAMES)}; default: all")
    asked = [name for name in parser.parse_args(arguments).names.replace(",", " ").split() if name] or list(NAMES)
    unknown = [name for name in asked if name not in NAMES]
    if unknown:
        parser.error(f"there is no figure {unknown[0]!r}: choose from {', '.join(NAMES)}")
    logging.disable(logging.WARNING)  # nodes die here by design, and Django sets up its own log
    say(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()) + f", Python {sys.version.split()[0]}")
    outcomes = [_measure(name) for name in asked]
    return 0 if all(outcomes) else 1


def _measure(name: str) -> bool:
    """Print one figure's rows; say whether every target was met."""
    module: Any = importlib.import_module(f"tests.bench.{name}")
    say(f"\n{name}: {module.TITLE}\n  {load()}")
    began = time.monotonic()
    try:
        rows: list[Row] = asyncio.run(_bounded(module))
    except NotMeasured as reason:
        say(f"  not measured: {reason}")
        return False
    except TimeoutError:
        say(f"  not measured: not done after {module.BOUND_S} s")
        return False
    tell(rows)
    say(f"  ({time.monotonic() - began:.0f} s; at the end {load()})")
    return all(row.met is not False for row in rows)


async def _bounded(module: Any) -> list[Row]:
    async with asyncio.timeout(module.BOUND_S):
        rows: list[Row] = await module.measure()
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
