"""`manage.py bench_recorder`: feed the recorder at a given rate and count what arrives.

Uses a database of its own in a temporary folder, removed afterwards.

Elsewhere: what is measured (dlmsite.journal.recorder).
"""

import asyncio
import resource
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from dlmsite.journal.models import HeldLock, LockEvent
from dlmsite.journal.recorder import Recorder
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

NODES = 3
BATCHES_PER_S = 20
HELD_PER_NODE = 1_000
KEYS_PER_NODE = 20_000
GENERATION = 1_800_000_000_000_000_000  # as wide as real ones


class Command(BaseCommand):
    """Measure what the recorder keeps up with."""

    help = "Feed the recorder with events at a given rate and say whether it kept up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How long, how fast."""
        parser.add_argument("--seconds", type=float, default=60.0)
        parser.add_argument("--rate", type=int, default=5_000, help="events per second, over all nodes")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Measure and print."""
        if options["seconds"] <= 0 or options["rate"] < NODES * BATCHES_PER_S:
            raise CommandError(f"--seconds must be above 0 and --rate at least {NODES * BATCHES_PER_S}")
        with tempfile.TemporaryDirectory(prefix="lockring-bench-") as folder:
            self._use_database_in(Path(folder))
            call_command("migrate", verbosity=0)
            self._report(asyncio.run(_run(options["seconds"], options["rate"])))
            connections.close_all()

    def _use_database_in(self, folder: Path) -> None:
        if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
            connections.close_all()
            settings.DATABASES["default"]["NAME"] = folder / "bench.sqlite3"
            connections["default"].settings_dict["NAME"] = folder / "bench.sqlite3"
        else:
            raise CommandError("the measurement makes a SQLite database of its own: unset LOCKRING_DATABASE")

    def _report(self, found: dict[str, float]) -> None:
        rows, held = LockEvent.objects.exclude(kind="gap").count(), HeldLock.objects.count()
        gaps = LockEvent.objects.filter(kind="gap").count()
        self.stdout.write(
            f"sent {found['sent']:,.0f} events in {found['sending_s']:.1f} s "
            f"({found['sent'] / found['sending_s']:,.0f}/s); "
            f"all recorded {found['behind_s'] * 1000:.0f} ms after the last was sent\n"
            f"rows {rows:,}, lost {found['sent'] - rows:,.0f}, gaps {gaps}, held locks {held:,}\n"
            f"from event to row: median {found['median_ms']:.0f} ms, 95 % {found['p95_ms']:.0f} ms, "
            f"longest {found['max_ms']:.0f} ms\n"
            f"CPU {found['cpu_s'] / (found['sending_s'] + found['behind_s']) * 100:.0f} % of one core (feeder included)"
        )


async def _run(seconds: float, rate: int) -> dict[str, float]:
    recorder = Recorder()
    recorder.start()
    took_ms: list[float] = []
    cpu_before = _cpu_s()
    began = time.monotonic()
    feeds = [_feed(recorder, node, seconds, rate / NODES, took_ms) for node in range(NODES)]
    ends = await asyncio.gather(*feeds)
    ended = time.monotonic()
    await recorder.stop()
    took_ms.sort()
    last_sent = max(end for _, end in ends)
    return {
        "sent": sum(sent for sent, _ in ends),
        "sending_s": last_sent - began,
        "behind_s": ended - last_sent,
        "median_ms": took_ms[len(took_ms) // 2],
        "p95_ms": took_ms[int(len(took_ms) * 0.95)],
        "max_ms": took_ms[-1],
        "cpu_s": _cpu_s() - cpu_before,
    }


async def _feed(recorder: Recorder, node: int, seconds: float, rate: float, took_ms: list[float]) -> tuple[int, float]:
    """Report as a node does, several batches under way. Return how many events, and when the last was sent."""
    source, incarnation = f"127.0.0.1:{8001 + node}.{18001 + node}", time.time_ns()
    sent, began = 0, time.monotonic()
    under_way: set[asyncio.Task[None]] = set()
    while (elapsed := time.monotonic() - began) < seconds:
        due = int(elapsed * rate) - sent
        if due > 0:
            batch = EventBatch(source, incarnation, tuple(_event(node, sent + i + 1) for i in range(due)))
            sent += due
            under_way.add(task := asyncio.create_task(_report(recorder, batch, took_ms)))
            task.add_done_callback(under_way.discard)
        await asyncio.sleep(1 / BATCHES_PER_S)
    last = time.monotonic()
    await asyncio.gather(*under_way)
    return sent, last


async def _report(recorder: Recorder, batch: EventBatch, took_ms: list[float]) -> None:
    began = time.monotonic()
    await recorder(batch)
    took_ms.append((time.monotonic() - began) * 1000)


def _event(node: int, number: int) -> NumberedEvent:
    """Return a grant, or the release of the lock granted HELD_PER_NODE grants ago."""
    at = (number + 1) // 2
    released = number % 2 == 0
    which = at - HELD_PER_NODE if released else at
    event = Event(
        EventKind.REFUSED if which <= 0 else EventKind.RELEASED if released else EventKind.GRANTED,
        key=f"bench/{node}/{which % KEYS_PER_NODE}",
        owner=f"worker-{which % 100}",
        generation=GENERATION + which,
        seq=1,
        view=GENERATION,
        version=GENERATION,
        ttl_ms=7_000,
    )
    return NumberedEvent(number, time.time_ns(), event)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
