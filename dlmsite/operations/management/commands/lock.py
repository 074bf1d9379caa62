"""`manage.py lock KEY -- command …`: run a command under a lock, like flock(1) for a cluster.

Needs neither a login nor the database: only the nodes.

Elsewhere: what it does (lockcore.client.run).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from lockcore.client.check import SEAWEEDFS
from lockcore.client.nearby import nearby_target
from lockcore.client.run import EXIT_NOT_OBTAINED, EXIT_USAGE, RunPlan, run

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Take a lock, run a command, release the lock."""

    help = (
        "Run a command under a lock: manage.py lock KEY [options] -- command argument … "
        "The command is ended (SIGTERM, then SIGKILL) when the lock is lost. Exits with the command's code, "
        f"or {EXIT_NOT_OBTAINED} when the lock was not obtained."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    command: tuple[str, ...] = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Keep what follows the first -- away from every option parser."""
        if "--" in argv:
            at = argv.index("--")
            argv, self.command = argv[:at], tuple(argv[at + 1 :])
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """KEY and how to take it."""
        parser.add_argument("key", help="the name of the lock")
        parser.add_argument(
            "--ttl", type=float, default=7.0, help="seconds, 0.1 to 60; renewed meanwhile (%(default)s)"
        )
        parser.add_argument("--owner", default=None, help="what others see as the holder (host and process id)")
        parser.add_argument("--wait", type=float, default=None, help="seconds to wait for another holder (for ever)")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--target", default="", help="gRPC addresses of nodes, as 127.0.0.1:18001,127.0.0.1:18002")
        where.add_argument(
            "--seaweedfs",
            metavar="HOST:PORT",
            default="",
            help="filers or masters of a SeaweedFS cluster to lock at instead",
        )
        parser.add_argument("--data", metavar="FOLDER", help="the data folder of the cluster (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run, and exit with the command's code."""
        if not self.command:
            raise CommandError(
                "write the command after --, as in: manage.py lock KEY -- make report", returncode=EXIT_USAGE
            )
        seaweedfs = f"{SEAWEEDFS}{options['seaweedfs'].removeprefix(SEAWEEDFS)}" if options["seaweedfs"] else ""
        target = (
            options["target"] or seaweedfs or nearby_target(settings.ENVIRONMENT.data_dir, settings.ENVIRONMENT.port)
        )
        plan = RunPlan(
            key=options["key"],
            command=self.command,
            target=target,
            ttl=options["ttl"],
            owner=options["owner"],
            wait=options["wait"],
        )
        sys.exit(run(plan))
