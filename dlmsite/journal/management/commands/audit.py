"""`manage.py audit verify`: say whether the recorded history is whole, and which rows are not.

Elsewhere: looking for breaks (dlmsite.journal.verifying).
"""

import re
import time
from argparse import ArgumentParser
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dlmsite.journal.verifying import Report, verify

EXIT_BROKEN: Final = 1
_NOTED: Final = re.compile(r"(\d{1,18}):([0-9a-f]{32})", re.ASCII)


class Command(BaseCommand):
    """Verify the chain of events."""

    help = "Check that no recorded event was changed, removed or inserted; exit 1 and name the rows if one was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What, where, and against what."""
        parser.add_argument("what", choices=["verify"])
        parser.add_argument(
            "--expect", metavar="PLACE:SEAL", help="a head that an earlier look printed, noted elsewhere"
        )
        # Read by manage.py before the settings are; here for --help.
        parser.add_argument("--data", metavar="FOLDER", help="data folder (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look and print."""
        began = time.monotonic()
        try:
            report = verify(_noted(options["expect"]))
        except DatabaseError as error:
            raise CommandError(
                f"the journal in {settings.DATA_DIR} cannot be read ({error}). Is --data right, and was it upgraded by "
                "`manage.py migrate`?"
            ) from error
        self.stdout.write(as_text(report, time.monotonic() - began))
        if report.breaks:
            raise CommandError(f"the history is not whole: {report.breaks:,} breaks", returncode=EXIT_BROKEN)


def as_text(report: Report, took_s: float) -> str:
    """Return the report for people."""
    lines = [f"{found.what:<9} {found.text}" for found in report.found]
    if report.breaks > len(report.found):
        lines.append(f"and {report.breaks - len(report.found):,} more breaks that are not listed")
    lines.append(f"checked {report.checked:,} rows in {took_s:.1f} s: {_verdict(report)}")
    if report.older:
        lines.append(f"not checked: {report.older:,} rows that were recorded before there was a chain")
    if report.unchecked:
        lines.append(f"not checked: {report.unchecked:,} rows whose seal depends on what is gone")
    if report.pruned:
        lines.append(f"removed by retention, from the beginning: {report.pruned:,} rows")
    if report.head[0]:
        lines.append(f"head {report.head[0]}:{report.head[1]}   (note it elsewhere, for --expect)")
    return "\n".join(lines)


def _verdict(report: Report) -> str:
    if report.breaks:
        return "NOT whole"
    return "whole" if report.checked else "nothing is sealed, so nothing can be said"


def _noted(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = _NOTED.fullmatch(text)
    if found is None:
        raise CommandError("--expect takes what an earlier look printed as its head: PLACE:SEAL")
    return int(found.group(1)), found.group(2)
