"""`manage.py invite NAME --role viewer|operator`: print a link that logs NAME in once.

Elsewhere: what a link is (dlmsite.access.links).
"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dlmsite import claimfile
from dlmsite.access.links import LINK_TTL, InvalidUsername, issue_link
from dlmsite.access.roles import Role


class Command(BaseCommand):
    """Issue a login link and print it, and nothing else, on stdout."""

    help = "Print a link that logs NAME in once, with the given role."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """NAME, role, and where the cluster lives."""
        parser.add_argument("name", help="who is invited; made if there is nobody of that name")
        parser.add_argument("--role", choices=[role.value for role in Role], default=Role.VIEWER.value)
        # Read by manage.py before the settings are; here for --help.
        parser.add_argument("--data", metavar="FOLDER", help="the data folder of the cluster (default: .lockring)")
        parser.add_argument(
            "--port", type=int, default=None, help="the port of the page (default: where the cluster runs)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the link."""
        environment = settings.ENVIRONMENT
        try:
            path = issue_link(options["name"], Role(options["role"]))
        except InvalidUsername as error:
            raise CommandError(f"{options['name']!r} cannot be a user's name: {error}") from error
        except DatabaseError as error:
            raise CommandError(
                f"the journal in {environment.data_dir} is not ready ({error}). Start the cluster first: make run"
            ) from error
        running = claimfile.current(environment.data_dir)
        host = running.host if running else environment.host
        port = options["port"] or (running.port if running else environment.port)
        self.stdout.write(f"http://{host}:{port}{path}")
        minutes = int(LINK_TTL.total_seconds() // 60)
        self.stderr.write(f"It logs {options['name']} in once, as {options['role']}, within {minutes} minutes.")
