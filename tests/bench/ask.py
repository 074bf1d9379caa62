"""`python -m tests.bench.ask --what audit|moments|export`: ask the journal that the environment names, and time it.

Each answer is the whole one of the API, by way of its view, on a database connection of its own as in a request; what
is left out is the network, the login and the browser. "Cold" is asked after the database's files were dropped from the
system's memory; what PostgreSQL keeps itself stays.

Elsewhere: what is asked (questions), who runs this (filled).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmsite.settings")

import django

django.setup()

# Only now: models need the settings.
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import RequestFactory  # noqa: E402
from django.urls import resolve  # noqa: E402

from dlmsite.access.roles import Role  # noqa: E402
from dlmsite.dashboard import auditexport, auditquery  # noqa: E402
from dlmsite.dashboard.auditfilter import Filter  # noqa: E402
from dlmsite.journal.indexes import POSTGRESQL  # noqa: E402
from tests.bench import questions  # noqa: E402
from tests.bench.report import say, share  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.questions import Question

WARM: Final = 40
COLD: Final = 10
EXPORTED_ROWS: Final = 1_000_000
BEGUN_ROWS: Final = 50_000
"""After so many rows an export has all the memory that it needs."""
OK: Final = 200


class Viewer:
    """Somebody who may look."""

    is_authenticated = is_active = True
    role = Role.VIEWER


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        took_ms: from before the question until it was there.
        own_ms: the same without the time in which it stood in line for a processor that others had.
        worked_ms: of the processor, in this process.
    """

    took_ms: float
    own_ms: float
    worked_ms: float
    size: int


def ask(address: str) -> Answer:
    """Ask once."""
    connection.close()
    request = RequestFactory(headers={"host": "localhost"}).get(address)
    request.user = Viewer()  # type: ignore[assignment]
    view = resolve(request.path).func
    began, cpu, lined = time.perf_counter(), time.thread_time(), in_line_ms("thread-self")
    response = view(request)
    took = (time.perf_counter() - began) * 1000
    worked = (time.thread_time() - cpu) * 1000
    lined = in_line_ms("thread-self") - lined
    if connection.vendor == POSTGRESQL and connection.connection is not None:
        lined += in_line_ms(connection.connection.info.backend_pid)  # it has served nothing else
    if response.status_code != OK:
        raise ValueError(f"{address} was answered with {response.status_code}: {response.content!r:.300}")
    return Answer(took, took - lined, worked, len(response.content))


def in_line_ms(task: str | int) -> float:
    """Return how long a task has been ready to run and did not, ever; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{task}/schedstat").read_text(encoding="ascii").split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0


def forget() -> None:
    """Have the system drop the database's files from its memory: the next who reads them waits for the disk."""
    connection.close()
    for path in Path(settings.DATA_DIR).rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)  # what is not written yet cannot be dropped
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


def put(asked: Iterable[Question], *, warm: int, cold: int) -> None:
    """Ask each question `warm` times and print the 95th percentile; before that `cold` times cold."""
    for question in asked:
        chill = []
        for _ in range(cold):
            address = question.address()
            forget()
            chill.append(ask(address).own_ms)
        answers = [ask(question.address()) for _ in range(warm)]
        own, worked = [a.own_ms for a in answers], [a.worked_ms for a in answers]
        more = f"median {share(own, 0.5):.0f}, longest {max(own):.0f}, {share(worked, 0.95):.0f} worked here"
        more += f"; cold at most {max(chill):.0f}" if chill else ""
        more += f"; in line for a processor as well {share([a.took_ms for a in answers], 0.95):.0f}"
        more += f"; {max(a.size for a in answers) / 1000:,.0f} kB"
        say(f"most|{question.name}|{share(own, 0.95):.1f}|{question.limit_ms:g}|ms|{more}")


async def export(job: auditexport.Job) -> None:
    """Stream a file to nowhere; print how fast, and what memory that took."""
    began, cpu, size, at_first = time.monotonic(), time.process_time(), 0, 0.0
    async for piece in auditexport.stream(job, auditexport.csv_writer(), {}):
        size += len(piece)
        if job.rows <= BEGUN_ROWS:
            at_first = peak_mb()
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    memory = f"memory at most {peak_mb():.0f} MB, of that {at_first:.0f} MB after {BEGUN_ROWS:,} rows"
    speed = f"{job.rows:,} rows, {size / 1e6:,.0f} MB in {wall_s:.0f} s ({cpu_s:.0f} s of the processor)"
    say(f"say|export|{speed}; {memory}")


def peak_mb() -> float:
    """Return the most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(arguments: list[str]) -> int:
    """Ask."""
    parser = argparse.ArgumentParser(description="Ask a journal.")
    parser.add_argument("--what", choices=("audit", "moments", "export"), required=True)
    parser.add_argument("--warm", type=int, default=WARM)
    parser.add_argument("--cold", type=int, default=COLD)
    parser.add_argument("--only", default="", help="questions with this in their names")
    asked = parser.parse_args(arguments)
    if asked.what == "export":
        ends = auditquery.ends()
        asyncio.run(export(auditexport.Job(Filter(), 1, min(ends[1].pk if ends else 0, EXPORTED_ROWS))))
        return 0
    draw = questions.Draw()
    chosen = questions.audit(draw) if asked.what == "audit" else questions.moments(draw)
    put([question for question in chosen if asked.only in f"{question.name}|"], warm=asked.warm, cold=asked.cold)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
