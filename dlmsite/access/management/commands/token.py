"""`manage.py token create NAME --scope read --days 30`, `token list`, `token revoke NAME`.

Elsewhere: what a token is (dlmsite.access.tokens).
"""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dlmsite.access import tokens
from dlmsite.access.models import ApiToken


class Command(BaseCommand):
    """Make, list and revoke tokens."""

    help = "API tokens for programs: create one (it is shown once), list them, revoke one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and where the cluster lives."""
        deeds = parser.add_subparsers(dest="deed", required=True, metavar="create|list|revoke")
        made = deeds.add_parser("create", help="make a token and print it")
        made.add_argument("name", help="what it is for, such as prometheus")
        made.add_argument("--scope", choices=[scope.value for scope in tokens.Scope], default=tokens.Scope.READ.value)
        made.add_argument(
            "--days", type=int, default=tokens.DAYS_DEFAULT, help=f"1 to {tokens.DAYS_MAX} (default: %(default)s)"
        )
        listed = deeds.add_parser("list", help="show which there are, and when each was last used")
        ended = deeds.add_parser("revoke", help="end one at once")
        ended.add_argument("name")
        for deed in (made, listed, ended):
            # Read by manage.py before the settings are; here for --help.
            deed.add_argument("--data", metavar="FOLDER", help="the data folder of the cluster (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Do it."""
        try:
            getattr(self, options["deed"])(**options)
        except tokens.TokenProblem as problem:
            raise CommandError(str(problem)) from problem
        except DatabaseError as error:
            place = settings.ENVIRONMENT.data_dir
            text = f"the journal in {place} is not ready ({error}). Start the cluster first: make run"
            raise CommandError(text) from error

    def create(self, name: str, scope: str, days: int, **_options: Any) -> None:
        """Print the token, and nothing else, on stdout."""
        token = tokens.create(name, tokens.Scope(scope), days)
        self.stdout.write(token)
        self.stderr.write(
            f"Token {name} may {scope} for {days} days. It is shown this once: send it as `Authorization: Bearer ...`."
        )

    def list(self, **_options: Any) -> None:
        """Print one line per token, newest last."""
        rows = list(ApiToken.objects.order_by("id"))
        for row in rows:
            used = _day(row.used_at) if row.used_at else "never"
            self.stdout.write(
                f"{row.name}  {row.scope}  {tokens.state_of(row)}  until {_day(row.expires_at)}  last used {used}"
            )
        if not rows:
            self.stderr.write("There are no tokens. Make one: manage.py token create NAME --scope read")

    def revoke(self, name: str, **_options: Any) -> None:
        """Say that it is done."""
        tokens.revoke(name)
        self.stderr.write(f"Token {name} opens nothing any more.")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
