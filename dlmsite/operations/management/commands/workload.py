"""`manage.py workload`: clients that take, hold and release locks at a given rate.

Needs neither a login nor the database: only the nodes.

Elsewhere: what it does (lockcore.client.workload).
"""

from __future__ import annotations

import sys
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand

from lockcore.client.nearby import nearby_target
from lockcore.client.workload import CLIENTS_MAX, WorkloadPlan, run_workload

if TYPE_CHECKING:
    from argparse import ArgumentParser

DEFAULT = WorkloadPlan()
SESSIONS = 4
"""As many as make a queue that one can follow."""


class Command(BaseCommand):
    """Run a workload and print one line about it."""

    help = "Take, hold and release locks at a given rate; print one line at the end."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The plan."""
        parser.add_argument("--rate", type=float, default=DEFAULT.rate, help="locks taken per second (%(default)s)")
        parser.add_argument("--clients", type=int, default=None, help="how many clients (enough for the rate)")
        parser.add_argument("--keys", type=int, default=None, help="how many keys they choose from (4 per client)")
        parser.add_argument("--ttl", type=float, default=DEFAULT.ttl, help="seconds, 0.1 to 60 (%(default)s)")
        parser.add_argument("--hold", type=float, default=DEFAULT.hold, help="seconds a lock is held (%(default)s)")
        parser.add_argument(
            "--sessions", type=int, default=SESSIONS, help="how many more queue, lock ranges and migrate (%(default)s)"
        )
        parser.add_argument("--seconds", type=float, default=None, help="how long to run (until Ctrl-C)")
        parser.add_argument("--target", default="", help="gRPC addresses of nodes, as 127.0.0.1:18001,127.0.0.1:18002")
        parser.add_argument("--data", metavar="FOLDER", help="the data folder of the cluster (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until the time is over."""
        target = options["target"] or nearby_target(settings.ENVIRONMENT.data_dir, settings.ENVIRONMENT.port)
        names = ("rate", "ttl", "hold", "seconds", "sessions")
        clients = options["clients"] or clients_for(options["rate"], options["hold"])
        keys = options["keys"] or max(DEFAULT.keys, 4 * clients)
        plan = WorkloadPlan(clients=clients, keys=keys, **{name: options[name] for name in names})
        sys.exit(run_workload(target, plan))


def clients_for(rate: float, hold: float) -> int:
    """Return how many clients reach the rate, each holding one lock at a time, with half a second to find one."""
    enough = rate * (hold + 0.5)
    return DEFAULT.clients if not isfinite(enough) else min(CLIENTS_MAX, max(DEFAULT.clients, ceil(enough)))
