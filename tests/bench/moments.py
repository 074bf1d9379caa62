"""How long any moment of a long history takes to open: the whole answer of `/api/moment/`, without a network.

ROWS rows (`LOCKRING_BENCH_ROWS`; a million is made in about a minute), 10,000 locks held all the time, a node that dies
now and then. Moments are drawn evenly from all of it.

Elsewhere: the history (history), the answer (dlmsite.dashboard.moment).
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.apart import said_by
from tests.bench.report import Row, at_most, share

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE: Final = "opening any moment of a long history with 10,000 held locks, SQLite"
ROWS: Final = int(os.environ.get("LOCKRING_BENCH_ROWS", "1000000"))
BOUND_S: Final = 120 + ROWS // 5_000
OPENED: Final = 60
OPEN_S_MAX: Final = 1.0


async def measure() -> list[Row]:
    """Return the rows."""
    text = await said_by("-m", "tests.bench.moments", DJANGO_SETTINGS_MODULE="dlmsite.settings")
    found = dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    p95_s, compare_s = float(found.pop("moment p95 s")), float(found.pop("compare p95 s"))
    return [
        at_most("a moment, 95 %", p95_s, OPEN_S_MAX, "s"),
        at_most("two moments compared, 95 %", compare_s, 2 * OPEN_S_MAX, "s"),
        *(Row(name, value) for name, value in found.items()),
    ]


def main(folder: str) -> None:
    """Make the history and open moments; print figures, a tab between name and value."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    connections["default"].settings_dict["NAME"] = database = Path(folder) / "bench.sqlite3"
    call_command("migrate", verbosity=0)
    from dlmsite.dashboard import compare, moment, picture, timeline
    from dlmsite.dashboard.feed import dumps
    from dlmsite.journal import momentread
    from dlmsite.journal.models import Frame
    from tests.bench.history import History

    began = time.monotonic()
    first_ns, last_ns = History(ROWS).make()
    _say("rows a second when making it", f"{ROWS / (time.monotonic() - began):,.0f}")
    size = sum(path.stat().st_size for path in Path(folder).glob("bench.sqlite3*"))
    _say("database", f"{size / 1e6:,.0f} MB, {Frame.objects.count()} frames ({database.name})")
    chance = random.Random(1)  # noqa: S311 - the same moments each time

    def open_one() -> Any:
        return dumps(moment.picture_of(moment.past_at(chance.randint(first_ns, last_ns))))

    def compare_two() -> Any:
        a, b = (moment.past_at(chance.randint(first_ns, last_ns)) for _ in range(2))
        return compare.locks_between(a.moment.told.held, b.moment.told.held, picture.node_labels())

    opened = _times(open_one, OPENED)
    _say("moment p95 s", f"{share(opened, 0.95):.4f}")
    _say("a moment, median", f"{share(opened, 0.5):.3f} s")
    _say("a moment, longest", f"{max(opened):.3f} s")
    _say("compare p95 s", f"{share(_times(compare_two, OPENED // 3), 0.95):.4f}")
    known = momentread.bounds()
    whole = _times(lambda: timeline.marks_between(first_ns, last_ns, known), 5)
    _say("the line of all of it, longest", f"{max(whole):.3f} s")


def _times(step: Callable[[], Any], count: int) -> list[float]:
    took = []
    for _ in range(count):
        began = time.monotonic()
        step()
        took.append(time.monotonic() - began)
    return took


def _say(name: str, value: str) -> None:
    sys.stdout.write(f"{name}\t{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(os.environ["LOCKRING_DATA"])
