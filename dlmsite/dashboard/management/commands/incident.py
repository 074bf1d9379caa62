"""`manage.py incident --from T --to T -o FILE`: an interval of the history as one page that replays offline.

Elsewhere: what is in it (dlmsite.dashboard.incident), the file (dlmsite.dashboard.incidentfile).
"""

import getpass
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dlmsite.dashboard import incident, incidentfile
from dlmsite.dashboard.auditfilter import TIME_SAYS, parse_time
from dlmsite.dashboard.problems import Refusal


class Command(BaseCommand):
    """Write an incident file."""

    help = "Write an interval of the history as one HTML page that replays in a browser, without a server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From when to when, and where to."""
        parser.add_argument("--from", dest="begins", required=True, metavar="TIME", help=f"its beginning, {TIME_SAYS}")
        parser.add_argument("--to", dest="ends", required=True, metavar="TIME", help="its end")
        parser.add_argument("-o", "--output", metavar="FILE", help="a file that does not exist yet (default: by time)")
        # Read by manage.py before the settings are; here for --help.
        parser.add_argument("--data", metavar="FOLDER", help="data folder (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Read, write, and say what came of it."""
        try:
            asked = incident.interval(_time(options["begins"]), _time(options["ends"]), f"{_user()} (manage.py)")
            path = Path(options["output"] or incidentfile.file_name(asked))
            _write(path, asked)
        except Refusal as refusal:
            raise CommandError(f"{refusal.title}: {refusal.detail}") from refusal
        except DatabaseError as error:
            raise CommandError(
                f"the journal in {settings.DATA_DIR} cannot be read ({error}). Is --data right?"
            ) from error
        for text in asked.says:
            self.stderr.write(text)
        self.stdout.write(f"{path}: {asked.events:,} events, {path.stat().st_size / 1e6:.1f} MB")


def _time(text: str) -> int:
    found = parse_time(text)
    if found is None:
        raise CommandError(f"{text!r} is no time: write it {TIME_SAYS}")
    return found


def _write(path: Path, asked: incident.Interval) -> None:
    """Write the file beside its name first: what has its name is whole."""
    if path.exists():
        raise CommandError(f"{path} exists already: choose another name, or remove it")
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            for part in incidentfile.parts(asked):
                file.write(part)
        unfinished.rename(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # nobody has this number
        return f"user {os.getuid()}" if sys.platform != "win32" else "somebody"
