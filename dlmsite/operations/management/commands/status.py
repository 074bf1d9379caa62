"""`manage.py status`: what runs, asked of master and nodes.

Elsewhere: asking (dlmsite.operations.report).
"""

import asyncio
import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dlmsite.operations.report import NodeReport, StatusReport, look

EXIT_NOTHING_RUNS = 1


class Command(BaseCommand):
    """Print what runs in a data folder."""

    help = "Say what runs: the master, and each node with its addresses, process, state and locks."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """For whom, and where."""
        parser.add_argument("--json", action="store_true", help="for programs; 64-bit numbers are strings")
        # Read by manage.py before the settings are; here for --help.
        parser.add_argument("--data", metavar="FOLDER", help="data folder (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ask and print."""
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # that nobody answers is our answer, not its warning
        data = Path(settings.DATA_DIR)
        found = asyncio.run(look(data))
        if found is None:
            if options["json"]:
                self.stdout.write(json.dumps({"running": False, "nodes": []}))
            raise CommandError(f"nothing runs in {data}. Start a cluster with: make run", returncode=EXIT_NOTHING_RUNS)
        if options["json"]:
            self.stdout.write(json.dumps({"running": True, **found.to_json()}, indent=2))
        else:
            self.stdout.write(as_text(found))


def as_text(found: StatusReport) -> str:
    """Return the report for people."""
    view = f"view {found.view}, version {found.version}, " if found.view else "no view yet"
    settled = ("settled" if found.settled else "not settled") if found.view else ""
    lines = [
        f"site    {found.site or 'not running: start it again with `manage.py up`, and it takes over these nodes'}",
        f"master  {found.master} ({found.master_state}) {view}{settled}",
        "",
    ]
    rows = [_HEAD, *(_row(node) for node in found.nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


_HEAD = (
    "node", "state", "ring address", "SeaweedFS and native gRPC", "pid", "incarnation", "view", "version", "primary",
    "backup",
)  # fmt: skip


def _row(node: NodeReport) -> tuple[str, ...]:
    return (
        node.label,
        node.state,
        node.ring_address,
        node.grpc_address,
        str(node.pid or "-"),
        str(node.incarnation or "-"),
        str(node.view or "-"),
        str(node.version or "-"),
        str(node.held_primary),
        str(node.held_backup),
    )
