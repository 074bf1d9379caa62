"""`python -m tests.bench.fill --rows N`: make a history in the empty journal that the environment names, and check it.

Elsewhere: what is in it (history), how it gets there (bulk), who runs this (filled).
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmsite.settings")

import django

django.setup()

# Only now: models need the settings.
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from dlmsite.journal.indexes import POSTGRESQL  # noqa: E402
from dlmsite.journal.models import Frame  # noqa: E402
from dlmsite.journal.verifying import verify  # noqa: E402
from tests.bench.bulk import Bulk  # noqa: E402
from tests.bench.history import History  # noqa: E402
from tests.bench.report import load, say  # noqa: E402

NS_PER_S = 1e9


class Clock:
    """How long something took, in all and of the processor."""

    def __init__(self) -> None:
        self._began, self._cpu = time.monotonic(), time.process_time()

    def of(self, rows: int) -> str:
        """Return it in words."""
        wall_s, cpu_s = time.monotonic() - self._began, time.process_time() - self._cpu
        return f"{rows:,} rows in {wall_s:.0f} s ({cpu_s:.0f} s of the processor: {rows / cpu_s:,.0f}/s)"


def main(arguments: list[str]) -> int:
    """Fill, and verify the chain."""
    parser = argparse.ArgumentParser(description="Fill a journal.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args(arguments).rows
    gc.disable()  # nothing here is a circle, and there are millions of objects to look at
    call_command("migrate", verbosity=0)
    history, clock = History(rows), Clock()
    for made in Bulk().fill(history.batches()):
        sys.stderr.write(f"{clock.of(made)}; {load()}\n")
    took = clock.of(history.made)
    say(f"say|filled|{took}, {size() / history.made:,.0f} bytes a row, {Frame.objects.count()} frames")
    clock = Clock()
    report = verify()
    say(f"say|the chain verified|{clock.of(report.checked)}, {report.breaks} breaks")
    return 0 if report.breaks == 0 and report.checked else 1


def size() -> int:
    """Return what the database takes on the disk, in bytes."""
    if connection.vendor == POSTGRESQL:
        query = "SELECT pg_database_size(current_database())"
    else:
        query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
