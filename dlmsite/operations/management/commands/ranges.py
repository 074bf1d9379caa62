"""`manage.py ranges KEY`: try the byte-range locks of a key from a shell.

Needs neither a login nor the database: only the nodes.

Elsewhere: what it does (lockcore.client.rangeshell).
"""

from __future__ import annotations

import getpass
import sys
from argparse import REMAINDER, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand

from lockcore.client.nearby import nearby_target
from lockcore.client.rangeshell import ShellPlan, run_shell
from lockcore.client.rangewords import USAGE

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Read lines, or carry out one."""

    help = "Try the byte-range locks of a key: reads lines, or carries out one of getlk, show and hold."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own shape

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the lines of the epilog."""
        return super().create_parser(
            prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, epilog=USAGE, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """KEY and what to do with it."""
        parser.add_argument("--label", default=None, help="what others see as the holder (your name)")
        parser.add_argument("--ttl", type=float, default=10.0, help="seconds, 1 to 60; renewed meanwhile (%(default)s)")
        parser.add_argument("--target", default="", help="gRPC addresses of nodes, as 127.0.0.1:18001,127.0.0.1:18002")
        parser.add_argument("--data", metavar="FOLDER", help="the data folder of the cluster (default: .lockring)")
        parser.add_argument("key", help="the key whose ranges are meant")
        parser.add_argument(
            "words", nargs=REMAINDER, help="as `getlk write 0 100`, `show` or `hold write 0 100`; nothing: read lines"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run until it ends."""
        target = options["target"] or nearby_target(settings.ENVIRONMENT.data_dir, settings.ENVIRONMENT.port)
        label = options["label"] if options["label"] is not None else f"{getpass.getuser()}'s shell"
        plan = ShellPlan(options["key"], target, tuple(options["words"]), label, options["ttl"])
        sys.exit(run_shell(plan))
