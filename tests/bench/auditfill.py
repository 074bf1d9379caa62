"""`python -m tests.bench.auditfill --rows N`: fill a journal, ask it what auditors ask, print what that took.

In a process of its own, with a database of its own in LOCKRING_DATA. The rows go the way of the recorder's (chain,
indexes, spans).

Elsewhere: who runs it (tests.bench.audit).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmsite.settings")

import django

django.setup()

# Only now: models need the settings.
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from dlmsite.dashboard import auditexport  # noqa: E402
from dlmsite.dashboard.auditfilter import Filter  # noqa: E402
from dlmsite.dashboard.auditquery import page  # noqa: E402
from dlmsite.journal import chain  # noqa: E402
from dlmsite.journal.verifying import verify  # noqa: E402
from tests.bench.report import say, share  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH_ROWS: Final = 2_000
"""As the recorder at its busiest."""
BASE_NS: Final = 1_790_000_000_000_000_000
STEP_NS: Final = 1_000_000
"""A thousand events a second."""
NODES: Final = tuple(f"10.0.0.{n}:8888.18888" for n in range(1, 9))
KEYS: Final = 200_000
VIEW_ROWS: Final = 50_000
ASKED: Final = 40
LIMIT: Final = 100
EXPORTED_ROWS: Final = 100_000


def rows_of(first: int, count: int) -> Iterator[tuple[Any, ...]]:
    """Yield events as the recorder would write them: grants and releases, now and then something rare."""
    for at in range(first, first + count):
        # A tenth of all events is about a hundred keys, the rest is spread.
        number = at % 100 if at % 10 == 0 else (at * 7919) % KEYS
        key = f"orders/{number % 1000:03}/{number}"
        kind = "granted" if at % 2 else "released"
        if at % 1009 == 0:
            kind, key = ("promoted", key) if at % 2 else ("view", "")
        view = BASE_NS + at // VIEW_ROWS
        yield (
            NODES[at % len(NODES)], 1, at // len(NODES) + 1, BASE_NS + at * STEP_NS, kind, key,
            crc32(key.encode()) if key else None, f"worker-{number % 5000}", BASE_NS + at, 1, view, view, "",
            "", 7_000, 0, f"session-{number % 3000}" if at % 5 == 0 else None,
        )  # fmt: skip


def fill(rows: int) -> None:
    """Write so many events."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size = -200000")
    for first in range(0, rows, BATCH_ROWS):
        with transaction.atomic():
            chain.append(list(rows_of(first, min(BATCH_ROWS, rows - first))))


def questions(rows: int, chance: random.Random) -> dict[str, Callable[[], Filter]]:
    """Return what is asked, as makers of filters."""
    span_ns = rows * STEP_NS

    def moment() -> int:
        return BASE_NS + chance.randrange(span_ns)

    def within(width_s: float, asked: Filter) -> Filter:
        middle, half = moment(), int(width_s * 5e8)
        return replace(asked, from_ns=middle - half, to_ns=middle + half)

    def key(count: int = KEYS) -> str:
        number = chance.randrange(count)
        return f"orders/{number % 1000:03}/{number}"

    return {
        "nothing but the newest": Filter,
        "a key": lambda: Filter(key=key()),
        "a busy key": lambda: Filter(key=key(100)),
        "a busy key in some minute": lambda: within(60, Filter(key=key(100))),
        "a key + kind + text": lambda: Filter(key=key(100), kinds=("granted",), text="worker"),
        "a prefix of 200 keys": lambda: Filter(prefix=key().rsplit("/", 1)[0]),
        "a prefix of all keys": lambda: Filter(prefix="orders/"),
        "a prefix in some minute": lambda: within(60, Filter(prefix=key().rsplit("/", 1)[0])),
        "an owner": lambda: Filter(owner=f"worker-{chance.randrange(5000)}"),
        "a session": lambda: Filter(session=f"session-{chance.randrange(3000)}"),
        "a node in some minute": lambda: within(60, Filter(node=chance.choice(NODES))),
        "kinds that are rare": lambda: Filter(kinds=("promoted", "view", "died")),
        "a view": lambda: Filter(view=BASE_NS + chance.randrange(max(1, rows // VIEW_ROWS))),
        "some second": lambda: within(1, Filter()),
        "a text in some minute": lambda: within(60, Filter(text="nowhere")),
        "a text in all of it (bounded)": lambda: Filter(text="nowhere"),
    }


def ask(rows: int) -> None:
    """Print the 95th percentile of the first page of each question."""
    chance = random.Random(1)  # noqa: S311 - the same questions each time
    for name, make in questions(rows, chance).items():
        took, worked, scanned, cut = [], [], 0, False
        for _ in range(ASKED):
            asked = make()
            began, cpu = time.perf_counter(), time.thread_time()
            found = page(asked, LIMIT)
            took.append((time.perf_counter() - began) * 1000)
            worked.append((time.thread_time() - cpu) * 1000)
            scanned, cut = max(scanned, found.scanned), cut or found.cut
        bounded = ", stopped at its bound" if cut else ""
        more = f"{share(worked, 0.95):.1f} ms of it processor time, at most {scanned:,} rows looked at{bounded}"
        say(f"ask|{name}|{share(took, 0.95):.1f}|{more}")


async def export(rows: int) -> tuple[int, float]:
    """Stream a file of the oldest rows to nowhere; return its rows and the peak of traced memory in MB."""
    job = auditexport.Job(Filter(), 1, min(rows, EXPORTED_ROWS))
    tracemalloc.start()
    async for _ in auditexport.stream(job, auditexport.csv_writer(), {}):
        pass
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return job.rows, peak


class Clock:
    """How long something took, in all and of the processor."""

    def __init__(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()

    def of(self, rows: int) -> str:
        """Return it in words."""
        wall_s, cpu_s = time.monotonic() - self._began, time.process_time() - self._cpu
        return f"{rows:,} rows in {wall_s:.1f} s ({cpu_s:.1f} s of the processor: {rows / cpu_s:,.0f}/s)"


def main(arguments: list[str]) -> int:
    """Fill, ask, export, verify."""
    parser = argparse.ArgumentParser(description="Fill a journal and ask it.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args(arguments).rows
    call_command("migrate", verbosity=0)
    clock = Clock()
    fill(rows)
    size = Path(settings.DATABASES["default"]["NAME"]).stat().st_size
    say(f"say|filled|{clock.of(rows)}, {size / rows:,.0f} bytes a row")
    ask(rows)
    clock = Clock()
    exported, peak_mb = asyncio.run(export(rows))
    say(f"say|export|{clock.of(exported)}, as CSV and traced; memory at most {peak_mb:.1f} MB")
    clock = Clock()
    report = verify()
    say(f"say|verify|{clock.of(report.checked)}, {report.breaks} breaks")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
